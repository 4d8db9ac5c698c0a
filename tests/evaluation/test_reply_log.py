"""The log survives kills, refuses to mix runs and joins processes."""

import pytest

from reasoner_jax.evaluation.reply_log import ReplyLog
from tests.evaluation.replies import judged

RUN = {"items": "abc", "conditions": ["a", "b"]}


def test_what_was_written_is_read(tmp_path):
    replies = [judged("a", 0, True, violations=("early",), heard="seven é", audio_s=1.5)]
    ReplyLog(tmp_path, RUN).append(replies)
    assert ReplyLog(tmp_path, RUN).read() == {("a", "set/000"): replies[0]}


def test_a_line_cut_short_by_a_kill_is_dropped_and_harms_no_other(tmp_path):
    log = ReplyLog(tmp_path, RUN)
    log.append([judged("a", 0, True), judged("a", 1, True)])
    path = tmp_path / "replies-00000.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert set(log.read()) == {("a", "set/000")}
    log.append([judged("a", 2, True)])
    assert set(log.read()) == {("a", "set/000"), ("a", "set/002")}


def test_processes_write_files_of_their_own_and_read_all(tmp_path):
    logs = [ReplyLog(tmp_path, RUN, index) for index in range(2)]
    logs[0].append([judged("a", 0, True)])
    logs[1].append([judged("a", 1, False)])
    assert set(logs[0].read()) == {("a", "set/000"), ("a", "set/001")}
    assert logs[0].read() == logs[1].read()


def test_the_replies_of_another_run_are_not_mixed_in(tmp_path):
    ReplyLog(tmp_path, RUN)
    with pytest.raises(ValueError, match=r"another run \(items: 'abc' there, 'xyz' now"):
        ReplyLog(tmp_path, {**RUN, "items": "xyz"})


def test_lines_of_another_version_are_named(tmp_path):
    log = ReplyLog(tmp_path, RUN)
    (tmp_path / "replies-00000.jsonl").write_text('{"condition": "a"}\n')
    with pytest.raises(ValueError, match=r"replies-00000.jsonl: line 1 is no judged reply"):
        log.read()
