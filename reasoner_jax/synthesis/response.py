"""The short spoken answer to a problem, deferred until its trace has been thought; knows no speech.

What is said before its reasoning would be a guess. Tokenizers differ, so the bounds are safe ones:
a response has at least a token per word, a trace at most `pieces.most_tokens`.
"""

import dataclasses
import math
import random
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

from reasoner_jax.core.records import Problem
from reasoner_jax.sources import arithmetic
from reasoner_jax.synthesis import claim, pieces, unit, wording
from reasoner_jax.synthesis.trace import TracePart, answer_line, join_lines
from reasoner_jax.text.desymbolise import desymbolise
from reasoner_jax.text.numbers import numbers_in
from reasoner_jax.text.schedule import Schedule

Option = TypeVar("Option")

_MAX_FACTS = 2
_MAX_FACTS_IF_LONG = 3
# This far from the answer, a third fact is worth more to a listener than fillers.
_LONG_WORDS = 12
_MAX_FINAL_WORDS = 14
_MAX_EQUATION_WORDS = 14
# A closing that goes on from a fact.
_GOES_ON = ("And", "That", "Which", "Putting", "So that means")
_SYMBOL_WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


@dataclasses.dataclass(frozen=True)
class Fact:
    """Something to say, and when.

    Attributes:
        clause: in words, to be put into a template.
        num_words_before: response words that must precede the clause.
    """

    clause: str
    num_words_before: int


@dataclasses.dataclass(frozen=True)
class Thought:
    """What may be said once a part of the trace is out.

    Attributes:
        num_words_before: response words that must be out before.
        new: numbers that this part or an earlier one holds, and the question does not.
        known: numbers of the question.
    """

    num_words_before: int
    new: frozenset[Fraction]
    known: frozenset[Fraction]

    def holds(self, clause: str) -> bool:
        """Whether the clause names no number but known ones."""
        return all(
            not {number.value, *number.equals}.isdisjoint(self.new | self.known)
            for number in numbers_in(clause)
        )

    def num_words_before_clause(self, clause: str) -> int:
        """Words that must precede a clause so that its first new number comes in time."""
        numbers = numbers_in(clause)
        new = [n for n in numbers if self.known.isdisjoint({n.value, *n.equals})]
        first = (new or numbers[-1:])[0]
        return self.num_words_before - _num_words(clause[: first.start])


def write_response(
    problem: Problem,
    spoken_question: str,
    parts: Sequence[TracePart],
    schedule: Schedule,
    rng: random.Random,
    restate_share: float = 0.6,
) -> str:
    """An opening, some facts on the way, fillers where still needed, and the final value.

    "Okay, let me work this out. So Natalia sold twenty-four clips in May. That means Natalia sold
    seventy-two clips altogether in April and May."

    Args:
        problem: what is answered.
        spoken_question: numbers in it may be spoken at any time.
        parts: the trace that the response must not overtake.
        schedule: of response and reasoning.
        rng: chooses phrases.
        restate_share: of the responses that can end in a whole statement ("so thirty-seven plus
            forty-six is eighty-three") instead of the bare answer, how many do.
    """
    thoughts = _thoughts(problem, spoken_question, parts, schedule)
    restates = rng.random() < restate_share
    closings, final = _final(problem, parts, thoughts, restates)
    said = [_opening(problem, rng)]
    target = final.num_words_before - _lead(_choose(rng, closings))
    num_facts = _approach(said, target, _facts(problem, parts, thoughts), rng)
    missing = final.num_words_before - _num_words(" ".join(said))
    legal = [closing for closing in closings if _lead(closing) >= missing]
    if not num_facts:
        legal = [closing for closing in legal if not closing.startswith(_GOES_ON)]
    said.append(_filled(_choose(rng, _fresh(legal, said[-1])), final.clause))
    return " ".join(said)


def words_before(num_reasoning: int, schedule: Schedule) -> int:
    """Response tokens that are out once `num_reasoning` reasoning tokens are.

    With Schedule(2, 8), 1 to 8 reasoning tokens -> 2, 9 to 16 -> 4.
    """
    if schedule.mode != "in_speaking":
        return 0
    blocks = math.ceil(num_reasoning / schedule.reasoning)
    return schedule.response * max(blocks - (schedule.lead == "reasoning"), 0)


def _opening(problem: Problem, rng: random.Random) -> str:
    things = unit.things_asked(problem)
    if things and rng.random() < 0.3:
        return _choose(rng, wording.OPENINGS_ABOUT).format(things=things)
    return _choose(rng, wording.OPENINGS)


def _thoughts(
    problem: Problem, spoken_question: str, parts: Sequence[TracePart], schedule: Schedule
) -> list[Thought]:
    """What may be said after each part of the trace, and after its end."""
    known = frozenset(_held(spoken_question))
    new: set[Fraction] = set()
    lines: list[str] = []
    thoughts = []
    for part_lines in (*(part.lines for part in parts), (answer_line(problem),)):
        lines += part_lines
        new |= _held(join_lines(part_lines))
        num_tokens = pieces.most_tokens(join_lines(lines))
        thoughts.append(Thought(words_before(num_tokens, schedule), frozenset(new - known), known))
    # The thought ends with one more token.
    last = words_before(pieces.most_tokens(join_lines(lines)) + 1, schedule)
    thoughts[-1] = dataclasses.replace(thoughts[-1], num_words_before=last)
    return thoughts


def _final(
    problem: Problem, parts: Sequence[TracePart], thoughts: Sequence[Thought], restates: bool
) -> tuple[list[str], Fact]:
    """Closing templates that would do, and what goes into one of them."""
    value = arithmetic.parse_number(problem.answer)
    clause = _final_clause(problem, parts, thoughts, value) if restates else ""
    closings = wording.CLOSINGS if clause else wording.CLOSINGS_ANSWER
    if not clause:
        clause = _said(unit.answer_of(problem))
        if not _ends_in(clause, value):  # "26 quarters" would be heard as a fraction
            clause = _said(problem.answer)
    # The answer waits for its reasoning even where the question has the same number.
    heard = numbers_in(clause)
    early = _num_words(clause[: heard[-1].start]) if heard else 0
    return _fitting(closings, clause), Fact(clause, thoughts[-1].num_words_before - early)


def _final_clause(
    problem: Problem, parts: Sequence[TracePart], thoughts: Sequence[Thought], value: Fraction
) -> str:
    """What the solution's last sentence states, if it ends in the answer; else "".

    Bare arithmetic states nothing, and its equation is read aloud.
    """
    if not parts:
        return ""
    candidates = _claims(problem, parts[-1])
    if unit.answer_of(problem) == problem.answer:
        candidates.append(_equation(parts[-1]))
    for clause in candidates:
        short = _num_words(clause) <= _MAX_FINAL_WORDS
        if short and _ends_in(clause, value) and thoughts[-1].holds(clause):
            return clause
    return ""


def _facts(problem: Problem, parts: Sequence[TracePart], thoughts: Sequence[Thought]) -> list[Fact]:
    """What may be told on the way: a clause of each sentence but the last, where it has one."""
    facts = []
    for part, thought in zip(parts[:-1], thoughts, strict=False):
        if not part.lines:
            continue
        # "That's forty" means little before the end; how it comes about is worth more.
        candidates = [*_claims(problem, part), _equation(part)]
        for clause in sorted(candidates, key=_is_bare):
            if numbers_in(clause) and thought.holds(clause):
                facts.append(Fact(clause, thought.num_words_before_clause(clause)))
                break
    return facts


def _claims(problem: Problem, part: TracePart) -> list[str]:
    """What a sentence of the solution states, in words, whole and without its first phrases."""
    stated = claim.claim_of(part.sentence, f"{problem.question} {problem.solution}")
    if stated is None:
        return []
    whole = _said(stated)
    _, comma, rest = whole.rpartition(", ")
    return [whole, rest] if comma and claim.has_verb(rest) else [whole]


def _equation(part: TracePart) -> str:
    """37+46=83 -> "thirty-seven plus forty-six is eighty-three"; "" if hard to follow by ear."""
    step = part.steps[-1] if part.steps else None
    operation = step.operation if step else None
    if operation is None:
        return ""
    symbol = _SYMBOL_WORDS[operation.symbol]
    clause = _said(f"{operation.left} {symbol} {operation.right} is {step.value}")
    return clause if _num_words(clause) <= _MAX_EQUATION_WORDS else ""


def _approach(said: list[str], target: int, facts: list[Fact], rng: random.Random) -> int:
    """Adds to what is said until `target` words are out; returns how many facts it added.

    Facts come first, fillers where none may be told yet.
    """
    num_facts = 0
    wants_fact = rng.random() < 0.5
    while (missing := target - _num_words(" ".join(said))) > 0 or (wants_fact and not num_facts):
        limit = _MAX_FACTS_IF_LONG if missing > _LONG_WORDS else _MAX_FACTS
        templates = wording.CONNECTIVES_AFTER if num_facts else wording.CONNECTIVES
        legal = _legal(facts, _fresh(templates, said[-1]), said, rng) if num_facts < limit else []
        if legal:
            index, sentence = _choose(rng, legal)
            facts = facts[index + 1 :]
            num_facts += 1
        elif missing > 0:
            sentence = _filler(missing, said, rng)
        else:
            break
        said.append(sentence)
    return num_facts


def _legal(
    facts: Sequence[Fact], templates: Sequence[str], said: Sequence[str], rng: random.Random
) -> list[tuple[int, str]]:
    """Index and sentence of the facts whose reasoning is out after what is said."""
    found = []
    for index, fact in enumerate(facts):
        template = _choose(rng, _fitting(templates, fact.clause))
        if _num_words(" ".join(said)) + _lead(template) >= fact.num_words_before:
            found.append((index, _filled(template, fact.clause)))
    return found


def _filler(num_missing: int, said: Sequence[str], rng: random.Random) -> str:
    """A phrase not said yet, rather one that is long enough than two."""
    fresh = [phrase for phrase in wording.FILLERS if phrase not in said] or list(wording.FILLERS)
    long_enough = [phrase for phrase in fresh if num_missing <= _num_words(phrase)]
    shortest = min(map(_num_words, long_enough), default=0)
    return _choose(rng, [p for p in long_enough if _num_words(p) <= shortest + 1] or fresh)


def _fitting(templates: Sequence[str], clause: str) -> list[str]:
    """Templates that may lead the clause; "it looks like that's .." would be none."""
    clash: tuple[str, ...] = ()
    if _is_bare(clause):
        clash = ("that", "That", "like", "know")
    elif clause.startswith("so "):
        clash = ("so {", "So {", "far")
    return [t for t in templates if not any(word in t for word in clash)]


def _is_bare(clause: str) -> bool:
    return clause.startswith("that's")


def _fresh(templates: Sequence[str], previous: str) -> list[str]:
    """Templates that do not start as the sentence before did, if there are any."""
    word = re.match(r"\w+", previous)[0]
    return [t for t in templates if re.match(r"\w+", t)[0] != word] or list(templates)


def _filled(template: str, clause: str) -> str:
    text = template.format(claim=clause, answer=clause)
    return text[0].upper() + text[1:]


def _said(clause: str) -> str:
    """Clause in words; it does not start a sentence."""
    words = desymbolise(clause)
    return words if clause[:1].isupper() else words[:1].lower() + words[1:]


def _ends_in(clause: str, value: Fraction) -> bool:
    """Whether the last number heard in a clause is the value."""
    numbers = numbers_in(clause)
    return bool(numbers) and value in (numbers[-1].value, *numbers[-1].equals)


def _lead(template: str) -> int:
    """Words before what is filled in."""
    return _num_words(template.partition("{")[0])


def _held(text: str) -> set[Fraction]:
    numbers = numbers_in(text)
    return {value for n in numbers for value in (n.value, *n.equals, *n.contains)}


def _num_words(text: str) -> int:
    return len(text.split())


def _choose(rng: random.Random, options: Sequence[Option]) -> Option:
    # `random()` is the one method whose values Python promises to keep between versions.
    return options[int(rng.random() * len(options))]
