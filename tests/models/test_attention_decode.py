"""A GPU's decoding kernel, emulated, does what rotation, cache and attention do apart."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reasoner_jax.models import attention, attention_decode
from reasoner_jax.models.rope import rotate

ON_GPU = jax.default_backend() == "gpu"
STEP = functools.partial(attention_decode.attend_and_write, interpret=not ON_GPU)


def step_inputs(batch, length, heads, kv_heads, width, slots, offsets, dtype):
    """New tokens, angles and a cache full of values, those past its lengths too."""
    rng = np.random.default_rng(0)
    q, k, v = (
        jnp.asarray(rng.normal(size=(batch, length, n, width)), dtype)
        for n in (heads, kv_heads, kv_heads)
    )
    sizes = (batch, kv_heads, width, slots), (batch, kv_heads, slots, width)
    layer = tuple(jnp.asarray(rng.normal(size=size), dtype) for size in sizes)
    offset = jnp.asarray(offsets, jnp.int32)
    positions = (offset[:, None] + np.arange(length))[..., None]
    angles = positions * 100.0 ** (-np.arange(0, width, 2) / width)
    return q, k, v, (jnp.cos(angles), jnp.sin(angles)), layer, offset


def apart(q, k, v, by, layer, offset):
    layer = attention.write(layer, rotate(k, by), v, offset)
    return attention.attend_cached(rotate(q, by), layer, offset, "reference"), layer


CASES = {
    "empty and full rows, slots that fill no part": (2, 1, 4, 2, 32, 100, [0, 99]),
    "two tokens across parts": (2, 2, 8, 2, 64, 192, [63, 130]),
    "Qwen2.5-Omni-3B": (1, 1, 16, 2, 128, 448, [300]),
    "seven heads a key head": (1, 2, 28, 4, 128, 128, [70]),
    "tokens past the last slot": (3, 2, 4, 4, 32, 64, [63, 64, 10]),
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("sizes", CASES.values(), ids=CASES)
def test_one_kernel_equals_the_steps_apart(sizes, dtype):
    inputs = step_inputs(*sizes, dtype)
    with jax.default_matmul_precision("highest"):
        expected, (keys, values) = apart(*inputs)
    got, (new_keys, new_values) = STEP(*inputs)
    # The weights of a part are rounded before they are normalised, not after.
    tolerance = 1e-6 if dtype == jnp.float32 else 0.02
    np.testing.assert_allclose(
        got.astype(jnp.float32), expected.astype(jnp.float32), atol=tolerance
    )
    np.testing.assert_allclose(new_keys.astype(jnp.float32), keys.astype(jnp.float32), atol=1e-6)
    np.testing.assert_array_equal(new_values, values)


def test_what_lies_past_a_rows_length_leaves_no_trace():
    q, k, v, by, (keys, values), offset = step_inputs(2, 1, 4, 2, 32, 128, [5, 70], jnp.float32)
    past = jnp.arange(128) > offset[:, None]
    spoiled = (
        jnp.where(past[:, None, None], jnp.nan, keys),
        jnp.where(past[:, None, :, None], jnp.nan, values),
    )
    np.testing.assert_array_equal(
        STEP(q, k, v, by, spoiled, offset)[0], STEP(q, k, v, by, (keys, values), offset)[0]
    )


def test_it_is_made_for_the_steps_of_a_gpu():
    q, _, _, _, (keys, _), _ = step_inputs(1, 1, 4, 2, 32, 64, [0], jnp.float32)
    assert attention_decode.fits(q, keys) == ON_GPU
    assert not attention_decode.fits(jnp.tile(q, (1, 3, 1, 1)), keys)


def test_it_lowers_for_a_gpu():
    inputs = step_inputs(1, 2, 16, 2, 128, 448, [300], jnp.bfloat16)
    lowered = jax.jit(attention_decode.attend_and_write).trace(*inputs)
    assert "triton" in lowered.lower(lowering_platforms=("cuda",)).as_text()
