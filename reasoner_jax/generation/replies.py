"""Replies that are being decoded, as arrays, and how a batch of them is begun, grown and mixed.

Knows no loop: what happens to replies is in `blocks`.
"""

import dataclasses
import functools

import flax
import jax
import jax.numpy as jnp

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.generation import slots
from reasoner_jax.generation.sampling import Rules, SamplingKind
from reasoner_jax.generation.slots import Layouts, Pending, RowSlots
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.thinker import Thinker
from reasoner_jax.text.schedule import ControlIds, Stream

NEVER = -1


@dataclasses.dataclass(frozen=True)
class Program:
    """What a compiled loop is specialised for.

    Attributes:
        thinker: the network.
        ids: the forced tokens.
        sampling: what the sampler must be able to do.
        widths: tokens of a pass, ascending, from 1.
        free_tokens: tokens that one pass reads for the price of one: decoding waits for weights.
        hidden_share: of the talker, see `TalkerConfig`.
    """

    thinker: Thinker
    ids: ControlIds
    sampling: SamplingKind
    widths: tuple[int, ...] = (1, 2)
    free_tokens: int = 1
    hidden_share: float = 1.0


@flax.struct.dataclass
class Guide:
    """What steers sampling, the same for every pass.

    Attributes:
        allowed: tokens that a response and a reasoning slot may hold.
        rules: how each stream is drawn.
    """

    allowed: Bool[Array, "2 V"]
    rules: Rules


@flax.struct.dataclass
class Replies:
    """B replies that are being decoded.

    Attributes:
        cache: keys and values of prompts and of what has been fed.
        layouts: the schedules.
        rows: where each reply stands, after its sampled token.
        carry: token, stream and presence of the token that is sampled and not yet fed; at first
            the prompt's last token.
        pending: what the next pass can feed.
        tokens: the replies, forced tokens included.
        streams: a `Stream` each.
        lengths: tokens of each reply.
        limits: tokens that a reply may have.
        keys: a random key a row.
        passes: passes so far, of the whole batch.
        first_passes: the pass that sampled a row's first response token; `NEVER` before.
        vectors: what the talker reads, of each response token that has been fed; None if unwanted.
        num_vectors: of each row.
        seen: tokens that each stream has emitted; None unless repetition is penalised.
        thoughts: as in `Prompts`.
    """

    cache: KVCache
    layouts: Layouts
    rows: RowSlots
    carry: tuple[Int[Array, " B"], Int[Array, " B"], Bool[Array, " B"]]
    pending: Pending
    tokens: Int[Array, "B T"]
    streams: Int[Array, "B T"]
    lengths: Int[Array, " B"]
    limits: Int[Array, " B"]
    keys: Array
    passes: Int[Array, ""]
    first_passes: Int[Array, " B"]
    vectors: Float[Array, "B T D"] | None
    num_vectors: Int[Array, " B"]
    seen: Bool[Array, "B 2 V"] | None
    thoughts: Int[Array, "B R"] | None

    @property
    def active(self) -> Bool[Array, " B"]:
        """Rows that go on."""
        return (self.lengths < self.limits) & ~self.rows.finished


@flax.struct.dataclass
class Prompts:
    """B questions as the network reads them, padded on the right.

    Attributes:
        tokens: with audio placeholders.
        lengths: valid tokens, at least 1.
        mel, frames: chunks of audio in the order of their placeholders; None if all are written.
        layouts: the schedules.
        rows: start of each reply.
        limits: tokens that a reply may have; 0 for a row that only fills the batch.
        keys: a random key a row.
        thoughts: reasoning tokens that are forced, -1 where they are free; None if all are.
    """

    tokens: Int[Array, "B L"]
    lengths: Int[Array, " B"]
    mel: Float[Array, "B C F M"] | None
    frames: Int[Array, "B C"] | None
    layouts: Layouts
    rows: RowSlots
    limits: Int[Array, " B"]
    keys: Array
    thoughts: Int[Array, "B R"] | None = None


def begin(
    program: Program, cache: KVCache, prompts: Prompts, *, reply_capacity: int, vectors: bool
) -> Replies:
    """Replies to prompts of which `cache` holds all but the last token."""
    config, batch = program.thinker.config, prompts.tokens.shape[0]
    last = jnp.take_along_axis(prompts.tokens, prompts.lengths[:, None] - 1, axis=1)[:, 0]
    zeros = jnp.zeros((batch,), jnp.int32)
    wide = (batch, reply_capacity)
    depth = program.thinker.compute.activation
    carry = (last, zeros + Stream.PROMPT, jnp.ones((batch,), bool))
    limits = jnp.minimum(prompts.limits, reply_capacity)
    seen = jnp.zeros((batch, 2, config.vocab_size), bool) if program.sampling.penalises else None
    return Replies(
        cache=cache,
        layouts=prompts.layouts,
        rows=prompts.rows,
        carry=carry,
        pending=pending(program, prompts.rows, prompts.layouts, carry, zeros, limits),
        tokens=jnp.zeros(wide, jnp.int32),
        streams=jnp.zeros(wide, jnp.int32),
        lengths=zeros,
        limits=limits,
        keys=prompts.keys,
        passes=jnp.zeros((), jnp.int32),
        first_passes=zeros + NEVER,
        vectors=jnp.zeros((*wide, config.decoder.width), depth) if vectors else None,
        num_vectors=zeros,
        seen=seen,
        thoughts=prompts.thoughts,
    )


begin_anew = functools.partial(
    jax.jit,
    static_argnames=("program", "reply_capacity", "vectors"),
    donate_argnames="cache",
)(begin)


def pending(
    program: Program,
    rows: RowSlots,
    layouts: Layouts,
    carry: tuple[Array, Array, Array],
    lengths: Int[Array, " B"],
    limits: Int[Array, " B"],
) -> Pending:
    """What is known before each row's next free slot; the carried token is in `lengths` already."""
    room = limits - lengths
    active = (room > 0) & ~rows.finished
    room = jnp.where(active, room + carry[2], 0)
    return slots.pending(rows, layouts, program.ids, carry, room, program.widths[-1])


@functools.partial(jax.jit, static_argnames=("program", "capacity", "reply_capacity"))
def regroup(
    program: Program,
    replies: Replies,
    rows: Int[Array, " B2"],
    limits: Int[Array, " B2"],
    *,
    capacity: int,
    reply_capacity: int,
) -> Replies:
    """Some of the rows as a batch of their own, with more room.

    Args:
        program: see `decode`.
        replies: the batch.
        rows: which of its rows, in the new order.
        limits: tokens that each may have; 0 for a row that only fills the batch.
        capacity, reply_capacity: the new sizes, see `prefill`; not less than the old ones.
    """

    def take(leaf: Array, axis: int = 0, size: int | None = None) -> Array:
        leaf = leaf if leaf.ndim == 0 else leaf[rows]
        if size is None:
            return leaf
        padding = [(0, size - leaf.shape[axis] if i == axis else 0) for i in range(leaf.ndim)]
        return jnp.pad(leaf, padding)

    rest = jax.tree.map(take, replies.replace(cache=None, pending=None))
    carry, again = _fed_again(rest)
    kept = jax.tree.map(take, replies.cache).with_capacity(capacity)
    cache = kept.replace(lengths=kept.lengths - again)
    grown = {
        name: take(leaf, 1, reply_capacity)
        for name in ("tokens", "streams", "vectors")
        if (leaf := getattr(replies, name)) is not None
    }
    waiting = pending(program, rest.rows, rest.layouts, carry, rest.lengths, limits)
    return rest.replace(cache=cache, carry=carry, pending=waiting, limits=limits, **grown)


def _fed_again(replies: Replies) -> tuple[tuple[Array, Array, Array], Int[Array, " B"]]:
    """What each row carries when it goes on, and whether that is a token that was fed already.

    A row that was cut right behind a forced token has nothing left to feed, and nobody was asked
    what follows: it feeds that token once more.
    """
    again = ~replies.carry[2] & (replies.lengths > 0)
    place = jnp.maximum(replies.lengths - 1, 0)[:, None]
    last = (
        jnp.take_along_axis(line, place, axis=1)[:, 0] for line in (replies.tokens, replies.streams)
    )
    token, stream = (
        jnp.where(again, fed, kept) for fed, kept in zip(last, replies.carry[:2], strict=True)
    )
    return (token, stream, replies.carry[2] | again), again.astype(jnp.int32)


@functools.partial(jax.jit, donate_argnames="replies")
def join(replies: Replies, newcomers: Replies, places: Int[Array, " B2"]) -> Replies:
    """Puts other replies, of the same capacities, into rows of a batch.

    Args:
        replies: the batch; donated.
        newcomers: B2 replies that are about to begin.
        places: the row of each; B for one that is not wanted.
    """

    def put(old: Array, new: Array) -> Array:
        return old if old.ndim == 0 else old.at[places].set(new, mode="drop")

    return jax.tree.map(put, replies, newcomers)
