"""A talker and its codec as one voice: the thinker's vectors in, sound out; knows no thinker."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reasoner_jax import codecs
from reasoner_jax.codecs.base import CodecDecoder
from reasoner_jax.core.axes import Float
from reasoner_jax.generation.sampling import Draw
from reasoner_jax.generation.talker_stream import TalkerStream
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.tokenizer import Tokenizer

_CHUNK_CODES = 16


class Voice:
    """Speaks one reply; holds how far it has come.

    Attributes:
        codec: turns codes into sound.
    """

    def __init__(
        self,
        stream: TalkerStream,
        codec: CodecDecoder[Any],
        tokenizer: Tokenizer,
        prompt: Float[np.ndarray, "L D"] | None,
    ) -> None:
        self.codec = codec
        self._stream, self._tokenizer = stream, tokenizer
        self._talker = stream.start(1, None if prompt is None else [prompt])
        self._sound = codec.init_state()
        self._num_read = 0
        self._ended = False

    def read(
        self, vectors: Float[np.ndarray, "R D"], tokens: Sequence[int], *, ended: bool
    ) -> None:
        """Takes what is new among all vectors of the response so far, and its tokens.

        Args:
            vectors: from the first response token on.
            tokens: the ids that they belong to.
            ended: nothing more will come.
        """
        new = slice(self._num_read, len(vectors))
        lengths = self._tokenizer.num_bytes(tokens[new])
        paces = self._stream.config.pace.codes_of(tokens[new], lengths)
        self._talker = self._stream.read(self._talker, 0, vectors[new], paces, ended=ended)
        self._num_read, self._ended = len(vectors), ended

    def speak(self) -> Iterator[Float[np.ndarray, " S"]]:
        """The sound of all that can be said by now, in small pieces."""
        while True:
            self._talker, [codes] = self._stream.speak(self._talker, _CHUNK_CODES)
            if not len(codes):
                break
            self._sound, waveform = self.codec.decode_step(self._sound, codes)
            if len(waveform):
                yield waveform
        if self._ended:
            rest = self.codec.finish(self._sound)
            if len(rest):
                yield rest


def voice_of(
    omni: Omni,
    prompt: Float[np.ndarray, "L D"] | None,
    *,
    name: str | None = None,
    draw: Draw | None = None,
) -> Voice:
    """A network's voice.

    Args:
        omni: laid out for serving.
        prompt: what the talker reads of the question, if it reads that.
        name: of the speaker; None for the first.
        draw: how codes are drawn; None for the talker's own way.

    Raises:
        ValueError: no talker, no codec, or no such speaker.
    """
    stream = TalkerStream.of(omni, draw, name)
    return Voice(stream, codecs.codec_of(omni, name), omni.tokenizer, prompt)
