"""The codec of our own: streams are whole, sound survives, bad input is named."""

import functools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoner_jax.codecs.base import decode
from reasoner_jax.codecs.mel_vq import FILE_NAME, MelVQ
from reasoner_jax.codecs.spectrum import Framing, log_bands
from tests.codecs.sounds import babble


@functools.cache
def fitted() -> MelVQ:
    return MelVQ.fit([babble(15, seed) for seed in range(4)], codebook_size=256)


@functools.cache
def spoken() -> np.ndarray:
    return fitted().encode(babble(2, seed=9))


def band_levels_db(waveform: np.ndarray) -> np.ndarray:
    return 10 * log_bands(Framing().magnitudes(waveform), 60, 1e-5)


def test_a_code_stands_for_forty_milliseconds_and_a_started_one_counts():
    codec = fitted()
    assert codec.codes_per_second == 25 and codec.sample_rate_hz == 16_000
    assert [codec.num_codes(samples) for samples in (0, 1, 640, 641)] == [0, 1, 1, 2]
    for samples in (1, 640, 641, 5000):
        codes = codec.encode(babble(1)[:samples])
        assert len(codes) == codec.num_codes(samples)
        assert len(decode(codec, codes)) == 640 * len(codes)


def test_the_decoded_sound_has_the_levels_of_the_original():
    codec, waveform = fitted(), babble(2, seed=9)
    original = band_levels_db(waveform)
    error = band_levels_db(decode(codec, codec.encode(waveform))) - original
    shuffled = np.random.default_rng(0).permutation(original) - original
    assert np.abs(error).mean() < 0.35 * np.abs(shuffled).mean()


def test_encoding_what_was_decoded_gives_nearly_the_same_sounds():
    codec = fitted()
    again = codec.encode(decode(codec, spoken()))
    distance_db = 10 * np.abs(codec.centres[again] - codec.centres[spoken()]).mean()
    anything_db = 10 * np.abs(codec.centres[np.roll(spoken(), 17)] - codec.centres[spoken()]).mean()
    assert distance_db < 0.3 * anything_db


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=12))
def test_a_stream_cut_anywhere_is_the_whole_bit_for_bit(sizes: list[int]):
    codec, codes = fitted(), spoken()
    state, pieces, place = codec.init_state(), [], 0
    for size in [*sizes, len(codes)]:
        state, piece = codec.decode_step(state, codes[place : place + size])
        pieces.append(piece)
        place += size
    pieces.append(codec.finish(state))
    np.testing.assert_array_equal(np.concatenate(pieces), decode(codec, codes))


def test_later_codes_never_change_samples_already_given():
    codec, codes = fitted(), spoken()
    _, head = codec.decode_step(codec.init_state(), codes[:20])
    other = decode(codec, np.concatenate([codes[:20], codes[::-1]]))
    np.testing.assert_array_equal(head, other[: head.size])
    waited_for = 5 * 160 + 160 + 240  # look-ahead, passing on, half a window's reach
    assert 20 * 640 - head.size == waited_for


def test_an_old_state_can_be_gone_back_to():
    codec, codes = fitted(), spoken()
    state, _ = codec.decode_step(codec.init_state(), codes[:20])
    _, first = codec.decode_step(state, codes[20:30])
    codec.decode_step(state, codes[30:40])
    codec.finish(state)
    np.testing.assert_array_equal(codec.decode_step(state, codes[20:30])[1], first)


def test_a_held_code_has_no_clicks():
    codec = fitted()
    loud = int(np.argmax(codec.spectra.sum(axis=(1, 2))))
    waveform = decode(codec, np.full(50, loud))[3200:-3200]
    frames = waveform[: waveform.size // 320 * 320].reshape(-1, 320)
    jumps = np.abs(np.diff(waveform))
    assert jumps.max() < 12 * np.sqrt((jumps**2).mean())
    assert frames.std(axis=1).max() < 3 * frames.std(axis=1).mean()


def test_silence_stays_silent():
    codec = fitted()
    codes = codec.encode(np.zeros(8000, np.float32))
    assert len(set(codes.tolist())) == 1
    assert np.abs(decode(codec, codes)).max() < 1e-2


def test_no_codes_make_no_sound():
    assert decode(fitted(), np.zeros(0, np.int32)).shape == (0,)


def test_fitting_twice_gives_the_same_codec():
    waveforms = [babble(4, seed) for seed in range(2)]
    first, second = (MelVQ.fit(waveforms, codebook_size=64) for _ in range(2))
    np.testing.assert_array_equal(first.centres, second.centres)
    np.testing.assert_array_equal(first.spectra, second.spectra)


def test_saved_loaded_and_pickled_it_is_the_same(tmp_path):
    codec = fitted()
    assert codec.save(tmp_path / "codec").name == FILE_NAME
    for again in (MelVQ.load(tmp_path / "codec"), pickle.loads(pickle.dumps(codec))):
        assert (again.look_ahead, again.framing) == (codec.look_ahead, codec.framing)
        np.testing.assert_array_equal(decode(again, spoken()), decode(codec, spoken()))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([3, 256], "codes hold 256 at index 1, expected 0 to 255"),
        ([-1], "codes hold -1 at index 0"),
        ([[1, 2]], r"shape \(1, 2\)"),
        ([0.5], "float64, expected one axis of integers"),
    ],
)
def test_codes_that_are_none_are_refused(codes, message):
    with pytest.raises(ValueError, match=message):
        fitted().decode_step(fitted().init_state(), np.array(codes))


def test_speech_that_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="waveforms is empty"):
        MelVQ.fit([])
    with pytest.raises(ValueError, match="25 vectors hold 1 different ones, expected at least"):
        MelVQ.fit([np.zeros(16_000, np.float32)])
    with pytest.raises(ValueError, match="different ones, expected at least num_centres 2048"):
        MelVQ.fit([babble(1)])
    with pytest.raises(ValueError, match=r"waveforms\[0\] has 1 NaN"):
        MelVQ.fit([np.array([0.1, np.nan])])


def test_sound_that_is_none_is_refused():
    with pytest.raises(ValueError, match="waveform is empty"):
        fitted().encode(np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        fitted().encode(np.array([np.inf, 0.0]))
    with pytest.raises(ValueError, match="num_samples is -1"):
        fitted().num_codes(-1)


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mel_vq\.safetensors: no such codec"):
        MelVQ.load(tmp_path)
    path = fitted().save(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"mel_vq\.safetensors is damaged"):
        MelVQ.load(tmp_path)
