"""How a network wants text and sound, as far as data has to know; knows no task, no file."""

import dataclasses
import functools
from typing import Protocol

import numpy as np

from reasoner_jax.core.axes import Float, Int
from reasoner_jax.data.dataset import Outline
from reasoner_jax.models.config import TalkerConfig
from reasoner_jax.text.schedule import ControlIds
from reasoner_jax.text.special_tokens import SpecialToken
from reasoner_jax.text.tokenizer import Tokenizer


class SpeechEncoder(Protocol):
    """What a codec must offer so that speech codes can be made while loading."""

    def num_codes(self, num_samples: int) -> int:
        """Codes of a waveform of `num_samples` at 16 kHz."""
        ...

    def encode(self, waveform: Float[np.ndarray, " S"]) -> Int[np.ndarray, " K"]:
        """Codes of a 16 kHz waveform."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Frontend:
    """How a network wants text and sound.

    Attributes:
        tokenizer: with the chat's and the schedule's special tokens.
        num_mel_bins: M of the audio encoder.
        chunk_frames: mel frames of one chunk of the audio encoder.
        speech_encoder: makes speech codes; without one, stored codes are used.
        talker: how the talker reads; None where no task wants codes.
    """

    tokenizer: Tokenizer
    num_mel_bins: int = 128
    chunk_frames: int = 200
    speech_encoder: SpeechEncoder | None = None
    talker: TalkerConfig | None = None

    @functools.cached_property
    def control_ids(self) -> ControlIds:
        """The schedule's tokens in this vocabulary."""
        token_id = self.tokenizer.token_id
        return ControlIds(
            speak=token_id(SpecialToken.SPEAK),
            think=token_id(SpecialToken.THINK),
            pad=token_id(SpecialToken.PAD),
            wait=token_id(SpecialToken.WAIT),
            end_of_thought=token_id(SpecialToken.END_OF_THOUGHT),
            end_of_response=token_id(SpecialToken.IM_END),
        )

    def num_codes(self, outline: Outline) -> int:
        """Speech codes of the response, without an end; 0 where there are none to be had."""
        if self.speech_encoder is not None and outline.num_response_samples:
            return self.speech_encoder.num_codes(outline.num_response_samples)
        return outline.num_codes
