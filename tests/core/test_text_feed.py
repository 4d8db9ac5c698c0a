"""When words enter the talker: drawn by hand, and what must hold for any words."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoner_jax.core.text_feed import ONE_A_STEP, TEXT_END, TEXT_PAD, TextFeed
from reasoner_jax.models.config import OmniConfig
from reasoner_jax.models.presets import TINY

LEAD = st.builds(TextFeed, st.just(1), st.just(1), st.floats(0, 40))
PACES = st.lists(st.floats(0.25, 15), max_size=20)
FEED = TextFeed(codes_per_token=1, codes_per_byte=2, lead_codes=3)


def test_words_take_their_length_and_what_is_known_of_them():
    feed = dataclasses.replace(FEED, corrections=((7, 1.5), (8, -100.0)))
    assert feed.codes_of([5, 7, 8], [2, 2, 2]).tolist() == [5, 6.5, 0.25]


def test_words_enter_ahead_of_their_time():
    assert FEED.steps(FEED.codes_of([0] * 4, [2, 4, 1, 3])).tolist() == [0, 2, 11, 14, 21]


def test_words_due_at_once_enter_one_after_the_other():
    assert TextFeed(1, 1, 100).steps([3, 3, 3]).tolist() == [0, 1, 2, 3]


def test_a_word_is_held_until_the_next_and_pads_follow_the_end():
    held = FEED.sources([5, 9], 14).tolist()
    assert held == [0, 0] + [1] * 9 + [TEXT_END, TEXT_PAD, TEXT_PAD]


def test_without_a_pace_one_word_is_read_a_step():
    paces = ONE_A_STEP.codes_of([3, 4, 5], [9, 1, 4])
    assert ONE_A_STEP.sources(paces, 6).tolist() == [0, 1, 2, TEXT_END, TEXT_PAD, TEXT_PAD]


def test_without_words_the_text_has_ended():
    assert FEED.sources([], 3).tolist() == [TEXT_END, TEXT_PAD, TEXT_PAD]


@given(LEAD, PACES, st.integers(0, 8))
def test_later_words_never_move_earlier_ones(feed: TextFeed, paces: list[float], more: int):
    longer = feed.steps([*paces, *[5.0] * more])
    np.testing.assert_array_equal(feed.steps(paces), longer[: len(paces) + 1])


@given(LEAD, PACES)
def test_every_word_is_read(feed: TextFeed, paces: list[float]):
    steps = feed.steps(paces)
    assert steps[0] == 0 and (np.diff(steps) > 0).all()
    held = feed.sources(paces, int(steps[-1]) + 1)
    assert held.tolist() == [*sorted(held[:-1].tolist()), TEXT_END]
    assert set(held[:-1].tolist()) == set(range(len(paces)))


def voice(seed: int, count: int):
    """Responses of a voice that takes its own time for each of 30 words."""
    rng = np.random.default_rng(seed)
    lengths, times = np.arange(30) % 7 + 1, np.random.default_rng(0).uniform(2, 12, 30)
    responses = [rng.integers(0, 30, rng.integers(3, 12)) for _ in range(count)]
    codes = [round(times[own].sum()) for own in responses]
    return responses, [lengths[own].tolist() for own in responses], codes


def test_a_fitted_pace_foretells_how_long_new_responses_take():
    feed = TextFeed.fit(*voice(1, 200), lead_codes=4)
    assert feed.lead_codes == 4 and len(feed.corrections) == 30
    pairs = zip(*voice(2, 50), strict=True)
    missed = [feed.codes_of(own, lengths).sum() - codes for own, lengths, codes in pairs]
    assert np.std(missed) < 1


def test_a_word_never_met_is_paced_by_its_length():
    feed = TextFeed.fit(*voice(1, 200), lead_codes=4)
    plain = feed.codes_per_token + 5 * feed.codes_per_byte
    np.testing.assert_allclose(feed.codes_of([999], [5]), [plain])


def test_a_pace_needs_responses_and_as_many_lengths():
    with pytest.raises(ValueError, match="got 0 responses"):
        TextFeed.fit([], [], [], lead_codes=4)
    with pytest.raises(ValueError, match="num_bytes of 1 and num_codes of 2"):
        TextFeed.fit([np.array([1])], [[1]], [3, 4], lead_codes=4)


@pytest.mark.parametrize("field", ["codes_per_token", "codes_per_byte", "lead_codes"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_pace_that_makes_no_sense_is_refused(field, value):
    with pytest.raises(ValueError, match=f"text_feed.{field} is {value}, expected 0 or more"):
        TextFeed(**{"codes_per_token": 1, "codes_per_byte": 1, "lead_codes": 1, field: value})
    with pytest.raises(ValueError, match=r"text_feed\.corrections has nan for token 3"):
        TextFeed(1, 1, 1, ((3, float("nan")),))


def test_a_pace_survives_a_checkpoints_json():
    feed = TextFeed.fit(*voice(1, 20), lead_codes=4)
    talker = dataclasses.replace(TINY.talker, text_feed=feed, reads_prompt=False)
    config = dataclasses.replace(TINY, talker=talker)
    assert OmniConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
