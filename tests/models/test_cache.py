"""Prefill, decode and rollback tell the same story as one full pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.config import Compute
from tests.models.networks import thinker

TOLERANCE = 2e-6


@pytest.fixture(scope="module", params=[True, False], ids=["scanned", "apart"])
def network(request):
    compute = Compute(scan_layers=request.param)
    module, params = thinker(compute)
    tokens = jnp.asarray(np.random.default_rng(1).integers(0, 40, (2, 12)), jnp.int32)

    @jax.jit
    def run(tokens, cache=None, num_tokens=None):
        return module.apply({"params": params}, tokens, cache=cache, num_tokens=num_tokens)

    cache = KVCache.create(module.config.decoder, compute, batch=2, capacity=16)
    return run, tokens, cache


def feed(run, cache, tokens, sizes):
    """Runs `tokens` in passes of the given sizes."""
    hidden, start = [], 0
    for size in sizes:
        output = run(tokens[:, start : start + size], cache)
        hidden.append(output.hidden_states)
        cache, start = output.cache, start + size
    return jnp.concatenate(hidden, axis=1), cache


@pytest.mark.parametrize(
    "sizes", [(12,), (5,) + (1,) * 7, (4, 4, 4), (1, 7, 4)], ids=["prefill", "decode", "4s", "mix"]
)
def test_passes_of_any_size_equal_one_full_pass(network, sizes):
    run, tokens, cache = network
    hidden, cache = feed(run, cache, tokens, sizes)
    np.testing.assert_allclose(hidden, run(tokens).hidden_states, atol=TOLERANCE)
    assert cache.lengths.tolist() == [12, 12]


def test_rollback_equals_never_having_written(network):
    run, tokens, cache = network
    _, cache = feed(run, cache, tokens, (8,))
    wrong = run(jnp.full((2, 4), 7), cache).cache.rollback(jnp.array([8, 8]))
    output = run(tokens[:, 8:], wrong)
    np.testing.assert_allclose(
        output.hidden_states, run(tokens).hidden_states[:, 8:], atol=TOLERANCE
    )


def test_rollback_never_lengthens_a_row(network):
    run, tokens, cache = network
    _, cache = feed(run, cache, tokens, (3,))
    assert cache.rollback(jnp.array([9, 1])).lengths.tolist() == [3, 1]


def test_rows_of_different_lengths_go_on_independently(network):
    run, tokens, cache = network
    padded = run(tokens[:, :8], cache, jnp.array([8, 3])).cache
    assert padded.lengths.tolist() == [8, 3]
    then = jnp.stack([tokens[0, 8:11], tokens[1, 3:6]])
    hidden = run(then, padded).hidden_states
    full = run(tokens).hidden_states
    np.testing.assert_allclose(hidden[0], full[0, 8:11], atol=TOLERANCE)
    np.testing.assert_allclose(hidden[1], full[1, 3:6], atol=TOLERANCE)


def test_a_full_cache_keeps_what_it_holds(network):
    run, tokens, cache = network
    _, full = feed(run, cache, tokens, (12,))
    over = run(tokens[:, :6], full).cache.rollback(jnp.array([12, 12]))
    np.testing.assert_array_equal(
        run(tokens[:, :4], full).hidden_states, run(tokens[:, :4], over).hidden_states
    )


def test_a_cache_given_room_goes_on_as_before(network):
    run, tokens, cache = network
    _, cache = feed(run, cache, tokens, (8,))
    wider = cache.with_capacity(24)
    assert wider.capacity == 24
    np.testing.assert_allclose(
        run(tokens[:, 8:], wider).hidden_states, run(tokens).hidden_states[:, 8:], atol=TOLERANCE
    )


def test_a_cache_and_segment_ids_together_are_refused(network):
    _, tokens, cache = network
    module, params = thinker(Compute())
    with pytest.raises(ValueError, match="segment_ids cannot be combined with a cache"):
        module.apply({"params": params}, tokens, cache=cache, segment_ids=jnp.ones((2, 12)))
