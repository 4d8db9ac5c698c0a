"""A talker and its codec as one voice: the thinker's vectors in, sound out; knows no thinker.

A talker that was taught to read along (stage 5) gets each word as it comes. A released one expects
a whole text before it speaks: it gets a clause as soon as that is complete, each as a text of its
own, and the codec goes on through all of them, so that there is no seam.
"""

import collections
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reasoner_jax import codecs
from reasoner_jax.codecs.base import CodecDecoder
from reasoner_jax.core.axes import Float
from reasoner_jax.generation.sampling import Draw
from reasoner_jax.generation.talker_stream import TalkerState, TalkerStream
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.clauses import clause_ends
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
        self._stream, self._tokenizer, self._prompt = stream, tokenizer, prompt
        self._reads_along = stream.config.text_feed is not None
        self._talker = self._start()
        self._clauses: collections.deque[tuple[np.ndarray, np.ndarray]] = collections.deque()
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
        for end in self._ends(tokens, ended):
            new = slice(self._num_read, end)
            lengths = self._tokenizer.num_bytes(tokens[new])
            paces = self._stream.config.pace.codes_of(tokens[new], lengths)
            if self._reads_along:
                self._talker = self._stream.read(self._talker, 0, vectors[new], paces, ended=ended)
            else:
                self._clauses.append((vectors[new], paces))
            self._num_read = end
        self._ended = ended

    def speak(self) -> Iterator[Float[np.ndarray, " S"]]:
        """The sound of all that can be said by now, in small pieces."""
        while True:
            self._talker, [codes] = self._stream.speak(self._talker, _CHUNK_CODES)
            if len(codes):
                self._sound, waveform = self.codec.decode_step(self._sound, codes)
                if len(waveform):
                    yield waveform
            elif self._clauses:
                vectors, paces = self._clauses.popleft()
                self._talker = self._stream.read(self._start(), 0, vectors, paces, ended=True)
            else:
                break
        if self._ended:
            rest = self.codec.finish(self._sound)
            if len(rest):
                yield rest

    def _start(self) -> TalkerState:
        return self._stream.start(1, None if self._prompt is None else [self._prompt])

    def _ends(self, tokens: Sequence[int], ended: bool) -> list[int]:
        """How far the talker may read now; more than one place where clauses are complete."""
        if self._reads_along:
            return [len(tokens)]
        unread = tokens[self._num_read :]
        ends = [self._num_read + n for n in clause_ends([self._piece(t) for t in unread])]
        if ended and (ends[-1] if ends else self._num_read) < len(tokens):
            ends.append(len(tokens))
        return ends

    def _piece(self, token: int) -> str:
        return self._tokenizer.decode([token])


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
