"""Made-up speech: a buzzing voice whose vowels and loudness wander, with pauses."""

import numpy as np


def babble(seconds: float, seed: int = 0) -> np.ndarray:
    """A waveform at 16 kHz with as many different frames as speech has."""
    rng = np.random.default_rng(seed)
    num_samples = int(seconds * 16_000)
    time_s = np.arange(num_samples) / 16_000
    knots = np.arange(0, seconds + 0.2, 0.1)

    def wander(low: float, high: float) -> np.ndarray:
        return np.interp(time_s, knots, rng.uniform(low, high, len(knots)))

    phase = 2 * np.pi * np.cumsum(wander(90, 160)) / 16_000
    first, second = wander(300, 800), wander(900, 2400)
    pitch_hz = np.gradient(phase) * 16_000 / (2 * np.pi)
    voice = np.zeros(num_samples)
    for harmonic in range(1, 30):
        frequency_hz = harmonic * pitch_hz
        level = np.exp(-(((frequency_hz - first) / 150) ** 2))
        level += 0.5 * np.exp(-(((frequency_hz - second) / 200) ** 2))
        voice += level * np.sin(harmonic * phase)
    loudness = np.clip(wander(-0.3, 1.0), 0, None)
    noise = rng.standard_normal(num_samples) * 0.01
    waveform = loudness * (voice + noise)
    return (0.7 * waveform / np.abs(waveform).max()).astype(np.float32)
