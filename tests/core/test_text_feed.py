"""When words enter the talker: drawn by hand, and what must hold for any words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoner_jax.core.text_feed import ONE_A_STEP, TEXT_END, TEXT_PAD, TextFeed

FEEDS = st.builds(TextFeed, st.floats(0, 5), st.floats(0, 5), st.floats(0, 40))
WORDS = st.lists(st.integers(1, 12), max_size=20)


def test_words_enter_by_their_length_ahead_of_their_time():
    assert TextFeed(1, 2, 3).steps([2, 4, 1, 3]).tolist() == [0, 2, 11, 14, 21]


def test_words_due_at_once_enter_one_after_the_other():
    assert TextFeed(1, 1, 100).steps([3, 3, 3]).tolist() == [0, 1, 2, 3]


def test_a_word_is_held_until_the_next_and_pads_follow_the_end():
    held = TextFeed(1, 2, 3).sources([2, 4], 14).tolist()
    assert held == [0, 0] + [1] * 9 + [TEXT_END, TEXT_PAD, TEXT_PAD]


def test_without_a_pace_one_word_is_read_a_step():
    assert ONE_A_STEP.sources([9, 1, 4], 6).tolist() == [0, 1, 2, TEXT_END, TEXT_PAD, TEXT_PAD]


def test_without_words_the_text_has_ended():
    assert TextFeed(2, 2, 9).sources([], 3).tolist() == [TEXT_END, TEXT_PAD, TEXT_PAD]


@given(FEEDS, WORDS, st.integers(0, 8))
def test_later_words_never_move_earlier_ones(feed: TextFeed, words: list[int], more: int):
    longer = feed.steps([*words, *[5] * more])
    np.testing.assert_array_equal(feed.steps(words), longer[: len(words) + 1])


@given(FEEDS, WORDS)
def test_every_word_is_read(feed: TextFeed, words: list[int]):
    steps = feed.steps(words)
    assert steps[0] == 0 and (np.diff(steps) > 0).all()
    held = feed.sources(words, int(steps[-1]) + 1)
    assert held.tolist() == [*sorted(held[:-1].tolist()), TEXT_END]
    assert set(held[:-1].tolist()) == set(range(len(words)))


@pytest.mark.parametrize("field", ["codes_per_token", "codes_per_byte", "lead_codes"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_pace_that_makes_no_sense_is_refused(field, value):
    with pytest.raises(ValueError, match=f"text_feed.{field} is {value}, expected 0 or more"):
        TextFeed(**{"codes_per_token": 1, "codes_per_byte": 1, "lead_codes": 1, field: value})
