"""What happens while a question is answered, and how tokens become pieces of text."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from reasoner_jax.core.axes import Float
from reasoner_jax.core.records import Reply
from reasoner_jax.text.schedule import Stream
from reasoner_jax.text.tokenizer import StreamDecoder, Tokenizer


@dataclasses.dataclass(frozen=True)
class ThoughtEvent:
    """A piece of silent reasoning; `time_s` counts from the end of the question, here and below."""

    text: str
    time_s: float


@dataclasses.dataclass(frozen=True)
class ResponseEvent:
    """A piece of what is being said."""

    text: str
    time_s: float


@dataclasses.dataclass(frozen=True, eq=False)
class AudioEvent:
    """The next samples of the answer."""

    waveform: Float[np.ndarray, " S"]
    sample_rate_hz: int
    time_s: float


@dataclasses.dataclass(frozen=True, eq=False)
class DoneEvent:
    """The whole reply, with its timings."""

    reply: Reply
    time_s: float


Event = ThoughtEvent | ResponseEvent | AudioEvent | DoneEvent


class Texts:
    """Pieces of text of either stream, as characters become complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        blank = StreamDecoder(tokenizer, skip_special=True)
        self.decoders = {Stream.RESPONSE: blank, Stream.REASONING: blank}

    def pieces(self, tokens: Sequence[int], streams: Sequence[int], now: float) -> Iterator[Event]:
        """An event for each run of one stream."""
        run: list[int] = []
        for index, (token, stream) in enumerate(zip(tokens, streams, strict=True)):
            run.append(token)
            if index + 1 < len(streams) and streams[index + 1] == stream:
                continue
            yield from self._piece(Stream(stream), run, now)
            run = []

    def rest(self, now: float) -> Iterator[Event]:
        """What was still incomplete at the end."""
        for stream, decoder in self.decoders.items():
            if text := decoder.finish():
                yield _text_event(stream, text, now)

    def _piece(self, stream: Stream, tokens: list[int], now: float) -> Iterator[Event]:
        if stream not in self.decoders:
            return
        self.decoders[stream], text = self.decoders[stream].step(tokens)
        if text:
            yield _text_event(stream, text, now)


def _text_event(stream: Stream, text: str, now: float) -> Event:
    kind = ResponseEvent if stream == Stream.RESPONSE else ThoughtEvent
    return kind(text, now)
