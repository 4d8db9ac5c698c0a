"""The talker's loss: reasoning is never read, packed equals unpacked, sums are what they say."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reasoner_jax.core.records import Batch
from reasoner_jax.core.text_feed import TEXT_END, TEXT_PAD, TEXT_START
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.thinker import ThinkerOutput
from reasoner_jax.text.schedule import Stream
from reasoner_jax.training.talker_loss import step_positions, talker_loss, text_vectors
from tests.models.networks import AUDIO_ID, lively, omni_config

RESPONSE = [2, 3, 6, 7]
"""Places of the response in a row of 8; 4 and 5 are reasoning, 0 and 1 the prompt."""


@functools.cache
def omni() -> Omni:
    network = Omni.create(omni_config())
    return dataclasses.replace(network, params=lively(network.params))


def output(seed: int, rows: int = 1, length: int = 8) -> ThinkerOutput:
    rng = np.random.default_rng(seed)
    shape = (rows, length, omni().config.thinker.decoder.width)
    return ThinkerOutput(*(jnp.array(rng.normal(size=shape), jnp.float32) for _ in range(2)))


def row(sources, inputs, targets, segments, tokens=None) -> Batch:
    """A batch of one row."""
    length = 8 if tokens is None else len(tokens)
    blank = jnp.zeros((1, length), jnp.int32)
    codes = dict(codes=targets, code_inputs=inputs, code_sources=sources, code_segment_ids=segments)
    return Batch(
        tokens=blank if tokens is None else jnp.array([tokens]),
        targets=blank,
        loss_mask=blank > 0,
        streams=blank,
        positions=blank,
        segment_ids=blank,
        example_rows=blank,
        **{name: jnp.array([values]) for name, values in codes.items()},
    )


SPOKEN = row(
    sources=[2, 2, 3, 6, 6, 7, TEXT_END, TEXT_PAD, TEXT_PAD],
    inputs=[28, 5, 6, 7, 8, 9, 1, 2, -1],
    targets=[5, 6, 7, 8, 9, 1, 2, 29, -1],
    segments=[1] * 8 + [0],
)


@jax.jit
def loss(states: ThinkerOutput, batch: Batch):
    return talker_loss(omni(), omni().params, states, batch)


def test_what_is_thought_changes_nothing():
    states = output(0)
    thought = np.setdiff1d(np.arange(8), RESPONSE)
    other = ThinkerOutput(
        states.hidden_states.at[:, thought].set(1e3), states.embeddings.at[:, thought].set(-1e3)
    )
    for first, second in zip(loss(states, SPOKEN), loss(other, SPOKEN), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("place", RESPONSE)
def test_every_word_of_the_response_changes_the_loss(place):
    states = output(0)
    other = ThinkerOutput(states.hidden_states.at[:, place].add(1.0), states.embeddings)
    assert abs(loss(states, SPOKEN)[0] - loss(other, SPOKEN)[0]) > 1e-3


def test_no_gradient_flows_to_what_is_thought():
    grads = jax.grad(lambda states: talker_loss(omni(), omni().params, states, SPOKEN)[0])(
        output(0)
    )
    moved = np.abs(grads.hidden_states[0]).sum(axis=-1) > 0
    assert np.flatnonzero(moved).tolist() == RESPONSE


def test_steps_without_a_target_count_for_nothing():
    states = output(0)
    total, correct, count = loss(states, SPOKEN)
    assert count == 8 and 0 <= correct <= 8
    longer = row(
        sources=[2, 2, 3, 6, 6, 7, TEXT_END, TEXT_PAD, 4],
        inputs=[28, 5, 6, 7, 8, 9, 1, 2, 3],
        targets=[5, 6, 7, 8, 9, 1, 2, 29, -1],
        segments=[1] * 8 + [0],
    )
    np.testing.assert_allclose(loss(states, longer)[0], total, rtol=1e-6)


def test_the_sum_is_that_of_the_plain_log_probabilities():
    states, config = output(0), omni().config.talker
    table = omni().params["thinker"]["model"]["embed_tokens"]["embedding"]
    vectors = states.hidden_states[0] + states.embeddings[0]
    marks = {TEXT_END: config.text_end_token_id, TEXT_PAD: config.text_pad_token_id}
    sources, inputs = SPOKEN.code_sources[0, :8].tolist(), SPOKEN.code_inputs[:, :8]
    read = jnp.stack([vectors[s] if s >= 0 else table[marks[s]] for s in sources])[None]
    logits = omni().talker.apply(
        {"params": omni().params["talker"]}, read, inputs, method="full_logits"
    )
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), SPOKEN.codes[:, :8, None], axis=-1)
    np.testing.assert_allclose(loss(states, SPOKEN)[0], -chosen.sum(), rtol=1e-5)


def test_packed_responses_lose_as_much_as_each_alone():
    states = output(1)
    first = row([2, 3, TEXT_END], [28, 4, 5], [4, 5, 29], [1, 1, 1])
    second = row([6, 7], [28, 9], [9, 29], [1, 1])
    both = row(
        [2, 3, TEXT_END, 6, 7, TEXT_PAD],
        [28, 4, 5, 28, 9, -1],
        [4, 5, 29, 9, 29, -1],
        [1, 1, 1, 2, 2, 0],
    )
    apart = [loss(states, each) for each in (first, second)]
    together = loss(states, both)
    np.testing.assert_allclose(together[0], apart[0][0] + apart[1][0], rtol=1e-5)
    assert together[2] == apart[0][2] + apart[1][2] == 5


def test_of_heard_prompt_tokens_the_hidden_state_alone_is_read():
    batch = row(
        [0, 1, TEXT_START, 2],
        [-1, -1, 30, 28],
        [-1, -1, -1, 4],
        [1] * 4,
        tokens=[7, AUDIO_ID, 7, 7, 7, 7, 7, 7],
    )
    states = output(2)
    as_heard = ThinkerOutput(states.hidden_states, states.embeddings.at[:, 1].set(50.0))
    as_read = ThinkerOutput(states.hidden_states, states.embeddings.at[:, 0].set(50.0))
    assert loss(states, batch)[0] == loss(as_heard, batch)[0]
    assert loss(states, batch)[0] != loss(as_read, batch)[0]


def test_a_share_of_the_hidden_state_is_read_of_replies_and_all_of_it_of_prompts():
    prompt, reply = [0, 1], [2, 3, 6, 7]
    batch = row([0, 1, TEXT_START, 2, 3, 6, 7], [-1, -1, 30, 28, 4, 5, 6], [-1] * 7, [1] * 7)
    # Of targets, one step ahead of their tokens.
    streams = jnp.full((1, 8), Stream.PROMPT).at[0, [1, 2, 5, 6]].set(Stream.RESPONSE)
    batch = batch.replace(streams=streams, segment_ids=jnp.ones((1, 8), jnp.int32))
    talker = dataclasses.replace(omni().config.talker, hidden_share=0.25)
    config = dataclasses.replace(omni().config, talker=talker)
    states = output(3)
    read = text_vectors(dataclasses.replace(omni(), config=config), omni().params, states, batch)[0]
    hidden, embeddings = states.hidden_states[0], states.embeddings[0]
    np.testing.assert_allclose(read[:2], (hidden + embeddings)[prompt, :], rtol=1e-6)
    np.testing.assert_allclose(read[3:], (0.25 * hidden + embeddings)[reply, :], rtol=1e-6)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_a_share(share):
    with pytest.raises(ValueError, match=rf"hidden_share is {share}, expected 0 to 1"):
        dataclasses.replace(omni().config.talker, hidden_share=share)


def test_positions_restart_with_each_response():
    segments = jnp.array([[1, 1, 1, 2, 2, 0, 0], [1, 2, 2, 2, 3, 3, 3]])
    expected = [[0, 1, 2, 0, 1, 0, 1], [0, 0, 1, 2, 0, 1, 2]]
    assert step_positions(segments).tolist() == expected


def test_a_batch_without_codes_is_refused():
    silent = SPOKEN.replace(codes=None, code_inputs=None, code_sources=None)
    with pytest.raises(ValueError, match="the batch has no speech codes"):
        talker_loss(omni(), omni().params, output(0), silent)
