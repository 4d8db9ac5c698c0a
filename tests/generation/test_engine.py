"""The compiled engine gives, token for token, what the plain loop over the schedule gives."""

import numpy as np
import pytest

from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.sampling import Draw, Sampling
from reasoner_jax.text.schedule import Schedule, Stream
from tests.generation.networks import omni, plain_reply, waveform

QUESTIONS = [
    Question(waveform(0.5, 1)),
    Question(text="how many"),
    Question(waveform(2.7, 2)),
    Question(waveform(1.2, 3), text="let me see"),
    Question(text="seven and three"),
]
SCHEDULES = [
    Schedule(2, 8),
    Schedule(1, 3, lead="reasoning"),
    Schedule(3, 2, control_tokens=False),
    Schedule(2, 4, mode="before_speaking"),
    Schedule(mode="direct"),
]
MAX_TOKENS = 70
RANDOM = Sampling(
    response=Draw(temperature=1.0, top_k=30, repetition_penalty=1.2),
    reasoning=Draw(temperature=0.8, top_p=0.9),
    seed=5,
)


@pytest.fixture(scope="module")
def engine():
    return Engine(omni(), batch_size=4)


@pytest.mark.parametrize("sampling", [Sampling(), RANDOM], ids=["greedy", "sampled"])
def test_a_batch_of_all_modes_and_phases_equals_the_plain_loop(engine, sampling):
    replies = engine.generate(QUESTIONS, SCHEDULES, sampling, max_tokens=MAX_TOKENS)
    ended = 0
    for number, (question, schedule, reply) in enumerate(
        zip(QUESTIONS, SCHEDULES, replies, strict=True)
    ):
        tokens, streams, finished = plain_reply(
            omni(), question, schedule, sampling, MAX_TOKENS, number
        )
        assert reply.tokens.tolist() == tokens
        assert reply.streams.tolist() == streams
        assert reply.truncated == (not finished)
        ended += finished
    print(ended, [len(r.tokens) for r in replies])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_replies_that_end_and_wait_equal_the_plain_loop(engine, seed):
    sampling = Sampling(Draw(temperature=1.5), Draw(temperature=1.5), seed=seed)
    questions = [Question(text=text) for text in ("ten", "so", "the answer")]
    schedules = [Schedule(2, 3), Schedule(2, 5), Schedule(2, 2, mode="before_speaking")]
    replies = engine.generate(questions, schedules, sampling, max_tokens=90)
    waited = 0
    for number, reply in enumerate(replies):
        tokens, streams, _ = plain_reply(
            omni(), questions[number], schedules[number], sampling, 90, number
        )
        assert reply.tokens.tolist() == tokens
        assert reply.streams.tolist() == streams
        waited += int(np.sum(reply.streams == Stream.PAD))
    print(waited, [r.truncated for r in replies])
