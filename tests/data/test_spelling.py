"""Words as targets of a CTC head, and text disguised as its output."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.data.loader import Loader, LoaderConfig
from reasoner_jax.data.plan import Component, balanced_budget
from reasoner_jax.data.task import RowBudget, Task
from reasoner_jax.data.transforms import as_spelled
from reasoner_jax.text.special_tokens import SpecialToken
from tests.data.problems import FRONTEND, HEAR, TOKENIZER, spoken_problem, write_dataset

SPELL = dataclasses.replace(HEAR, spell=True)
HEARD = dataclasses.replace(HEAR, prompt="heard")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    problems = [spoken_problem(number, 4000 + 800 * number) for number in range(6)]
    return SpokenDataset(write_dataset(tmp_path_factory.mktemp("maths"), problems))


def batch(dataset, task, **budget):
    row = RowBudget(tokens=600, chunks=6, examples=8, **budget)
    config = LoaderConfig(row=row, batch_rows=2, num_epochs=1)
    return next(Loader([Component(dataset, task)], FRONTEND, config))


@given(st.lists(st.integers(1, 5), max_size=12), st.integers(0, 2**32 - 1))
def test_what_is_spelled_collapses_to_the_words(words, seed):
    frames = as_spelled(words, 0, np.random.default_rng(seed))
    assert [label for label, _ in itertools.groupby(frames) if label] == words


def test_a_heard_question_stands_where_audio_would(dataset):
    row = batch(dataset, HEARD)
    begin, end, blank = map(
        TOKENIZER.token_id,
        (SpecialToken.AUDIO_BOS, SpecialToken.AUDIO_EOS, SpecialToken.END_OF_TEXT),
    )
    tokens = row.tokens[0].tolist()
    inside = tokens[tokens.index(begin) + 1 : tokens.index(end)]
    words = [label for label, _ in itertools.groupby(inside) if label != blank]
    index = int(row.example_rows[0, 0])
    assert TOKENIZER.decode(words) == dataset.outline(index).spoken_question
    assert not row.frames.any()


def test_the_words_of_a_rows_examples_follow_each_other(dataset):
    got = batch(dataset, SPELL, words=200)
    for transcript, numbers in zip(got.transcripts, got.example_rows, strict=True):
        said = [dataset.outline(int(n)).spoken_question for n in numbers if n >= 0]
        assert TOKENIZER.decode(transcript[transcript >= 0]) == "".join(said)


def test_rows_have_room_for_the_words_they_hold(dataset):
    component = Component(dataset, SPELL)
    assert balanced_budget([component], FRONTEND, 600).words > 0
    with pytest.raises(ValueError, match="speech codes or words that"):
        batch(dataset, SPELL)


def test_only_sound_can_be_spelled():
    with pytest.raises(ValueError, match=r"task\.spell needs prompt 'audio', got 'text'"):
        Task(prompt="text", spell=True)
