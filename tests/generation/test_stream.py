"""What streams is what is answered, and it sounds like the whole; thoughts are never spoken."""

import numpy as np
import pytest

from reasoner_jax import codecs
from reasoner_jax.codecs import base
from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.events import AudioEvent, DoneEvent, ResponseEvent, ThoughtEvent
from reasoner_jax.generation.pacing import Pacing
from reasoner_jax.generation.stream import Style, stream_question
from reasoner_jax.generation.talker_stream import TalkerStream, speak
from reasoner_jax.text.schedule import Schedule, Stream
from tests.generation.networks import codec, omni, waveform

QUESTION = Question(waveform(1.2, 3), transcript="how many")
SCHEDULE = Schedule(2, 5)
MAX_TOKENS = 60


@pytest.fixture(scope="module", autouse=True)
def fitted_codec():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "codec_of", lambda network, voice=None: codec(), raising=False)
        yield


@pytest.fixture(scope="module")
def engine():
    return Engine(omni(speaks=True), batch_size=1)


@pytest.fixture(scope="module")
def events(engine):
    return list(stream_question(engine, QUESTION, Style(SCHEDULE, max_tokens=MAX_TOKENS)))


@pytest.fixture(scope="module")
def whole(engine):
    [reply] = engine.generate([QUESTION], SCHEDULE, max_tokens=MAX_TOKENS, vectors=True)
    return reply


def texts(events, kind):
    return "".join(event.text for event in events if isinstance(event, kind))


def test_a_stream_ends_with_the_reply_that_a_batch_gives(events, whole):
    reply = events[-1].reply
    assert isinstance(events[-1], DoneEvent)
    assert reply.tokens.tolist() == whole.tokens.tolist()
    assert texts(events, ResponseEvent) == reply.response == whole.response
    assert texts(events, ThoughtEvent) == reply.reasoning == whole.reasoning
    assert reply.violations == whole.violations


def test_the_streamed_sound_is_that_of_the_whole_response(engine, events, whole):
    pieces = [event.waveform for event in events if isinstance(event, AudioEvent)]
    said = whole.tokens[whole.streams == Stream.RESPONSE][: len(whole.vectors)]
    talker = TalkerStream.of(engine.omni)
    paces = talker.config.pace.codes_of(said, engine.encoder.tokenizer.num_bytes(said))
    [codes] = speak(talker, [whole.vectors], [paces])
    assert len(pieces) > 1
    np.testing.assert_allclose(np.concatenate(pieces), base.decode(codec(), codes), atol=1e-6)
    np.testing.assert_array_equal(np.concatenate(pieces), events[-1].reply.waveform)


def test_sound_starts_before_the_thought_is_over(events):
    kinds = [type(event) for event in events]
    assert kinds.index(AudioEvent) < max(i for i, k in enumerate(kinds) if k is ThoughtEvent)
    times = [event.time_s for event in events]
    assert times == sorted(times)
    timings = events[-1].reply.timings
    assert 0 < timings.first_token_s <= timings.first_sound_s <= timings.total_s


def test_a_reply_given_up_in_mid_block_leaves_the_next_one_as_it_was(engine, events):
    begun = stream_question(engine, QUESTION, Style(SCHEDULE, max_tokens=MAX_TOKENS))
    for _ in range(3):
        next(begun)
    begun.close()
    again = list(stream_question(engine, QUESTION, Style(SCHEDULE, max_tokens=MAX_TOKENS)))
    assert again[-1].reply.tokens.tolist() == events[-1].reply.tokens.tolist()


def test_a_network_without_talker_writes_only(engine):
    style = Style(SCHEDULE, max_tokens=MAX_TOKENS, speaks=False)
    events = list(stream_question(engine, QUESTION, style))
    assert not any(isinstance(event, AudioEvent) for event in events)
    assert events[-1].reply.waveform is None


def test_pacing_sets_the_thoughts_of_each_block(engine):
    style = Style(SCHEDULE, max_tokens=MAX_TOKENS, pacing=Pacing(fewest=3, most=3))
    streams = list(stream_question(engine, QUESTION, style))[-1].reply.streams
    runs = "".join("r" if s == Stream.RESPONSE else "z" for s in streams if s in (1, 2))
    assert runs.startswith("rrzzzrrzzzrrzzzrr")
