"""What a codec is: speech codes to sound as they come, and sound to codes; knows no codec.

    state = codec.init_state()
    for codes in arriving:
        state, waveform = codec.decode_step(state, codes)   # play it
    last = codec.finish(state)

Codecs run on the host, one utterance at a time, in the waveform's order. A state is immutable: the
same state and codes give the same samples again, and an old state can be gone back to.
"""

from typing import Any, Protocol, TypeVar

import numpy as np

from reasoner_jax.core.axes import Float, Int

State = TypeVar("State")


class CodecDecoder(Protocol[State]):
    """Turns codes into sound, in chunks of any size.

    The chunks of `decode_step` and `finish`, one behind the other, are the whole waveform, however
    the codes were cut; see each codec for how nearly.

    Attributes:
        sample_rate_hz: of the waveform.
        codes_per_second: 50 for Qwen's codec, 25 for ours.
        codebook_size: codes are 0 <= code < this.
    """

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def codes_per_second(self) -> float: ...

    @property
    def codebook_size(self) -> int: ...

    def init_state(self) -> State:
        """Nothing heard yet."""
        ...

    def decode_step(
        self, state: State, codes: Int[np.ndarray, " K"]
    ) -> tuple[State, Float[np.ndarray, " S"]]:
        """Adds codes.

        Args:
            state: the past.
            codes: any number, none included.

        Returns:
            The new state, and the samples that no later code can change; perhaps none.

        Raises:
            ValueError: codes outside the codebook.
        """
        ...

    def finish(self, state: State) -> Float[np.ndarray, " S"]:
        """The samples that were still waiting for later codes; the state stays usable."""
        ...


class CodecEncoder(Protocol):
    """Turns 16 kHz speech into codes; what `data.transforms` makes training targets with."""

    def num_codes(self, num_samples: int) -> int:
        """Codes of a waveform of `num_samples` at 16 kHz."""
        ...

    def encode(self, waveform: Float[np.ndarray, " S"]) -> Int[np.ndarray, " K"]:
        """Codes of a 16 kHz waveform.

        Raises:
            ValueError: a broken waveform.
        """
        ...


def decode(codec: CodecDecoder[Any], codes: Int[np.ndarray, " K"]) -> Float[np.ndarray, " S"]:
    """The whole utterance at once."""
    state, head = codec.decode_step(codec.init_state(), codes)
    return np.concatenate([head, codec.finish(state)])


def check_codes(codes: Int[np.ndarray, " K"], codebook_size: int) -> Int[np.ndarray, " K"]:
    """The codes as i32[K], if they are codes.

    Raises:
        ValueError: not one axis of whole numbers from 0 to `codebook_size` - 1.
    """
    codes = np.asarray(codes)
    if codes.size == 0:
        codes = codes.astype(np.int32)
    if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(
            f"codes have shape {codes.shape} and dtype {codes.dtype}, expected one axis of "
            "integers; decode one utterance at a time"
        )
    outside = np.flatnonzero((codes < 0) | (codes >= codebook_size))
    if outside.size:
        raise ValueError(
            f"codes hold {codes[outside[0]]} at index {outside[0]}, expected 0 to "
            f"{codebook_size - 1}; cut the talker's control codes (start, end, pad) off first"
        )
    return codes.astype(np.int32)
