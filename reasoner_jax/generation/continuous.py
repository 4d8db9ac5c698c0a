"""Continuous batching: when rows have finished, the next questions take their places.

A batch that waits for its longest reply computes for rows that have long ended. Here decoding stops
as soon as a quarter of the rows is free; as many questions are read in a small batch of their own
and put into the free rows, in whatever phase the others are. Nothing is compiled anew.
"""

import dataclasses
import time
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from reasoner_jax.core.axes import Int
from reasoner_jax.generation import blocks
from reasoner_jax.generation.batches import BatchRun, cache_size, results
from reasoner_jax.generation.prompt import EncodedQuestion, rounded
from reasoner_jax.generation.replies import Replies, join
from reasoner_jax.generation.reply import Outcome
from reasoner_jax.text.schedule import Schedule

ROOM = 512
"""Tokens of a reply that the common cache holds; the few that are longer are made again."""


@dataclasses.dataclass(frozen=True)
class _Seat:
    """Who sits in a row.

    Attributes:
        question: its place in the list.
        began: when its prompt was begun, by `time.perf_counter`.
        prefilled: when that was done.
        passes: of the batch, by then.
    """

    question: int
    began: float
    prefilled: float
    passes: int


def answer_all(
    run: BatchRun,
    encoded: Sequence[EncodedQuestion],
    schedules: Sequence[Schedule],
    numbers: Sequence[int],
) -> Iterator[tuple[int, Outcome]]:
    """Answers any number of questions.

    Args:
        run: with rows for a part of them.
        encoded, schedules, numbers: of each question, in the order in which they are begun;
            without forced thoughts.

    Yields:
        The place of a question in these lists, and its outcome, as they finish.
    """
    crowd = _Crowd(run, encoded, schedules, numbers)
    while crowd.seats:
        yield from crowd.decode()
        crowd.fill()
    # The few replies that outgrew the common cache are made again, with room.
    for begin in range(0, len(crowd.outgrown), run.rows):
        chosen = crowd.outgrown[begin : begin + run.rows]
        answers = run.answer(*crowd.pick(chosen))
        yield from zip(chosen, answers, strict=True)


class _Crowd:
    """Questions in their rows, and those that wait."""

    def __init__(
        self,
        run: BatchRun,
        encoded: Sequence[EncodedQuestion],
        schedules: Sequence[Schedule],
        numbers: Sequence[int],
    ) -> None:
        self.run, self.guide = run, run.guide()
        self.encoded, self.schedules, self.numbers = encoded, schedules, numbers
        self.room = min(run.max_tokens, ROOM)
        longest = rounded(max(len(question.tokens) for question in encoded), 64)
        self.capacity = cache_size(longest + self.room + run.program.widths[-1])
        self.waiting = list(range(len(encoded)))
        self.outgrown: list[int] = []
        self.seats: dict[int, _Seat] = {}
        self.group = run.whole_rows(max(1, run.rows // 4))
        self.replies: Replies | None = None
        self.replies = self._prefill(range(run.rows), run)

    def pick(
        self, chosen: Sequence[int]
    ) -> tuple[list[EncodedQuestion], list[Schedule], list[int]]:
        """What belongs to some of the questions."""
        return (
            [self.encoded[i] for i in chosen],
            [self.schedules[i] for i in chosen],
            [self.numbers[i] for i in chosen],
        )

    def decode(self) -> Iterator[tuple[int, Outcome]]:
        """Goes on until enough rows are free for a group, or all are if nobody waits."""
        run = self.run
        busy = max(1, run.rows - self.group + 1) if self.waiting else 1
        params = run.omni.params["thinker"]
        self.replies = blocks.decode(run.program, params, self.guide, self.replies, min_active=busy)
        found = jax.device_get(results(self.replies))
        now = time.perf_counter()
        over = found["finished"] | (found["lengths"] >= self.room)
        for row in [row for row in self.seats if over[row]]:
            seat = self.seats.pop(row)
            if not found["finished"][row] and self.room < run.max_tokens:
                self.outgrown.append(seat.question)
                continue
            yield seat.question, _outcome(found, row, seat, now)

    def fill(self) -> None:
        """Puts a group of those that wait into free rows."""
        if not self.waiting:
            return
        free = [row for row in range(self.run.rows) if row not in self.seats][: self.group]
        small = dataclasses.replace(self.run, rows=self.group)
        newcomers = self._prefill(free, small)
        places = np.full(self.group, self.run.rows, np.int32)
        places[: len(free)] = free
        self.replies = join(self.replies, newcomers, places)

    def _prefill(self, rows: Sequence[int], run: BatchRun) -> Replies:
        """Seats the next questions in `rows`, one each while there are any; reads them."""
        chosen, self.waiting = self.waiting[: len(rows)], self.waiting[len(rows) :]
        began = time.perf_counter()
        replies, _ = run.prefill(*self.pick(chosen), self.room, capacity=self.capacity)
        replies.lengths.block_until_ready()
        passes = 0 if self.replies is None else int(self.replies.passes)
        for row, question in zip(rows, chosen, strict=False):
            self.seats[row] = _Seat(question, began, time.perf_counter(), passes)
        return replies


def _outcome(
    found: dict[str, Int[np.ndarray, "..."]], row: int, seat: _Seat, now: float
) -> Outcome:
    pace = (now - seat.prefilled) / max(1, int(found["passes"]) - seat.passes)
    first = int(found["first_passes"][row])
    waited = pace * (first - seat.passes) if first > 0 else now - seat.prefilled
    return Outcome.of_row(
        found,
        row,
        first_token_s=seat.prefilled - seat.began + waited,
        total_s=now - seat.began,
    )
