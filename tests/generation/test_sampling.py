"""What the sampler may choose, by its settings; drawn by hand."""

import jax
import numpy as np
import pytest

from reasoner_jax.generation.sampling import GREEDY, Draw, Sampling, choose, row_keys
from reasoner_jax.text.schedule import Stream

PROBABILITIES = np.array([0.4, 0.3, 0.2, 0.06, 0.04])
NUM_DRAWS = 400
ANY = np.ones((2, 5), bool)


def drawn(draw, stream=Stream.RESPONSE, allowed=ANY, seen=None):
    """How often each token comes, of many draws."""
    sampling = Sampling(response=draw, reasoning=Draw())
    logits = np.tile(np.log(PROBABILITIES).astype(np.float32) + 3, (NUM_DRAWS, 1))
    tokens = choose(
        logits,
        allowed,
        np.full(NUM_DRAWS, stream),
        sampling.rules(),
        sampling.kind,
        keys=row_keys(0, np.arange(NUM_DRAWS)),
        seen=None if seen is None else np.tile(seen, (NUM_DRAWS, 1, 1)),
    )
    return np.bincount(tokens, minlength=5)


def test_temperature_one_draws_by_probability():
    np.testing.assert_allclose(drawn(Draw(1.0)) / NUM_DRAWS, PROBABILITIES, atol=0.07)


def test_greedy_takes_the_best_and_needs_no_keys():
    assert drawn(Draw())[0] == NUM_DRAWS
    assert not GREEDY.kind.random and not GREEDY.kind.cuts and not GREEDY.kind.penalises


def test_each_stream_has_its_own_way():
    assert drawn(Draw(1.0), stream=Stream.REASONING)[0] == NUM_DRAWS


def test_top_k_leaves_the_k_best():
    counts = drawn(Draw(1.0, top_k=2))
    assert counts[:2].all() and not counts[2:].any()


def test_top_p_leaves_the_fewest_that_reach_the_probability():
    counts = drawn(Draw(1.0, top_p=0.65))
    assert counts[:2].all() and not counts[2:].any()
    assert drawn(Draw(1.0, top_p=0.01))[0] == NUM_DRAWS


def test_top_p_counts_what_top_k_has_left():
    counts = drawn(Draw(1.0, top_k=3, top_p=0.7))
    assert counts[:2].all() and not counts[2:].any()


def test_a_forbidden_token_never_comes():
    allowed = ANY.copy()
    allowed[0, 0] = False
    assert drawn(Draw(1.0), allowed=allowed)[0] == 0
    assert drawn(Draw(), allowed=allowed)[1] == NUM_DRAWS


def test_repetition_is_penalised_in_the_stream_that_repeats():
    seen = np.zeros((2, 5), bool)
    seen[0, 0] = True
    assert drawn(Draw(repetition_penalty=1.5), seen=seen)[1] == NUM_DRAWS
    assert drawn(Draw(repetition_penalty=1.5), seen=seen[::-1])[0] == NUM_DRAWS


def test_a_row_draws_the_same_in_any_batch():
    keys = row_keys(7, np.array([3, 1, 4]))
    alone = row_keys(7, np.array([4]))
    np.testing.assert_array_equal(jax.random.key_data(keys[2]), jax.random.key_data(alone[0]))


@pytest.mark.parametrize(
    "wrong",
    [
        dict(temperature=-1.0),
        dict(temperature=float("nan")),
        dict(top_k=-1),
        dict(top_k=1.5),
        dict(top_p=0.0),
        dict(top_p=1.1),
        dict(repetition_penalty=0.0),
    ],
)
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Draw(**wrong)
