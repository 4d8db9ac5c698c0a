"""`text.schedule`'s machine for B rows at once, as arrays; knows neither network nor sampling.

The layout is defined there and only there; this is its port for compiled decoding, in which every
row has a schedule and a phase of its own. `tests/generation/test_slots.py` holds the two equal.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.core.axes import Array, Bool, Int
from reasoner_jax.text.schedule import ControlIds, Schedule, SlotState, Stream, start

UNTIL_END = 2**30
"""Slots of a segment that only its stream's end token ends."""

OWN_LENGTH = -1
"""`RowSlots.reasoning` of a block that has its schedule's own length."""

MAX_RUNS = 4
"""Forced runs that one pass takes: the rest of a segment, a control token, a run, another one."""


@flax.struct.dataclass
class Layouts:
    """The schedules of B rows: the segments of a block, one beside the other.

    Attributes:
        streams: of each segment; a mode with one segment repeats it.
        sizes: slots of each segment, or `UNTIL_END`.
        num_segments: 1 or 2.
        control_tokens: whether `speak` and `think` open the slots.
    """

    streams: Int[Array, "B 2"]
    sizes: Int[Array, "B 2"]
    num_segments: Int[Array, " B"]
    control_tokens: Bool[Array, " B"]


@flax.struct.dataclass
class RowSlots:
    """`SlotState` of B rows; `reasoning` is `OWN_LENGTH` where that has None."""

    block: Int[Array, " B"]
    segment: Int[Array, " B"]
    position: Int[Array, " B"]
    response_ended: Bool[Array, " B"]
    thought_ended: Bool[Array, " B"]
    held: Bool[Array, " B"]
    reasoning: Int[Array, " B"]

    @property
    def finished(self) -> Bool[Array, " B"]:
        return self.response_ended & self.thought_ended


@flax.struct.dataclass
class Runs:
    """`Run` of B rows: the slots that come next and are alike.

    Attributes:
        streams: a `Stream` each.
        tokens: what they are forced to; arbitrary where they are not forced.
        counts: how many, or `UNTIL_END`.
        forced: false for free slots.
        complete: the reply is over, and nothing else here means anything.
    """

    streams: Int[Array, " B"]
    tokens: Int[Array, " B"]
    counts: Int[Array, " B"]
    forced: Bool[Array, " B"]
    complete: Bool[Array, " B"]


def layouts_of(schedules: Sequence[Schedule]) -> Layouts:
    """One row a schedule."""
    segments = [schedule.segments() for schedule in schedules]
    pairs = [(parts[0], parts[-1]) for parts in segments]
    return Layouts(
        streams=np.array([[stream for stream, _ in pair] for pair in pairs], np.int32),
        sizes=np.array([[size or UNTIL_END for _, size in pair] for pair in pairs], np.int32),
        num_segments=np.array([len(parts) for parts in segments], np.int32),
        control_tokens=np.array([schedule.control_tokens for schedule in schedules], bool),
    )


def rows_of(states: Sequence[SlotState]) -> RowSlots:
    """One row a state."""

    def column(name: str, dtype: type) -> np.ndarray:
        return np.array([getattr(state, name) for state in states], dtype)

    reasoning = [OWN_LENGTH if s.reasoning is None else s.reasoning for s in states]
    return RowSlots(
        block=column("block", np.int32),
        segment=column("segment", np.int32),
        position=column("position", np.int32),
        response_ended=column("response_ended", bool),
        thought_ended=column("thought_ended", bool),
        held=column("held", bool),
        reasoning=np.array(reasoning, np.int32),
    )


def start_rows(schedules: Sequence[Schedule]) -> RowSlots:
    """Every reply before its first token."""
    return rows_of([start(schedule) for schedule in schedules])


def next_runs(rows: RowSlots, layouts: Layouts, ids: ControlIds) -> Runs:
    """The port of `schedule.next_run`."""
    rows = _settle(rows, layouts)
    stream, size = _segment(rows, layouts)
    speaks = stream == Stream.RESPONSE
    control = (rows.position < 0) & layouts.control_tokens
    ended = _ended(rows, stream)
    waits = speaks & rows.held & ~rows.thought_ended & ~ended
    left = jnp.where(size == UNTIL_END, UNTIL_END, size - jnp.maximum(rows.position, 0))
    opens = jnp.where(speaks, ids.speak, ids.think)
    return Runs(
        streams=jnp.where(control, Stream.CONTROL, jnp.where(ended | waits, Stream.PAD, stream)),
        tokens=jnp.where(control, opens, jnp.where(ended, ids.pad, ids.wait)),
        counts=jnp.where(control, 1, left),
        forced=control | ended | waits,
        complete=rows.response_ended & (rows.segment == 0) & (rows.position < 0),
    )


def fill(
    rows: RowSlots,
    layouts: Layouts,
    counts: Int[Array, " B"],
    response_ends: Bool[Array, " B"] | bool = False,
    thought_ends: Bool[Array, " B"] | bool = False,
) -> RowSlots:
    """The rows after `counts` tokens of their next runs, the last of which may end a stream.

    A row whose count is 0 stays as it is.
    """
    before, rows = rows, _settle(rows, layouts)
    control = (rows.position < 0) & layouts.control_tokens
    position = jnp.where(control, 0, jnp.maximum(rows.position, 0) + counts)
    after = rows.replace(
        position=position,
        response_ended=rows.response_ended | response_ends,
        thought_ended=rows.thought_ended | thought_ends,
    )
    return _where(counts > 0, _settle(after, layouts), before)


def _segment(rows: RowSlots, layouts: Layouts) -> tuple[Int[Array, " B"], Int[Array, " B"]]:
    """Stream and slots of the segment that each row is in."""
    second = rows.segment == 1
    stream = jnp.where(second, layouts.streams[:, 1], layouts.streams[:, 0])
    size = jnp.where(second, layouts.sizes[:, 1], layouts.sizes[:, 0])
    paced = (stream == Stream.REASONING) & (size != UNTIL_END) & (rows.reasoning != OWN_LENGTH)
    return stream, jnp.where(paced, rows.reasoning, size)


def _ended(rows: RowSlots, stream: Int[Array, " B"]) -> Bool[Array, " B"]:
    return jnp.where(stream == Stream.RESPONSE, rows.response_ended, rows.thought_ended)


def _settle(rows: RowSlots, layouts: Layouts) -> RowSlots:
    """Past full and empty segments; two moves reach any segment that has room."""
    return _move_on(_move_on(rows, layouts), layouts)


def _move_on(rows: RowSlots, layouts: Layouts) -> RowSlots:
    """Leaves the current segment where it is full."""
    at_start = (rows.segment == 0) & (rows.position < 0)
    stream, size = _segment(rows, layouts)
    full = jnp.maximum(rows.position, 0) >= size
    full = jnp.where(size == UNTIL_END, _ended(rows, stream), full)
    moves = full & ~(at_start & rows.response_ended)
    next_block = moves & (rows.segment + 1 >= layouts.num_segments)
    return rows.replace(
        block=rows.block + next_block,
        segment=jnp.where(next_block, 0, rows.segment + moves),
        position=jnp.where(moves, -1, rows.position),
        reasoning=jnp.where(next_block, OWN_LENGTH, rows.reasoning),
    )


def _where(mask: Bool[Array, " B"], new: RowSlots, old: RowSlots) -> RowSlots:
    fields = {
        name: jnp.where(mask, getattr(new, name), old_value)
        for name, old_value in vars(old).items()
    }
    return RowSlots(**fields)


@flax.struct.dataclass
class Pending:
    """The tokens of each row that are known before its next free slot, W at most.

    Attributes:
        tokens: the row's last sampled token, if it has not been fed, then forced ones.
        streams: a `Stream` each.
        counts: how many of the W there are.
        ends: of the carried token (0 or 1) and of each forced run, in this line.
    """

    tokens: Int[Array, "B W"]
    streams: Int[Array, "B W"]
    counts: Int[Array, " B"]
    ends: Int[Array, "B R"]


def pending(
    rows: RowSlots,
    layouts: Layouts,
    ids: ControlIds,
    carry: tuple[Int[Array, " B"], Int[Array, " B"], Bool[Array, " B"]],
    limits: Int[Array, " B"],
    width: int,
) -> Pending:
    """What can go through the network in one pass.

    A carried r2, and a thought that is over, under 2 response and 3 reasoning slots, width 6:

        carry r2, then  think | pad pad pad | speak   ->   r2 think pad pad pad speak

    Args:
        rows: after the carried token.
        layouts: their schedules.
        ids: the forced tokens.
        carry: token, stream and presence of the last sampled token.
        limits: tokens that a row may still take; 0 for a row that rests.
        width: W.
    """
    token, stream, present = carry
    first = jnp.minimum(present.astype(jnp.int32), limits)

    def take(state: tuple, _: Any) -> tuple[tuple, tuple]:
        rows, going, end = state
        run = next_runs(rows, layouts, ids)
        going = going & run.forced & ~run.complete
        counts = jnp.where(going, run.counts, 0)
        end = end + counts
        return (fill(rows, layouts, counts), going, end), (run.tokens, run.streams, end)

    _, runs = _scan(take, (rows, limits > 0, first), jnp.arange(MAX_RUNS))
    tokens, streams, ends = (
        jnp.concatenate([column[None], later]).T
        for column, later in zip((token, stream, first), runs, strict=True)
    )
    source = (jnp.arange(width)[None, :, None] >= ends[:, None, :]).sum(axis=-1)
    source = jnp.minimum(source, MAX_RUNS)
    counts = jnp.minimum(jnp.minimum(ends[:, -1], limits), width)
    picked = (jnp.take_along_axis(table, source, axis=1) for table in (tokens, streams))
    return Pending(*picked, counts=counts, ends=ends)


def feed(rows: RowSlots, layouts: Layouts, waiting: Pending, counts: Int[Array, " B"]) -> RowSlots:
    """The rows after the first `counts` of their pending tokens."""

    def take(rows: RowSlots, run: tuple[Array, Array]) -> tuple[RowSlots, None]:
        begin, end = run
        return fill(rows, layouts, jnp.clip(counts - begin, 0, end - begin)), None

    return _scan(take, rows, (waiting.ends.T[:-1], waiting.ends.T[1:]))[0]


def _scan(step: Callable[[Any, Any], tuple[Any, Any]], state: Any, xs: Any) -> tuple[Any, Any]:
    """`jax.lax.scan`; unrolled for a GPU, where a turn would be a dozen kernels that do nothing.

    Unrolled for a CPU, which ignores barriers, the steps are fused into each other many times over.
    """

    def unrolled(state: Any, xs: Any) -> tuple[Any, Any]:
        found = []
        for index in range(len(jax.tree.leaves(xs)[0])):
            step_of = step(state, jax.tree.map(lambda x, index=index: x[index], xs))
            state, y = jax.lax.optimization_barrier(step_of)
            found.append(y)
        return state, jax.tree.map(lambda *ys: jnp.stack(ys), *found)

    looped = functools.partial(jax.lax.scan, step)
    return jax.lax.platform_dependent(state, xs, cuda=unrolled, default=looped)
