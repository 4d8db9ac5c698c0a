"""Muon's steps: their directions, whatever the shape, and the same on any mesh."""

import re

import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.core.sharding import make_mesh
from reasoner_jax.training import muon

SHAPES = {
    "m/layers/q_proj/kernel": (3, 24, 24),
    "m/layers/down_proj/kernel": (3, 40, 16),
    "m/layers/up_proj/kernel": (3, 16, 40),
    "m/layers_0/mlp/kernel": (16, 40),
    "m/conv1/kernel": (3, 8, 24),
}


def gradients(seed=0):
    keys = jax.random.split(jax.random.key(seed), len(SHAPES))
    return {
        path: jax.random.normal(key, shape)
        for key, (path, shape) in zip(keys, SHAPES.items(), strict=True)
    }


def updates(grads):
    optimizer = muon.scale_by_muon()
    return optimizer.update(grads, optimizer.init(grads))[0]


def test_which_parameters_are_moved():
    paths = ["t/model/layers/mlp/up_proj/kernel", "t/audio_tower/conv2/kernel"]
    assert all(muon.moves(path) for path in [*paths, *SHAPES])
    others = ["t/lm_head/kernel", "t/layers/q_proj/bias", "t/embed_tokens/embedding"]
    assert not any(muon.moves(path) for path in others)


def test_singular_vectors_stay_and_singular_values_come_together():
    left, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(24, 24)))
    right, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(40, 24)))
    values = np.geomspace(1, 0.05, 24)
    matrix = (left * values) @ right.T
    got = np.asarray(muon.newton_schulz(jnp.asarray(matrix[None], jnp.float32)))[0]
    after = np.diag(left.T @ got @ right)
    assert after.min() > 0.6 and after.max() < 1.3
    np.testing.assert_allclose(got, (left * after) @ right.T, atol=1e-4)
    np.testing.assert_array_equal(muon.newton_schulz(jnp.zeros((2, 3, 5))), 0)


def test_a_matrix_is_moved_alike_alone_and_among_others():
    grads = gradients()
    together = updates(grads)
    assert {path: leaf.shape for path, leaf in together.items()} == SHAPES
    for path, leaf in grads.items():
        np.testing.assert_allclose(updates({path: leaf})[path], together[path], atol=1e-5)
    one = updates({"m/layers_0/mlp/kernel": grads["m/layers/down_proj/kernel"][1]})
    np.testing.assert_allclose(
        one["m/layers_0/mlp/kernel"], together["m/layers/down_proj/kernel"][1], atol=1e-5
    )


def test_every_device_takes_its_share_of_the_matrices_and_the_result_is_the_same():
    grads = gradients()
    expected = updates(grads)
    with jax.set_mesh(make_mesh(data=4, fsdp=2, devices=jax.devices()[:8])):
        step = jax.jit(updates)
        for path, leaf in step(grads).items():
            np.testing.assert_allclose(leaf, expected[path], atol=1e-5, err_msg=path)
        # Seven matrices of 16 by 40, and as many devices have one; the last has zeros.
        text = step.lower(grads).compile().as_text()
    assert "f32[16,16]" in text
    assert not re.search(r"f32\[\d+,16,16\]", text)
