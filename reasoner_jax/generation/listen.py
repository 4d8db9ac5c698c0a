"""Hears a question while it is being asked, so that only its tail is left to read at the end.

Every two seconds of speech are a chunk that attention in the encoder never leaves, see
`models.audio_encoder`; a chunk is encoded and read into the cache when its last frame is there.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.audio import log_mel
from reasoner_jax.audio.waveform import SAMPLE_RATE_HZ
from reasoner_jax.core.axes import Array, Float, Int
from reasoner_jax.core.params import Params
from reasoner_jax.generation.batches import cache_size
from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.events import Event
from reasoner_jax.generation.stream import Style, Talk, engine_of
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.audio_encoder import num_chunk_tokens
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.talker import prompt_vectors
from reasoner_jax.models.thinker import Thinker
from reasoner_jax.text.chat import encode_prompt_parts

FIRST_CHUNKS = 8
"""Of 2 seconds each, that the cache has room for at first."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Chunk:
    """A chunk that has been read.

    Attributes:
        raw: log10-mel of its frames.
        maximum: what it was normalised by, the greatest value heard by then.
        begins: tokens in the cache before it.
    """

    raw: Float[np.ndarray, "F M"]
    maximum: float
    begins: int


class Listener:
    """A network that listens; holds what it has heard of one question, then answers it.

        listener = rj.listen(omni)
        listener.hear(samples)             # 16 kHz, as often as some arrive
        for event in listener.answer(): ..
        listener.hear(samples)             # the next question

    The features of a chunk depend a little on the loudest sound of the whole question, which is not
    known yet. At the end, chunks whose features have changed by more than `tolerance` are read
    anew; with 0, the reply is that of the whole recording at once.
    """

    def __init__(self, engine: Engine, style: Style, tolerance: float = 0.1) -> None:
        """See the class; the question has no text of its own."""
        self.engine, self.style, self.tolerance = engine, style, tolerance
        ours = engine.encoder.reply_format
        parts = encode_prompt_parts(engine.encoder.tokenizer, ours.instruction or None, ours.system)
        self._before, self._after = np.array(parts.before_audio), np.array(parts.after_audio)
        audio = engine.omni.config.thinker.audio
        self._chunk_frames, self._num_bins = audio.chunk_frames, audio.num_mel_bins
        room = len(self._before) + len(self._after) + style.max_tokens
        self._capacity = cache_size(room + FIRST_CHUNKS * audio.chunk_tokens)
        omni = engine.omni
        cache = KVCache.create(
            omni.config.thinker.decoder, omni.compute, engine.rows(1), self._capacity
        )
        self._cache, self._seen = cache, []
        self._read_tokens(self._before)
        self._prefix = self._seen
        self._begin()

    def _begin(self) -> None:
        """Ready for a question: everything after the prompt's beginning is forgotten."""
        self._cache = self._cache.rollback(self._lengths(len(self._before)))
        self._seen = list(self._prefix)
        self._mel = log_mel.start(self._num_bins)
        self._raw = np.zeros((0, self._num_bins), np.float32)
        self._chunks: list[_Chunk] = []

    def hear(self, samples: Float[np.ndarray, " S"]) -> None:
        """Takes more of the question.

        Args:
            samples: any number at 16 kHz, mono floats in [-1, 1].

        Raises:
            ValueError: broken samples, or a question longer than the network reads.
        """
        self._mel, raw = log_mel.push(self._mel, samples)
        self._raw = np.concatenate([self._raw, raw])
        self._check_length(self._mel.num_samples)
        while len(self._raw) >= self._chunk_frames:
            chunk, self._raw = np.split(self._raw, [self._chunk_frames])
            self._hear_chunk(chunk, self._mel.maximum)

    def answer(self) -> Iterator[Event]:
        """The question is over: answers it, see `stream`. Then the next one may be heard.

        Closing the iterator gives the answer up; the next question is not affected.

        Raises:
            ValueError: less than 21 ms have been heard.
        """
        began = time.perf_counter()
        if not log_mel.num_audio_tokens(log_mel.num_mel_frames(self._mel.num_samples)):
            raise ValueError(
                f"the question has {1000 * self._mel.num_samples / SAMPLE_RATE_HZ:.1f} ms of "
                "audio, expected at least 21 ms (one audio token); hear something first"
            )
        talk = self._finish(began)
        try:
            yield from talk.events()
            yield talk.done(Question(np.zeros(0, np.float32)))
        finally:
            self._cache = talk.replies.cache
            self._begin()

    def _finish(self, began: float) -> Talk:
        """Reads the tail, and again what the loudest sound has changed."""
        rest, maximum = log_mel.finish(self._mel)
        tail = np.concatenate([self._raw, rest])
        again = [chunk.raw for chunk in self._forget_stale(maximum)]
        if len(tail):
            again += np.split(tail, range(self._chunk_frames, len(tail), self._chunk_frames))
        for raw in again:
            self._hear_chunk(raw, maximum)
        self._read_tokens(self._after[:-1])
        schedule = self.style.schedule or self.engine.schedule
        heard = np.concatenate([*self._seen, np.zeros((1, self._seen[0].shape[1]))])
        return Talk.after(
            self.engine, schedule, self.style, self._cache, int(self._after[-1]), heard, began
        )

    def _forget_stale(self, maximum: float) -> list[_Chunk]:
        """Rolls back to the first chunk whose features have changed; it and what follows."""
        for index, chunk in enumerate(self._chunks):
            used, final = (log_mel.normalize(chunk.raw, m) for m in (chunk.maximum, maximum))
            if np.abs(used - final).max() > self.tolerance:
                stale = self._chunks[index:]
                self._chunks = self._chunks[:index]
                self._cache = self._cache.rollback(self._lengths(chunk.begins))
                self._seen = self._seen[: len(self._prefix) + index]
                return stale
        return []

    def _hear_chunk(self, raw: Float[np.ndarray, "F M"], maximum: float) -> None:
        """Encodes a chunk and reads its audio tokens."""
        count = int(num_chunk_tokens(np.array(len(raw))))
        self._chunks.append(_Chunk(raw, maximum, self._num_tokens()))
        mel = np.zeros((self.engine.rows(1), 1, self._chunk_frames, self._num_bins), np.float32)
        mel[:, 0, : len(raw)] = log_mel.normalize(raw, maximum)
        frames = np.full((len(mel), 1), len(raw), np.int32)
        self._make_room(self._chunk_frames // 4)
        self._read(_read_chunk, mel, frames, count=count)

    def _read_tokens(self, tokens: Int[np.ndarray, " L"]) -> None:
        padded = np.zeros((self.engine.rows(1), -(-len(tokens) // 32) * 32), np.int32)
        padded[:, : len(tokens)] = tokens
        self._make_room(padded.shape[1])
        self._read(_read_text, padded, count=len(tokens))

    def _read(self, function: Callable[..., Any], *inputs: np.ndarray, count: int) -> None:
        """Runs one of the compiled readers, and keeps what a talker wants to know of it."""
        omni = self.engine.omni
        with omni.on_mesh():
            counts = self._lengths(count)
            self._cache, vectors = function(
                omni.thinker, omni.params["thinker"], self._cache, *inputs, counts
            )
        keeps = omni.config.talker is not None and omni.config.talker.reads_prompt
        self._seen.append(np.asarray(vectors)[0, :count] if keeps else np.zeros((0, 1), np.float32))

    def _make_room(self, count: int) -> None:
        """Doubles the cache where `count` tokens, the end of the prompt and a reply do not fit."""
        left = len(self._after) + self.style.max_tokens + 64
        if self._num_tokens() + count + left > self._capacity:
            self._capacity *= 2
            self._cache = self._cache.with_capacity(self._capacity)

    def _num_tokens(self) -> int:
        return int(self._cache.lengths[0])

    def _lengths(self, count: int) -> Int[np.ndarray, " B"]:
        return np.full(self.engine.rows(1), count, np.int32)

    def _check_length(self, num_samples: int) -> None:
        num_audio = log_mel.num_audio_tokens(log_mel.num_mel_frames(num_samples))
        total = len(self._before) + num_audio + len(self._after) + self.style.max_tokens
        bound = self.engine.omni.config.thinker.decoder.max_length
        if total > bound:
            raise ValueError(
                f"the question is {num_samples / SAMPLE_RATE_HZ:.0f} s long by now; with a reply "
                f"of {self.style.max_tokens} tokens it makes {total}, and the network reads "
                f"{bound}; ask something shorter, or lower max_tokens"
            )


@functools.partial(jax.jit, static_argnames="thinker", donate_argnames="cache")
def _read_text(
    thinker: Thinker,
    params: Params,
    cache: KVCache,
    tokens: Int[Array, "B L"],
    counts: Int[Array, " B"],
) -> tuple[KVCache, Float[Array, "B L D"]]:
    """Reads tokens; returns what a talker reads of them."""
    output = thinker.apply({"params": params}, tokens, cache=cache, num_tokens=counts)
    heard = jnp.zeros(tokens.shape, bool)
    return output.cache, prompt_vectors(output.hidden_states, output.embeddings, heard)


@functools.partial(jax.jit, static_argnames="thinker", donate_argnames="cache")
def _read_chunk(
    thinker: Thinker,
    params: Params,
    cache: KVCache,
    mel: Float[Array, "B 1 F M"],
    frames: Int[Array, "B 1"],
    counts: Int[Array, " B"],
) -> tuple[KVCache, Float[Array, "B A D"]]:
    """Reads the audio tokens of one chunk, valid ones first."""
    variables = {"params": params}
    audio, _ = thinker.apply(variables, mel, frames, method="encode_audio")
    output = thinker.apply(variables, audio, cache=cache, num_tokens=counts, method="decode")
    heard = jnp.ones(audio.shape[:2], bool)
    return output.cache, prompt_vectors(output.hidden_states, output.embeddings, heard)


def listen(omni: Omni, tolerance: float = 0.1, **style: Any) -> Listener:
    """A listener, see there; `style` as in `stream`."""
    return Listener(engine_of(omni), Style(**style), tolerance)
