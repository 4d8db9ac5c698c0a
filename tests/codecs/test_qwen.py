"""Qwen's codec as a stream: the same samples however codes arrive, and close to the whole."""

import functools
import os

import jax
import numpy as np
import pytest

from reasoner_jax.codecs import centres_of, codec_of
from reasoner_jax.codecs.base import decode
from reasoner_jax.codecs.mel_vq import MelVQ
from reasoner_jax.codecs.qwen import QwenCodec, Windows
from reasoner_jax.models.config import OmniConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.token2wav import Token2Wav
from reasoner_jax.weights.manifest import Manifest
from reasoner_jax.weights.voices import Voice
from tests.codecs.sounds import babble
from tests.models.networks import omni_config
from tests.models.token2wav_networks import CONFIG, inputs, lively_params

PARAMS = lively_params()
FRAME_SAMPLES = CONFIG.bigvgan.samples_per_frame


def voice() -> Voice:
    x = inputs(codes=1, rows=1)
    return Voice(bos_token_id=5, speaker=x["speaker"][0], reference_mel=x["reference_mel"][0])


@functools.cache
def codec(**windows) -> QwenCodec:
    return QwenCodec.of(Token2Wav(CONFIG), PARAMS, voice(), windows=Windows(**windows), num_steps=4)


@functools.cache
def codes(count: int) -> np.ndarray:
    return inputs(codes=count, rows=1)["codes"][0]


@functools.cache
def at_once(count: int) -> np.ndarray:
    """The utterance solved and vocoded as a whole, from the stream's noise."""
    own, model = codec(), Token2Wav(CONFIG)
    speak = jax.jit(functools.partial(model, num_steps=4))
    noise = own.noise(0, 2 * count)[None]
    return np.asarray(speak(PARAMS, codes(count)[None], own.voice, noise))[0]


def error(first: np.ndarray, second: np.ndarray) -> float:
    """Of the one relative to the other, in root mean squares."""
    return float(np.sqrt(((first - second) ** 2).mean() / (second**2).mean()))


@pytest.mark.parametrize("count", [1, 11, 12, 13, 24, 36, 90])
def test_a_code_stands_for_two_frames_however_many_there_are(count):
    assert len(decode(codec(), codes(count))) == 2 * count * FRAME_SAMPLES


@pytest.mark.parametrize("size", [1, 7, 36, 50])
def test_a_stream_cut_anywhere_is_the_same_bit_for_bit(size):
    own, state, pieces = codec(), codec().init_state(), []
    for start in range(0, 90, size):
        state, piece = own.decode_step(state, codes(90)[start : start + size])
        pieces.append(piece)
    pieces.append(own.finish(state))
    assert sum(len(piece) > 0 for piece in pieces) > 1
    np.testing.assert_array_equal(np.concatenate(pieces), decode(own, codes(90)))


def test_the_stream_is_close_to_the_utterance_solved_at_once():
    assert error(decode(codec(), codes(90)), at_once(90)) < 0.05


def test_wider_windows_come_closer_and_one_window_is_exact():
    narrow = error(decode(codec(past=24, future=0, overlap=2), codes(90)), at_once(90))
    usual = error(decode(codec(), codes(90)), at_once(90))
    wide = error(decode(codec(past=96, future=72, overlap=40), codes(90)), at_once(90))
    assert wide < usual < narrow
    np.testing.assert_allclose(
        decode(codec(first=192), codes(90)), at_once(90), atol=1e-4 * np.abs(at_once(90)).max()
    )


def test_the_seams_are_no_louder_than_the_rest():
    missed = np.abs(decode(codec(), codes(90)) - at_once(90))
    seams = np.array([24, 96, 168]) * FRAME_SAMPLES - 20 * FRAME_SAMPLES
    jumps = np.abs(np.diff(decode(codec(), codes(90))))
    assert jumps[seams - 1].max() < np.quantile(jumps, 0.999)
    assert missed.max() < 0.2 * np.abs(at_once(90)).max()


def test_the_first_sound_comes_after_half_a_second_of_codes():
    state, piece = codec().decode_step(codec().init_state(), codes(90)[:24])
    assert len(piece) == 4 * FRAME_SAMPLES
    assert state.num_solved == 24


def test_an_old_state_can_be_gone_back_to():
    own = codec()
    state, _ = own.decode_step(own.init_state(), codes(90)[:40])
    _, first = own.decode_step(state, codes(90)[40:])
    own.decode_step(state, codes(90)[:50])
    np.testing.assert_array_equal(own.decode_step(state, codes(90)[40:])[1], first)


def test_no_codes_make_no_sound():
    assert decode(codec(), np.zeros(0, np.int32)).shape == (0,)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"chunk": 70}, "windows.chunk is 70, expected a multiple of block_frames 24, 24 or more"),
        ({"first": 0}, "windows.first is 0"),
        ({"past": 12}, "windows.past is 12"),
        ({"overlap": -1}, "windows.overlap is -1"),
    ],
)
def test_windows_that_cut_a_block_are_refused(windows, message):
    with pytest.raises(ValueError, match=message):
        codec(**windows)


def test_codes_outside_the_book_are_refused():
    with pytest.raises(ValueError, match="codes hold 96 at index 1, expected 0 to 95"):
        codec().decode_step(codec().init_state(), np.array([5, 96]))


class TestCodecOf:
    def omni(self, **rest) -> Omni:
        sizes = omni_config()
        config = OmniConfig(sizes.thinker, sizes.talker, rest.pop("token2wav", None))
        return Omni.create(config, **rest)

    def test_a_codec_beside_the_parameters_is_loaded(self, tmp_path):
        MelVQ.fit([babble(4)], codebook_size=16).save(tmp_path)
        omni = self.omni(origin=Manifest(omni_config(), codec_files=tmp_path))
        assert isinstance(codec_of(omni), MelVQ)

    def test_a_codec_is_read_once_and_again_when_its_file_is_another(self, tmp_path):
        omni = self.omni(origin=Manifest(omni_config(), codec_files=tmp_path))
        first = MelVQ.fit([babble(4)], codebook_size=16)
        path = first.save(tmp_path)
        assert codec_of(omni) is codec_of(omni)
        np.testing.assert_array_equal(centres_of(omni), first.centres)
        MelVQ.fit([babble(4)], codebook_size=12).save(tmp_path)
        os.utime(path, ns=(0, 1))  # a clock may be coarse
        assert codec_of(omni).codebook_size == len(centres_of(omni)) == 12

    def test_token2wav_speaks_in_the_voice_asked_for(self):
        omni = self.omni(token2wav=CONFIG, voices={"Ann": voice(), "Bob": voice()})
        found = codec_of(omni, "Bob")
        assert isinstance(found, QwenCodec) and found.codebook_size == 96
        with pytest.raises(ValueError, match=r"no voice 'Eve', expected one of \['Ann', 'Bob'\]"):
            codec_of(omni, "Eve")

    @pytest.mark.slow
    def test_a_voice_is_compiled_once_for_all_questions(self, caplog):
        omni = self.omni(token2wav=CONFIG, voices={"Ann": voice()})
        jax.clear_caches()
        logs = []
        for _ in range(2):
            caplog.clear()
            with jax.log_compiles():
                codec_of(omni)
            logs.append(caplog.text)
        assert ["Compiling jit(_embed_voice)" in log for log in logs] == [True, False]

    def test_a_network_without_a_codec_is_told_so(self):
        with pytest.raises(ValueError, match="the checkpoint has no codec"):
            codec_of(self.omni())
