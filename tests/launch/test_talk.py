"""The command answers a question, spoken or written, and says how fast it was."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import reasoner_jax as rj
from reasoner_jax.audio import waveform as sounds
from reasoner_jax.models.omni import Omni
from tests.generation.networks import omni, waveform

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A network that writes and does not speak."""
    directory = tmp_path_factory.mktemp("talk") / "checkpoint"
    network: Omni = omni()
    rj.save(directory, dataclasses.replace(network))
    return directory


def talk(checkpoint, *arguments):
    return subprocess.run(
        [sys.executable, "launch/talk.py", f"--checkpoint={checkpoint}", "--cache=", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_recording_is_answered_with_thoughts_words_and_times(checkpoint, tmp_path):
    question = tmp_path / "question.wav"
    stereo = np.stack([waveform(0.6), waveform(0.6, seed=1)], axis=1)
    sounds.write(question, sounds.resample(stereo.mean(axis=1), 16_000, 8_000), 8_000)
    done = talk(checkpoint, str(question), "--max_tokens=40", "--ratio=2:5")
    assert done.returncode == 0, done.stderr
    assert "has no talker" in done.stdout
    assert "thoughts per spoken word" in done.stdout.splitlines()[-1]
    assert "first token" in done.stdout.splitlines()[-1]
    assert "cut off at 40 tokens" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give one question"),
        (("missing.wav",), "missing.wav: no such sound file"),
        (("--text=ten", "--ratio=many"), "expected two numbers as in 2:8"),
    ],
)
def test_a_wrong_call_ends_with_one_clear_line(checkpoint, arguments, message):
    done = talk(checkpoint, *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert message in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("out", ["no/such/answer.wav", "tests"])
def test_an_answer_that_cannot_be_written_is_refused_at_once(out):
    done = talk("checkpoints/tiny", "--text=ten", f"--out={out}")
    assert done.returncode == 1
    assert "expected a file in a folder that is there" in done.stderr.splitlines()[-1]
    assert "compiling" not in done.stdout


def test_the_question_is_never_written_over(tmp_path):
    question = tmp_path / "question.wav"
    sounds.write(question, waveform(0.6), 16_000)
    before = question.read_bytes()
    done = talk("checkpoints/tiny", str(question), f"--out={question}")
    assert done.returncode == 1
    assert "the question itself" in done.stderr
    assert question.read_bytes() == before
