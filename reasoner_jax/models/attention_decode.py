"""A GPU's decoding step: rotation, cache and attention of one or two tokens a row in one kernel.

Apart they are eight kernels a layer that each run for a microsecond or two, a fifth of a pass.
Keys are read in parts, by as many programs, each with a softmax of its own (flash decoding); the
parts are joined afterwards. New tokens are a part of their own, whose program also writes them, so
that no program reads what another writes.

Source: Dao et al., FlashAttention (arXiv 2205.14135); Flash-Decoding, the same authors' blog 2023.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from reasoner_jax.core.axes import Array, Float, Int

_PART, _WARPS = 64, 4
_LEAST_ROWS = 16
"""Of a product on the matrix units."""
_MOST_TOKENS = 2
_UNSEEN = -1e30


def fits(q: Float[Array, "B L N H"], keys: Float[Array, "B K H S"]) -> bool:
    """Whether the default device is a GPU that can run the kernel, and it is made for this."""
    width = q.shape[3]
    return (
        jax.default_backend() == "gpu"
        and "cuda" in jax.devices()[0].client.platform_version
        and jax.sharding.get_abstract_mesh().size <= 1
        and q.shape[1] <= _MOST_TOKENS
        and width >= 2 * _LEAST_ROWS
        and width & (width - 1) == 0
    )


def attend_and_write(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B L K H"],
    v: Float[Array, "B L K H"],
    by: tuple[Float[Array, "B L H2"], Float[Array, "B L H2"]],
    layer: tuple[Float[Array, "B K H S"], Float[Array, "B K S H"]],
    offset: Int[Array, " B"],
    *,
    interpret: bool = False,
) -> tuple[Float[Array, "B L N H"], tuple[Array, Array]]:
    """What `rope.rotate`, `attention.write` and `attention.attend_cached` do one after the other.

    Args:
        q, k, v: of the new tokens, not rotated.
        by: cosines and sines of their angles.
        layer: of the cache; written in place where the caller gives it away.
        offset: slot of each row's first new token; tokens past the last slot are dropped.
        interpret: emulates the kernel on any platform, for tests.

    Returns:
        The attended values, and the layer with the new tokens.
    """
    (batch, length, num_heads, width), kv_heads = q.shape, k.shape[2]
    slots = layer[0].shape[3]
    # The last part is that of the new tokens.
    parts = -(-slots // _PART) + 1
    rows = max(_LEAST_ROWS, pl.next_power_of_2(length * (num_heads // kv_heads)))
    # Fused projections made them side by side; so they are taken from there.
    heads = jnp.concatenate([q, k, v], axis=2)
    angles = [jnp.broadcast_to(angle, (batch, length, width // 2)) for angle in by]
    inputs = (heads, *angles, offset, *layer)
    shape = (batch * kv_heads, parts, rows)
    sums, highest, totals, *layer = pl.pallas_call(
        functools.partial(_kernel, num_heads=num_heads, rows=rows),
        grid=shape[:2],
        out_shape=(
            jax.ShapeDtypeStruct((*shape, width), jnp.float32),
            jax.ShapeDtypeStruct(shape, jnp.float32),
            jax.ShapeDtypeStruct(shape, jnp.float32),
            *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in layer),
        ),
        input_output_aliases={4: 3, 5: 4},
        compiler_params=None
        if interpret
        else triton.CompilerParams(num_warps=_WARPS, num_stages=1),
        interpret=interpret,
        name="decode_attention",
    )(*inputs)
    best = highest.max(axis=1, keepdims=True)
    weights = jnp.exp(highest - best)
    out = jnp.einsum("npr,nprh->nrh", weights, sums) / (weights * totals).sum(1)[..., None]
    group = num_heads // kv_heads
    out = out[:, : length * group].reshape(batch, kv_heads, length, group, width)
    return out.transpose(0, 2, 1, 3, 4).reshape(q.shape).astype(q.dtype), tuple(layer)


def _kernel(
    heads_ref: Any,
    cos_ref: Any,
    sin_ref: Any,
    offset_ref: Any,
    keys_ref: Any,
    values_ref: Any,
    sums_ref: Any,
    highest_ref: Any,
    totals_ref: Any,
    keys_out_ref: Any,
    values_out_ref: Any,
    *,
    num_heads: int,
    rows: int,
) -> None:
    """One part of the keys of one key head; the halves of a head, which rotate, stay apart."""
    length, kv_heads, width, capacity = heads_ref.shape[1], *keys_ref.shape[1:]
    half, group, wide = width // 2, num_heads // kv_heads, jnp.float32
    pair, part = pl.program_id(0), pl.program_id(1)
    row, head = pair // kv_heads, pair % kv_heads
    low, high = pl.ds(0, half), pl.ds(half, half)
    offset, dtype = offset_ref[row], heads_ref.dtype

    token = jnp.arange(rows) // group
    first, second = _rotated_queries(heads_ref, cos_ref, sin_ref, row, head, group, rows)
    scale = width**-0.5

    def note(best: Array, total: Array, out: Array) -> None:
        highest_ref[pair, part, :], totals_ref[pair, part, :] = best, total
        sums_ref[pair, part, :, :] = out

    @pl.when(part < pl.num_programs(1) - 1)
    def _look_at_old() -> None:
        begin = part * _PART
        slots = pl.ds(begin, _PART)
        old = begin + jnp.arange(_PART) < jnp.minimum(offset, capacity)
        one, two = (
            triton.load(keys_ref.at[row, head, columns, slots], mask=old[None], other=0.0)
            for columns in (low, high)
        )
        scores = jnp.where(old[None], (_dot(first, one) + _dot(second, two)) * scale, _UNSEEN)
        best = jnp.max(scores, axis=1)
        weights = jnp.where(old[None], jnp.exp(scores - best[:, None]), 0.0)
        place = values_ref.at[row, head, slots, pl.ds(0, width)]
        values = triton.load(place, mask=old[:, None], other=0.0)
        note(best, jnp.sum(weights, axis=1), _dot(weights.astype(values.dtype), values))

    @pl.when(part == pl.num_programs(1) - 1)
    def _look_at_new() -> None:
        best, total = jnp.full((rows,), _UNSEEN), jnp.zeros((rows,), wide)
        scores, out = [], jnp.zeros((rows, width), wide)
        for index in range(length):
            slot, key = offset + index, num_heads + head
            one, two = (heads_ref[row, index, key, place].astype(wide) for place in (low, high))
            cos, sin = (ref[row, index, :] for ref in (cos_ref, sin_ref))
            one, two = (x.astype(dtype) for x in (one * cos - two * sin, two * cos + one * sin))
            score = jnp.sum(first.astype(wide) * one.astype(wide)[None], axis=1)
            score += jnp.sum(second.astype(wide) * two.astype(wide)[None], axis=1)
            seen = (token >= index) & (slot < capacity)
            scores.append(jnp.where(seen, score * scale, _UNSEEN))
            best = jnp.maximum(best, scores[-1])

            @pl.when(slot < capacity)
            def _write(slot=slot, index=index, one=one, two=two) -> None:
                value = heads_ref[row, index, num_heads + kv_heads + head, :]
                keys_out_ref[row, head, low, slot] = one.astype(keys_out_ref.dtype)
                keys_out_ref[row, head, high, slot] = two.astype(keys_out_ref.dtype)
                values_out_ref[row, head, slot, :] = value.astype(values_out_ref.dtype)

        for index, score in enumerate(scores):
            value = heads_ref[row, index, num_heads + kv_heads + head, :].astype(wide)
            weight = jnp.where(score > _UNSEEN, jnp.exp(score - best), 0.0)
            total, out = total + weight, out + weight[:, None] * value[None]
        note(best, total, out)


def _rotated_queries(
    heads_ref: Any, cos_ref: Any, sin_ref: Any, row: Any, head: Any, group: int, rows: int
) -> tuple[Float[Array, "R H2"], Float[Array, "R H2"]]:
    """The halves of all queries that look at a key head; token by token, zeros at the end."""
    length, half, dtype = heads_ref.shape[1], heads_ref.shape[3] // 2, heads_ref.dtype
    queries, columns = jnp.arange(rows)[:, None], jnp.arange(half)[None]
    token, own_head = queries // group, head * group + queries % group

    def load(place: Any) -> Array:
        present = queries < length * group
        return triton.load(place, mask=present, other=0.0).astype(jnp.float32)

    first = load(heads_ref.at[row, token, own_head, columns])
    second = load(heads_ref.at[row, token, own_head, half + columns])
    cos, sin = (load(ref.at[row, token, columns]) for ref in (cos_ref, sin_ref))
    # As rounded as a rotated query is elsewhere.
    turned = first * cos - second * sin, second * cos + first * sin
    return turned[0].astype(dtype), turned[1].astype(dtype)


def _dot(left: Float[Array, "R I"], right: Float[Array, "I O"]) -> Float[Array, "R O"]:
    precision = jax.lax.Precision.HIGHEST if left.dtype == jnp.float32 else None
    return jnp.dot(left, right, precision=precision, preferred_element_type=jnp.float32)
