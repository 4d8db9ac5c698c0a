"""What is minimised, as sums over targets; knows arrays only, no network and no stage.

Every function returns a sum, not a mean: the step divides by counts over the whole batch, so that
splitting a batch into parts or over devices changes nothing.
"""

import functools

import jax
import jax.numpy as jnp
import optax

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.records import END_OF_TRANSCRIPT

NUM_STREAMS = 5
"""Of `text.schedule.Stream`."""

# In nats; what optax.ctc_loss takes for the logarithm of zero.
_IMPOSSIBLE = -1e5


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def cross_entropy(
    hidden: Float[Array, "N D"],
    head: Float[Array, "D V"],
    targets: Int[Array, " N"],
    weights: Float[Array, " N"],
    chunk_tokens: int,
    head_is_table: bool,
    num_shards: int = 1,
) -> tuple[Float[Array, ""], Float[Array, " N"], Bool[Array, " N"]]:
    """Weighted cross-entropy over a large vocabulary, without ever holding all logits.

    Logits live for one chunk of tokens. The gradient is computed in the same pass, since the loss
    is linear in the weights: three matrix products a chunk, as many as without chunks.

    Args:
        hidden: what the head reads.
        head: the output matrix, or with `head_is_table` the embedding table [V, D] that is tied
            to it.
        targets: token ids; arbitrary where the weight is 0.
        weights: of each target.
        chunk_tokens: tokens of each shard in a chunk; N / num_shards must be a multiple. 0 for all
            at once.
        head_is_table: see `head`.
        num_shards: parts of the N tokens that lie on different devices. Every chunk takes as much
            of each: a loop over chunks that lie on one device each would leave the others idle.

    Returns:
        The weighted sum, which has gradients to `hidden` and `head`; every token's own cross-
        entropy in nats, and whether its target is the likeliest token; those two have none.
    """
    total, each, correct, _ = _in_chunks(
        hidden, head, targets, weights, chunk_tokens, head_is_table, num_shards, False
    )
    return total, each, correct


def _in_chunks(
    hidden: Float[Array, "N D"],
    head: Array,
    targets: Int[Array, " N"],
    weights: Float[Array, " N"],
    chunk_tokens: int,
    head_is_table: bool,
    num_shards: int,
    with_gradients: bool,
) -> tuple[Array, Array, Array, tuple[Array, Array] | None]:
    shard_tokens = hidden.shape[0] // num_shards
    size = chunk_tokens or shard_tokens
    if hidden.shape[0] % num_shards or shard_tokens % size:
        raise ValueError(
            f"chunk_tokens is {size}, expected a divisor of the {shard_tokens} tokens of a part"
        )
    contract = ((1,), (1 if head_is_table else 0,))
    narrow = head.astype(hidden.dtype)

    def one(head_gradient: Array | None, chunk: tuple[Array, ...]):
        x, target, weight = chunk
        logits = jax.lax.dot_general(
            x, narrow, (contract, ((), ())), preferred_element_type=jnp.float32
        )
        top = logits.max(axis=-1, keepdims=True)
        exponentials = jnp.exp(logits - top)
        partition = exponentials.sum(axis=-1, keepdims=True)
        at_target = jnp.take_along_axis(logits, target[:, None], axis=-1)
        each = (jnp.log(partition) + top - at_target)[:, 0]
        correct = at_target[:, 0] >= top[:, 0]
        if not with_gradients:
            return head_gradient, (jnp.sum(weight * each), each, correct, None)
        is_target = jnp.arange(logits.shape[-1]) == target[:, None]
        slope = weight[:, None] * (exponentials / partition - is_target)
        slope = slope.astype(hidden.dtype)
        of_x = slope @ (narrow if head_is_table else narrow.T)
        of_head = slope.T @ x if head_is_table else x.T @ slope
        return head_gradient + of_head, (jnp.sum(weight * each), each, correct, of_x)

    start = jnp.zeros(head.shape, jnp.float32) if with_gradients else None
    if size == shard_tokens:
        of_head, (total, each, correct, of_hidden) = one(start, (hidden, targets, weights))
    else:

        def cut(a: Array) -> Array:
            parts = a.reshape(num_shards, -1, size, *a.shape[1:]).swapaxes(0, 1)
            return parts.reshape(len(parts), -1, *a.shape[1:])

        def join(a: Array) -> Array:
            parts = a.reshape(len(a), num_shards, size, *a.shape[2:]).swapaxes(0, 1)
            return parts.reshape(-1, *a.shape[2:])

        chunks = jax.tree.map(cut, (hidden, targets, weights))
        of_head, (totals, *others) = jax.lax.scan(one, start, chunks)
        total, (each, correct, of_hidden) = totals.sum(), jax.tree.map(join, tuple(others))
    return total, each, correct, (of_hidden, of_head) if with_gradients else None


def _forward(hidden, head, targets, weights, chunk_tokens, head_is_table, num_shards):
    total, each, correct, gradients = _in_chunks(
        hidden, head, targets, weights, chunk_tokens, head_is_table, num_shards, True
    )
    of_hidden, of_head = gradients
    return (total, each, correct), (of_hidden, of_head.astype(head.dtype))


def _backward(chunk_tokens, head_is_table, num_shards, gradients, cotangents):
    of_hidden, of_head = gradients
    scale = cotangents[0]
    return (scale * of_hidden).astype(of_hidden.dtype), scale * of_head, None, None


cross_entropy.defvjp(_forward, _backward)


def ctc(
    logits: Float[Array, "B A V"],
    valid: Bool[Array, "B A"],
    last: Bool[Array, "B A"],
    words: Int[Array, "B W"],
    blank: int,
) -> Float[Array, " B"]:
    """Connectionist temporal classification, the negative log-likelihood of each row's words.

    A packed row's examples are one sequence in which a word that none of them has, their end, is
    certain at the last audio token of each and impossible elsewhere. So no word can be heard in
    the sound of another example, and a row costs what its examples cost apart, but for the word
    that their last 40 ms might have held.

    Source: Graves et al., "Connectionist Temporal Classification" (2006); optax.ctc_loss.

    Args:
        logits: of every audio token.
        valid: which of them are there; the others may stand anywhere.
        last: which of them are the last of an example.
        words: the transcripts, `END_OF_TRANSCRIPT` behind each, -1 for padding.
        blank: id of the blank.
    """
    end = logits.shape[-1]
    is_end = jnp.arange(end + 1) == end
    logits = jnp.pad(logits, ((0, 0), (0, 0), (0, 1)))
    logits = jnp.where(last[..., None] == is_end, logits, _IMPOSSIBLE)
    words = jnp.where(words == END_OF_TRANSCRIPT, end, words)
    no_word = words < 0
    return optax.ctc_loss(
        logits,
        1.0 - valid.astype(jnp.float32),
        jnp.where(no_word, 0, words),
        no_word.astype(jnp.float32),
        blank_id=blank,
    )


def last_audio_tokens(
    placeholder: Bool[Array, "B L"], segment_ids: Int[Array, "B L"], valid: Bool[Array, "B A"]
) -> Bool[Array, "B A"]:
    """Which audio tokens are the last of their example.

    The i-th valid audio token of a row belongs where its i-th placeholder stands:

        placeholder [0 1 1 0 1], segments [1 1 1 2 2], valid [1 0 1 1]  ->  [0 0 1 1]
    """
    order = jnp.argsort(~placeholder, axis=1, stable=True)
    segments = jnp.take_along_axis(jnp.where(placeholder, segment_ids, 0), order, axis=1)
    is_last = segments != jnp.pad(segments[:, 1:], ((0, 0), (0, 1)))
    rank = jnp.clip(jnp.cumsum(valid, axis=1) - 1, 0, segments.shape[1] - 1)
    return valid & jnp.take_along_axis(is_last, rank, axis=1)


def by_stream(
    values: Float[Array, "B L"], streams: Int[Array, "B L"], mask: Bool[Array, "B L"]
) -> Float[Array, " 5"]:
    """Sums of `values` over the masked tokens of each stream."""
    member = (streams[..., None] == jnp.arange(NUM_STREAMS)) & mask[..., None]
    return jnp.sum(jnp.where(member, values[..., None], 0), axis=(0, 1))
