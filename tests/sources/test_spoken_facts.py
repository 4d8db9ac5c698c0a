"""Questions without sums: they follow from their facts, splits share none, the pipeline fits."""

import re
from collections import Counter

import pytest

from reasoner_jax.core.records import SpokenProblem
from reasoner_jax.sources import source
from reasoner_jax.sources.spoken_facts import KINDS, SpokenFacts
from reasoner_jax.synthesis.rewrite import RuleRewriter


def solve(question):
    """The answer worked out from the question alone, another way than the generator's."""
    if match := re.search(r"wants to go to the (\w+)\.", question):
        goal = match[1]
        vehicle = re.search(rf"(\w+ \w+) goes to the {goal}\.", question)[1]
        return re.search(rf"{vehicle} leaves from \w+ (\d+)\.", question, re.I)[1]
    if match := re.search(r"did (\w+) put", question):
        return re.search(rf"\b{match[1]} moves it to \w+ (\d+)", question)[1]
    if " now?" in question:
        return re.findall(r"moves it to \w+ (\d+)", question)[-1]
    if match := re.search(r"In which place does (\w+) \w+\?", question):
        before = re.findall(r"(\w+) \w+ before (\w+)\.", question)
        ahead, frontier = set(), {match[1]}
        while frontier:
            frontier = {first for first, second in before if second in frontier} - ahead
            ahead |= frontier
        return str(len(ahead) + 1)
    offers = dict(re.findall(r"on (\w+day) at (\d+)", question))
    busy = re.findall(r"on (\w+day)\b(?! at)", question)
    (hour,) = (hour for day, hour in offers.items() if day not in busy)
    return hour


def test_every_answer_follows_from_the_facts():
    for problem in SpokenFacts(800, split="all").problems():
        assert solve(problem.question) == problem.answer, problem.question


def test_a_problem_depends_on_seed_index_and_options_only():
    problems = list(SpokenFacts(12, seed=3).problems())
    assert problems == list(SpokenFacts(12, seed=3).problems())
    assert SpokenFacts(1, seed=3).problem(11) == problems[11]
    assert problems != list(SpokenFacts(12, seed=4).problems())
    assert [p.kind for p in problems[:4]] == list(KINDS)


def test_the_splits_share_no_question_whatever_the_seed():
    train = {p.question for seed in range(3) for p in SpokenFacts(2000, seed).problems()}
    held_out = {p.question for p in SpokenFacts(2000, seed=9, split="held_out").problems()}
    assert not train & held_out
    assert len(held_out) > 1800


def test_a_guess_among_the_named_numbers_is_seldom_right():
    for kind in ("lookup", "track", "plan"):
        problems = list(SpokenFacts(300, kinds=(kind,)).problems())
        chances = [1 / len(set(re.findall(r"\d+", p.question))) for p in problems]
        assert sum(chances) / len(chances) < 0.35
        first = Counter(re.findall(r"\d+", p.question)[0] == p.answer for p in problems)
        assert first[True] < 0.45 * len(problems)


@pytest.mark.parametrize("style", ["equations", "digits"])
def test_all_kinds_pass_the_pipeline_of_any_problem(style):
    rewriter = RuleRewriter(style=style)
    for problem in SpokenFacts(200).problems():
        spoken = rewriter.rewrite(problem, 0)
        assert isinstance(spoken, SpokenProblem), (problem.kind, spoken)
        assert not re.search(r"\d", spoken.spoken_question + spoken.response)
        assert spoken.reasoning.endswith(f"answer {problem.answer}")
        assert all(check.passed for check in spoken.checks)


def test_bad_options_are_named():
    assert source("spoken_facts", num_problems=4).name == "spoken_facts"
    with pytest.raises(ValueError, match=r"no kinds \['sums'\]"):
        SpokenFacts(1, kinds=("sums",))
    with pytest.raises(ValueError, match="num_problems >= 0"):
        SpokenFacts(-1)
    with pytest.raises(ValueError, match="split is 'test'"):
        SpokenFacts(1, split="test")
