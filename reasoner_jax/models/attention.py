"""One attention function for every network, and the key/value cache; knows no layer.

All masks are expressed by three facts that the fast kernels understand too: causality with an
offset, segment ids, and the number of valid keys. `attend` is the one place where a platform's
kernel is chosen; the einsum below is the reference that each of them is measured against.
"""

from collections.abc import Callable

import flax
import jax
import jax.numpy as jnp

from reasoner_jax.core.axes import Array, Bool, Float, Int
from reasoner_jax.core.sharding import on_each_device
from reasoner_jax.models import attention_decode
from reasoner_jax.models.attention_blocks import blockwise
from reasoner_jax.models.attention_kernels import (
    cudnn,
    fits_cudnn,
    fits_splash,
    splash,
    visible,
)
from reasoner_jax.models.config import Compute, DecoderConfig
from reasoner_jax.models.rope import Rotary, rotate

Layer = tuple[Float[Array, "B K H S"], Float[Array, "B K S H"]]
"""Keys and values as a cache holds them, each as the product that reads it wants it: a head's keys
in columns, its values in rows."""


def attend(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B S K H"],
    v: Float[Array, "B S K H"],
    *,
    causal: bool,
    q_offset: Int[Array, " B"] | None = None,
    segment_ids: tuple[Int[Array, "B L"], Int[Array, "B S"]] | None = None,
    kv_lengths: Int[Array, " B"] | None = None,
    implementation: str = "auto",
) -> Float[Array, "B L N H"]:
    """Scaled dot-product attention with grouped heads; softmax in float32.

    Args:
        q: queries; query head n reads key head n // (N / K).
        k: keys.
        v: values.
        causal: a query in slot i sees keys in slots <= i.
        q_offset: slot of each row's first query (the cache length before this pass); 0 if None.
        segment_ids: of queries and keys; different segments never see each other.
        kv_lengths: keys at and after it are not seen.
        implementation: a name of `_KERNELS`, or "auto" for the best on the default platform (when
            compiling for another platform, name the kernel).
    """
    name = _best(q, k, q_offset) if implementation == "auto" else implementation
    kernel = _KERNELS[name]
    facts = {"q_offset": q_offset, "segment_ids": segment_ids, "kv_lengths": kv_lengths}
    leaves, tree = jax.tree.flatten(facts)

    def call(q: Array, k: Array, v: Array, *leaves: Array) -> Array:
        return kernel(q, k, v, causal=causal, **jax.tree.unflatten(tree, leaves))

    heads = ("batch", None, "kv_heads", None)
    axes = [heads] * 3 + [("batch", None)[: leaf.ndim] for leaf in leaves]
    return on_each_device(call, [q, k, v, *leaves], axes, heads)


def reference(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B S K H"],
    v: Float[Array, "B S K H"],
    *,
    causal: bool,
    q_offset: Int[Array, " B"] | None,
    segment_ids: tuple[Int[Array, "B L"], Int[Array, "B S"]] | None,
    kv_lengths: Int[Array, " B"] | None,
) -> Float[Array, "B L N H"]:
    """`attend` as two einsums; materialises the [B, N, L, S] scores."""
    sizes = q.shape[1], k.shape[1]
    mask = visible(
        *sizes, causal=causal, q_offset=q_offset, segment_ids=segment_ids, kv_lengths=kv_lengths
    )
    return _whole(q, jnp.moveaxis(k, 1, 3), v.swapaxes(1, 2), mask)


def _whole(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B K H S"],
    v: Float[Array, "B K S H"],
    mask: Bool[Array, "B L S"] | None,
) -> Float[Array, "B L N H"]:
    """All scores at once: each key head of each row is one product over its keys as they lie."""
    batch, length, heads, width = q.shape
    kv_heads, slots = v.shape[1:3]
    group = heads // kv_heads
    k, v = k.reshape(-1, width, slots), v.reshape(-1, slots, width)
    queries = q.reshape(batch, length, kv_heads, group, width).transpose(0, 2, 3, 1, 4)
    queries = queries.reshape(batch * kv_heads, group * length, width)
    scores = jnp.einsum("nqh,nhs->nqs", queries, k, preferred_element_type=jnp.float32)
    scores = scores.reshape(batch, heads, length, slots) * width**-0.5
    if mask is not None:
        # A finite floor: a row that sees nothing averages garbage instead of spreading NaN.
        scores = jnp.where(mask[:, None], scores, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    weights = weights.reshape(batch * kv_heads, group * length, slots)
    out = jnp.einsum("nqs,nsh->nqh", weights, v)
    out = out.reshape(batch, kv_heads, group, length, width).transpose(0, 3, 1, 2, 4)
    return out.reshape(q.shape)


def attend_and_write(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B L K H"],
    v: Float[Array, "B L K H"],
    by: Rotary,
    layer: Layer,
    offset: Int[Array, " B"],
    implementation: str = "auto",
) -> tuple[Float[Array, "B L N H"], Layer]:
    """Rotates new tokens, stores them and lets them look at all that is cached.

    Args:
        q, k, v: of the new tokens.
        by: their angles.
        layer: keys and values before.
        offset: slot of each row's first new token.
        implementation: see `attend`.

    Returns:
        The attended values, and the layer with the new tokens.
    """
    if implementation == "auto" and attention_decode.fits(q, layer[0]):
        return attention_decode.attend_and_write(q, k, v, by, layer, offset)
    layer = write(layer, rotate(k, by), v, offset)
    return attend_cached(rotate(q, by), layer, offset, implementation), layer


def attend_cached(
    q: Float[Array, "B L N H"],
    layer: Layer,
    offset: Int[Array, " B"],
    implementation: str = "auto",
) -> Float[Array, "B L N H"]:
    """`attend`, causal, over what a cache holds.

    Args:
        q: queries of the tokens that were written last.
        layer: keys and values, those tokens' too.
        offset: slot of each row's first query.
        implementation: see `attend`; "auto" keeps short passes, those of decoding, to the
            reference, since any other kernel has the whole cache laid anew.
    """
    if implementation == "auto" and q.shape[1] < _LONG_ROW:
        implementation = "reference"
    if implementation != "reference":
        k, v = jnp.moveaxis(layer[0], 3, 1), layer[1].swapaxes(1, 2)
        return attend(q, k, v, causal=True, q_offset=offset, implementation=implementation)
    heads, cached = ("batch", None, "kv_heads", None), ("batch", "kv_heads", None, None)
    return on_each_device(_cached, [q, *layer, offset], [heads, cached, cached, ("batch",)], heads)


def _cached(
    q: Float[Array, "B L N H"],
    k: Float[Array, "B K H S"],
    v: Float[Array, "B K S H"],
    offset: Int[Array, " B"],
) -> Float[Array, "B L N H"]:
    sizes = q.shape[1], k.shape[3]
    mask = visible(*sizes, causal=True, q_offset=offset, segment_ids=None, kv_lengths=None)
    return _whole(q, k, v, mask)


_KERNELS: dict[str, Callable[..., Array]] = {
    "reference": reference,
    "blockwise": blockwise,
    "cudnn": cudnn,
    "splash": splash,
}

# Rows as long as this pay for cutting them into blocks (on one core, forward and backward).
_LONG_ROW = 256


def _best(
    q: Float[Array, "B L N H"], k: Float[Array, "B S K H"], q_offset: Int[Array, " B"] | None
) -> str:
    """The fastest kernel for these arrays on the default platform; decoding needs none."""
    platform = jax.default_backend()
    if platform == "cpu" and q.shape[1] >= _LONG_ROW:
        return "blockwise"
    if platform == "gpu" and fits_cudnn(q, k):
        return "cudnn"
    if platform == "tpu" and fits_splash(q, q_offset):
        return "splash"
    return "reference"


@flax.struct.dataclass
class KVCache:
    """Keys and values of the tokens seen so far.

    Slot s of a row holds its s-th token; slots at and after the row's length hold garbage that no
    query can see, since a query only looks at its own slot and earlier ones. Rolling back is thus
    setting `lengths`.

    Attributes:
        layers: per layer keys [B, K, H, S] and values [B, K, S, H]; or one pair with a leading
            layer axis when the decoder scans its layers.
        lengths: tokens held by each row.
    """

    layers: Layer | tuple[Layer, ...]
    lengths: Int[Array, " B"]

    @classmethod
    def create(
        cls, config: DecoderConfig, compute: Compute, batch: int, capacity: int
    ) -> "KVCache":
        """An empty cache of `capacity` tokens a row, in the activation dtype."""

        def pair(*leading: int) -> Layer:
            lead, width = (*leading, batch, config.num_kv_heads), config.head_dim
            shapes = (*lead, width, capacity), (*lead, capacity, width)
            return tuple(jnp.zeros(shape, compute.activation) for shape in shapes)

        if compute.scan_layers:
            layers = pair(config.num_layers)
        else:
            layers = tuple(pair() for _ in range(config.num_layers))
        return cls(layers=layers, lengths=jnp.zeros((batch,), jnp.int32))

    @property
    def capacity(self) -> int:
        """Tokens a row can hold."""
        return jax.tree.leaves(self.layers)[0].shape[-1]

    def with_capacity(self, capacity: int) -> "KVCache":
        """The same tokens with room for `capacity` a row, not less than now."""
        more = [(0, capacity - self.capacity)]

        def widen(layer: Layer) -> Layer:
            keys, values = layer
            leading = [(0, 0)] * (keys.ndim - 2)
            keys = jnp.pad(keys, [*leading, (0, 0), *more])
            return keys, jnp.pad(values, [*leading, *more, (0, 0)])

        layers = self.layers
        stacked = not isinstance(layers[0], tuple)
        return self.replace(layers=widen(layers) if stacked else tuple(map(widen, layers)))

    def rollback(self, lengths: Int[Array, " B"]) -> "KVCache":
        """Forgets every token from `lengths` on; as if they had never been written."""
        return self.replace(lengths=jnp.minimum(self.lengths, lengths))


def write(
    layer: Layer,
    k: Float[Array, "B L K H"],
    v: Float[Array, "B L K H"],
    offset: Int[Array, " B"],
) -> Layer:
    """Stores L tokens of each row from slot `offset` on; what exceeds the capacity is dropped."""
    rows, heads = jnp.arange(k.shape[0])[:, None, None], jnp.arange(k.shape[2])[:, None]
    slots = (offset[:, None] + jnp.arange(k.shape[1]))[:, None]
    keys, values = layer
    k, v = (new.swapaxes(1, 2).astype(values.dtype) for new in (k, v))
    known = dict(mode="drop", unique_indices=True, indices_are_sorted=True)
    keys = keys.at[rows, heads, :, slots].set(k, **known)
    return keys, values.at[rows, heads, slots].set(v, **known)
