"""Derivatives written by hand equal those that JAX derives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reasoner_jax.models.config import Compute
from reasoner_jax.models.layers import RMSNorm, matmul

RNG = np.random.default_rng(7)


def derived(x, scale, epsilon, dtype):
    """RMSNorm without a derivative of its own."""
    wide = x.astype(jnp.float32)
    wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + epsilon)
    return scale.astype(dtype) * wide.astype(dtype)


@pytest.mark.parametrize("shape", [(24,), (5, 24), (2, 7, 24)])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("bfloat16", 0.03)])
def test_the_gradient_of_rms_norm_is_the_derived_one(shape, dtype, tolerance):
    x, d_out = (jnp.asarray(RNG.normal(size=shape), dtype) for _ in range(2))
    scale = jnp.asarray(RNG.normal(size=24), jnp.float32)
    module = RMSNorm(1e-5, Compute(dtype=dtype))

    def ours(x, scale):
        return module.apply({"params": {"scale": scale}}, x)

    theirs = functools.partial(derived, epsilon=1e-5, dtype=jnp.dtype(dtype))
    out, pull = jax.vjp(ours, x, scale)
    expected, expected_pull = jax.vjp(theirs, x, scale)
    np.testing.assert_array_equal(out, expected)
    for one, other in zip(pull(d_out), expected_pull(d_out), strict=True):
        assert one.dtype == other.dtype
        one, other = one.astype(jnp.float32), other.astype(jnp.float32)
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("widths", [(6, 10), (10, 6), (8, 8)], ids=["wider", "narrower", "even"])
@pytest.mark.parametrize("leading", [(), (5,), (2, 7)], ids=str)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("bfloat16", 0.1)])
def test_the_gradient_of_a_product_is_the_derived_one(leading, widths, dtype, tolerance):
    x = jnp.asarray(RNG.normal(size=(*leading, widths[0])), dtype)
    kernel = jnp.asarray(RNG.normal(size=widths), jnp.float32)
    d_out = jnp.asarray(RNG.normal(size=(*leading, widths[1])), dtype)
    depth = jnp.dtype(dtype)
    _, ours = jax.vjp(lambda x, kernel: matmul(x, kernel, depth), x, kernel)
    _, theirs = jax.vjp(lambda x, kernel: jnp.dot(x, kernel.astype(depth)), x, kernel)
    for mine, derived_ in zip(ours(d_out), theirs(d_out), strict=True):
        assert mine.dtype == derived_.dtype
        np.testing.assert_allclose(
            np.asarray(mine, np.float32), np.asarray(derived_, np.float32), atol=tolerance
        )


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_a_transposed_kernel_is_read_as_it_lies(stored):
    x = jnp.asarray(RNG.normal(size=(2, 3, 6)), jnp.float32)
    kernel = jnp.asarray(RNG.normal(size=(10, 6)), stored)
    np.testing.assert_allclose(
        matmul(x, kernel, jnp.dtype("float32"), transposed=True),
        matmul(x, kernel.T, jnp.dtype("float32")),
        atol=1e-5,
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
@pytest.mark.parametrize("num_in", [400, 401])
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 2), (3, 1)])
def test_each_vector_alone_is_the_product(transposed, stored, num_in, shape):
    """On a CPU; kernels of 2^19 bytes and more in four parts, where they can be cut."""
    x = jnp.asarray(RNG.normal(size=(*shape, num_in)), jnp.float32)
    kernel = jnp.asarray(RNG.normal(size=(num_in, 352)), stored)
    way = dict(dtype=jnp.dtype("float32"), transposed=transposed)
    laid = kernel.T if transposed else kernel
    expected = np.asarray(x, np.float64) @ np.asarray(kernel, np.float64)
    for platform in ("any", "cpu"):
        ours = matmul(x, laid, decodes_on=platform, **way)
        assert ours.shape == (*shape, 352)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=2e-3)
