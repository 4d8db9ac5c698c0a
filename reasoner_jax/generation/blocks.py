"""Compiled decoding of many replies at once, each in its own phase; knows no text and no sound.

A pass feeds each row the tokens that are known before its next free slot (`slots.pending`: the one
just sampled, then forced ones) and samples that slot. Passes run in loops on the device, by width:
most are one token wide; control tokens ride along in passes of two; after the thought has ended, a
block's pads go through in one wide pass. Rows that have finished rest.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.params import Params
from reasoner_jax.generation import slots
from reasoner_jax.generation.replies import NEVER, Guide, Program, Prompts, Replies, begin, pending
from reasoner_jax.generation.sampling import choose, stream_row
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.talker import prompt_vectors, reply_vectors
from reasoner_jax.text.schedule import Stream

FOREVER = 1 << 30


@functools.partial(jax.jit, static_argnames=("program", "capacity", "reply_capacity", "vectors"))
def prefill(
    program: Program,
    params: Params,
    prompts: Prompts,
    *,
    capacity: int,
    reply_capacity: int,
    vectors: bool,
) -> tuple[Replies, Float[Array, "B L D"]]:
    """Reads all prompts but for their last tokens, which the first pass of `decode` feeds.

    Args:
        program: see there.
        params: the thinker's.
        prompts: the questions.
        capacity: tokens of the cache: prompt, reply and the width of a pass.
        reply_capacity: T, tokens of the longest reply.
        vectors: whether the talker's vectors are kept.

    Returns:
        The replies before their first token; and of the prompts what a talker reads of them.
    """
    thinker, batch = program.thinker, prompts.tokens.shape[0]
    cache = KVCache.create(thinker.config.decoder, thinker.compute, batch, capacity)
    output = thinker.apply(
        {"params": params},
        prompts.tokens,
        mel=prompts.mel,
        frames=prompts.frames,
        cache=cache,
        num_tokens=prompts.lengths - 1,
    )
    sizes = dict(reply_capacity=reply_capacity, vectors=vectors)
    is_audio = prompts.tokens == thinker.config.audio_token_id
    heard = prompt_vectors(output.hidden_states, output.embeddings, is_audio)
    return begin(program, output.cache, prompts, **sizes), heard


@functools.partial(jax.jit, static_argnames="program", donate_argnames="replies")
def decode(
    program: Program,
    params: Params,
    guide: Guide,
    replies: Replies,
    num_passes: Int[Array, ""] | int = FOREVER,
    min_active: Int[Array, ""] | int = 1,
    until_block: Int[Array, ""] | int = FOREVER,
) -> Replies:
    """Decodes until fewer than `min_active` rows go on, at most `num_passes` passes.

    Args:
        program, guide: see there.
        params: the thinker's.
        replies: where they stand; donated.
        num_passes: a bound, as for streaming; a pass never gets cut.
        min_active: 1 until all have finished; more to let waiting questions take their rows.
        until_block: rows that have reached this block of their schedule rest too.
    """
    stop = replies.passes + num_passes

    def going(replies: Replies) -> Bool[Array, ""]:
        goes_on = replies.active & (replies.rows.block < until_block)
        return (goes_on.sum() >= jnp.maximum(min_active, 1)) & (replies.passes < stop)

    def loops(replies: Replies) -> Replies:
        for index, width in enumerate(program.widths):
            replies = jax.lax.while_loop(
                lambda r, index=index: going(r) & (_best_width(program, r) == index),
                functools.partial(_pass, program, params, guide, width),
                replies,
            )
        return replies

    return jax.lax.while_loop(going, loops, replies)


def _best_width(program: Program, replies: Replies) -> Int[Array, ""]:
    """Index of the width that feeds most tokens for its cost."""
    counts, batch = replies.pending.counts, replies.lengths.shape[0]
    rates = [
        jnp.minimum(counts, width).sum() / max(1.0, batch * width / program.free_tokens)
        for width in program.widths
    ]
    return jnp.argmax(jnp.stack(rates))


def _pass(program: Program, params: Params, guide: Guide, width: int, replies: Replies) -> Replies:
    """Feeds up to `width` tokens a row and samples a token where a free slot is reached."""
    thinker, rows = program.thinker, jnp.arange(replies.lengths.shape[0])
    fed = jnp.minimum(replies.pending.counts, width)
    output = thinker.apply(
        {"params": params},
        replies.pending.tokens[:, :width],
        cache=replies.cache,
        num_tokens=fed,
    )
    last = output.hidden_states[rows, jnp.maximum(fed - 1, 0)]
    logits = thinker.apply({"params": params}, last[:, None], method="logits")[:, 0]
    replies = _record(program, replies, output, width, fed)
    return _sample(program, guide, replies, logits, fed)


def _record(
    program: Program, replies: Replies, output: Any, width: int, fed: Int[Array, " B"]
) -> Replies:
    """Notes the tokens that have been fed; a carried one is noted already, here once more."""
    capacity, rows = replies.tokens.shape[1], jnp.arange(len(fed))[:, None]
    place = (replies.lengths - replies.carry[2])[:, None] + jnp.arange(width)
    valid = (jnp.arange(width) < fed[:, None]) & (place >= 0)
    place = jnp.where(valid, place, capacity)
    tokens, streams = (x[:, :width] for x in (replies.pending.tokens, replies.pending.streams))
    vectors, num_vectors = replies.vectors, replies.num_vectors
    spoken = valid & (streams == Stream.RESPONSE)
    if vectors is not None:
        new = reply_vectors(output.hidden_states, output.embeddings, program.hidden_share)
        rank = num_vectors[:, None] + jnp.cumsum(spoken, axis=1) - 1
        rank = jnp.where(spoken, rank, capacity)
        vectors = vectors.at[rows, rank].set(new.astype(vectors.dtype), mode="drop")
    carried = replies.carry[2] & (fed > 0)
    return replies.replace(
        cache=output.cache,
        rows=slots.feed(replies.rows, replies.layouts, replies.pending, fed),
        carry=(*replies.carry[:2], replies.carry[2] & ~carried),
        tokens=replies.tokens.at[rows, place].set(tokens, mode="drop"),
        streams=replies.streams.at[rows, place].set(streams, mode="drop"),
        lengths=replies.lengths + fed - carried,
        vectors=vectors,
        num_vectors=num_vectors + spoken.sum(axis=1),
    )


def _sample(
    program: Program, guide: Guide, replies: Replies, logits: Float[Array, "B V"], fed: Array
) -> Replies:
    """Fills the free slot of the rows that have reached one."""
    ids, index, layouts = program.ids, jnp.arange(len(fed)), replies.layouts
    run = slots.next_runs(replies.rows, layouts, ids)
    free = replies.active & (fed > 0) & ~run.forced & ~run.complete
    keys = None
    if program.sampling.random:
        keys = jax.vmap(jax.random.fold_in)(replies.keys, replies.lengths)
    token = choose(
        logits, guide.allowed, run.streams, guide.rules, program.sampling,
        keys=keys, seen=replies.seen,
    )  # fmt: skip
    speaks = run.streams == Stream.RESPONSE
    token = jnp.where(speaks, token, _thought(replies, token))
    ends_response = free & speaks & (token == ids.end_of_response)
    # A response that would end before its thought pauses until then.
    pauses = ends_response & ~replies.rows.thought_ended
    token = jnp.where(pauses, ids.wait, token)
    stream = jnp.where(pauses, Stream.PAD, run.streams)
    ends_response &= ~pauses
    ends_thought = free & ~speaks & (token == ids.end_of_thought)
    rows = replies.rows.replace(held=replies.rows.held | pauses)
    rows = slots.fill(rows, layouts, free.astype(jnp.int32), ends_response, ends_thought)
    place = jnp.where(free, replies.lengths, replies.tokens.shape[1])
    carry = tuple(
        jnp.where(free, new, old)
        for new, old in zip((token, stream, free), replies.carry, strict=True)
    )
    lengths = replies.lengths + free
    seen = replies.seen
    if seen is not None:
        emitted = jnp.where(free & ~pauses, token, seen.shape[-1])
        seen = seen.at[index, stream_row(run.streams), emitted].set(True, mode="drop")
    first = free & speaks & ~pauses & (replies.first_passes == NEVER)
    return replies.replace(
        rows=rows,
        carry=carry,
        pending=pending(program, rows, layouts, carry, lengths, replies.limits),
        tokens=replies.tokens.at[index, place].set(token, mode="drop"),
        streams=replies.streams.at[index, place].set(stream, mode="drop"),
        lengths=lengths,
        passes=replies.passes + 1,
        first_passes=jnp.where(first, replies.passes + 1, replies.first_passes),
        seen=seen,
    )


def _thought(replies: Replies, token: Int[Array, " B"]) -> Int[Array, " B"]:
    """The token that a reasoning slot is made to hold, where it is; else the given one."""
    if replies.thoughts is None:
        return token
    count = (replies.streams == Stream.REASONING).sum(axis=1, keepdims=True)
    forced = jnp.take_along_axis(replies.thoughts, count, axis=1, mode="fill", fill_value=-1)[:, 0]
    return jnp.where(forced < 0, token, forced)
