"""The attention kernels of TPUs and GPUs behind the arguments of ours; knows no layer.

`attention.attend` chooses among them and runs them on each device's own rows and heads.
"""

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

from reasoner_jax.core.axes import Array, Bool, Float, Int

_LANES = 128
# Of padding and of keys past a row's length; segments are never negative.
_NOBODY = -1


def cudnn(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B S K H"],
    v: Float[Array, "B S K H"],
    *,
    causal: bool,
    q_offset: Int[Array, " B"] | None,
    segment_ids: tuple[Int[Array, "B L"], Int[Array, "B S"]] | None,
    kv_lengths: Int[Array, " B"] | None,
) -> Float[Array, "B L N H"]:
    """`attention.attend` by cuDNN's fused attention; bfloat16 or float16, see `fits_cudnn`.

    Packed rows and rows of a cache need a mask, [B, 1, L, S], shared by all heads.
    """
    mask = None
    if segment_ids is not None or q_offset is not None:
        sizes = q.shape[1], k.shape[1]
        mask = visible(
            *sizes, causal=causal, q_offset=q_offset, segment_ids=segment_ids, kv_lengths=None
        )
    return jax.nn.dot_product_attention(
        q,
        k,
        v,
        mask=None if mask is None else mask[:, None],
        is_causal=causal and mask is None,
        key_value_seq_lengths=None if kv_lengths is None else jnp.maximum(kv_lengths, 1),
        implementation="cudnn",
    )


def fits_cudnn(q: Float[Array, "B L N H"], k: Float[Array, "B S K H"]) -> bool:
    """Whether there is cuDNN, and takes arrays of this type and these shapes, also backward."""
    if "cuda" not in jax.devices()[0].client.platform_version:
        return False
    narrow = q.dtype in (jnp.bfloat16, jnp.float16)
    even = q.shape[1] % 2 == 0 and k.shape[1] % 2 == 0
    return narrow and even and q.shape[3] % 8 == 0 and q.shape[3] <= 128


def splash(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B S K H"],
    v: Float[Array, "B S K H"],
    *,
    causal: bool,
    q_offset: Int[Array, " B"] | None,
    segment_ids: tuple[Int[Array, "B L"], Int[Array, "B S"]] | None,
    kv_lengths: Int[Array, " B"] | None,
    interpret: bool = False,
) -> Float[Array, "B L N H"]:
    """`attention.attend` by the Pallas kernel that skips blocks nobody sees.

    Args:
        q, k, v, causal, segment_ids, kv_lengths: as there; a row without keys averages garbage.
        q_offset: must be None, the kernel's causality is static; see `fits_splash`.
        interpret: emulates the kernel on any platform, for tests.

    Raises:
        ValueError: an offset was given.
    """
    if q_offset is not None:
        raise ValueError(
            "splash attention got a q_offset, expected None; rows of a cache go by 'reference'"
        )
    ids = _segments(q, k, segment_ids, kv_lengths)
    length, width = q.shape[1], q.shape[3]
    q, k, v = (_pad(x) for x in (q * jnp.asarray(width**-0.5, q.dtype), k, v))
    shape = (q.shape[1], k.shape[1])
    mask = masks.CausalMask(shape) if causal else masks.FullMask(shape)
    kernel = kernels.make_splash_mha(
        masks.MultiHeadMask([mask] * q.shape[2]),
        block_sizes=_block_sizes(*shape),
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
    heads_first = [x.swapaxes(1, 2) for x in (q, k, v)]
    out = jax.vmap(kernel)(*heads_first, segment_ids=kernels.SegmentIds(*ids))
    return out.swapaxes(1, 2)[:, :length]


def fits_splash(q: Float[Array, "B L N H"], q_offset: Int[Array, " B"] | None) -> bool:
    """Whether the kernel takes this, and it pays to pad it to blocks."""
    return q_offset is None and q.shape[1] >= _LANES and q.shape[3] % 64 == 0


def _segments(
    q: Array, k: Array, segment_ids: tuple[Array, Array] | None, kv_lengths: Array | None
) -> tuple[Int[Array, "B L2"], Int[Array, "B S2"]]:
    """Segments that say all that is to be said: padding and keys too late are nobody's."""
    if segment_ids is None:
        segment_ids = jnp.zeros(q.shape[:2], jnp.int32), jnp.zeros(k.shape[:2], jnp.int32)
    of_queries, of_keys = segment_ids
    if kv_lengths is not None:
        # The kernel divides by zero where a query sees nothing: the first key stays.
        inside = jnp.arange(k.shape[1]) < jnp.maximum(kv_lengths, 1)[:, None]
        of_keys = jnp.where(inside, of_keys, _NOBODY)
    return _pad(of_queries, _NOBODY), _pad(of_keys, _NOBODY)


def _pad(x: Array, fill: int = 0) -> Array:
    """Lengthens axis 1 to a multiple of the kernel's lanes."""
    widths = [(0, 0)] * x.ndim
    widths[1] = (0, -x.shape[1] % _LANES)
    return jnp.pad(x, widths, constant_values=fill)


def _block_sizes(length: int, keys: int) -> kernels.BlockSizes:
    """The largest blocks up to 512 that divide the lengths."""
    of_queries, of_keys = (
        next(size for size in (512, 384, 256, 128) if number % size == 0)
        for number in (length, keys)
    )
    return kernels.BlockSizes(
        block_q=of_queries,
        block_kv=of_keys,
        block_kv_compute=of_keys,
        block_q_dkv=of_queries,
        block_kv_dkv=of_keys,
        block_kv_dkv_compute=of_keys,
        block_q_dq=of_queries,
        block_kv_dq=of_keys,
    )


def visible(
    num_queries: int,
    num_keys: int,
    *,
    causal: bool,
    q_offset: Array | None,
    segment_ids: tuple[Array, Array] | None,
    kv_lengths: Array | None,
) -> Bool[Array, "B L S"] | None:
    """True where a query may look; None when it may look everywhere."""
    facts = []
    key_slots = jnp.arange(num_keys)[None, None, :]
    if causal:
        offset = jnp.zeros((1,), jnp.int32) if q_offset is None else q_offset
        facts.append(key_slots <= (offset[:, None] + jnp.arange(num_queries))[:, :, None])
    if segment_ids is not None:
        facts.append(segment_ids[0][:, :, None] == segment_ids[1][:, None, :])
    if kv_lengths is not None:
        facts.append(key_slots < kv_lengths[:, None, None])
    mask = None
    for fact in facts:
        mask = fact if mask is None else mask & fact
    return mask
