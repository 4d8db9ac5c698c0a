"""Codes as they come: equal to the plain loop, in any pieces, batch and order of arrival."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reasoner_jax.codecs.mel_vq import MelVQ
from reasoner_jax.core.text_feed import TEXT_END, TEXT_PAD, TextFeed
from reasoner_jax.generation.sampling import Draw
from reasoner_jax.generation.talker_blocks import central_code
from reasoner_jax.generation.talker_stream import QWEN_DRAW, TalkerStream, speak
from reasoner_jax.models.config import OmniConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.weights.manifest import Manifest
from tests.models.networks import lively, omni_config

LONGEST = 128
FEED = TextFeed(codes_per_token=2, codes_per_byte=1, lead_codes=6)
PACES = [[6.0, 3.5, 8.0, 4.0, 9.0], [5.0, 7.0], [7.0, 7.0, 7.0, 7.0, 3.0, 3.0, 11.0]]


@functools.cache
def omni(reads_prompt: bool = False) -> Omni:
    config = omni_config()
    talker = dataclasses.replace(
        config.talker, reads_prompt=reads_prompt, text_feed=None if reads_prompt else FEED
    )
    network = Omni.create(OmniConfig(config.thinker, talker))
    return dataclasses.replace(network, params=lively(network.params))


@functools.cache
def vectors() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    width = omni().config.thinker.decoder.width
    return [rng.normal(0, 1, (len(row), width)).astype(np.float32) for row in PACES]


def plain_loop(
    network: Omni,
    row: int,
    prompt: np.ndarray | None = None,
    centres: np.ndarray | None = None,
) -> list[int]:
    """The best codes, or with centres the most central ones; the whole sequence anew for each."""
    config = network.talker.config
    table = np.asarray(network.params["thinker"]["model"]["embed_tokens"]["embedding"])
    marks = {TEXT_END: table[config.text_end_token_id], TEXT_PAD: table[config.text_pad_token_id]}
    text = [] if prompt is None else [*prompt, table[config.text_start_token_id]]
    inputs = [-1] * len(text)
    if text:
        inputs[-1] = config.codec_pad_token_id
    sources, said = config.pace.sources(PACES[row], LONGEST), []
    code = config.codec_start_token_id
    for source in sources[: LONGEST - len(text)].tolist():
        text.append(vectors()[row][source] if source >= 0 else marks[source])
        inputs.append(code)
        scores = next_scores(network, text, inputs)
        scores[[config.codec_start_token_id, config.codec_mask_token_id]] = -np.inf
        if source >= 0:
            scores[[config.codec_end_token_id, config.codec_pad_token_id]] = -np.inf
        code = int(scores.argmax())
        if centres is not None and code < len(centres):
            code = least_expected_distance(scores[: len(centres)], centres)
        if code in (config.codec_end_token_id, config.codec_pad_token_id):
            break
        said.append(code)
        if config.text_feed is not None and len(said) == patience(config, row):
            break
    return said


def least_expected_distance(scores: np.ndarray, centres: np.ndarray) -> int:
    """By its definition, distance by distance."""
    shares = np.exp(scores - scores.max())
    distances = ((centres[:, None] - centres) ** 2).sum(axis=-1)
    return int((distances @ (shares / shares.sum())).argmin())


def next_scores(network: Omni, text: list[np.ndarray], inputs: list[int]) -> np.ndarray:
    """Padded to one length, so that all of them are compiled once."""
    missing = LONGEST - len(inputs)
    padded = np.pad(np.array(text, np.float32), ((0, missing), (0, 0)))
    codes = np.pad(np.array(inputs), (0, missing), constant_values=-1)
    scores = all_scores(network.talker, network.params["talker"], padded[None], codes[None])
    return np.array(scores[0, len(inputs) - 1])


@functools.partial(jax.jit, static_argnames="talker")
def all_scores(talker, params, text, codes):
    variables = {"params": params}
    embedded = talker.apply(variables, jnp.maximum(codes, 0), method="embed_codes")
    return talker.apply(variables, text + jnp.where(codes[..., None] >= 0, embedded, 0))[0]


def patience(config, row: int) -> int:
    due = config.pace.steps(PACES[row])[-1]
    return int(1.3 * (due + 6)) + 32


def min_special(network: Omni) -> int:
    """Codes below it are sound."""
    config = network.talker.config
    ends = (config.codec_end_token_id, config.codec_pad_token_id)
    return min(*ends, config.codec_start_token_id, config.codec_mask_token_id)


def greedy(reads_prompt: bool = False) -> TalkerStream:
    return TalkerStream.of(omni(reads_prompt), Draw())


@functools.cache
def whole() -> list[list[int]]:
    return [codes.tolist() for codes in speak(greedy(), vectors(), PACES)]


def test_a_batch_says_what_the_plain_loop_says_row_by_row():
    assert whole() == [plain_loop(omni(), row) for row in range(len(PACES))]
    assert min(map(len, whole())) > 5


def test_a_talker_that_reads_the_prompt_says_what_the_plain_loop_says():
    rng = np.random.default_rng(5)
    prompts = [rng.normal(0, 1, (n, 24)).astype(np.float32) for n in (3, 7)]
    stream = greedy(reads_prompt=True)
    state = stream.start(2, prompts)
    for row in range(2):
        state = stream.read(state, row, vectors()[row], PACES[row], ended=True)
    _, codes = stream.speak(state, max_codes=20)
    for row in range(2):
        assert codes[row].tolist() == plain_loop(omni(True), row, prompts[row])[:20]


@pytest.mark.parametrize("max_codes", [1, 3, 16, 1000])
def test_words_that_arrive_one_by_one_are_spoken_as_if_they_had_been_there(max_codes):
    stream, said = greedy(), [[] for _ in PACES]
    state = stream.start(len(PACES))
    for token in range(8):
        for row, lengths in enumerate(PACES):
            if token < len(lengths):
                here = slice(token, token + 1)
                state = stream.read(state, row, vectors()[row][here], lengths[here])
            elif token == len(lengths):
                state = stream.read(state, row, ended=True)
        state, codes = stream.speak(state, max_codes)
        for row, new in enumerate(codes):
            said[row] += new.tolist()
    _, rest = stream.speak(state)
    assert [[*row, *new.tolist()] for row, new in zip(said, rest, strict=True)] == whole()


def test_a_row_waits_for_the_word_that_is_due():
    stream = greedy()
    state = stream.read(stream.start(1), 0, vectors()[0][:2], PACES[0][:2])
    state, codes = stream.speak(state)
    assert len(codes[0]) == FEED.steps(PACES[0][:2])[-1] == 3
    assert codes[0].tolist() == whole()[0][:3]
    assert len(stream.speak(state)[1][0]) == 0


def test_with_a_codebook_a_batch_says_the_most_central_codes():
    rng = np.random.default_rng(5)
    centres = rng.normal(0, 1, (min_special(omni()), 6)).astype(np.float32)
    stream = dataclasses.replace(greedy(), centres=centres)
    said = [codes.tolist() for codes in speak(stream, vectors(), PACES)]
    assert said == [plain_loop(omni(), row, centres=centres) for row in range(len(PACES))]
    assert said != whole()


def test_a_sound_of_many_codes_is_said_where_a_lone_code_is_likelier_than_each():
    shares, centres = [0.3] + [0.07] * 10, [[0.0]] + [[1 + n / 50] for n in range(10)]
    scores = np.log(np.array([[*shares, 0.9]], np.float32))  # the last is no sound
    code = central_code(scores, np.array(centres, np.float32))
    assert scores[0, :11].argmax() == 0 and centres[int(code[0])][0] >= 1


def test_a_network_with_a_codec_says_the_most_central_codes(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    codec = MelVQ.fit([noise], codebook_size=16)
    codec.save(tmp_path)
    network = omni()
    network = dataclasses.replace(network, origin=Manifest(network.config, codec_files=tmp_path))
    np.testing.assert_array_equal(TalkerStream.of(network).centres, codec.centres)
    assert TalkerStream.of(network, Draw()).centres is None
    assert TalkerStream.of(omni()).centres is None


def test_a_row_without_words_says_nothing():
    stream = greedy()
    assert [len(codes) for codes in stream.speak(stream.start(2))[1]] == [0, 0]


def test_speech_does_not_end_before_its_text():
    for row, codes in enumerate(whole()):
        assert len(codes) >= FEED.steps(PACES[row])[-1]


@pytest.mark.parametrize("draw", [QWEN_DRAW, Draw(temperature=0.7)])
def test_a_row_draws_the_same_codes_in_any_batch(draw):
    stream = TalkerStream.of(omni(), draw)
    together = speak(stream, vectors(), PACES, seed=4)
    alone = speak(stream, vectors()[:1], PACES[:1], seed=4)
    np.testing.assert_array_equal(together[0], alone[0])
    other = speak(stream, vectors()[:1], PACES[:1], seed=5)
    assert other[0].tolist() != alone[0].tolist()


def test_a_cache_grows_when_a_reply_is_long():
    lengths = [11.0] * 40
    long = np.random.default_rng(1).normal(0, 1, (40, 24)).astype(np.float32)
    codes = speak(greedy(), [long], [lengths])
    assert len(codes[0]) >= FEED.steps(lengths)[-1] > 300


@pytest.mark.parametrize("serving", [False, True])
def test_the_layout_for_serving_says_the_same(serving):
    network = omni().for_serving() if serving else omni()
    codes = speak(TalkerStream.of(network), vectors(), PACES)
    assert [each.tolist() for each in codes] == whole()


def test_what_cannot_be_read_is_refused():
    stream = greedy()
    state = stream.start(1)
    with pytest.raises(ValueError, match=r"vectors have shape \(5, 24\), paces are of 2 tokens"):
        stream.read(state, 0, vectors()[0], [1, 1])
    ended = stream.read(state, 0, ended=True)
    with pytest.raises(ValueError, match="row 0: its text has ended"):
        stream.read(ended, 0, vectors()[0], PACES[0])
    with pytest.raises(ValueError, match="prompts are given, but the talker's reads_prompt"):
        stream.start(1, [np.zeros((2, 24), np.float32)])
    with pytest.raises(ValueError, match="prompts are missing, but the talker's reads_prompt"):
        greedy(True).start(1)
    with pytest.raises(ValueError, match="no voice 'Ann'"):
        TalkerStream.of(omni(), voice="Ann")
