"""The loss in chunks is the loss, and so is its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from reasoner_jax.core.records import END_OF_TRANSCRIPT
from reasoner_jax.text.schedule import Stream
from reasoner_jax.training import losses

N, D, V = 24, 8, 50


def arrays(seed=0):
    keys = jax.random.split(jax.random.key(seed), 4)
    return (
        jax.random.normal(keys[0], (N, D)),
        jax.random.normal(keys[1], (V, D)),
        jax.random.randint(keys[2], (N,), 0, V),
        jax.random.uniform(keys[3], (N,)) * (jnp.arange(N) % 3 > 0),
    )


def plain(hidden, table, targets, weights):
    each = optax.softmax_cross_entropy_with_integer_labels(hidden @ table.T, targets)
    return jnp.sum(weights * each)


@pytest.mark.parametrize(("chunk", "shards"), [(0, 1), (4, 1), (8, 1), (24, 1), (0, 2), (4, 3)])
@pytest.mark.parametrize("is_table", [True, False])
def test_the_chunked_loss_and_its_gradient_equal_the_plain_ones(chunk, shards, is_table):
    hidden, table, targets, weights = arrays()

    def chunked(hidden, table):
        head = table if is_table else table.T
        return losses.cross_entropy(hidden, head, targets, weights, chunk, is_table, shards)[0]

    expected, slopes = jax.value_and_grad(plain, (0, 1))(hidden, table, targets, weights)
    got, got_slopes = jax.jit(jax.value_and_grad(chunked, (0, 1)))(hidden, table)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    for one, other in zip(got_slopes, slopes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_it_scales_with_what_is_made_of_it():
    hidden, table, targets, weights = arrays()

    def tripled(hidden):
        return 3 * losses.cross_entropy(hidden, table, targets, weights, 8, True)[0]

    expected = 3 * jax.grad(plain)(hidden, table, targets, weights)
    np.testing.assert_allclose(jax.grad(tripled)(hidden), expected, rtol=1e-5, atol=1e-6)


def test_every_token_has_its_own_cross_entropy_and_verdict():
    hidden, table, targets, weights = arrays()
    _, each, correct = losses.cross_entropy(hidden, table, targets, weights, 4, True, 2)
    logits = hidden @ table.T
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    np.testing.assert_allclose(each, expected, rtol=1e-5)
    np.testing.assert_array_equal(correct, logits.argmax(-1) == targets)


def test_huge_logits_do_not_overflow():
    hidden, table, targets, weights = arrays()
    total = losses.cross_entropy(1e4 * hidden, table, targets, weights, 8, True)[0]
    assert np.isfinite(total)


def test_a_chunk_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="chunk_tokens is 7, expected a divisor of the 24"):
        losses.cross_entropy(*arrays(), 7, True)


def test_ctc_of_packed_examples_skips_invalid_audio_wherever_it_stands():
    logits = jax.random.normal(jax.random.key(1), (1, 9, 6))
    words = jnp.array([[2, 3, END_OF_TRANSCRIPT, -1]])
    last = jnp.arange(9)[None] == 8
    whole = losses.ctc(logits, jnp.ones((1, 9), bool), last, words, 0)
    valid = jnp.array([[1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 1]], bool)
    spread = jnp.full((1, 12, 6), 7.0).at[0, np.flatnonzero(valid[0])].set(logits[0])
    last = jnp.arange(12)[None] == 11
    np.testing.assert_allclose(losses.ctc(spread, valid, last, words, 0), whole, rtol=1e-5)


def test_ctc_of_a_packed_row_is_the_sum_of_its_examples():
    logits = jax.random.normal(jax.random.key(3), (1, 11, 6))
    ends = jnp.array([4, 10])
    end = END_OF_TRANSCRIPT
    row = jnp.array([[2, 3, end, 3, 3, 5, end, -1]])
    last = (jnp.arange(11)[:, None] == ends).any(1)[None]
    got = losses.ctc(logits, jnp.ones((1, 11), bool), last, row, 0)
    apart = 0.0
    for start, stop, words in ((0, 5, [2, 3]), (5, 11, [3, 3, 5])):
        count = stop - start
        last = jnp.arange(count)[None] == count - 1
        words = jnp.array([[*words, end]])
        apart += losses.ctc(logits[:, start:stop], jnp.ones((1, count), bool), last, words, 0)
    np.testing.assert_allclose(got, apart, rtol=1e-5)


def test_the_last_audio_token_of_each_example_is_found():
    placeholder = jnp.array([[0, 1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 1, 0, 0]], bool)
    segments = jnp.array([[1, 1, 1, 2, 2, 3, 3], [1, 1, 1, 1, 1, 1, 0]])
    valid = jnp.array([[1, 0, 1, 1, 1, 1, 0], [0, 0, 1, 0, 0, 0, 0]], bool)
    got = losses.last_audio_tokens(placeholder, segments, valid)
    assert got.astype(int).tolist() == [[0, 0, 1, 1, 0, 1, 0], [0, 0, 1, 0, 0, 0, 0]]


def test_ctc_equals_the_sum_over_all_alignments():
    logits = jax.random.normal(jax.random.key(2), (1, 5, 3))
    probabilities = jax.nn.softmax(logits[0])
    total = 0.0
    for path in np.ndindex(3, 3, 3, 3):
        merged = [s for place, s in enumerate(path) if place == 0 or s != path[place - 1]]
        if [s for s in merged if s != 0] == [1, 2]:
            total += np.prod([probabilities[t, s] for t, s in enumerate(path)])
    words = jnp.array([[1, 2, END_OF_TRANSCRIPT]])
    got = losses.ctc(logits, jnp.ones((1, 5), bool), jnp.arange(5)[None] == 4, words, 0)
    np.testing.assert_allclose(got[0], -np.log(total), rtol=1e-5)


def test_sums_by_stream_leave_out_what_is_masked():
    streams = jnp.array([[Stream.RESPONSE, Stream.REASONING, Stream.PAD, Stream.RESPONSE]])
    mask = jnp.array([[True, True, False, False]])
    got = losses.by_stream(jnp.array([[1.0, 2.0, 4.0, 8.0]]), streams, mask)
    assert got.tolist() == [0, 1, 2, 0, 0]
