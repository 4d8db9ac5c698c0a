"""What is heard piece by piece is what is heard at once; one question never touches the next."""

import numpy as np
import pytest

from reasoner_jax.generation import listen
from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.listen import Listener
from reasoner_jax.generation.stream import Style
from reasoner_jax.text.schedule import Schedule
from tests.generation.networks import omni, waveform

SCHEDULE = Schedule(2, 5)
STYLE = Style(SCHEDULE, max_tokens=40)


@pytest.fixture(scope="module")
def engine():
    return Engine(omni(), batch_size=1)


@pytest.fixture(scope="module")
def listener(engine):
    return Listener(engine, STYLE, tolerance=0.0)


def louder_and_louder(seconds, seed):
    """Silence, then noise that grows: the last chunk changes how the first ones are heard."""
    samples = waveform(seconds, seed) * np.linspace(0.001, 1, int(seconds * 16_000)) ** 2
    samples[:9_000] = 0
    return samples.astype(np.float32)


def hear(listener, samples, seed):
    """In pieces of random sizes, empty ones too."""
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(samples), 9))
    for piece in np.split(samples, cuts):
        listener.hear(piece)


def tokens_at_once(engine, samples):
    [reply] = engine.generate([Question(samples)], SCHEDULE, max_tokens=40)
    return reply.tokens.tolist()


@pytest.mark.parametrize("seconds", [0.03, 4.0, 5.27])
def test_a_question_heard_in_pieces_is_answered_like_the_whole(engine, listener, seconds):
    samples = louder_and_louder(seconds, seed=int(seconds * 10))
    hear(listener, samples, seed=1)
    assert list(listener.answer())[-1].reply.tokens.tolist() == tokens_at_once(engine, samples)


def test_an_answer_given_up_does_not_touch_the_next_question(engine, listener):
    hear(listener, waveform(2.5, seed=5), seed=2)
    answer = listener.answer()
    next(answer)
    answer.close()
    samples = waveform(1.1, seed=6)
    hear(listener, samples, seed=3)
    assert list(listener.answer())[-1].reply.tokens.tolist() == tokens_at_once(engine, samples)


def test_a_long_question_makes_room_for_itself(engine, monkeypatch):
    monkeypatch.setattr(listen, "FIRST_CHUNKS", 0)
    listener = Listener(engine, STYLE, tolerance=0.0)
    samples = waveform(8.2, seed=7)
    capacity = listener._cache.capacity
    hear(listener, samples, seed=4)
    assert listener._cache.capacity > capacity
    reply = list(listener.answer())[-1].reply
    assert reply.tokens.tolist() == tokens_at_once(engine, samples)


def test_nothing_heard_cannot_be_answered(listener):
    listener.hear(np.zeros(16, np.float32))
    with pytest.raises(ValueError, match=r"has 1\.0 ms of audio"):
        next(listener.answer())


def test_a_question_longer_than_the_network_reads_is_refused(engine):
    listener = Listener(engine, STYLE)
    with pytest.raises(ValueError, match="200 s long"):
        listener.hear(np.zeros(200 * 16_000, np.float32))
