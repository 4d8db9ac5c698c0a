"""Qwen2.5-Omni's codec as a stream: windows of codes through the DiT, windows of mel through the
vocoder; knows no talker. There is no public encoder for it.

Sound comes in chunks. The DiT solves each chunk anew together with some frames before and after it,
whose result it throws away; the vocoder runs over a few frames more than it is to voice. Frames
start from the same noise in every window. Windows lie at fixed places of the utterance, so that
however codes arrive, the same codes give the same samples.

The result is not the whole utterance's to the last bit: the solver carries a trace of each frame
beyond any window. Wider windows bring it closer.

Source: the constants are those that public streaming servers of this model use.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.codecs.base import check_codes
from reasoner_jax.core.axes import Array, Float, Int
from reasoner_jax.core.params import Params
from reasoner_jax.models.omni import Voice
from reasoner_jax.models.token2wav import Token2Wav

SAMPLE_RATE_HZ = 24_000


@dataclasses.dataclass(frozen=True)
class Windows:
    """What is solved together, in mel frames (10 ms); the first four are multiples of a block.

    Attributes:
        first: of the first chunk, so that sound starts early.
        chunk: of every other.
        past: solved again before a chunk.
        future: solved already after it.
        overlap: vocoded at either side of what is voiced.
    """

    first: int = 24
    chunk: int = 72
    past: int = 48
    future: int = 24
    overlap: int = 20

    @property
    def solved(self) -> int:
        """Frames of the longest window of the DiT."""
        return self.past + max(self.first, self.chunk) + self.future

    @property
    def voiced(self) -> int:
        """Frames of the longest window of the vocoder: the last, which waits for nothing."""
        return 2 * self.overlap + max(self.first, self.chunk) + self.future

    def check(self, block_frames: int) -> None:
        """Refuses windows that would cut a block of the DiT's attention.

        Raises:
            ValueError: names the window.
        """
        for name in ("first", "chunk", "past", "future"):
            value, least = getattr(self, name), block_frames if name in ("first", "chunk") else 0
            if value % block_frames or value < least:
                raise ValueError(
                    f"windows.{name} is {value}, expected a multiple of block_frames {block_frames}"
                    f", {least} or more"
                )
        if self.overlap < 0:
            raise ValueError(f"windows.overlap is {self.overlap}, expected 0 or more")


@dataclasses.dataclass(frozen=True, eq=False)
class QwenState:
    """Where a stream stands. Frames are counted from the utterance's first.

    Attributes:
        codes: all codes so far.
        mel: frames that have been solved, from frame `mel_start` on.
        mel_start: the first frame that the vocoder may still want.
        num_solved: frames solved.
        num_voiced: frames whose samples have been given.
    """

    codes: Int[np.ndarray, " K"]
    mel: Float[np.ndarray, "T M"]
    mel_start: int = 0
    num_solved: int = 0
    num_voiced: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class QwenCodec:
    """The decoder, see `codecs.base`; one voice.

    Attributes:
        token2wav: the networks.
        params: their parameters.
        voice: from `Token2Wav.embed_voice`.
        windows: how the stream is cut.
        num_steps, guidance_scale: of the solver, see `models.token2wav.sample_mel`.
        seed: of the noise.
    """

    token2wav: Token2Wav
    params: Params = dataclasses.field(repr=False)
    voice: Float[Array, "1 V"] = dataclasses.field(repr=False)
    windows: Windows = dataclasses.field(default_factory=Windows)
    num_steps: int = 10
    guidance_scale: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        self.windows.check(self.token2wav.config.dit.block_frames)

    @classmethod
    def of(cls, token2wav: Token2Wav, params: Params, voice: Voice, **options) -> "QwenCodec":
        """The codec of a checkpoint, with one of its voices; `options` as the attributes."""
        speaker, mel = jnp.asarray(voice.speaker)[None], jnp.asarray(voice.reference_mel)[None]
        return cls(token2wav, params, _embed_voice(token2wav, params, speaker, mel), **options)

    @property
    def sample_rate_hz(self) -> int:
        return SAMPLE_RATE_HZ

    @property
    def codes_per_second(self) -> float:
        config = self.token2wav.config
        return SAMPLE_RATE_HZ / (config.bigvgan.samples_per_frame * config.dit.frames_per_code)

    @property
    def codebook_size(self) -> int:
        return self.token2wav.config.dit.num_codes

    def init_state(self) -> QwenState:
        """See `CodecDecoder`."""
        bins = self.token2wav.config.dit.num_mel_bins
        return QwenState(np.zeros(0, np.int32), np.zeros((0, bins), np.float32))

    def decode_step(
        self, state: QwenState, codes: Int[np.ndarray, " K"]
    ) -> tuple[QwenState, Float[np.ndarray, " S"]]:
        """See `CodecDecoder`; sound comes in chunks, `Windows.future` and `overlap` late."""
        codes = check_codes(codes, self.codebook_size)
        state = dataclasses.replace(state, codes=np.concatenate([state.codes, codes]))
        pieces = [np.zeros(0, np.float32)]
        while (end := self._next_end(state)) + self.windows.future <= self._num_frames(state):
            state = self._solve(state, end, end + self.windows.future)
            state, piece = self._voice(state, max(0, end - self.windows.overlap))
            pieces.append(piece)
        return state, np.concatenate(pieces)

    def finish(self, state: QwenState) -> Float[np.ndarray, " S"]:
        """See `CodecDecoder`."""
        end = self._num_frames(state)
        if state.num_solved < end:
            state = self._solve(state, end, end)
        return self._voice(state, end)[1] if state.num_voiced < end else np.zeros(0, np.float32)

    def noise(self, first_frame: int, num_frames: int) -> Float[np.ndarray, "T M"]:
        """What the solver starts from at these frames of an utterance, whole blocks of them."""
        config = self.token2wav.config.dit
        size, shape = config.block_frames, (config.block_frames, config.num_mel_bins)
        blocks = range(first_frame // size, -(-(first_frame + num_frames) // size))
        drawn = [np.random.default_rng([self.seed, b]).standard_normal(shape) for b in blocks]
        return np.concatenate(drawn)[:num_frames].astype(np.float32)

    def _num_frames(self, state: QwenState) -> int:
        return len(state.codes) * self.token2wav.config.dit.frames_per_code

    def _next_end(self, state: QwenState) -> int:
        """Where the next chunk ends."""
        windows = self.windows
        return state.num_solved + (windows.chunk if state.num_solved else windows.first)

    def _solve(self, state: QwenState, end: int, seen: int) -> QwenState:
        """Mel frames up to `end`, of a window up to frame `seen`."""
        per_code = self.token2wav.config.dit.frames_per_code
        begin = max(0, state.num_solved - self.windows.past)
        size = self.windows.solved
        codes = np.zeros(size // per_code, np.int32)
        window = state.codes[begin // per_code : seen // per_code]
        codes[: len(window)] = window
        mel = _solve_window(
            self.token2wav, self.num_steps, self.guidance_scale, self.params,
            codes[None], self.voice, self.noise(begin, size)[None], np.array([seen - begin]),
        )  # fmt: skip
        new = np.asarray(mel[0, state.num_solved - begin : end - begin])
        return dataclasses.replace(state, mel=np.concatenate([state.mel, new]), num_solved=end)

    def _voice(self, state: QwenState, end: int) -> tuple[QwenState, Float[np.ndarray, " S"]]:
        """Samples up to frame `end`, of all that has been solved behind it."""
        begin, size = state.mel_start, self.windows.voiced
        mel = np.zeros((size, state.mel.shape[1]), np.float32)
        mel[: len(state.mel)] = state.mel
        rate = self.token2wav.config.bigvgan.samples_per_frame
        waveform = _voice_window(self.token2wav, self.params, mel[None], np.array([len(state.mel)]))
        piece = np.asarray(waveform[0, (state.num_voiced - begin) * rate : (end - begin) * rate])
        start = max(0, end - self.windows.overlap)
        state = dataclasses.replace(
            state, mel=state.mel[start - begin :], mel_start=start, num_voiced=end
        )
        return state, piece


@functools.partial(jax.jit, static_argnames="token2wav")
def _embed_voice(
    token2wav: Token2Wav,
    params: Params,
    speaker: Float[Array, "1 E"],
    reference_mel: Float[Array, "1 R M"],
) -> Float[Array, "1 V"]:
    return token2wav.embed_voice(params, speaker, reference_mel)


@functools.partial(jax.jit, static_argnames=("token2wav", "num_steps", "guidance_scale"))
def _solve_window(
    token2wav: Token2Wav,
    num_steps: int,
    guidance_scale: float,
    params: Params,
    codes: Int[Array, "1 K"],
    voice: Float[Array, "1 V"],
    noise: Float[Array, "1 T M"],
    num_frames: Int[Array, "1"],
) -> Float[Array, "1 T M"]:
    """Rotary positions count from the window's start: attention sees their differences alone."""
    return token2wav.sample_mel(
        params, codes, voice, noise,
        num_steps=num_steps, guidance_scale=guidance_scale, num_frames=num_frames,
    )  # fmt: skip


@functools.partial(jax.jit, static_argnames="token2wav")
def _voice_window(
    token2wav: Token2Wav,
    params: Params,
    mel: Float[Array, "1 T M"],
    num_frames: Int[Array, "1"],
) -> Float[Array, "1 S"]:
    return token2wav.vocode(params, mel, num_frames)
