"""One question answered as it is thought: events for thoughts, words and sound; knows no screen.

The thinker runs a block at a time. After each, its new response vectors go to the talker, which
speaks as far as its text allows, and the codec turns the codes into sound.
"""

import dataclasses
import functools
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reasoner_jax.core.axes import Array, Float
from reasoner_jax.core.records import Reply, Timings
from reasoner_jax.generation import blocks
from reasoner_jax.generation.batches import BatchRun
from reasoner_jax.generation.engine import MAX_TOKENS, Engine, Question
from reasoner_jax.generation.events import AudioEvent, DoneEvent, Event, Texts
from reasoner_jax.generation.pacing import Pacing, Playback
from reasoner_jax.generation.replies import Replies
from reasoner_jax.generation.reply import Outcome, reply_of
from reasoner_jax.generation.sampling import GREEDY, Draw, Sampling
from reasoner_jax.generation.voice import Voice, voice_of
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.schedule import Schedule, Stream

_STEP_PASSES = 8
"""Of a mode without blocks, between looks at what has come."""


@dataclasses.dataclass(frozen=True)
class Style:
    """How a question is answered.

    Attributes:
        schedule: None for the checkpoint's own.
        sampling: of thoughts and words.
        max_tokens: bound on the reply, forced tokens included.
        speaks: whether there is sound; None where the network can.
        voice: name of the speaker; None for the first.
        codes: how speech codes are drawn; None for the talker's own way.
        pacing: chooses each block's thoughts; None for the schedule's ratio.
    """

    schedule: Schedule | None = None
    sampling: Sampling = GREEDY
    max_tokens: int = MAX_TOKENS
    speaks: bool | None = None
    voice: str | None = None
    codes: Draw | None = None
    pacing: Pacing | None = None


def stream(
    omni: Omni,
    waveform: Float[np.ndarray, "S ..."] | None,
    sample_rate_hz: int = 16_000,
    *,
    text: str | None = None,
    transcript: str | None = None,
    **style: Any,
) -> Iterator[Event]:
    """Answers a question; thoughts, words and sound come as they are made.

    Closing the iterator stops the work; nothing of it is left behind.

    Args:
        omni: the network.
        waveform: the spoken question, mono or [samples, channels]; None for a written one.
        sample_rate_hz: of the waveform.
        text, transcript: see `Question`.
        **style: fields of `Style`: schedule, sampling, pacing, voice ..

    Yields:
        Events in the order in which things happen; the last is a `DoneEvent`.

    Raises:
        ValueError: a question that cannot be asked, or a voice that is not there.
    """
    question = Question(waveform, text, sample_rate_hz, transcript)
    return stream_question(engine_of(omni), question, Style(**style))


def answer(
    omni: Omni,
    waveform: Float[np.ndarray, "S ..."] | None,
    sample_rate_hz: int = 16_000,
    **options: Any,
) -> Reply:
    """The whole reply to a question, spoken where the network can speak; options as `stream`'s."""
    *_, last = stream(omni, waveform, sample_rate_hz, **options)
    assert isinstance(last, DoneEvent)
    return last.reply


@functools.lru_cache(maxsize=1)
def engine_of(omni: Omni) -> Engine:
    """The engine of a network; laying it out copies it, so the last one is kept."""
    return Engine(omni, batch_size=1)


def stream_question(engine: Engine, question: Question, style: Style) -> Iterator[Event]:
    """As `stream`, with an engine."""
    began = time.perf_counter()
    [encoded], [schedule] = engine.encode([question], style.schedule, style.max_tokens)
    run = _run_of(engine, schedule, style)
    with engine.omni.on_mesh():
        replies, heard = run.prefill([encoded], [schedule], [0], style.max_tokens)
    heard = heard[0, : len(encoded.tokens)] if _reads_prompt(engine.omni) else None
    talk = Talk(engine, run, schedule, style, replies, heard, began)
    yield from talk.events()
    yield talk.done(question)


def _run_of(engine: Engine, schedule: Schedule, style: Style) -> BatchRun:
    speaks = engine.omni.config.talker is not None if style.speaks is None else style.speaks
    return engine.batch_run(
        [schedule], style.sampling, style.max_tokens, vectors=speaks, rows=engine.rows(1)
    )


def _reads_prompt(omni: Omni) -> bool:
    return omni.config.talker is not None and omni.config.talker.reads_prompt


class Talk:
    """One reply in the making; holds what changes.

    Attributes:
        replies: where the thinker stands.
    """

    def __init__(
        self,
        engine: Engine,
        run: BatchRun,
        schedule: Schedule,
        style: Style,
        replies: Replies,
        heard: Float[Array, "L D"] | None,
        began: float,
    ) -> None:
        """A reply before its first token.

        Args:
            engine, run, schedule, style: how it is made.
            replies: one row.
            heard: what a talker reads of the prompt, if it reads that.
            began: end of the question, by `time.perf_counter`.
        """
        self.engine, self.run, self.schedule, self.style = engine, run, schedule, style
        self.replies, self.began = replies, began
        self.voice: Voice | None = None
        if run.vectors:
            prompt = None if heard is None else np.asarray(heard)
            self.voice = voice_of(engine.omni, prompt, name=style.voice, draw=style.codes)
        self.guide = run.guide()
        self.texts = Texts(engine.encoder.tokenizer)
        self.tokens: list[int] = []
        self.streams: list[int] = []
        self.playback = Playback()
        self.sounds: list[np.ndarray] = []
        self.first_token_s: float | None = None
        self.first_sound_s: float | None = None
        self.token_s = 0.0
        self.finished = False

    @classmethod
    def after(
        cls,
        engine: Engine,
        schedule: Schedule,
        style: Style,
        cache: KVCache,
        last_token: int,
        heard: Float[np.ndarray, "L D"],
        began: float,
    ) -> "Talk":
        """A reply to a prompt of which `cache` holds all but its last token."""
        run = _run_of(engine, schedule, style)
        with engine.omni.on_mesh():
            replies = run.begin(cache, last_token, schedule)
        kept = heard if _reads_prompt(engine.omni) else None
        return cls(engine, run, schedule, style, replies, kept, began)

    def now(self) -> float:
        """Seconds since the end of the question."""
        return time.perf_counter() - self.began

    def events(self) -> Iterator[Event]:
        """Thinks, speaks, thinks .. until all is said."""
        while True:
            found = self._think()
            yield from self._written(found)
            over = bool(found["finished"] or found["lengths"] >= self.style.max_tokens)
            self.finished = bool(found["finished"])
            if self.voice is not None:
                yield from self._spoken(self.voice, found, over)
            if over:
                yield from self.texts.rest(self.now())
                return

    def _think(self) -> dict[str, Any]:
        """Lets the thinker go on to where the talker should be heard next."""
        params = self.engine.omni.params["thinker"]
        began, passes = self.now(), int(self.replies.passes)
        steps, until = self._next_stop()
        with self.engine.omni.on_mesh():
            self.replies = blocks.decode(
                self.run.program, params, self.guide, self.replies, steps, until_block=until
            )
        found = jax.device_get(_first_row(self.replies))
        new = int(found["passes"]) - passes
        self.token_s = (self.now() - began) / max(1, new)
        return found

    def _next_stop(self) -> tuple[int, int]:
        """Passes until the next look at what has come, and the block before which to stop."""
        words = self.schedule.response + 1  # and a pass that reads the last of them
        if self.first_token_s is None:
            return words, blocks.FOREVER
        if self.schedule.mode != "in_speaking":
            return _STEP_PASSES, blocks.FOREVER
        rows = self.replies.rows
        starts = int(rows.segment[0]) == 0 and int(rows.position[0]) < 0
        if bool(rows.thought_ended[0]):
            return blocks.FOREVER, int(rows.block[0]) + 1
        if starts and self.schedule.lead == "response":
            # The words first, so that they sound while the thoughts of their block are thought.
            return words, blocks.FOREVER
        if self.style.pacing is not None:
            self._pace(self.style.pacing)
        return blocks.FOREVER, int(rows.block[0]) + 1

    def _pace(self, pacing: Pacing) -> None:
        """Sets how long the current block thinks."""
        rows = self.replies.rows
        said = sum(stream == Stream.RESPONSE for stream in self.streams)
        audio_s = self.playback.pushed_s / said if said and self.playback.pushed_s else None
        unplayed_s = self.playback.unplayed_s(self.now())
        slots = pacing.slots(self.schedule.response, unplayed_s, self.token_s, audio_s)
        rows = rows.replace(reasoning=jnp.full_like(rows.reasoning, slots))
        self.replies = self.replies.replace(rows=rows)

    def _written(self, found: dict[str, Any]) -> Iterator[Event]:
        begin, end = len(self.tokens), int(found["lengths"])
        tokens, streams = (found[name][begin:end].tolist() for name in ("tokens", "streams"))
        self.tokens += tokens
        self.streams += streams
        if self.first_token_s is None and Stream.RESPONSE in streams:
            self.first_token_s = self.now()
        return self.texts.pieces(tokens, streams, self.now())

    def _spoken(self, voice: Voice, found: dict[str, Any], over: bool) -> Iterator[Event]:
        count = int(found["num_vectors"])
        spoken = [t for t, s in zip(self.tokens, self.streams, strict=True) if s == Stream.RESPONSE]
        voice.read(found["vectors"][:count], spoken[:count], ended=over)
        for waveform in voice.speak():
            if self.first_sound_s is None:
                self.first_sound_s = self.now()
            self.playback = self.playback.push(
                self.now(), len(waveform) / voice.codec.sample_rate_hz
            )
            self.sounds.append(waveform)
            yield AudioEvent(waveform, voice.codec.sample_rate_hz, self.now())

    def done(self, question: Question) -> DoneEvent:
        """The record of it all."""
        total_s = self.now()
        outcome = Outcome(
            np.array(self.tokens, np.int32),
            np.array(self.streams, np.int32),
            self.finished,
            total_s if self.first_token_s is None else self.first_token_s,
            total_s,
        )
        reply = reply_of(outcome, question, self.schedule, self.engine.encoder.tokenizer)
        if self.voice is not None:
            rate = self.voice.codec.sample_rate_hz
            waveform = np.concatenate([np.zeros(0, np.float32), *self.sounds])
            timings = Timings(
                outcome.first_token_s,
                self.first_sound_s,
                total_s,
                audio_s=len(waveform) / rate,
                num_underruns=self.playback.num_underruns,
            )
            reply = dataclasses.replace(
                reply, timings=timings, waveform=waveform, sample_rate_hz=rate
            )
        return DoneEvent(reply, total_s)


def _first_row(replies: Replies) -> dict[str, Any]:
    vectors = replies.vectors
    return dict(
        passes=replies.passes,
        finished=replies.rows.finished[0],
        lengths=replies.lengths[0],
        tokens=replies.tokens[0],
        streams=replies.streams[0],
        vectors=None if vectors is None else vectors[0],
        num_vectors=replies.num_vectors[0],
    )
