"""Running: the same verdicts for any number of engines, processes and interruptions."""

import pytest

from reasoner_jax.evaluation.compare import evaluate_modes, mode_conditions
from reasoner_jax.evaluation.condition import shuffled, spoken, swap_questions, written
from reasoner_jax.evaluation.judge import judge_number
from reasoner_jax.evaluation.reply_log import ReplyLog
from reasoner_jax.evaluation.run import Workers, answer_items, cut_batches
from reasoner_jax.evaluation.statistics import Proportion
from reasoner_jax.text.schedule import Schedule
from tests.evaluation.replies import ScriptedEngine, item, items

CONDITIONS = [spoken("spoken"), shuffled(spoken("spoken")), written("written")]


def answers(engines, log=None, batch_size=3, conditions=CONDITIONS, **process):
    workers = Workers({"": engines}, batch_size, **process)
    return answer_items(conditions, items(), judge_number, workers, log)


def test_replies_come_in_the_order_of_conditions_and_items():
    replies = answers([ScriptedEngine()])
    expected = [(c.name, i.question_id) for c in CONDITIONS for i in items()]
    assert [(r.condition, r.item_id) for r in replies] == expected
    assert all(r.right for r in replies if r.condition == "spoken")
    assert all(r.right for r in replies if r.condition == "written")


def test_several_engines_give_the_same_replies_and_share_the_work():
    engines = [ScriptedEngine() for _ in range(3)]
    assert answers(engines) == answers([ScriptedEngine()])
    assert sum(len(engine.calls) for engine in engines) == 12


def test_processes_share_the_batches_and_their_log_holds_what_one_would_give(tmp_path):
    for index in range(2):
        log = ReplyLog(tmp_path, {}, index)
        answers([ScriptedEngine()], log, process_index=index, process_count=2)
    # Of each condition's batches of 3, 3, 3 and 1 items the second process has two.
    assert len((tmp_path / "replies-00001.jsonl").read_text().splitlines()) == 12
    assert answers([ScriptedEngine()], log) == answers([ScriptedEngine()])


def test_a_killed_run_goes_on_and_asks_nothing_twice(tmp_path):
    log = ReplyLog(tmp_path, {})
    with pytest.raises(KeyboardInterrupt):
        answers([ScriptedEngine(fails_on=7)], log)
    known = len(log.read())
    assert 0 < known < 30
    engine = ScriptedEngine()
    assert answers([engine], log) == answers([ScriptedEngine()])
    assert sum(size for size, _, _ in engine.calls) == 30 - known
    again = ScriptedEngine()
    answers([again], log)
    assert not again.calls


def test_batches_depend_on_the_items_alone_and_hold_questions_of_like_length():
    reordered = items()[::-1]
    for questions in (items(), reordered):
        batches = list(cut_batches(CONDITIONS[:1], questions, 4))
        assert [len(batch.items) for batch in batches] == [4, 4, 2]
        lengths = [len(q.waveform) for batch in batches for q in batch.asked]
        assert lengths == sorted(lengths)


def test_the_control_swaps_every_question_for_one_with_another_answer():
    questions = [item(n, n // 2) for n in range(12)]
    swapped = swap_questions(questions, seed=0)
    for before, after in zip(questions, swapped, strict=True):
        donor = round(float(after.waveform[0]) * 1000)
        assert after.question_id == before.question_id
        assert after.answer == before.answer != questions[donor].answer
    assert sorted(float(q.waveform[0]) for q in swapped) == [
        float(q.waveform[0]) for q in questions
    ]
    with pytest.raises(ValueError, match="at least two items"):
        swap_questions(questions[:1], seed=0)


def test_a_set_of_one_answer_can_still_be_swapped():
    questions = [item(n, 5) for n in range(4)]
    swapped = swap_questions(questions, seed=0)
    assert all(a.waveform is not b.waveform for a, b in zip(questions, swapped, strict=True))


def test_modes_are_compared_with_a_control_that_gets_nothing_right():
    engine = ScriptedEngine()
    report = evaluate_modes(engine, items(), batch_size=4, max_tokens=50)
    assert [c.name for c in report.conditions] == [
        "in_speaking",
        "before_speaking",
        "direct",
        "in_speaking, shuffled audio",
    ]
    assert report.condition("direct").micro.normalised == Proportion(10, 10)
    assert report.condition("direct").reasoning_tokens.median == 0
    assert report.conditions[0].groups.keys() == {"add", "subtract"}
    assert report.conditions[-1].micro.normalised == Proportion(0, 10)
    schedules = {schedule for _, schedule, _ in engine.calls}
    assert schedules == {Schedule(mode=m) for m in ("in_speaking", "before_speaking", "direct")}
    assert all(options == {"max_tokens": 50} for _, _, options in engine.calls)


def test_modes_trained_apart_are_answered_by_their_own_engine():
    engines = {"in_speaking": ScriptedEngine(), "direct": ScriptedEngine()}
    evaluate_modes(engines, items(), ("in_speaking", "direct"), control=False)
    for mode, engine in engines.items():
        assert {schedule.mode for _, schedule, _ in engine.calls} == {mode}
    with pytest.raises(ValueError, match=r"no engine for the modes \['before_speaking'\]"):
        evaluate_modes(engines, items())


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="items: expected at least one"):
        evaluate_modes(ScriptedEngine(), [])
    with pytest.raises(ValueError, match="modes: expected at least one"):
        mode_conditions((), Schedule(), control=True)
    with pytest.raises(ValueError, match=r"items: .*'set/001'\] more than once"):
        evaluate_modes(ScriptedEngine(), [item(1, 3), item(1, 3)])
    with pytest.raises(ValueError, match="batch_size >= 1"):
        Workers({"": [ScriptedEngine()]}, 0)
