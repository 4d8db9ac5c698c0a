"""Thinking fills the time that the listener leaves, and never more than that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoner_jax.generation.pacing import TRACES, Pacing, Playback, simulate, trace

TOKEN_AUDIO_S = 0.25
SPEECH = Pacing(fewest=2, most=32)
SLOWEST_S = 2 * TOKEN_AUDIO_S / 4
"""Of a token, on a machine that just keeps up: two words and two thoughts as long as two words."""


@pytest.mark.parametrize("name", TRACES)
def test_adaptive_pacing_never_underruns_on_a_recorded_machine(name):
    speed = trace(TRACES[name])
    adaptive = simulate(speed, pacing=SPEECH, num_blocks=120)
    assert adaptive.num_underruns == 0


@given(st.lists(st.floats(1e-4, SLOWEST_S), min_size=1, max_size=40), st.integers(5, 60))
def test_no_machine_that_keeps_up_with_speech_underruns_however_its_speed_jumps(speeds, blocks):
    calls = iter(range(10**6))
    outcome = simulate(
        lambda _: speeds[next(calls) % len(speeds)], pacing=SPEECH, num_blocks=blocks
    )
    assert outcome.num_underruns == 0
    assert min(outcome.thoughts) >= SPEECH.fewest


def test_the_fixed_ratio_underruns_where_the_machine_is_slower_than_its_blocks():
    assert simulate(trace(TRACES["phone"]), pacing=None, num_blocks=50).num_underruns == 49
    assert simulate(trace(TRACES["free GPU"]), pacing=None, num_blocks=50).num_underruns == 0


def test_a_fast_machine_soon_thinks_as_long_as_it_may():
    thoughts = simulate(trace(TRACES["free GPU"]), pacing=SPEECH, num_blocks=60).thoughts
    assert thoughts[0] < 8 < thoughts[20]
    assert max(thoughts) == SPEECH.most


def test_a_machine_slower_than_speech_thinks_as_little_as_it_may():
    outcome = simulate(lambda _: 3 * SLOWEST_S, pacing=SPEECH, num_blocks=10)
    assert set(outcome.thoughts) == {SPEECH.fewest}
    assert outcome.num_underruns == 9


def test_playback_counts_the_times_that_it_ran_dry():
    playback = Playback().push(1.0, 0.5).push(1.4, 0.5)
    assert playback.num_underruns == 0
    assert playback.unplayed_s(1.5) == pytest.approx(0.5)
    playback = playback.push(2.3, 1.0)
    assert playback.num_underruns == 1
    assert playback.stalled_s == pytest.approx(0.3)
    assert playback.dry_s == pytest.approx(3.3)


@pytest.mark.parametrize("wrong", [dict(fewest=0), dict(fewest=5, most=4), dict(token_audio_s=0)])
def test_impossible_bounds_are_refused(wrong):
    with pytest.raises(ValueError, match="pacing"):
        Pacing(**wrong)
