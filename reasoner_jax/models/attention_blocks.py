"""Attention a block of scores at a time, for a CPU; knows no layer and no platform.

The [L, S] scores of a row are cut into blocks. Only blocks in which some query may see some key are
listed, and a loop as long as that list computes them one after the other, forward and backward, so
that memory grows with the length and work with what is visible: a row of packed examples costs
little more than its examples apart.

Source: Dao et al., FlashAttention (arXiv 2205.14135), section 3 and appendix B.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from reasoner_jax.core.axes import Array, Bool, Float, Int

# Of 32, 64 and 128 the fastest for examples of 200 to 700 tokens.
BLOCK = 64

_UNSEEN = jnp.iinfo(jnp.int32).max
# Finite, so that a query that sees nothing averages garbage instead of spreading NaN.
_MASKED = float(jnp.finfo(jnp.float32).min)


class Sight(NamedTuple):
    """Which query sees which key, and the blocks that this leaves to compute.

    Axis I counts the blocks of queries of all rows, J those of keys, Q and S what a block holds.

    Attributes:
        limits: the last slot each query may look at.
        slots: the slot of each key; `_UNSEEN` for one that no query sees.
        query_segments: a query sees keys of its own segment.
        key_segments: likewise.
        pairs: numbers of the query block and the key block of each listed block of scores.
        num_pairs: how many of `pairs` are meant; the rest is filler.
    """

    limits: Int[Array, "I Q"]
    slots: Int[Array, "J S"]
    query_segments: Int[Array, "I Q"]
    key_segments: Int[Array, "J S"]
    pairs: Int[Array, "P 2"]
    num_pairs: Int[Array, ""]

    def mask(self, i: Int[Array, ""], j: Int[Array, ""], groups: int) -> Bool[Array, "GQ S"]:
        """What of block (i, j) is visible, the same for each of `groups` query heads."""
        seen = self.slots[j] <= self.limits[i][:, None]
        seen &= self.key_segments[j] == self.query_segments[i][:, None]
        return jnp.tile(seen, (groups, 1))


def blockwise(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B S K H"],
    v: Float[Array, "B S K H"],
    *,
    causal: bool,
    q_offset: Int[Array, " B"] | None,
    segment_ids: tuple[Int[Array, "B L"], Int[Array, "B S"]] | None,
    kv_lengths: Int[Array, " B"] | None,
) -> Float[Array, "B L N H"]:
    """`attention.attend` without ever holding more than one block of scores a key head."""
    length, width = q.shape[1], q.shape[3]
    sight = _sight(
        q, k, causal=causal, q_offset=q_offset, segment_ids=segment_ids, kv_lengths=kv_lengths
    )
    # Scaling queries instead of scores saves a pass over the larger array.
    blocks = _fold(q * jnp.asarray(width**-0.5, q.dtype), k.shape[2])
    out = _flash(blocks, _fold(k, k.shape[2]), _fold(v, k.shape[2]), sight)
    rows, heads = q.shape[0], k.shape[2]
    out = out.reshape(rows, -1, heads, q.shape[2] // heads, BLOCK, width)
    out = jnp.einsum("bikgqh->biqkgh", out).reshape(rows, -1, q.shape[2], width)
    return out[:, :length].astype(q.dtype)


def _pad(x: Array, mode: str = "constant", **fill: int) -> Array:
    """Lengthens axis 1 to a multiple of BLOCK."""
    widths = [(0, 0)] * x.ndim
    widths[1] = (0, -x.shape[1] % BLOCK)
    return jnp.pad(x, widths, mode=mode, **fill)


def _fold(x: Float[Array, "B L N H"], kv_heads: int) -> Float[Array, "I K GQ H"]:
    """Blocks of all rows in one line, the query heads of a key head as one long block."""
    x = _pad(x)
    x = x.reshape(x.shape[0], -1, BLOCK, kv_heads, x.shape[2] // kv_heads, x.shape[3])
    return jnp.einsum("biqkgh->bikgqh", x).reshape(-1, kv_heads, x.shape[4] * BLOCK, x.shape[5])


def _sight(
    q: Array,
    k: Array,
    *,
    causal: bool,
    q_offset: Array | None,
    segment_ids: tuple[Array, Array] | None,
    kv_lengths: Array | None,
) -> Sight:
    queries, keys = q.shape[:2], k.shape[:2]
    limits = jnp.full(queries, _UNSEEN - 1)
    if causal:
        start = jnp.zeros((1, 1), jnp.int32) if q_offset is None else q_offset[:, None]
        limits = jnp.broadcast_to(start + jnp.arange(queries[1]), queries)
    slots = jnp.broadcast_to(jnp.arange(keys[1]), keys)
    if kv_lengths is not None:
        slots = jnp.where(slots < kv_lengths[:, None], slots, _UNSEEN)
    if segment_ids is None:
        segment_ids = jnp.zeros(queries, jnp.int32), jnp.zeros(keys, jnp.int32)
    limits = _pad(limits, constant_values=-1).reshape(queries[0], -1, BLOCK)
    slots = _pad(slots, constant_values=_UNSEEN).reshape(keys[0], -1, BLOCK)
    ids = [_pad(x, "edge").reshape(len(x), -1, BLOCK) for x in segment_ids]
    needed = limits.max(2)[:, :, None] >= slots.min(2)[:, None]
    needed &= ids[0].max(2)[:, :, None] >= ids[1].min(2)[:, None]
    needed &= ids[0].min(2)[:, :, None] <= ids[1].max(2)[:, None]
    row, i, j = jnp.nonzero(needed, size=needed.size, fill_value=0)
    pairs = jnp.stack([row * needed.shape[1] + i, row * needed.shape[2] + j], axis=1)
    flat = [x.reshape(-1, BLOCK) for x in (limits, slots, *ids)]
    return Sight(*flat, pairs, needed.sum())


@jax.custom_vjp
def _flash(
    q: Float[Array, "I K GQ H"],
    k: Float[Array, "J K S H"],
    v: Float[Array, "J K S H"],
    sight: Sight,
) -> Float[Array, "I K GQ H"]:
    return _forward(q, k, v, sight)[0]


def _scores(
    q: Array, k: Array, sight: Sight, i: Int[Array, ""], j: Int[Array, ""]
) -> Float[Array, "K GQ S"]:
    scores = jnp.einsum("kqh,ksh->kqs", q[i], k[j], preferred_element_type=jnp.float32)
    return jnp.where(sight.mask(i, j, q.shape[2] // BLOCK), scores, _MASKED)


def _forward(q: Array, k: Array, v: Array, sight: Sight) -> tuple[Array, tuple]:
    """Output, and what the backward pass needs; the sums of a block's row ride along as a column
    of ones behind the values, since a matrix product sums faster than a reduction.
    """
    v_and_ones = jnp.concatenate([v, jnp.ones_like(v[..., :1])], axis=-1)

    def step(number: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        largest, sums = state
        i, j = sight.pairs[number]
        scores = _scores(q, k, sight, i, j)
        new = jnp.maximum(largest[i], scores.max(axis=-1, keepdims=True))
        weights = jnp.exp(scores - new).astype(v.dtype)
        added = jnp.einsum(
            "kqs,ksh->kqh", weights, v_and_ones[j], preferred_element_type=jnp.float32
        )
        sums = sums.at[i].set(sums[i] * jnp.exp(largest[i] - new) + added)
        return largest.at[i].set(new), sums

    largest = jnp.full((*q.shape[:-1], 1), _MASKED)
    sums = jnp.zeros((*q.shape[:-1], q.shape[-1] + 1))
    largest, sums = jax.lax.fori_loop(0, sight.num_pairs, step, (largest, sums))
    total = jnp.maximum(sums[..., -1:], jnp.finfo(jnp.float32).tiny)
    out = sums[..., :-1] / total
    return out, (q, k, v, sight, out, largest + jnp.log(total))


def _backward(residuals: tuple, d_out: Array) -> tuple[Array, Array, Array, None]:
    q, k, v, sight, out, log_total = residuals
    wide = [x.astype(jnp.float32) for x in (q, k, v)]
    mean = (d_out * out).sum(axis=-1, keepdims=True)

    def step(number: Array, grads: tuple[Array, ...]) -> tuple[Array, ...]:
        d_q, d_k, d_v = grads
        i, j = sight.pairs[number]
        weights = jnp.exp(_scores(q, k, sight, i, j) - log_total[i])
        d_weights = jnp.einsum("kqh,ksh->kqs", d_out[i], wide[2][j])
        d_scores = weights * (d_weights - mean[i])
        return (
            d_q.at[i].add(jnp.einsum("kqs,ksh->kqh", d_scores, wide[1][j])),
            d_k.at[j].add(jnp.einsum("kqs,kqh->ksh", d_scores, wide[0][i])),
            d_v.at[j].add(jnp.einsum("kqs,kqh->ksh", weights, d_out[i])),
        )

    zeros = jax.tree.map(jnp.zeros_like, tuple(wide))
    grads = jax.lax.fori_loop(0, sight.num_pairs, step, zeros)
    return *(grad.astype(x.dtype) for grad, x in zip(grads, (q, k, v), strict=True)), None


_flash.defvjp(_forward, _backward)
