"""Magnitudes become a waveform frame by frame, phases found on the way; knows no codes.

Griffin-Lim with a look-ahead: a frame's phases start from what its predecessors left in its
window, are improved together with those of the next few frames, and are then fixed for good. A
frame thus depends on frames up to `look_ahead` later and on no others, so that a stream gives the
very samples that the whole gives, and there are no seams.

Source: Zhu, Beauregard, Wyse, "Real-time signal estimation from modified short-time Fourier
transform magnitude spectra", 2007 (RTISI-LA).
"""

import dataclasses

import numpy as np

from reasoner_jax.codecs.spectrum import Framing
from reasoner_jax.core.axes import Float

_LEAST_OVERLAP = np.float32(1e-2)
"""Summed squared windows are taken as this at least: where a lone window fades, so does sound."""

_TINY = np.float32(1e-8)


@dataclasses.dataclass(frozen=True, eq=False)
class InversionState:
    """Where a stream stands. The frames in waiting come behind the fixed ones.

    Attributes:
        past: windowed sound of the fixed frames, added up, from the first frame in waiting on.
        past_weight: squared windows of the fixed frames, likewise.
        waiting: windowed sound of the frames whose phases may still change.
        magnitudes: of those frames.
        to_skip: samples still to come from before the sound begins: half a window's reach.
    """

    past: Float[np.ndarray, " W"]
    past_weight: Float[np.ndarray, " W"]
    waiting: Float[np.ndarray, "A W"]
    magnitudes: Float[np.ndarray, "A Q"]
    to_skip: int


@dataclasses.dataclass(frozen=True)
class Inversion:
    """The way back from `Framing.magnitudes`.

    Attributes:
        framing: of the frames.
        look_ahead: frames waited for; each delays the sound by a hop.
        num_iterations: Griffin-Lim steps for each frame that comes.
    """

    framing: Framing
    look_ahead: int = 3
    num_iterations: int = 8

    def start(self) -> InversionState:
        """Before the first frame."""
        framing = self.framing
        silence = np.zeros(framing.window_samples, np.float32)
        return InversionState(
            past=silence,
            past_weight=silence,
            waiting=np.zeros((0, framing.window_samples), np.float32),
            magnitudes=np.zeros((0, framing.num_bins), np.float32),
            to_skip=framing.edge_samples,
        )

    def push(
        self, state: InversionState, magnitudes: Float[np.ndarray, "T Q"]
    ) -> tuple[InversionState, Float[np.ndarray, " S"]]:
        """Adds frames.

        Returns:
            The new state, and the samples that are final: a frame's own come `look_ahead` frames
            and half a window's reach later.
        """
        pieces = [np.zeros(0, np.float32)]
        for frame in magnitudes:
            state = self._improve(self._append(state, frame * self.framing.full_scale))
            if len(state.waiting) > self.look_ahead:
                state, piece = self._fix_first(state)
                pieces.append(piece)
        return self._skip(state, np.concatenate(pieces))

    def finish(self, state: InversionState) -> Float[np.ndarray, " S"]:
        """The samples of the frames in waiting, as if nothing came after them."""
        pieces = []
        while len(state.waiting):
            state, piece = self._fix_first(state)
            pieces.append(piece)
        framing = self.framing
        rest = (
            state.past[: framing.edge_samples]
            / _at_least(state.past_weight)[: framing.edge_samples]
        )
        return self._skip(state, np.concatenate([*pieces, rest]))[1]

    def _append(self, state: InversionState, target: Float[np.ndarray, " Q"]) -> InversionState:
        """One frame more, with the phases of what its neighbours already put into its window."""
        place = len(state.waiting) * self.framing.hop_samples
        sound = self._sound(state, state.waiting)[place:]
        heard = np.zeros(self.framing.window_samples, np.float32)
        heard[: sound.size] = sound
        spectrum = np.fft.rfft(heard * self.framing.window)
        spectrum += _TINY  # silence has no phase: take zero
        frame = self._frames(spectrum, target)
        return dataclasses.replace(
            state,
            waiting=np.concatenate([state.waiting, frame[None]]),
            magnitudes=np.concatenate([state.magnitudes, target[None]]),
        )

    def _improve(self, state: InversionState) -> InversionState:
        """Griffin-Lim on the frames in waiting, with the past as it is."""
        hop, window = self.framing.hop_samples, self.framing.window
        waiting = state.waiting
        for _ in range(self.num_iterations):
            sound = self._sound(state, waiting)
            views = np.lib.stride_tricks.sliding_window_view(sound, window.size)[::hop]
            waiting = self._frames(np.fft.rfft(views * window), state.magnitudes)
        return dataclasses.replace(state, waiting=waiting)

    def _frames(
        self, spectra: Float[np.ndarray, "... Q"], targets: Float[np.ndarray, "... Q"]
    ) -> Float[np.ndarray, "... W"]:
        """Windowed sound with the phases of the one and the magnitudes of the other."""
        spectra = spectra * (targets / np.maximum(np.abs(spectra), _TINY))
        sound = np.fft.irfft(spectra, self.framing.window_samples)
        return sound.astype(np.float32) * self.framing.window

    def _sound(
        self, state: InversionState, waiting: Float[np.ndarray, "A W"]
    ) -> Float[np.ndarray, " S"]:
        """Past and waiting frames overlapped: the least-squares estimate of the sound."""
        hop, window = self.framing.hop_samples, self.framing.window
        sound = np.zeros(window.size + hop * max(0, len(waiting) - 1), np.float32)
        weight = sound.copy()
        sound[: window.size] = state.past
        weight[: window.size] = state.past_weight
        for number, frame in enumerate(waiting):
            here = slice(number * hop, number * hop + window.size)
            sound[here] += frame
            weight[here] += window * window
        return sound / _at_least(weight)

    def _fix_first(self, state: InversionState) -> tuple[InversionState, Float[np.ndarray, " S"]]:
        """The first waiting frame joins the past, whose first hop is then complete."""
        hop, window = self.framing.hop_samples, self.framing.window
        past = state.past + state.waiting[0]
        weight = state.past_weight + window * window
        piece = past[:hop] / _at_least(weight[:hop])
        silence = np.zeros(hop, np.float32)
        state = dataclasses.replace(
            state,
            past=np.concatenate([past[hop:], silence]),
            past_weight=np.concatenate([weight[hop:], silence]),
            waiting=state.waiting[1:],
            magnitudes=state.magnitudes[1:],
        )
        return state, piece

    @staticmethod
    def _skip(
        state: InversionState, samples: Float[np.ndarray, " S"]
    ) -> tuple[InversionState, Float[np.ndarray, " S"]]:
        """Drops what lies before the first frame's own samples."""
        dropped = min(state.to_skip, samples.size)
        return dataclasses.replace(state, to_skip=state.to_skip - dropped), samples[dropped:]


def _at_least(weight: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    return np.maximum(weight, _LEAST_OVERLAP)
