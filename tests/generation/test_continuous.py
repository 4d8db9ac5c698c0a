"""Rows that join and leave give the replies that they give in batches of their own."""

import dataclasses

import jax
import numpy as np
import pytest

from reasoner_jax.generation import continuous
from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.prompt import PromptEncoder
from reasoner_jax.generation.sampling import Draw, Sampling
from reasoner_jax.text.schedule import Schedule
from tests.generation.networks import omni, waveform

SCHEDULES = [Schedule(2, 3), Schedule(2, 4, mode="before_speaking"), Schedule(mode="direct")] * 3
QUESTIONS = [
    Question(waveform(0.3 + 0.2 * number, number)) if number % 3 else Question(text="ten so me")
    for number in range(9)
]
HOT = Draw(temperature=3.0, top_k=40)
SAMPLING = Sampling(HOT, HOT, seed=2)


@pytest.fixture(scope="module")
def engine():
    """Of a network that is of two minds whether to end, sooner or later."""
    network, ids = omni(), PromptEncoder.of(omni()).control_ids([Schedule()])
    params = jax.tree.map(np.array, network.params)
    params["thinker"]["lm_head"]["kernel"][:, [ids.end_of_response, ids.end_of_thought]] *= 5
    return Engine(dataclasses.replace(network, params=params), batch_size=4)


def tokens_in_batches(engine, max_tokens):
    """Every question in a batch of its own, four times over."""
    run = engine.batch_run(SCHEDULES, SAMPLING, max_tokens, vectors=False, rows=4)
    encoded, schedules = engine.encode(QUESTIONS, SCHEDULES, max_tokens)
    outcomes = run.in_batches(encoded, schedules, range(len(encoded)))
    return [outcome.tokens.tolist() for _, outcome in outcomes]


@pytest.mark.parametrize(
    "room", [pytest.param(512, id="roomy", marks=pytest.mark.slow), pytest.param(20, id="outgrown")]
)
def test_rows_that_join_and_leave_do_not_change_a_reply(engine, room, monkeypatch):
    monkeypatch.setattr(continuous, "ROOM", room)
    finished = []
    replies = engine.generate(
        QUESTIONS,
        SCHEDULES,
        SAMPLING,
        max_tokens=60,
        progress=lambda done, of: finished.append((done, of)),
    )
    assert [reply.tokens.tolist() for reply in replies] == tokens_in_batches(engine, 60)
    assert len({len(reply.tokens) for reply in replies}) > 1
    assert finished == [(number + 1, 9) for number in range(9)]
    assert all(0 < r.timings.first_token_s <= r.timings.total_s for r in replies)


def test_no_question_needs_no_answer(engine):
    assert engine.generate([]) == []
