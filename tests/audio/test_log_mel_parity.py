import numpy as np
import pytest

from reasoner_jax.audio import log_mel as lm

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

# The extractor works in float32: with one processor's kernels it is 1.7e-5 off the same sums in
# float64, where ours is 1.5e-6 off; the last test holds ours to that.
THEIR_ROUNDING = 5e-5


@pytest.fixture(scope="module", params=[80, 128])
def extractor(request):
    return transformers.WhisperFeatureExtractor(feature_size=request.param, sampling_rate=16_000)


def _speechlike(num_samples: int) -> np.ndarray:
    rng = np.random.default_rng(num_samples)
    loudness = np.abs(np.sin(np.arange(num_samples) / 2000)) ** 6
    return (0.3 * rng.standard_normal(num_samples) * loudness).astype(np.float32)


@pytest.mark.parametrize("num_samples", [1, 2, 160, 161, 200, 201, 360, 4801, 16_000, 48_161])
def test_default_is_what_the_processor_makes(extractor, num_samples):
    waveform = _speechlike(num_samples)
    features = extractor(
        waveform, sampling_rate=16_000, return_attention_mask=True, return_tensors="np"
    )
    valid = features["attention_mask"].sum()
    mel = lm.log_mel(waveform, extractor.feature_size)
    assert len(mel) == valid == lm.num_mel_frames(num_samples)
    np.testing.assert_allclose(
        mel, features["input_features"][0].T[:valid], rtol=0, atol=THEIR_ROUNDING
    )


@pytest.mark.parametrize("num_samples", [201, 319, 320, 4801, 16_000, 48_161])
def test_reflect_is_the_extractor_without_padding(extractor, num_samples):
    waveform = _speechlike(num_samples)
    features = extractor(waveform, sampling_rate=16_000, padding=False, return_tensors="np")
    mel = lm.log_mel(waveform, extractor.feature_size, "reflect")
    assert len(mel) == lm.num_mel_frames(num_samples, "reflect")
    np.testing.assert_allclose(mel, features["input_features"][0].T, rtol=0, atol=THEIR_ROUNDING)


def test_the_rest_of_a_batch_changes_nothing(extractor):
    waveforms = [_speechlike(3000), 3 * _speechlike(16_000)]
    features = extractor(waveforms, sampling_rate=16_000, return_tensors="np")["input_features"]
    mel = lm.log_mel(waveforms[0], extractor.feature_size)
    np.testing.assert_allclose(mel, features[0].T[: len(mel)], rtol=0, atol=THEIR_ROUNDING)


def test_reflect_refuses_what_the_extractor_cannot_mirror(extractor):
    with pytest.raises(RuntimeError, match="Padding size"):
        extractor(_speechlike(200), sampling_rate=16_000, padding=False)
    with pytest.raises(ValueError, match="expected over 200"):
        lm.log_mel(_speechlike(200), extractor.feature_size, "reflect")


def test_mel_filters_are_the_extractors(extractor):
    filters = lm.mel_filters(extractor.feature_size)
    np.testing.assert_allclose(filters, extractor.mel_filters, rtol=0, atol=1e-8)


def test_token_count_is_transformers():
    from transformers.models.qwen2_5_omni import processing_qwen2_5_omni as processing

    for num_frames in range(1, 1001):
        expected = processing._get_feat_extract_output_lengths(num_frames)
        assert lm.num_audio_tokens(num_frames) == expected


def test_ours_is_nearer_to_exact_arithmetic_than_the_extractor_need_be(extractor):
    waveform = _speechlike(48_161)
    padded = np.pad(waveform.astype(np.float64), 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    starts = np.arange((len(padded) - 400) // 160) * 160
    frames = padded[starts[:, None] + np.arange(400)] * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    exact = np.log10(np.maximum(power @ extractor.mel_filters.astype(np.float64), 1e-10))
    exact = (np.maximum(exact, exact.max() - 8) + 4) / 4
    mel = lm.log_mel(waveform, extractor.feature_size, "reflect")
    np.testing.assert_allclose(mel, exact, rtol=0, atol=5e-6)
