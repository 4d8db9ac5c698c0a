import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoner_jax.synthesis import wording
from reasoner_jax.synthesis.response import words_before, write_response
from reasoner_jax.synthesis.trace import write_trace
from reasoner_jax.text.numbers import numbers_in
from reasoner_jax.text.schedule import Schedule
from tests.synthesis.problems import BABYSITTING, CLIPS, SUM, from_solution

POOLS = {name: pool for name, pool in vars(wording).items() if isinstance(pool, tuple)}


def respond(problem, seed=0, style="equations", schedule=None, **options):
    parts = write_trace(problem, style)
    return write_response(
        problem, problem.question, parts, schedule or Schedule(), random.Random(seed), **options
    )


def test_there_are_enough_phrases():
    assert len(wording.OPENINGS) >= 20
    assert len(wording.CONNECTIVES) >= 12 and len(wording.CONNECTIVES_AFTER) >= 12
    assert len(wording.CLOSINGS) >= 12 and len(wording.CLOSINGS_ANSWER) >= 12


@pytest.mark.parametrize("name", POOLS)
def test_no_phrase_holds_a_number_a_symbol_or_its_double(name):
    pool = POOLS[name]
    assert len(set(pool)) == len(pool)
    for phrase in pool:
        assert numbers_in(phrase) == []
        assert re.fullmatch(r"[A-Za-z' ,.{}]+", phrase)


def test_equal_seeds_give_equal_responses_and_others_differ():
    assert respond(CLIPS, 1) == respond(CLIPS, 1)
    assert len({respond(CLIPS, seed) for seed in range(20)}) >= 18


@given(st.integers(0, 10_000))
def test_the_answer_is_the_last_number_whatever_the_seed(seed):
    for problem, value in ((CLIPS, 72), (BABYSITTING, 16), (SUM, 83)):
        assert numbers_in(respond(problem, seed))[-1].value == value


def test_bare_arithmetic_is_read_aloud():
    said = {respond(SUM, seed) for seed in range(40)}
    assert any("thirty-seven plus forty-six is eighty-three" in response for response in said)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
def test_as_many_closings_restate_the_sum_as_are_asked_for(share, least, most):
    said = [respond(SUM, seed, restate_share=share) for seed in range(200)]
    restated = sum("plus" in response for response in said)
    assert least <= restated <= most


def test_money_and_things_keep_their_unit():
    assert all("sixteen" in respond(BABYSITTING, seed) for seed in range(20))
    assert any("seventy-two clips" in respond(CLIPS, seed) for seed in range(20))


def test_a_closing_that_goes_on_follows_a_fact_only():
    problem = from_solution("How many pens does she have?", "She has 2*3 = <<2*3=6>>6 pens", "6")
    for seed in range(200):
        closing = re.split(r"(?<=[.]) ", respond(problem, seed))[1]
        assert not closing.startswith(("And", "That", "Which", "Putting"))


def test_a_fact_names_no_number_that_neither_question_nor_trace_has():
    problem = from_solution(
        "How much will he have saved?",
        "When the third of the months is over, he has 2*7 = $<<2*7=14>>14\n"
        "He will have saved 14+30 = $<<14+30=44>>44",
        "44",
    )
    said = [respond(problem, seed) for seed in range(100)]
    assert any("he has fourteen dollars" in response for response in said)
    assert not any("third" in response for response in said)


def test_the_longer_the_trace_the_later_the_answer():
    short = from_solution("How many?", "She has 2*3 = <<2*3=6>>6", "6")
    steps = "\n".join(
        f"She has 2*{n} = <<2*{n}={2 * n}>>{2 * n} pens in box {n}" for n in range(3, 14)
    )
    long = from_solution("How many?", steps, "26")
    words = [len(re.split(r"\s", respond(problem)[: -len("six.")])) for problem in (short, long)]
    assert words[1] > words[0] + 15


def test_words_before_counts_whole_blocks():
    assert [words_before(n, Schedule(2, 8)) for n in (0, 1, 8, 9, 16, 17)] == [0, 2, 2, 4, 4, 6]
    assert words_before(9, Schedule(2, 8, lead="reasoning")) == 2
    assert words_before(99, Schedule(mode="before_speaking")) == 0
    assert words_before(9, Schedule(4, 4)) == 12
