"""Numbers, tables and pictures of hand-made replies."""

import json
import math

import pytest
from matplotlib.image import imread

from reasoner_jax.evaluation import table
from reasoner_jax.evaluation.plot import write_plots
from reasoner_jax.evaluation.published import PUBLISHED
from reasoner_jax.evaluation.report import summarise
from reasoner_jax.evaluation.statistics import Proportion
from tests.evaluation.replies import judged

REPLIES = [
    *(judged("in_speaking", n, n != 3, "add" if n < 4 else "two_step") for n in range(6)),
    *(
        judged(
            "direct",
            n,
            n == 0,
            "add" if n < 4 else "two_step",
            violations=("'six' comes too early",) if n == 5 else (),
            num_reasoning_tokens=0,
        )
        for n in range(6)
    ),
]


def report(replies=REPLIES):
    return summarise("Six sums", replies, {"direct": "no thoughts"}, {"machine": "an abacus"})


def test_counts_by_group_and_both_averages():
    found = report().condition("in_speaking")
    assert found.groups["add"].normalised == Proportion(3, 4)
    assert found.groups["two_step"].normalised == Proportion(2, 2)
    assert found.micro.normalised == Proportion(5, 6)
    assert found.micro.raw == Proportion(0, 6)
    assert found.micro.heard == Proportion(0, 0)
    assert found.macro["normalised"].share == pytest.approx(0.875)
    assert math.isnan(found.macro["heard"].share)


def test_what_replies_are_like():
    thinking, direct = report().conditions
    assert thinking.num_words.median == 12.5
    assert thinking.reasoning_tokens.median == 30
    assert direct.reasoning_tokens.median == 0
    assert direct.violations == Proportion(1, 6)
    assert thinking.violations == Proportion(0, 6)
    assert thinking.pad_share == pytest.approx(0.25)


def test_conditions_are_compared_with_the_first_item_by_item():
    thinking, direct = report().conditions
    assert math.isnan(thinking.p_value)
    # Four items only the first gets right, none only the second: 2 * (1/2)^4.
    assert direct.p_value == pytest.approx(2 / 16)


def test_an_unknown_condition_is_named():
    with pytest.raises(ValueError, match="no condition 'before_speaking'; the report has"):
        report().condition("before_speaking")
    with pytest.raises(ValueError, match="no replies"):
        summarise("Nothing", [])


def test_json_holds_counts_shares_intervals_and_null_for_what_was_not_measured():
    values = json.loads(json.dumps(report().to_dict(), allow_nan=False))
    found = values["conditions"][0]
    assert found["micro"]["normalised"]["count"] == 5
    assert found["micro"]["normalised"]["low"] == pytest.approx(0.43650, abs=1e-5)
    assert found["macro"]["heard"]["share"] is None
    assert found["first_token_s"] == {"mean": None, "median": None, "p95": None, "total": 0}


def test_a_table_has_a_row_for_each_group_and_a_column_for_each_condition():
    lines = table.accuracy_table(report(), "normalised").split("\n")
    assert [line.split("|")[1].strip() for line in lines] == [
        "group",
        "-" * len("macro (mean of 2 groups)"),
        "add",
        "two_step",
        "micro (all items)",
        "macro (mean of 2 groups)",
    ]
    assert "75.0 [30.1, 95.4]" in lines[2]
    assert len({len(line) for line in lines}) == 1


def test_the_cost_table_leaves_out_what_nobody_measured():
    written = table.cost_table(report())
    assert "first sound" not in written
    assert "1 of 6" in written
    timed = [judged("in_speaking", 0, True, first_token_s=0.0123, first_sound_s=0.25, audio_s=4.0)]
    written = table.cost_table(report(timed))
    assert "12 / 12" in written
    assert "250 / 250" in written
    assert "4.0 / 4.0" in written


def test_the_report_tells_what_was_heard_only_if_somebody_listened():
    assert "recogniser heard" not in table.markdown(report())
    listened = [
        judged("in_speaking", n, True, heard="7", heard_right_normalised=False) for n in range(3)
    ]
    assert "recogniser heard" in table.markdown(report(listened))


def test_published_rows_stand_beside_the_benchmark_and_are_called_published():
    assert "published" not in table.markdown(report()).replace("published rule", "")
    benchmark = [judged("in_speaking", n, True, "short_digit") for n in range(3)]
    assert "Mini-Omni-Reasoner 3B" in table.markdown(report(benchmark))
    assert "not measured here" in table.markdown(report(benchmark))


def test_averages_of_published_rows_follow_from_their_splits():
    ours = next(row for row in PUBLISHED if row.system == "Mini-Omni-Reasoner 3B")
    assert ours.micro == pytest.approx(69.0, abs=0.05)
    assert ours.macro == pytest.approx(76.35)


def test_plots_are_drawn_of_what_there_is(tmp_path):
    names = [path.name for path in write_plots(report(), tmp_path)]
    assert names == ["accuracy_words.png", "accuracy_groups.png"]
    timed = [judged("in_speaking", n, True, first_token_s=0.1) for n in range(3)]
    paths = write_plots(report(timed), tmp_path)
    assert paths[-1].name == "accuracy_latency.png"
    assert all(imread(path).shape[0] > 100 for path in paths)
