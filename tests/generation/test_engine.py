"""The compiled engine gives, token for token, what the plain loop over the schedule gives."""

import dataclasses

import numpy as np
import pytest

from reasoner_jax.generation import batches
from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.sampling import Draw, Sampling
from reasoner_jax.models.audio_encoder import split_chunks
from reasoner_jax.text.schedule import Schedule, Stream
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS
from reasoner_jax.text.tokenizer import train_bpe
from tests.generation.networks import omni, plain_reply, waveform

QUESTIONS = [
    Question(waveform(0.5, 1)),
    Question(text="how many"),
    Question(waveform(2.7, 2)),
    Question(waveform(1.2, 3), text="let me see"),
    Question(text="seven and three"),
]
SCHEDULES = [
    Schedule(2, 8),
    Schedule(1, 3, lead="reasoning"),
    Schedule(3, 2, control_tokens=False),
    Schedule(2, 4, mode="before_speaking"),
    Schedule(mode="direct"),
]
MAX_TOKENS = 70
RANDOM = Sampling(
    response=Draw(temperature=1.0, top_k=30, repetition_penalty=1.2),
    reasoning=Draw(temperature=0.8, top_p=0.9),
    seed=5,
)


@pytest.fixture(scope="module")
def engine():
    return Engine(omni(), batch_size=4)


@pytest.mark.parametrize("sampling", [Sampling(), RANDOM], ids=["greedy", "sampled"])
def test_a_batch_of_all_modes_and_phases_equals_the_plain_loop(engine, sampling):
    replies = engine.generate(QUESTIONS, SCHEDULES, sampling, max_tokens=MAX_TOKENS)
    for number, (question, schedule, reply) in enumerate(
        zip(QUESTIONS, SCHEDULES, replies, strict=True)
    ):
        tokens, streams, finished = plain_reply(
            omni(), question, schedule, sampling, MAX_TOKENS, number
        )
        assert reply.tokens.tolist() == tokens
        assert reply.streams.tolist() == streams
        assert reply.truncated == (not finished)


@pytest.mark.parametrize("seed", [4])
def test_replies_that_wait_for_their_thoughts_and_end_equal_the_plain_loop(engine, seed):
    hot = Draw(temperature=3.0, top_k=40)
    sampling = Sampling(dataclasses.replace(hot, repetition_penalty=1.1), hot, seed=seed)
    schedules = [Schedule(2, 3), Schedule(2, 5), Schedule(2, 2, mode="before_speaking"), Schedule()]
    questions = [Question(text=text) for text in ("ten", "so", "the answer", "let me see")]
    replies = engine.generate(questions, schedules, sampling, max_tokens=MAX_TOKENS)
    kinds = np.concatenate([reply.streams for reply in replies]).tolist()
    assert Stream.PAD in kinds and not all(reply.truncated for reply in replies)
    for number, reply in enumerate(replies):
        tokens, streams, finished = plain_reply(
            omni(), questions[number], schedules[number], sampling, MAX_TOKENS, number
        )
        assert reply.tokens.tolist() == tokens
        assert reply.streams.tolist() == streams
        assert reply.truncated == (not finished)


def test_replies_do_not_depend_on_the_batch(engine):
    together = engine.generate(QUESTIONS, SCHEDULES[0], max_tokens=MAX_TOKENS)
    alone = engine.generate(QUESTIONS[2:3] * 4, SCHEDULES[0], max_tokens=MAX_TOKENS)
    assert alone[3].tokens.tolist() == together[2].tokens.tolist()


def test_a_reply_that_never_ends_is_bounded_and_says_so(engine):
    reply = engine.generate(QUESTIONS[:4], Schedule(mode="direct"), max_tokens=9)[0]
    assert reply.truncated
    assert len(reply.tokens) == 9


# Cut between sampled tokens, and right behind <|think|>, where nothing is left to feed.
@pytest.mark.parametrize("room", [pytest.param(20, marks=pytest.mark.slow), 4])
def test_a_long_reply_outgrows_its_first_cache(engine, monkeypatch, room):
    options = dict(sampling=RANDOM, max_tokens=min(MAX_TOKENS, 4 * room), vectors=True)
    short = engine.generate(QUESTIONS[:4], SCHEDULES[0], **options)
    monkeypatch.setattr(batches, "FIRST_TOKENS", room)
    grown = engine.generate(QUESTIONS[:4], SCHEDULES[0], **options)
    for one, other in zip(short, grown, strict=True):
        assert (one.streams[3], one.streams[4]) == (Stream.CONTROL, Stream.REASONING)
        assert one.tokens.tolist() == other.tokens.tolist()
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-5)


def test_the_talkers_vectors_are_those_of_one_full_pass(engine):
    [reply] = engine.generate(QUESTIONS[:1], SCHEDULES[0], max_tokens=40, vectors=True)
    prompt = engine.encoder.encode(QUESTIONS[0])
    tokens = np.concatenate([prompt.tokens, reply.tokens])[None]
    output = omni().thinker.apply({"params": omni().params["thinker"]}, tokens, *chunks(prompt.mel))
    places = len(prompt.tokens) + np.flatnonzero(reply.streams == Stream.RESPONSE)
    vectors = (output.hidden_states + output.embeddings)[0, places]
    assert len(reply.vectors) >= len(places) - 1
    np.testing.assert_allclose(reply.vectors, vectors[: len(reply.vectors)], atol=1e-5)


def test_a_talker_reads_its_share_of_the_hidden_state(engine):
    options = dict(max_tokens=12, vectors=True)
    whole, part = (
        of_share(share).generate(QUESTIONS[1:2], SCHEDULES[0], **options)[0]
        for share in (1.0, 0.25)
    )
    said = whole.tokens[whole.streams == Stream.RESPONSE][: len(whole.vectors)]
    table = omni(speaks=True).params["thinker"]["model"]["embed_tokens"]["embedding"]
    hidden = whole.vectors - table[said]
    np.testing.assert_allclose(part.vectors, table[said] + 0.25 * hidden, atol=1e-5)


def of_share(share):
    network = omni(speaks=True)
    talker = dataclasses.replace(network.config.talker, hidden_share=share)
    config = dataclasses.replace(network.config, talker=talker)
    return Engine(dataclasses.replace(network, config=config), batch_size=1)


def chunks(mel):
    return split_chunks(mel[None], np.array([len(mel)]), 200)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question(), "question 1: the question has neither"),
        (Question(np.zeros(16, np.float32)), "question 1: the question has 1.0 ms of audio"),
        (Question(np.zeros(16_000, np.int16)), "question 1: waveform has dtype int16"),
        (Question(np.full(16_000, np.nan, np.float32)), "question 1: .*NaN"),
        (Question(np.zeros(300 * 16_000, np.float32)), "question 1: its prompt of 75.. tokens"),
    ],
)
def test_a_question_that_cannot_be_asked_is_named(engine, question, message):
    with pytest.raises(ValueError, match=message):
        engine.generate([QUESTIONS[1], question], max_tokens=9)


def test_a_vocabulary_without_the_schedules_tokens_is_refused(engine):
    bare = train_bpe(["a b"], 300, FROM_SCRATCH_TOKENS[:9])
    with pytest.raises(ValueError, match=r"lacks <\|end_of_thought\|>.*extend_vocabulary"):
        Engine(dataclasses.replace(omni(), tokenizer=bare)).generate(QUESTIONS[:1])
