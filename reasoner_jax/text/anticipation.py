"""The anticipation certificate: no number is spoken before the question or a thought holds it.

Decided mechanically, on text pieces and the schedule's actual interleaving; knows no tokenizer and
no model. Numbers are compared by value (`numbers.numbers_in`), so "half" is supported by "0.5".
"""

import bisect
import dataclasses
import functools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from reasoner_jax.text.interleave import reasoning_before
from reasoner_jax.text.numbers import Number, numbers_in
from reasoner_jax.text.schedule import Pacing, Schedule, Stream, plan


@dataclasses.dataclass(frozen=True)
class Violation:
    """A number that was spoken too early, or out of nowhere.

    Attributes:
        text: as spoken, "thirty-seven".
        value: what it means.
        token: index of the response token in which it starts.
        block: the block of that token.
        earliest_token: the first response token at which its thought is complete; None if no
            thought ever holds it.
        earliest_block: the block of that token.
    """

    text: str
    value: Fraction
    token: int
    block: int
    earliest_token: int | None
    earliest_block: int | None


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The verdict on one reply.

    Attributes:
        ok: no violation.
        violations: in the order of speaking.
        num_numbers: how many spoken numbers were checked.
    """

    ok: bool
    violations: tuple[Violation, ...]
    num_numbers: int


def certify(
    question: str,
    response_tokens: Sequence[str],
    reasoning_tokens: Sequence[str],
    schedule: Schedule,
    *,
    reasoning_per_block: Pacing | None = None,
    streams: Sequence[int] | np.ndarray | None = None,
) -> Certificate:
    """Checks every number and quantity word of a response against what was known when it began.

    Strict on both sides: before the *first* token of a spoken number is out ("thirty" of
    "thirty-seven"), the question or the thoughts so far must hold that number, and a thought holds
    a number only once its *last* token is out.

    Two numbers agree if their exact values do. "Fifty percent" agrees with 50 and with 1/2, "twenty
    cents" with 20 and with 1/5, a time of day also with its hour and minute together. What holds a
    fraction, a time or a price in dollars and cents also holds its parts; a negative number also
    holds its magnitude. A division ("48/2") holds its terms, not its result.

    Args:
        question: what was asked, in words or digits.
        response_tokens: the text of each spoken token; their concatenation is the response. A
            token without text ("", or a special token's name) counts as a position.
        reasoning_tokens: the text of each silent token.
        schedule: how they interleave.
        reasoning_per_block: as in `interleave`.
        streams: of every token of a generated reply, with its pauses and changing ratios;
            `schedule` then only numbers the blocks.

    Raises:
        ValueError: `streams` has other numbers of response or reasoning tokens.
    """
    known = _Known.of(question, reasoning_tokens)
    before = _thoughts_before(
        len(response_tokens), len(reasoning_tokens), schedule, reasoning_per_block, streams
    )
    response = _Pieces(response_tokens)
    spoken = numbers_in(response.text)
    violations = []
    for number in spoken:
        token = response.token_at(number.start)
        ready = known.ready_after(number)
        if ready is None or ready > before[token]:
            violations.append(_violation(number, token, ready, before, schedule))
    return Certificate(not violations, tuple(violations), len(spoken))


class _Pieces:
    """A text and the token that each of its characters belongs to."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.text = "".join(tokens)
        self.ends = np.cumsum([len(token) for token in tokens]).tolist()

    def token_at(self, character: int) -> int:
        return bisect.bisect_right(self.ends, character)


@dataclasses.dataclass(frozen=True)
class _Known:
    """After how many thoughts each value is known; 0 for what the question says."""

    after: dict[Fraction, int]

    @classmethod
    def of(cls, question: str, reasoning_tokens: Sequence[str]) -> "_Known":
        after: dict[Fraction, int] = {}
        for number in numbers_in(question):
            after.update(dict.fromkeys(_held(number), 0))
        thought = _Pieces(reasoning_tokens)
        for number in numbers_in(thought.text):
            for value in _held(number):
                after.setdefault(value, thought.token_at(number.end - 1) + 1)
        return cls(after)

    def ready_after(self, number: Number) -> int | None:
        """Thoughts needed until a spoken number is supported; None if it never is."""
        readings = [self.after.get(value) for value in (number.value, *number.equals)]
        if number.kind == "time":
            parts = [self.after.get(part) for part in number.contains]
            known = [part for part in parts if part is not None]
            readings.append(max(known) if len(known) == len(parts) else None)
        return min((ready for ready in readings if ready is not None), default=None)


def _held(number: Number) -> set[Fraction]:
    """The values that a question or a thought holds by naming a number."""
    values = {number.value, *number.equals, *number.contains}
    return values | {abs(value) for value in values}


def _thoughts_before(
    num_response: int,
    num_reasoning: int,
    schedule: Schedule,
    reasoning_per_block: Pacing | None,
    streams: Sequence[int] | np.ndarray | None,
) -> list[int]:
    """Thoughts before each response token, and before those that could follow."""
    if streams is not None:
        before = reasoning_before(streams)
        thoughts = int(np.sum(np.asarray(streams) == Stream.REASONING))
        if (len(before), thoughts) != (num_response, num_reasoning):
            raise ValueError(
                f"streams: expected {num_response} response and {num_reasoning} reasoning tokens, "
                f"got {len(before)} and {thoughts}"
            )
        return before.tolist()
    return thoughts_before(num_response, num_reasoning, schedule, reasoning_per_block)


def thoughts_before(
    num_response: int,
    num_reasoning: int,
    schedule: Schedule,
    reasoning_per_block: Pacing | None = None,
) -> list[int]:
    """Thoughts before each response token, by the schedule alone.

    Longer than `num_response` where the thoughts are not complete by then: it goes on as if the
    response did, until all of them precede a response token.
    """
    if reasoning_per_block is None:
        return list(_by_schedule(num_response, num_reasoning, schedule))
    return _planned(num_response, num_reasoning, schedule, reasoning_per_block)


@functools.lru_cache(maxsize=1 << 14)
def _by_schedule(num_response: int, num_reasoning: int, schedule: Schedule) -> tuple[int, ...]:
    """Kept, since a corpus has the same lengths again and again."""
    return tuple(_planned(num_response, num_reasoning, schedule, None))


def _planned(
    num_response: int, num_reasoning: int, schedule: Schedule, reasoning_per_block: Pacing | None
) -> list[int]:
    extra = schedule.response * (num_reasoning // schedule.reasoning + 1)
    for more in (0, extra, 4 * extra):
        length = num_response + more
        runs, _ = plan(length, num_reasoning, schedule, reasoning_per_block=reasoning_per_block)
        streams = [run.stream for run in runs for _ in range(run.count or 0)]
        before = reasoning_before(streams).tolist()
        if before and before[-1] >= num_reasoning:
            break
    return before


def _violation(
    number: Number, token: int, ready: int | None, before: list[int], schedule: Schedule
) -> Violation:
    earliest = None if ready is None else bisect.bisect_left(before, ready)
    if earliest is not None and earliest == len(before):
        earliest = None
    return Violation(
        text=number.text,
        value=number.value,
        token=token,
        block=_block(token, schedule),
        earliest_token=earliest,
        earliest_block=None if earliest is None else _block(earliest, schedule),
    )


def _block(token: int, schedule: Schedule) -> int:
    return token // schedule.response if schedule.mode == "in_speaking" else 0
