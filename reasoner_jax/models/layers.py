"""The few layers all networks share, each parameter with its logical axes; knows no architecture.

Arrays are channels-last. A kernel is [in, out] (a convolution's is [width, in, out]); checkpoints
of PyTorch hold the transpose, see `weights.tables`.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from reasoner_jax.core.axes import Array, Float, Int
from reasoner_jax.core.sharding import constrain
from reasoner_jax.models.config import Compute

Axes = tuple[str | None, ...]

_kernel_init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
# A convolution here feeds a GELU, which halves what passes.
_conv_init = nn.initializers.variance_scaling(4.0, "fan_in", "truncated_normal")
_embed_init = nn.initializers.normal(0.02)


def matmul(
    x: Float[Array, "... I"],
    kernel: Float[Array, "I O"],
    dtype: jnp.dtype,
    *,
    transposed: bool = False,
    decodes_on: str = "any",
) -> Float[Array, "... O"]:
    """The product x @ kernel in `dtype`, whatever the kernel is stored in.

    `transposed`: the kernel is [O, I], and is read as it lies. `decodes_on`: the platform that will
    run this for one or two vectors, see `Compute.kernels_for`. On a "gpu" they are then no product
    but sums along the rows of a transposed kernel; on a "cpu" each is a product of its own.

    float32 activations meet bfloat16 weights as two bfloat16 terms, high and low: the product loses
    nothing that the weights still had, and the weights are never widened in memory. Decoding is
    bound by reading weights, so the second term costs nothing there.
    """
    is_few = x.size <= FEW_VECTORS * x.shape[-1]
    if decodes_on == "gpu" and transposed and is_few:
        return _sums_of_rows(x, kernel).astype(dtype)
    if decodes_on == "cpu" and is_few:
        return _each_alone(x, kernel, dtype, transposed)
    dot = functools.partial(jnp.tensordot, axes=(-1, 1)) if transposed else jnp.dot
    if dtype == jnp.float32 and kernel.dtype == jnp.bfloat16:
        high = x.astype(jnp.bfloat16)
        low = (x - high.astype(jnp.float32)).astype(jnp.bfloat16)
        terms = dot(jnp.stack([high, low]), kernel, preferred_element_type=jnp.float32)
        return terms[0] + terms[1]
    if transposed:
        return dot(x.astype(dtype), kernel.astype(dtype))
    return _product(x.astype(dtype), kernel.astype(dtype))


FEW_VECTORS = 2
"""Those of a decoding step of one row; of more on a GPU, nothing was measured."""


_PARTS = 4
"""On two cores as good as two; more cores than four XLA gives no such product below sixteen."""


def _each_alone(
    x: Float[Array, "... I"], kernel: Array, dtype: jnp.dtype, transposed: bool
) -> Float[Array, "... O"]:
    """The products of one or two vectors for a CPU, see benchmarks/results/streaming_cpu.md.

    XLA lays a kernel anew to multiply two vectors with it; the second of two products finds most of
    it in a cache. And it leaves a kernel below 2 MB to one core, and cuts a larger one's rows among
    them; here each core reads whole rows.
    """
    cut = not transposed and kernel.dtype == dtype and len(kernel) % _PARTS == 0
    cut &= 2**19 <= kernel.nbytes < 2**24

    def product(vector: Float[Array, " I"]) -> Float[Array, " O"]:
        if not cut:
            return matmul(vector, kernel, dtype, transposed=transposed)
        parts = kernel.reshape(_PARTS, -1, kernel.shape[1])
        return jnp.einsum("pi,pio->po", vector.astype(dtype).reshape(_PARTS, -1), parts).sum(0)

    products = [product(vector) for vector in x.reshape(-1, x.shape[-1])]
    return jnp.stack(products).reshape(*x.shape[:-1], -1)


def _sums_of_rows(x: Float[Array, "... I"], kernel: Float[Array, "O I"]) -> Float[Array, "... O"]:
    """The product with kernel.T in float32, by reductions: see benchmarks/results/streaming_gpu.md.

    XLA reads the kernel at up to 4.1 of 4.3 TB/s so; a product of one vector with an [in, out]
    kernel of a few MB it writes out, element by element, before it adds: at 0.5 TB/s.
    """
    wide = kernel.astype(jnp.float32)
    vectors = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
    # One reduction of several operands, so that the kernel is read once for all of them.
    terms = [wide * vector for vector in vectors]
    sums = jax.lax.reduce(terms, [jnp.float32(0)] * len(terms), _add_each, [1])
    return jnp.stack(sums).reshape(*x.shape[:-1], -1)


def _add_each(left: Sequence[Array], right: Sequence[Array]) -> list[Array]:
    return [a + b for a, b in zip(left, right, strict=True)]


@jax.custom_vjp
def _product(x: Float[Array, "... I"], kernel: Float[Array, "I O"]) -> Float[Array, "... O"]:
    return jnp.dot(x, kernel)


def _product_backward(
    residuals: tuple[Array, Array], d_out: Float[Array, "... O"]
) -> tuple[Float[Array, "... I"], Float[Array, "I O"]]:
    """One of x and d_out is laid anew for the kernel's gradient: here, always the narrower.

    The derived rule takes d_out. Behind an MLP's wide projections a CPU then computes the
    activation's derivative in the order of the transpose, ten times as slowly.
    """
    x, kernel = residuals
    axes = tuple(range(x.ndim - 1))
    contract = ((axes, axes), ((), ()))
    if kernel.shape[0] <= kernel.shape[1]:
        d_kernel = jax.lax.dot_general(x, d_out, contract)
    else:
        d_kernel = jax.lax.dot_general(d_out, x, contract).T
    return jnp.dot(d_out, kernel.T), d_kernel


_product.defvjp(lambda x, kernel: (jnp.dot(x, kernel), (x, kernel)), _product_backward)


def unroll(num_layers: int) -> int:
    """How many layers a step of `nn.scan` holds: all of a small network, else one.

    Unrolled, no layer's activations and gradients are copied into a stack and out of it again; a
    deep network would compile for too long.
    """
    return num_layers if num_layers <= 8 else 1


def _logical(init: nn.initializers.Initializer, axes: Axes) -> nn.initializers.Initializer:
    return nn.with_logical_partitioning(init, axes)


class Dense(nn.Module):
    """y = x @ kernel + bias, in `compute.dtype`.

    Attributes:
        features: output width.
        axes: logical names of the kernel's input and output axis.
        starts_silent: whether a new kernel is 0, so that the layer adds nothing until it learns.
    """

    features: int
    axes: Axes
    compute: Compute
    use_bias: bool = True
    starts_silent: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "... I"]) -> Float[Array, "... O"]:
        dtype, compute = self.compute.activation, self.compute
        out_in = compute.is_out_in(x.shape[-1], self.features)
        shape, axes = (x.shape[-1], self.features), self.axes
        init = nn.initializers.zeros if self.starts_silent else _kernel_init
        if out_in:
            shape, axes = shape[::-1], axes[::-1]
            init = functools.partial(_transposed, init)
        kernel = self.param("kernel", _logical(init, axes), shape, self.compute.parameter)
        y = matmul(x, kernel, dtype, transposed=out_in, decodes_on=compute.kernels_for)
        if self.use_bias:
            init = _logical(nn.initializers.zeros, self.axes[-1:])
            y = y + self.param("bias", init, (self.features,), self.compute.parameter).astype(dtype)
        return y


def _transposed(init: nn.initializers.Initializer, key: Array, shape: Any, dtype: Any) -> Array:
    return init(key, shape[::-1], dtype).T


class Embed(nn.Module):
    """A table of vectors; `attend` multiplies by its transpose (a tied output head)."""

    num_embeddings: int
    features: int
    compute: Compute
    axes: Axes = ("vocab", "embed")

    def setup(self) -> None:
        shape, axes = (self.num_embeddings, self.features), self.axes
        if self.compute.tables_in_columns:
            shape, axes = shape[::-1], axes[::-1]
        self.embedding = self.param(
            "embedding", _logical(_embed_init, axes), shape, self.compute.parameter
        )

    def __call__(self, tokens: Int[Array, "..."]) -> Float[Array, "... D"]:
        # The table's width is gathered like any weight's before use: a lookup in rows split over
        # the devices that also split the batch has no efficient partition.
        if self.compute.tables_in_columns:
            vectors = jnp.moveaxis(jnp.take(self.embedding, tokens, axis=1), 0, -1)
        else:
            table = constrain(self.embedding, self.axes[0], None)
            vectors = jnp.take(table, tokens, axis=0)
        return vectors.astype(self.compute.activation)

    def average(self, weights: Float[Array, "... V"]) -> Float[Array, "... D"]:
        compute = self.compute
        return matmul(
            weights, self.embedding, compute.activation, transposed=compute.tables_in_columns
        )

    def attend(self, x: Float[Array, "... D"]) -> Float[Array, "... V"]:
        compute = self.compute
        return matmul(
            x,
            self.embedding,
            compute.activation,
            transposed=not compute.tables_in_columns,
            decodes_on=compute.kernels_for,
        )


class RMSNorm(nn.Module):
    """x / rms(x) * scale; the statistics in float32, as in the reference."""

    epsilon: float
    compute: Compute

    @nn.compact
    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        init = _logical(nn.initializers.ones, ("embed",))
        scale = self.param("scale", init, x.shape[-1:], self.compute.parameter)
        return _rms_norm(x, scale, self.epsilon, self.compute.activation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _rms_norm(
    x: Float[Array, "... D"], scale: Float[Array, " D"], epsilon: float, dtype: jnp.dtype
) -> Float[Array, "... D"]:
    return _rms_norm_forward(x, scale, epsilon, dtype)[0]


def _rms_norm_forward(
    x: Array, scale: Array, epsilon: float, dtype: jnp.dtype
) -> tuple[Array, tuple[Array, ...]]:
    wide = x.astype(jnp.float32)
    inverse = jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + epsilon)
    # The reference rounds to the activation dtype before the scale.
    return scale.astype(dtype) * (wide * inverse).astype(dtype), (x, scale, inverse)


def _rms_norm_backward(
    epsilon: float, dtype: jnp.dtype, residuals: tuple[Array, ...], d_out: Array
) -> tuple[Array, Array]:
    """Both sums as matrix-vector products of one array: a CPU is eight times as fast at those as at
    the reductions that would be derived.
    """
    x, scale, inverse = residuals
    wide, wide_scale, d_out = (a.astype(jnp.float32) for a in (x, scale, d_out))
    product = d_out * wide
    d_scale = jnp.tensordot(inverse[..., 0], product, axes=x.ndim - 1, precision="highest")
    mean = jnp.dot(product, wide_scale, precision="highest")[..., None] / scale.size
    d_x = inverse * (d_out * wide_scale) - wide * (inverse**3 * mean)
    return d_x.astype(x.dtype), d_scale.astype(scale.dtype)


_rms_norm.defvjp(_rms_norm_forward, _rms_norm_backward)


class LayerNorm(nn.Module):
    """(x - mean) / std, then scale and bias unless `affine` is off; computed in float32."""

    compute: Compute
    epsilon: float = 1e-5
    affine: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "... D"]) -> Float[Array, "... D"]:
        wide = x.astype(jnp.float32)
        wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
        wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + self.epsilon)
        if self.affine:
            ones, zeros = nn.initializers.ones, nn.initializers.zeros
            shape, dtype = x.shape[-1:], self.compute.parameter
            wide = wide * self.param("scale", _logical(ones, ("embed",)), shape, dtype).astype(
                jnp.float32
            )
            wide = wide + self.param("bias", _logical(zeros, ("embed",)), shape, dtype).astype(
                jnp.float32
            )
        return wide.astype(self.compute.activation)


class Conv1d(nn.Module):
    """A convolution over the last-but-one axis.

    Attributes:
        padding: (left, right) zeros.
        axes: logical names of the kernel's input and output channels.
    """

    features: int
    kernel_size: int
    compute: Compute
    stride: int = 1
    dilation: int = 1
    padding: Sequence[int] = (0, 0)
    use_bias: bool = True
    axes: Axes = (None, None)

    @nn.compact
    def __call__(self, x: Float[Array, "B T I"]) -> Float[Array, "B T2 O"]:
        dtype = self.compute.activation
        shape = (self.kernel_size, x.shape[-1], self.features)
        kernel = self.param(
            "kernel", _logical(_conv_init, (None, *self.axes)), shape, self.compute.parameter
        )
        y = jax.lax.conv_general_dilated(
            x.astype(dtype),
            kernel.astype(dtype),
            window_strides=(self.stride,),
            padding=[tuple(self.padding)],
            rhs_dilation=(self.dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        if self.use_bias:
            init = _logical(nn.initializers.zeros, self.axes[-1:])
            y = y + self.param("bias", init, shape[-1:], self.compute.parameter).astype(dtype)
        return y


class ConvTranspose1d(nn.Module):
    """Upsamples the last-but-one axis: each input adds its kernel, `stride` samples apart.

    The output has exactly `stride` times the input's length: (kernel_size - stride) / 2 samples
    are cut at either end. `kernel[k]` falls k samples after the input's place, as PyTorch stores
    it. Attributes as in `Conv1d`.
    """

    features: int
    kernel_size: int
    stride: int
    compute: Compute
    axes: Axes = (None, None)

    @nn.compact
    def __call__(self, x: Float[Array, "B T I"]) -> Float[Array, "B T2 O"]:
        dtype = self.compute.activation
        shape = (self.kernel_size, x.shape[-1], self.features)
        kernel = self.param(
            "kernel", _logical(_kernel_init, (None, *self.axes)), shape, self.compute.parameter
        )
        padding = self.kernel_size - 1 - (self.kernel_size - self.stride) // 2
        y = jax.lax.conv_general_dilated(
            x.astype(dtype),
            kernel[::-1].astype(dtype),
            window_strides=(1,),
            padding=[(padding, padding)],
            lhs_dilation=(self.stride,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        init = _logical(nn.initializers.zeros, self.axes[-1:])
        return y + self.param("bias", init, shape[-1:], self.compute.parameter).astype(dtype)
