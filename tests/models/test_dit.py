"""The velocity field: what reaches what, padding, windows of an utterance."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reasoner_jax.models.config import Compute
from reasoner_jax.models.dit import DiT, split_blocks
from tests.models.token2wav_networks import CONFIG, inputs, lively_params

PARAMS = {"params": lively_params()["code2wav_dit_model"]}
BLOCK = CONFIG.dit.block_frames
TOLERANCE = 1e-5


embed_voice = jax.jit(functools.partial(DiT(CONFIG.dit, Compute()).apply, method="embed_voice"))


@functools.partial(jax.jit, static_argnames=("config", "first_frame"))
def _apply(config, params, x, voice, time, **options):
    def evaluate(dit):
        condition = dit.condition(x["codes"], voice)
        return dit.velocity(x["noise"], dit.modulate(time), condition, **options)

    return DiT(config, Compute()).apply(params, method=evaluate)


def velocity(x, config=CONFIG.dit, time=0.4, **options):
    voice = embed_voice(PARAMS, x["speaker"], x["reference_mel"])
    return np.asarray(_apply(config, PARAMS, x, voice, np.atleast_1d(time), **options))


def slice_frames(x, start, stop):
    return x | {"noise": x["noise"][:, start:stop], "codes": x["codes"][:, start // 2 : stop // 2]}


def test_blocks_are_those_of_the_whole_utterance():
    assert split_blocks(jnp.array([[1, 2, 3]]), 2).tolist() == [[[1, 2], [3, 0]]]
    assert split_blocks(jnp.array([[1, 2, 3]]), 2, before=1).tolist() == [[[0, 1], [2, 3]]]


@pytest.mark.parametrize(
    ("look_backward", "look_ahead"), [((), ()), ((0, 2), (1,)), ((0,), (0, 1)), ((0, 1, 2), ())]
)
def test_a_block_reaches_exactly_as_far_as_the_flags_allow(look_backward, look_ahead):
    """Changes one block at a time, in its own row, and compares with the last row."""
    blocks = 6
    config = dataclasses.replace(
        CONFIG.dit, look_backward_layers=look_backward, look_ahead_layers=look_ahead
    )
    source, target = np.indices((blocks, blocks))
    ahead = source - target
    reach = np.eye(blocks, dtype=int)
    for layer in range(config.num_layers):
        reach = reach @ ((-(layer in look_backward) <= ahead) & (ahead <= (layer in look_ahead)))

    x = jax.tree.map(
        lambda row: np.repeat(row, blocks + 1, axis=0), inputs(blocks * BLOCK // 2, rows=1)
    )
    for block in range(blocks):
        x["noise"][block, block * BLOCK : (block + 1) * BLOCK] += 1.0
    result = velocity(x, config).reshape(blocks + 1, blocks, -1)
    # On some processors equal rows of a batch round differently, by a millionth.
    changed = (np.abs(result[:-1] - result[-1]) > 1e-5).any(axis=-1)
    np.testing.assert_array_equal(changed, reach > 0)


@pytest.mark.parametrize("first_frame", [2 * BLOCK, 30])
def test_a_window_with_its_context_equals_the_whole(first_frame):
    x = inputs(7 * BLOCK // 2, rows=1)
    whole = velocity(x)
    window = velocity(slice_frames(x, first_frame, 7 * BLOCK), first_frame=first_frame)
    complete = -(-first_frame // BLOCK) + len(CONFIG.dit.look_backward_layers)
    start = complete * BLOCK
    np.testing.assert_allclose(window[:, start - first_frame :], whole[:, start:], atol=TOLERANCE)
    assert np.abs(window[:, 0] - whole[:, first_frame]).max() > 1e-3


def test_padding_never_changes_valid_frames():
    x = inputs(38)
    lengths = np.array([76, 50])
    padded = velocity(x, num_frames=lengths)
    alone = velocity(slice_frames(x, 0, 50))
    np.testing.assert_allclose(padded[1, :50], alone[1], atol=TOLERANCE)
    unmasked = velocity(x)
    np.testing.assert_allclose(padded[0], unmasked[0], atol=TOLERANCE)
    assert np.isfinite(padded).all()
    assert np.abs(padded[1, :50] - unmasked[1, :50]).max() > 1e-3


def test_rows_may_be_at_different_times():
    x = inputs(13)
    together = velocity(x, time=[0.1, 0.9])
    for row, time in enumerate((0.1, 0.9)):
        np.testing.assert_allclose(together[row], velocity(x, time=time)[row], atol=TOLERANCE)


def test_codes_of_another_length_are_refused():
    x = inputs(13)
    with pytest.raises(ValueError, match="2 frames per code"):
        velocity(x | {"codes": x["codes"][:, :12]})
