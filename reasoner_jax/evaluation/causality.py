"""Is the reasoning used? The same questions with thoughts that were tampered with; knows no judge.

The model is made to think a changed trace and speaks what it will. If answers come from the
thoughts, they follow a corrupted or swapped trace into the wrong, and break down without one; if
they come from the question alone, they stay right. `JudgedReply.follows` tells how often a spoken
answer is the one that the trace in force concludes.

    given back   the model's own trace                  the baseline: forcing it changes nothing
    blank        no thought at all
    shuffled     its own, words and signs in random order
    swapped      the trace of another question, whose conclusion differs
    corrupted    its own, one number changed: the conclusion, wherever it stands. The steps to it
                 stay, so a model that answers from the steps stays right without following
"""

import functools
import random
import re
from collections.abc import Callable, Mapping, Sequence

from reasoner_jax.core.records import Reply, SpokenQuestion
from reasoner_jax.evaluation.condition import Answers, Condition, question_of_item
from reasoner_jax.evaluation.judge import thought_answer
from reasoner_jax.evaluation.judged_reply import JudgedReply
from reasoner_jax.text.schedule import Schedule

_PIECES = re.compile(r"\s+|\d+|[^\W\d]+|[^\w\s]|_")

NUM_INTERVENTIONS = 5

Traces = Mapping[str, str]
"""The trace that each item is made to think, by its id."""


def interventions(
    name: str,
    schedule: Schedule,
    replies: Mapping[str, JudgedReply],
    items: Sequence[SpokenQuestion],
    *,
    seed: int = 0,
    with_instruction: bool = False,
    max_tokens: int = 512,
) -> list[Condition]:
    """The conditions of the table above.

    Args:
        name: of the condition whose replies these are.
        schedule: under which they were given.
        replies: of that condition, by item.
        items: all of them.
        seed: of the random changes.
        with_instruction, max_tokens: as for the condition.

    Raises:
        ValueError: no reply to an item.
    """
    missing = [item.question_id for item in items if item.question_id not in replies]
    if missing:
        raise ValueError(
            f"no reply of {name!r} to {len(missing)} items, {missing[0]!r} the first; answer them "
            "before tampering with their thoughts"
        )
    own = {item.question_id: replies[item.question_id].reasoning for item in items}
    changes: dict[str, tuple[Callable[[Traces], Traces], str]] = {
        "given back": (lambda traces: traces, "its own thoughts, forced"),
        "blank": (lambda traces: dict.fromkeys(traces, ""), "no thoughts"),
        "shuffled": (
            functools.partial(shuffle, seed=seed),
            "its own thoughts, shuffled",
        ),
        "swapped": (functools.partial(swap, seed=seed), "the thoughts of another question"),
        "corrupted": (
            functools.partial(corrupt, seed=seed),
            "its own thoughts with another conclusion",
        ),
    }
    return [
        Condition(
            f"{name}, thoughts {change}",
            _asking(changed(own), schedule, with_instruction, max_tokens),
            description=description,
            timed=False,
        )
        for change, (changed, description) in changes.items()
    ]


def shuffle(traces: Traces, seed: int) -> dict[str, str]:
    r"""Every trace with its numbers, words and signs in random order, between the same blanks.

    "48/2=24\nanswer 24" -> "=answer/24\n2 48 24": all is there, nothing follows from it.
    """
    shuffled = {}
    for item_id, trace in traces.items():
        pieces = _PIECES.findall(trace)
        written = [piece for piece in pieces if not piece.isspace()]
        random.Random(f"{seed}/{item_id}").shuffle(written)
        order = iter(written)
        shuffled[item_id] = "".join(piece if piece.isspace() else next(order) for piece in pieces)
    return shuffled


def swap(traces: Traces, seed: int) -> dict[str, str]:
    """Every item with the trace of another one, which concludes something else where possible."""
    order = sorted(traces)
    random.Random(seed).shuffle(order)
    swapped = {}
    for place, item_id in enumerate(order):
        others = (order[(place + step) % len(order)] for step in range(1, len(order)))
        concluded = thought_answer(traces[item_id])
        donor = next(
            (other for other in others if thought_answer(traces[other]) != concluded),
            order[(place + 1) % len(order)],
        )
        swapped[item_id] = traces[donor]
    return swapped


def corrupt(traces: Traces, seed: int) -> dict[str, str]:
    """Every trace with the number that it concludes changed, wherever it stands.

    "37+46=83 / answer 83" -> "37+46=88 / answer 88": one digit differs, so that the lengths agree.
    A trace without a conclusion, or with one that is no number, has its last digit changed.
    """
    return {
        item_id: _corrupt(trace, random.Random(f"{seed}/{item_id}"))
        for item_id, trace in traces.items()
    }


def _corrupt(trace: str, rng: random.Random) -> str:
    concluded = thought_answer(trace) or ""
    digits = re.findall(r"\d", concluded)
    if not digits:
        last = re.search(r"\d(?=\D*$)", trace)
        if last is None:
            return trace
        return trace[: last.start()] + _other_digit(last[0], rng) + trace[last.end() :]
    place = rng.choice([match.start() for match in re.finditer(r"\d", concluded)])
    # A leading zero would be no number that anybody writes.
    new = _other_digit(concluded[place], rng, lowest=int(place == 0 and len(concluded) > 1))
    changed = concluded[:place] + new + concluded[place + 1 :]
    # Zeros before it belong to a digit trace, "1+3+4=08>083".
    whole = re.compile(rf"(?<![\d.])(0*){re.escape(concluded)}(?!\d|\.\d)")
    return whole.sub(rf"\g<1>{changed}", trace)


def _other_digit(digit: str, rng: random.Random, lowest: int = 0) -> str:
    return rng.choice([str(d) for d in range(lowest, 10) if str(d) != digit])


def _asking(
    traces: Traces, schedule: Schedule, with_instruction: bool, max_tokens: int
) -> Callable[[Answers, Sequence[SpokenQuestion]], list[Reply]]:
    def ask(engine: Answers, items: Sequence[SpokenQuestion]) -> list[Reply]:
        questions = [
            question_of_item(item, with_instruction, thoughts=traces[item.question_id])
            for item in items
        ]
        return engine.generate(questions, schedule, max_tokens=max_tokens)

    return ask
