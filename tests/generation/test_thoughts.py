"""Thoughts that are given take the place of the network's own, whatever the phase of the row."""

import numpy as np
import pytest

from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.text.schedule import Schedule, Stream
from tests.generation.networks import omni, waveform

SCHEDULES = [Schedule(2, 3), Schedule(2, 8, lead="reasoning"), Schedule(mode="before_speaking")]


@pytest.fixture(scope="module")
def engine():
    return Engine(omni(), batch_size=4)


def test_a_reply_thinks_what_it_is_given_and_then_goes_on_to_speak(engine):
    questions = [
        Question(waveform(0.4, 1), thoughts="seven and three is ten"),
        Question(text="how many", thoughts=""),
        Question(text="ten", thoughts="1+2=3\nanswer 3"),
    ]
    replies = engine.generate(questions, SCHEDULES, max_tokens=120)
    for question, reply in zip(questions, replies, strict=True):
        assert reply.reasoning == question.thoughts
        assert (reply.streams == Stream.RESPONSE).any()


def test_what_is_said_is_likeliest_after_the_given_thoughts(engine):
    question = Question(text="how many", thoughts="seven and three is ten")
    reply = engine.generate([question], Schedule(2, 3), max_tokens=60)[0]
    prompt = engine.encoder.encode(question).tokens
    logits = np.asarray(omni().logits(np.concatenate([prompt, reply.tokens])[None]))[0]
    allowed = np.where(engine.encoder.allowed[0], 0, -np.inf)
    spoken = np.flatnonzero(reply.streams == Stream.RESPONSE)
    assert len(spoken) == 18
    for place in spoken:
        assert reply.tokens[place] == np.argmax(logits[len(prompt) + place - 1] + allowed)


def test_rows_without_given_thoughts_think_as_ever(engine):
    alone = engine.generate([Question(text="so")], max_tokens=60)[0]
    beside = engine.generate(
        [Question(text="so"), Question(text="so", thoughts="ten")], max_tokens=60
    )[0]
    assert beside.tokens.tolist() == alone.tokens.tolist()


def test_direct_mode_has_no_thoughts_to_give(engine):
    with pytest.raises(ValueError, match="question 0: it has thoughts"):
        engine.generate([Question(text="so", thoughts="ten")], Schedule(mode="direct"))
