"""Waveform to magnitudes at a codec's frame rate, and magnitudes to log-mel; knows no codebook.

Unlike `audio.log_mel`, which listens for a model, these frames are made to be heard again: absolute
levels, and a frame centred on the very samples that its code stands for.
"""

import dataclasses
import functools

import numpy as np

from reasoner_jax.audio.waveform import SAMPLE_RATE_HZ
from reasoner_jax.core.axes import Float


@dataclasses.dataclass(frozen=True)
class Framing:
    """How a waveform is cut.

    Attributes:
        hop_samples: a frame stands for this many samples; 320 are 50 frames a second.
        window_samples: of the Hann window around them; 640 are 40 ms.
    """

    hop_samples: int = 320
    window_samples: int = 640

    def __post_init__(self) -> None:
        hop, window = self.hop_samples, self.window_samples
        if hop <= 0 or window < 2 * hop or (window - hop) % 2:
            raise ValueError(
                f"window_samples is {window}, hop_samples {hop}; expected a window of two hops or "
                "more, longer than the hop by an even number"
            )

    @property
    def edge_samples(self) -> int:
        """How far a frame's window reaches beyond its own samples, at either end."""
        return (self.window_samples - self.hop_samples) // 2

    @property
    def num_bins(self) -> int:
        """Bins of a spectrum, 0 to 8 kHz."""
        return self.window_samples // 2 + 1

    def num_frames(self, num_samples: int) -> int:
        """Frames of so many samples, a started one counted."""
        return -(-num_samples // self.hop_samples)

    def magnitudes(self, waveform: Float[np.ndarray, " S"]) -> Float[np.ndarray, "T Q"]:
        """Amplitude spectra, Q bins; a full-scale sine has amplitude 1. Zeros surround the sound.

        Frame t is centred on the samples hop * t up to hop * (t + 1).
        """
        count = self.num_frames(waveform.size)
        end = count * self.hop_samples + self.edge_samples
        padded = np.pad(waveform, (self.edge_samples, end - waveform.size))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window_samples)
        spectra = np.fft.rfft(frames[:: self.hop_samples] * self.window)
        return np.abs(spectra).astype(np.float32) / self.full_scale

    @functools.cached_property
    def window(self) -> Float[np.ndarray, " W"]:
        """Hann, symmetric about the frame's centre, which lies between two samples."""
        phase = 2 * np.pi * (np.arange(self.window_samples) + 0.5) / self.window_samples
        return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)

    @functools.cached_property
    def full_scale(self) -> np.float32:
        """Spectral magnitude of a sine of amplitude 1."""
        return self.window.sum() / np.float32(2)


@functools.cache
def mel_bands(num_bands: int, num_bins: int) -> Float[np.ndarray, "Q M"]:
    """Weights of the bins of a spectrum to 8 kHz in each mel band, 1 in all.

    The scale is Slaney's, see `audio.log_mel.mel_filters`, whose triangles have equal areas; here
    a band is an average, so that its level is that of the bins in it.

    Raises:
        ValueError: so many bands that one of them holds no bin.
    """
    nyquist_hz = SAMPLE_RATE_HZ / 2
    log_step = np.log(6.4) / 27
    mel = np.linspace(0, 15 + np.log(nyquist_hz / 1000) / log_step, num_bands + 2)
    edges_hz = np.where(mel < 15, mel * 1000 / 15, 1000 * np.exp(log_step * (mel - 15)))
    bins_hz = np.linspace(0, nyquist_hz, num_bins)[:, None]
    left, centre, right = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising, falling = (bins_hz - left) / (centre - left), (right - bins_hz) / (right - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    totals = triangles.sum(axis=0)
    if not totals.all():
        raise ValueError(
            f"num_bands is {num_bands}, of which band {int(np.argmin(totals))} lies between two of "
            f"{num_bins} bins; take fewer bands or a longer window"
        )
    bands = (triangles / totals).astype(np.float32)
    bands.flags.writeable = False
    return bands


def log_bands(
    magnitudes: Float[np.ndarray, "T Q"], num_bands: int, floor: float
) -> Float[np.ndarray, "T M"]:
    """log10 of the power in each mel band, at least log10(floor)."""
    power = magnitudes**2 @ mel_bands(num_bands, magnitudes.shape[1])
    return np.log10(np.maximum(power, np.float32(floor)))
