"""Small spoken problems that the tests of this folder share."""

import dataclasses

import numpy as np

from reasoner_jax.core.records import Problem, SpokenProblem, Step, Voice
from reasoner_jax.data.task import Task
from reasoner_jax.data.transforms import Frontend
from reasoner_jax.data.writer import DatasetWriter
from reasoner_jax.models.presets import TINY
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS
from reasoner_jax.text.tokenizer import train_bpe


def waveform(num_samples, seed=0):
    """16-bit noise, the full range included."""
    pcm = np.random.default_rng(seed).integers(-32768, 32768, num_samples)
    return (pcm / 32768).astype(np.float32)


def spoken_problem(number=0, num_samples=3200, reasoning="two and two: 4.", **changes):
    problem = Problem(
        source="simple_op",
        problem_id=f"simple_op/train/{number:05d}",
        question=f"What is 2 + {number}?",
        solution="",
        answer=str(2 + number),
        steps=(Step("2+2", "4", "Two and two."),),
    )
    return SpokenProblem(
        **{
            "problem": problem,
            "spoken_question": f"What is two plus number {number}?",
            "reasoning": reasoning,
            "response": "Well, let me think about it for a moment, it makes four.",
            "voice": Voice("espeak", "en", noise_db=20.0),
            "waveform": waveform(num_samples, number) if num_samples else None,
            **changes,
        }
    )


def write_dataset(directory, problems, split="train", records_per_shard=3):
    with DatasetWriter(directory, split, records_per_shard=records_per_shard) as writer:
        for problem in problems:
            writer.add(problem)
        writer.finish("Made for a test.")
    return directory


TOKENIZER = train_bpe(["Well, let me think about it. two plus number"], 400, FROM_SCRATCH_TOKENS)
TALKER = dataclasses.replace(TINY.talker, reads_prompt=False)
FRONTEND = Frontend(TOKENIZER, num_mel_bins=8, talker=TALKER)
SHORT_SYSTEM = "Go."
HEAR = Task(prompt="audio", system=SHORT_SYSTEM)
READ = Task(prompt="text", system=SHORT_SYSTEM)
