"""The checkpoint that comes with the project answers out of the box."""

from pathlib import Path

import pytest

import reasoner_jax as rj
from reasoner_jax.audio.waveform import read

CHECKPOINT = Path(__file__).parent.parent.parent / "checkpoints" / "tiny"


@pytest.fixture(scope="module")
def omni():
    return rj.load(CHECKPOINT)


def test_the_committed_checkpoint_thinks_and_answers_aloud(omni):
    waveform, rate_hz = read(CHECKPOINT / "questions" / "0.wav")
    reply = rj.answer(omni, waveform, rate_hz)
    assert reply.reasoning.endswith("answer 152") and "one hundred fifty-two" in reply.response
    assert reply.waveform is not None
    assert 2 < reply.waveform.size / reply.sample_rate_hz < 10


def test_it_is_small_enough_to_be_cloned():
    size = sum(file.stat().st_size for file in CHECKPOINT.rglob("*") if file.is_file())
    assert size < 30e6
