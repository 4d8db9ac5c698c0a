"""A talker that expects whole texts gets whole clauses, as soon as they are complete."""

import functools

import numpy as np
import pytest

from reasoner_jax.codecs import base
from reasoner_jax.codecs.mel_vq import MelVQ
from reasoner_jax.generation.sampling import Draw
from reasoner_jax.generation.talker_stream import TalkerStream, speak
from reasoner_jax.generation.voice import Voice
from tests.data.problems import TOKENIZER
from tests.generation.networks import waveform
from tests.generation.speakers import speaker

TEXT = "Let me think about it, it makes four. So that is all"
CLAUSES = ["Let me think about it,", " it makes four.", " So that is all"]
TOKENS = TOKENIZER.encode(TEXT)
LENGTHS = [len(TOKENIZER.encode(clause)) for clause in CLAUSES]


@functools.cache
def vectors():
    width = speaker().config.thinker.decoder.width
    return np.random.default_rng(2).normal(0, 1, (len(TOKENS), width)).astype(np.float32)


@functools.cache
def prompt():
    return np.random.default_rng(3).normal(0, 1, (5, vectors().shape[1])).astype(np.float32)


@functools.cache
def codec():
    return MelVQ.fit([waveform(4.0, seed=9)], codebook_size=40)


@functools.cache
def talker():
    return TalkerStream.of(speaker(), Draw(temperature=1.0))


@functools.cache
def clause_by_clause():
    """Codes of each clause as a text of its own."""
    ends = np.cumsum(LENGTHS)
    return [
        speak(talker(), [vectors()[end - size : end]], [[1.0] * size], [prompt()])[0]
        for end, size in zip(ends, LENGTHS, strict=True)
    ]


def said_after_each(counts):
    """Samples after each of so many tokens, the last time with the end of the text."""
    voice = Voice(talker(), codec(), TOKENIZER, prompt())
    found = []
    for count in counts:
        voice.read(vectors()[:count], TOKENS[:count], ended=count == len(TOKENS))
        found.append(np.concatenate([np.zeros(0, np.float32), *voice.speak()]))
    return found


def test_the_clauses_are_those_that_the_tests_are_about():
    assert sum(LENGTHS) == len(TOKENS)
    assert [TOKENIZER.decode(TOKENIZER.encode(clause)) for clause in CLAUSES] == CLAUSES
    assert all(len(codes) > 3 for codes in clause_by_clause())


@pytest.mark.parametrize("step", [1, 2, 5, len(TOKENS)])
def test_the_sound_is_that_of_clauses_spoken_one_by_one(step):
    counts = [*range(step, len(TOKENS), step), len(TOKENS)]
    sound = np.concatenate(said_after_each(counts))
    whole = base.decode(codec(), np.concatenate(clause_by_clause()))
    np.testing.assert_allclose(sound, whole, atol=1e-6)


def test_a_clause_is_heard_when_the_next_has_begun_and_not_before():
    complete = LENGTHS[0]
    before, after = said_after_each([complete, complete + 1])
    assert len(before) == 0
    assert len(after) > 0.5 * len(base.decode(codec(), clause_by_clause()[0]))


def test_a_text_of_one_word_is_spoken_when_it_has_ended():
    voice = Voice(talker(), codec(), TOKENIZER, prompt())
    voice.read(vectors()[:1], TOKENS[:1], ended=False)
    assert list(voice.speak()) == []
    voice.read(vectors()[:1], TOKENS[:1], ended=True)
    assert sum(map(len, voice.speak())) > 0


def test_a_talker_that_never_ends_is_ended():
    stream = TalkerStream.of(speaker(ends=0.0), Draw())
    [codes] = speak(stream, [vectors()[:2]], [[1.0, 1.0]], [prompt()])
    assert len(codes) == 100 + 50 * 2
