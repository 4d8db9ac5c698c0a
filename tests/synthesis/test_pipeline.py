import dataclasses

import numpy as np
import pytest

from reasoner_jax.core.records import Check
from reasoner_jax.sources.base import Counts
from reasoner_jax.sources.deduplicate import Evaluation
from reasoner_jax.synthesis.chat_client import ChatClient
from reasoner_jax.synthesis.chat_endpoint import ChatRewriter
from reasoner_jax.synthesis.endpoint import Endpoint, EndpointError
from reasoner_jax.synthesis.pipeline import Outcome, Pipeline, collect
from reasoner_jax.synthesis.rewrite import RuleRewriter
from tests.synthesis.programs import server
from tests.synthesis.recipes import (
    VOICE,
    FakeRecognizer,
    FakeSpeaker,
    clips,
    fake_speech,
)

QUESTION = (
    "Natalia sold forty-eight clips in April and half as many in May. How many clips did she "
    "sell in May?"
)
MISHEARD = QUESTION.replace("forty-eight", "forty")


def pipeline(speech=None, **options):
    return Pipeline(RuleRewriter(), speech, **options)


def test_a_problem_goes_through_all_stages():
    response = pipeline().prepare(clips()).spoken.response
    speech = fake_speech(FakeSpeaker(), FakeRecognizer(QUESTION, response), response=True)
    outcome = pipeline(speech)(clips())
    spoken = outcome.spoken
    assert (outcome.stage, outcome.reason) == ("", "")
    assert spoken.spoken_question == QUESTION
    assert spoken.voice.noise_db is not None
    assert spoken.waveform.dtype == spoken.response_waveform.dtype == np.float32
    assert set(outcome.seconds) == {"prepare", "speak", "check"}
    assert all(check.passed for check in spoken.checks)
    names = [check.name for check in spoken.checks]
    assert {"certificate", "exact_numbers", "response_exact_numbers"} <= set(names)
    assert len(names) == len(set(names))


def test_text_alone_needs_no_speaker():
    spoken = pipeline()(clips()).spoken
    assert spoken.waveform is None
    assert spoken.response_waveform is None


def test_a_question_misheard_is_spoken_again_in_another_clean_voice():
    speaker = FakeSpeaker()
    outcome = pipeline(fake_speech(speaker, FakeRecognizer(MISHEARD, QUESTION)))(clips())
    assert outcome.spoken.repairs == ("question_spoken_again",)
    assert [attempt.passed for attempt in outcome.attempts] == [False, True]
    first, second = (voice for _, voice in speaker.spoken)
    assert (second.noise_db, second.room_s) == (None, 0.0)
    assert first.speed != second.speed
    assert outcome.spoken.voice == second
    assert [c.detail for c in outcome.spoken.checks if c.name == "exact_numbers"] == [QUESTION]


def test_a_question_misheard_every_time_is_dropped_with_what_was_heard():
    speech = fake_speech(FakeSpeaker(), FakeRecognizer(MISHEARD, MISHEARD))
    outcome = pipeline(speech)(clips())
    assert (outcome.spoken, outcome.stage, outcome.reason) == (None, "check", "exact numbers")
    rows = outcome.measurements()["attempts"]
    assert len(rows) == 2
    assert "not heard: 48; only heard: 40" in rows[0]["failed"][0]["detail"]


def test_a_response_misheard_is_said_slower_then_dropped():
    speaker = FakeSpeaker()
    recognizer = FakeRecognizer(QUESTION, "twelve clips", "twelve clips")
    outcome = pipeline(fake_speech(speaker, recognizer, response=True))(clips())
    assert (outcome.stage, outcome.reason) == ("check", "response word error rate")
    assert [voice.speed for _, voice in speaker.spoken[1:]] == [1.0, 0.92]
    assert dataclasses.replace(speaker.spoken[2][1], speed=1.0) == VOICE


def test_a_share_of_the_responses_is_spoken_and_always_the_same():
    speech = dataclasses.replace(fake_speech(FakeSpeaker(), response=True), response_share=0.5)
    problems = [clips(problem_id=f"gsm8k/train/{number:05d}") for number in range(16)]

    def spoken():
        outcomes = map(pipeline(speech), problems)
        return [outcome.spoken.response_waveform is not None for outcome in outcomes]

    chosen = spoken()
    assert 3 <= sum(chosen) <= 13 and spoken() == chosen
    with pytest.raises(ValueError, match=r"speak\.response\.share is 2, expected a share"):
        dataclasses.replace(speech, response_share=2)


def test_back_ends_out_of_order_drop_the_problem_by_name():
    outcome = pipeline(fake_speech(FakeSpeaker(fails_at=[1])))(clips())
    assert (outcome.stage, outcome.reason) == ("speak", "speech failed")
    deaf = FakeRecognizer(EndpointError("no answer"))
    outcome = pipeline(fake_speech(FakeSpeaker(), deaf))(clips())
    assert (outcome.stage, outcome.reason) == ("check", "recogniser failed")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question": ""}, "question length"),
        ({"question": "Natalia sold 48 clips. " * 500 + "How many?"}, "question length"),
        ({"question": "How many clips did Natalia sell?"}, "question has number"),
        ({"answer": "25"}, "reasoning reaches answer"),
        ({"answer": r"\frac{x}{2}"}, "answer is no number"),
    ],
)
def test_a_problem_that_makes_no_sense_is_dropped_with_its_reason(changes, reason):
    outcome = pipeline(fake_speech(FakeSpeaker()))(clips(**changes))
    assert (outcome.spoken, outcome.stage, outcome.reason) == (None, "prepare", reason)


def test_an_endpoint_that_times_out_drops_the_problem():
    def hang(number, path, headers, body):
        import time

        time.sleep(0.5)
        return 200, {}, b"{}"

    with server(hang) as (url, _):
        client = ChatClient(Endpoint(url, timeout_s=0.1, num_attempts=1), "model")
        outcome = Pipeline(ChatRewriter(client))(clips())
    assert (outcome.stage, outcome.reason) == ("prepare", "endpoint failed")


def test_a_judge_may_refuse_and_may_fail():
    verdicts = (Check("judge_no_drift", True), Check("judge_colloquial", False))
    outcome = pipeline(judge=lambda spoken: verdicts)(clips())
    assert (outcome.stage, outcome.reason) == ("prepare", "judge colloquial")
    assert pipeline(judge=lambda spoken: verdicts[:1])(clips()).spoken.checks[-1] == verdicts[0]

    def silent(spoken):
        raise EndpointError("no answer")

    assert pipeline(judge=silent)(clips()).reason == "judge failed"


def test_the_same_problem_and_seed_give_the_same_example_whatever_came_before():
    speech = fake_speech(FakeSpeaker())
    work = pipeline(speech, seed=3)
    alone = work(clips()).spoken
    work(clips(problem_id="gsm8k/train/00001"))
    again = work(clips()).spoken
    assert alone.voice == again.voice
    np.testing.assert_array_equal(alone.waveform, again.waveform)
    other = pipeline(speech, seed=4)(clips()).spoken
    assert other.voice != alone.voice


class Corpus:
    licence = "MIT"

    def __init__(self, name, *questions):
        self.name, self.questions = name, questions

    def problems(self, counts=None):
        for number, question in enumerate(self.questions):
            counts["read"] += 1
            yield clips(source=self.name, problem_id=f"{self.name}/{number}", question=question)


CORPORA = [Corpus("a", "What is 1 + 2?", "What is 2 + 2?"), Corpus("b", "what is 1 + 2", "Why 9?")]


def seen(items):
    return [(item.problem_id, getattr(item, "reason", None)) for item in items]


def test_collect_yields_each_question_once_and_the_others_as_outcomes_in_order():
    counts = Counts()
    assert seen(collect(CORPORA, counts)) == [
        ("a/0", None),
        ("a/1", None),
        ("b/0", "duplicate"),
        ("b/1", None),
    ]
    assert counts == {"a: kept": 2, "b: duplicate": 1, "b: kept": 1, "a: read": 2, "b: read": 2}


def test_collect_leaves_out_what_is_evaluated_on():
    found = seen(collect(CORPORA, Counts(), Evaluation.of(["what's one plus two"])))
    assert found[0] == ("a/0", "evaluation arithmetic")
    assert found[2] == ("b/0", "duplicate")


def test_a_limit_counts_problems_and_reads_no_further():
    counts = Counts()
    items = list(collect(CORPORA, counts, limit=3))
    assert seen(items)[-1] == ("b/1", None)
    assert not any(isinstance(item, Outcome) for item in collect(CORPORA, Counts(), limit=2))
    counts = Counts()
    assert len(list(collect(CORPORA, counts, limit=1))) == 1
    assert counts == {"a: kept": 1, "a: read": 1}


def test_a_broken_back_end_says_which_problem_it_broke_on():
    class Broken:
        def rewrite(self, problem, seed):
            raise ValueError("cannot count")

    with pytest.raises(ValueError, match=r"gsm8k/train/00000.*cannot count"):
        Pipeline(Broken())(clips())
