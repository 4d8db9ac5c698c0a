"""A network reads given responses aloud, as many at once as there are rows."""

import dataclasses

import numpy as np
import pytest

from reasoner_jax.data.dataset import Outline
from reasoner_jax.generation.distill import Distiller
from reasoner_jax.generation.sampling import Draw
from reasoner_jax.text.chat import encode_prompt
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.schedule import Schedule
from tests.data.problems import TOKENIZER, spoken_problem
from tests.generation.networks import omni
from tests.generation.speakers import speaker

RESPONSES = ["Well, two.", "Let me think about it.", "It is four, well."]
OUTLINES = [Outline.of(spoken_problem(10**n, response=r)) for n, r in enumerate(RESPONSES)]


def distiller(ends: float = 2.0, **options) -> Distiller:
    return Distiller.of(speaker(ends), **{"rows": 4, **options})


def scripts(reader: Distiller):
    return [reader.script(outline) for outline in OUTLINES]


def first_codes(reader: Distiller, some, num_codes=12) -> list[list[int]]:
    _, codes = reader.stream.speak(reader.start(some), num_codes)
    return [said.tolist() for said in codes]


def test_a_network_that_nobody_taught_is_asked_in_writing_and_answers_at_once():
    [script, *_] = scripts(distiller())
    prompt = encode_prompt(TOKENIZER, OUTLINES[0].spoken_question, 0)
    reply = [*TOKENIZER.encode(RESPONSES[0]), TOKENIZER.token_id("<|im_end|>")]
    assert script.tokens.tolist() == prompt + reply
    assert script.num_prompt == len(prompt)
    assert script.response.tolist() == list(range(len(prompt), len(script.tokens) - 1))


def test_a_network_of_ours_is_asked_as_it_was_taught_and_thinks_meanwhile():
    taught = ReplyFormat("Go.", "Be brief.", Schedule(response=2, reasoning=3))
    reader = Distiller.of(dataclasses.replace(speaker(), reply_format=taught))
    [script, *_] = scripts(reader)
    text = f"{OUTLINES[0].spoken_question}\nBe brief."
    prompt = encode_prompt(TOKENIZER, text, 0, "Go.")
    assert script.tokens[: script.num_prompt].tolist() == prompt
    assert TOKENIZER.decode(script.tokens[script.response]) == RESPONSES[0]
    reply = script.tokens[script.num_prompt :].tolist()
    assert reply[0] == TOKENIZER.token_id("<|speak|>")
    assert TOKENIZER.token_id("<|end_of_thought|>") in reply


def test_a_response_is_said_alone_as_in_company():
    reader = distiller(draw=Draw())
    together = first_codes(reader, scripts(reader))
    alone = [first_codes(reader, [script])[0] for script in scripts(reader)]
    assert together[:3] == alone
    assert together[3:] == [[], []]
    assert len({tuple(said) for said in alone}) == 3


def test_of_a_response_the_talkers_share_of_the_hidden_state_is_read():
    network = speaker()
    assert network.config.talker.hidden_share == 0.1
    talker = dataclasses.replace(network.config.talker, hidden_share=1.0)
    config = dataclasses.replace(network.config, talker=talker)
    whole = Distiller.of(dataclasses.replace(network, config=config), rows=1)
    [script, *_] = scripts(whole)
    [part], [full] = distiller(rows=1)._vectors([script]), whole._vectors([script])
    table = network.params["thinker"]["model"]["embed_tokens"]["embedding"]
    prompt, said = slice(script.num_prompt), script.response
    embedded = table[script.tokens[said]]
    np.testing.assert_allclose(part[prompt], full[prompt], atol=1e-5)
    np.testing.assert_allclose(part[said], embedded + 0.1 * (full[said] - embedded), atol=1e-5)


def test_all_codes_are_sound_and_the_end_is_left_out():
    reader = distiller()
    spoken = reader.speak(scripts(reader), seed=3)
    for script, codes in zip(scripts(reader), spoken, strict=True):
        assert len(script.response) < len(codes) <= script.max_codes
        assert codes.min() >= 0 and codes.max() < 40
    again = reader.speak(scripts(reader), seed=3)
    for first, second in zip(spoken, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_what_does_not_end_or_has_no_words_is_none():
    reader = distiller(ends=0.0, rows=2, draw=Draw())
    silent = reader.script(dataclasses.replace(OUTLINES[0], response=""))
    assert silent is None
    assert reader.speak([None, None]) == [None, None]
    short = dataclasses.replace(scripts(reader)[0], response=scripts(reader)[0].response[:1])
    assert reader.speak([silent, short]) == [None, None]


def test_a_talker_with_a_pace_of_its_own_needs_no_prompt():
    reader = Distiller.of(omni(speaks=True), rows=2)
    outline = Outline.of(spoken_problem(response="the answer is ten", reasoning="7+3=10"))
    state = reader.start([reader.script(outline), None])
    _, [said, nothing] = reader.stream.speak(state, 6)
    assert len(said) == 6 and len(nothing) == 0


def test_a_wrong_call_is_refused():
    with pytest.raises(ValueError, match="rows is 0, expected 1 or more"):
        distiller(rows=0)
    with pytest.raises(ValueError, match="no voice 'Bob'"):
        distiller(voice="Bob")
    reader = distiller(rows=2)
    with pytest.raises(ValueError, match="got 3 scripts, expected 1 to 2"):
        reader.speak(scripts(reader))
    with pytest.raises(ValueError, match="has no talker"):
        Distiller.of(omni())
