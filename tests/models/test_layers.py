"""Derivatives written by hand equal those that JAX derives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reasoner_jax.models.config import Compute
from reasoner_jax.models.layers import RMSNorm

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
