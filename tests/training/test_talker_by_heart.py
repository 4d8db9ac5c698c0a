"""What the talker learns from packed rows is what it says in a stream, step for step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from reasoner_jax.core.records import Batch
from reasoner_jax.core.text_feed import TextFeed
from reasoner_jax.data.batch import Renderer
from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.data.plan import Component, Planner
from reasoner_jax.data.task import RowBudget
from reasoner_jax.generation.sampling import Draw
from reasoner_jax.generation.talker_stream import TalkerStream, speak
from reasoner_jax.models.config import OmniConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.talker import prompt_vectors, reply_vectors
from reasoner_jax.models.thinker import ThinkerOutput
from reasoner_jax.training.talker_loss import talker_loss
from tests.data.problems import FRONTEND, READ, TOKENIZER, spoken_problem, write_dataset
from tests.models.networks import omni_config

SPEAK = dataclasses.replace(READ, codes=True, code_noise=0.0)
STEPS = 300


def network(reads_prompt: bool) -> Omni:
    sizes = omni_config()
    thinker = dataclasses.replace(sizes.thinker, vocab_size=TOKENIZER.vocab_size + 3)
    feed = None if reads_prompt else TextFeed(0.5, 0.5, 3)
    talker = dataclasses.replace(
        sizes.talker,
        reads_prompt=reads_prompt,
        text_feed=feed,
        text_start_token_id=TOKENIZER.vocab_size,
        text_end_token_id=TOKENIZER.vocab_size + 1,
        text_pad_token_id=TOKENIZER.vocab_size + 2,
    )
    return Omni.create(OmniConfig(thinker, talker), tokenizer=TOKENIZER)


def rows_of(omni: Omni, directory, codes: list[np.ndarray]) -> Batch:
    """Both problems in one packed row."""
    problems = [
        spoken_problem(n, response=text, response_codes=own)
        for n, (text, own) in enumerate(
            zip(("Well, it makes four.", "So, let me think: nine."), codes, strict=True)
        )
    ]
    components = [Component(SpokenDataset(write_dataset(directory, problems)), SPEAK)]
    frontend = dataclasses.replace(FRONTEND, talker=omni.config.talker)
    row = RowBudget(tokens=800, codes=400, examples=2)
    (placed,) = Planner(components, frontend, row, shuffle=False, num_epochs=1).window(0).rows
    arrays, _ = Renderer(components, frontend, row, [0]).render([placed], 1)
    return Batch(**{name: jnp.asarray(array) for name, array in arrays.items()})


def learn(omni: Omni, batch: Batch) -> tuple[Omni, ThinkerOutput]:
    """The talker after some hundred steps on one batch, and what it read."""
    variables = {"params": omni.params["thinker"]}
    output = omni.thinker.apply(
        variables, batch.tokens, positions=batch.positions, segment_ids=batch.segment_ids
    )
    optimiser = optax.adam(1e-2)

    def loss(talker):
        total, _, count = talker_loss(omni, {**omni.params, "talker": talker}, output, batch)
        return total / count

    def step(carry, _):
        talker, state = carry
        updates, state = optimiser.update(jax.grad(loss)(talker), state)
        return (optax.apply_updates(talker, updates), state), None

    start = omni.params["talker"]
    learned, _ = jax.jit(
        lambda talker: jax.lax.scan(step, (talker, optimiser.init(talker)), length=STEPS)[0]
    )(start)
    return dataclasses.replace(omni, params={**omni.params, "talker": learned}), output


@pytest.mark.slow
@pytest.mark.parametrize("reads_prompt", [False, True], ids=["own", "qwens"])
def test_what_was_learned_by_heart_is_said_in_a_stream(tmp_path, reads_prompt):
    codes = [np.random.default_rng(n).integers(0, 28, 30 + 5 * n) for n in range(2)]
    omni = network(reads_prompt)
    batch = rows_of(omni, tmp_path, codes)
    omni, output = learn(omni, batch)
    vectors, paces, prompts = [], [], []
    for segment in (1, 2):
        sources = np.asarray(batch.code_sources)[np.asarray(batch.code_segment_ids) == segment]
        own = np.flatnonzero(np.asarray(batch.segment_ids[0]) == segment)
        prompt = own[: list(sources).index(-1)] if reads_prompt else own[:0]
        response = np.array([s for s in dict.fromkeys(sources.tolist()) if s >= 0])
        response = np.setdiff1d(response, prompt)
        tokens = np.asarray(batch.tokens[0])[response]
        hidden, embedded = output.hidden_states[0], output.embeddings[0]
        share = omni.config.talker.hidden_share
        vectors.append(np.asarray(reply_vectors(hidden[response], embedded[response], share)))
        heard = jnp.zeros(len(prompt), bool)
        prompts.append(np.asarray(prompt_vectors(hidden[prompt], embedded[prompt], heard)))
        pace = omni.config.talker.pace
        paces.append(pace.codes_of(tokens, TOKENIZER.num_bytes(tokens)))
    stream = TalkerStream.of(omni, Draw())
    said = speak(stream, vectors, paces, prompts if reads_prompt else None)
    assert [own.tolist() for own in said] == [own.tolist() for own in codes]
