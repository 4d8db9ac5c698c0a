"""Judges on references of each kind."""

import pytest

from reasoner_jax.evaluation.judge import (
    JUDGES,
    Verdict,
    judge_number,
    judge_spoken_mqa,
    judge_words,
    thought_answer,
)
from tests.evaluation.replies import item


def test_spoken_mqa_takes_the_reference_of_a_digit_split_literally():
    spoken = "It is twelve."
    assert judge_spoken_mqa("It is 12.", item(1, "12.0", "short_digit")) == Verdict(False, False)
    assert judge_spoken_mqa("It is 12.", item(1, "12.0", "multi_step_reasoning")).raw
    assert judge_spoken_mqa(spoken, item(1, "12", "long_digit")) == Verdict(False, True)


def test_spoken_mqa_refuses_items_of_other_sets():
    with pytest.raises(ValueError, match="set/001: split 'add' is none of Spoken-MQA's"):
        judge_spoken_mqa("12", item(1, "12"))


def test_numbers_of_any_set_are_judged_by_the_word_problem_rule():
    assert judge_number("That makes three quarters.", item(1, "3/4")) == Verdict(False, True)
    assert judge_number(None, item(1, "3/4")) == Verdict(False, False)
    assert judge_number("no number at all", item(1, "0")) == Verdict(False, False)


@pytest.mark.parametrize(
    ("said", "reference", "verdict"),
    [
        ("It's the Eiffel Tower.", "eiffel tower", Verdict(True, True)),
        ("It is the tower of Eiffel.", "eiffel tower", Verdict(False, False)),
        ("on floor twenty one", "21", Verdict(False, True)),
        ("", "Paris", Verdict(False, False)),
        (None, "Paris", Verdict(False, False)),
        ("Paris", "", Verdict(False, False)),
        ("Parisian", "Paris", Verdict(False, False)),
    ],
)
def test_words_must_occur_in_a_row(said, reference, verdict):
    assert judge_words(said, item(1, reference)) == verdict


def test_judges_have_names_for_configs():
    assert set(JUDGES) == {"spoken_mqa", "number", "words"}


def test_what_a_trace_concludes():
    assert thought_answer("48/2=24\n48+24=72\nanswer 72") == "72"
    assert thought_answer("48/2=24\nanswer 3/4 ") == "3/4"
    assert thought_answer("48/2=24") is None
    assert thought_answer("") is None
