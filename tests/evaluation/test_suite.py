"""A plan becomes conditions, replies, a report and files; on one device or many."""

import dataclasses
import itertools
import json

import jax
import pytest

from reasoner_jax.evaluation import replicas, suite
from reasoner_jax.evaluation.compare import evaluate_aloud
from reasoner_jax.evaluation.judge import judge_number
from reasoner_jax.evaluation.latency import Streaming
from reasoner_jax.evaluation.reply_log import ReplyLog
from reasoner_jax.evaluation.run import Workers
from reasoner_jax.generation.engine import Engine, Question
from reasoner_jax.generation.pacing import Pacing
from reasoner_jax.text.schedule import Schedule
from reasoner_jax.weights.manifest import Manifest
from tests.evaluation.replies import ScriptedEngine, item, items
from tests.generation.networks import codec, omni, waveform


class DigitRecognizer:
    """Reads the number of the question off its first sample."""

    name = "digits"

    def transcribe(self, waveform):
        return f"question {round(float(waveform[0]) * 1000)}"


def names(plan, recognizer=None):
    return [condition.name for condition in plan.conditions(recognizer)]


def test_a_plan_names_its_conditions_by_mode_and_ratio():
    plan = suite.Plan(
        Schedule(), ("in_speaking", "direct"), ("2:4", "2:8"), as_text=True, cascade=True
    )
    assert names(plan, DigitRecognizer()) == [
        "in_speaking 2:8",
        "direct",
        "in_speaking 2:4",
        "in_speaking 2:8, shuffled audio",
        "in_speaking 2:8, read",
        "in_speaking 2:8, cascade",
    ]
    assert plan.num_conditions == 6
    assert names(suite.Plan(Schedule(mode="direct"), control=False)) == ["direct"]


def test_plans_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"modes: .* got \['thinking'\]"):
        suite.Plan(Schedule(), ("thinking",))
    for ratio in ("2", "2:0", "a:b", "2:8:4"):
        with pytest.raises(ValueError, match="RESPONSE:REASONING such as 2:8"):
            suite.Plan(Schedule(), (), (ratio,))
    with pytest.raises(ValueError, match="no thoughts to tamper with"):
        suite.Plan(Schedule(), ("direct", "in_speaking"), causality=True)
    with pytest.raises(ValueError, match="needs a recogniser"):
        suite.Plan(Schedule(), cascade=True).conditions()


def evaluate(plan, log, engines=None, questions=None, batch_size=4):
    return suite.evaluate(
        plan,
        questions or items(),
        judge_number,
        Workers({"": engines or [ScriptedEngine()]}, batch_size),
        log,
        recognizer=DigitRecognizer(),
    )


def test_everything_at_once_ends_in_files(tmp_path):
    plan = suite.Plan(
        Schedule(), ("in_speaking", "before_speaking", "direct"), ("2:4",), cascade=True,
        causality=True, num_timed=2,
    )  # fmt: skip
    report = evaluate(plan, ReplyLog(tmp_path, {}))
    assert len(report.conditions) == plan.num_conditions == 11
    right = {c.name: c.micro.normalised.count for c in report.conditions}
    assert right["in_speaking 2:8"] == right["in_speaking 2:8, cascade"] == 10
    assert right["in_speaking 2:8, shuffled audio"] == 0
    timed = [c.name for c in report.conditions if c.first_token_s.total == 2]
    assert timed == ["in_speaking 2:8", "before_speaking", "direct", "in_speaking 2:4"]
    files = [path.name for path in suite.write(report, tmp_path)]
    assert files[:2] == ["report.json", "report.md"]
    assert json.loads((tmp_path / "report.json").read_text())["title"] == "Evaluation"
    assert "in_speaking 2:8, thoughts corrupted" in (tmp_path / "report.md").read_text()


def test_a_killed_evaluation_goes_on_to_the_same_report(tmp_path):
    plan = suite.Plan(Schedule(), ("in_speaking", "direct"), causality=True, num_timed=3)
    expected = evaluate(plan, ReplyLog(tmp_path / "whole", {}))
    with pytest.raises(KeyboardInterrupt):
        evaluate(plan, ReplyLog(tmp_path / "killed", {}), [ScriptedEngine(fails_on=4)])
    report = evaluate(plan, ReplyLog(tmp_path / "killed", {}))
    assert report.conditions == expected.conditions


# Of one length in tokens, so that each device compiles for one shape only.
SPOKEN = [dataclasses.replace(item(n, n % 3), waveform=waveform(0.5, n)) for n in range(8)]


@pytest.mark.parametrize("num_devices", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_verdicts_and_replies_are_the_same_on_any_number_of_devices(tmp_path, num_devices):
    plan = suite.Plan(Schedule(2, 3), control=False, max_tokens=30)
    logs = {}
    for count in (1, num_devices):
        engines = replicas.engines(omni(), 2, jax.devices()[:count])
        assert len(engines) == max(2, count)  # a CPU's only device has two
        log = ReplyLog(tmp_path / str(count), {})
        evaluate(plan, log, engines, SPOKEN, batch_size=2)
        logs[count] = log.read()
    assert len(logs[1]) == len(SPOKEN)
    assert logs[num_devices] == logs[1]


def test_one_user_is_answered_as_in_a_batch_and_the_clock_is_kept():
    questions = [Question(q.waveform, transcript="seven") for q in SPOKEN[:2]]
    engine = Engine(omni(), 2)
    alone = Streaming(engine, speaks=False).generate(questions, Schedule(2, 3), max_tokens=30)
    together = engine.generate(questions, Schedule(2, 3), max_tokens=30)
    for one, other in zip(alone, together, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        assert 0 < one.timings.first_token_s <= one.timings.total_s


def test_a_network_without_a_voice_is_not_asked_aloud():
    with pytest.raises(ValueError, match="this network cannot speak"):
        evaluate_aloud(Engine(omni(), 2), SPOKEN, DigitRecognizer())


@pytest.mark.slow
def test_what_is_heard_in_spoken_replies_is_judged(tmp_path):
    codec().save(tmp_path)
    network = omni(speaks=True)
    speaking = dataclasses.replace(network, origin=Manifest(network.config, codec_files=tmp_path))
    recognizer = DigitRecognizer()
    report = evaluate_aloud(Engine(speaking, 1), SPOKEN[:2], recognizer, max_tokens=30)
    found = report.condition("aloud")
    assert found.micro.heard.total == 2
    assert found.audio_s.median > 0
    assert 0 < found.first_token_s.median <= found.first_sound_s.median <= found.total_s.median
    assert found.underruns.total == 2


def test_an_adaptive_ratio_is_a_condition_of_its_own():
    plan = suite.Plan(Schedule(2, 3), ratios=("adaptive",), control=False, max_tokens=30)
    assert names(plan) == ["in_speaking 2:3", "in_speaking adaptive"]
    assert plan.num_conditions == 2
    (reply,) = plan.conditions()[1].ask(Engine(omni(), 2), SPOKEN[:1])
    runs = [len(list(run)) for kind, run in itertools.groupby(reply.streams) if kind == 2]
    # Nothing is played, so that every block but the last thinks as little as it may.
    assert set(runs[:-1]) <= {Pacing().fewest, 3}


def test_engines_of_replicas_live_on_their_own_device():
    engines = replicas.engines(omni(), 2, jax.devices()[:3])
    for engine, device in zip(engines, jax.devices(), strict=False):
        assert isinstance(engine, Engine)
        assert {leaf.device for leaf in jax.tree.leaves(engine.omni.params)} == {device}


def test_a_checkpoint_of_another_vocabulary_is_refused():
    network = omni()
    small = dataclasses.replace(network.config.thinker, vocab_size=100)
    wrong = dataclasses.replace(network, config=dataclasses.replace(network.config, thinker=small))
    with pytest.raises(ValueError, match="the network 100 embedding rows; the tokenizer is of"):
        replicas.engines(wrong, 2)
    with pytest.raises(ValueError, match="the checkpoint has no tokenizer"):
        replicas.engines(dataclasses.replace(network, tokenizer=None), 2)


def test_fingerprints_tell_trainings_apart():
    network = omni()
    moved = jax.tree.map(lambda leaf: leaf + 1e-3, network.params)
    assert replicas.fingerprint(network) == replicas.fingerprint(network)
    other = dataclasses.replace(network, params=moved)
    assert replicas.fingerprint(other) != replicas.fingerprint(network)
