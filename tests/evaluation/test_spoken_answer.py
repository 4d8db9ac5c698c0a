"""Transcripts as a listener would understand them."""

import pytest

from reasoner_jax.evaluation.judge import judge_number
from reasoner_jax.evaluation.judged_reply import judge_reply
from reasoner_jax.evaluation.spoken_answer import in_one_number
from tests.evaluation.replies import item, reply


@pytest.mark.parametrize(
    ("heard", "meant"),
    [
        ("64 plus 85 is 100, 49.", "64 plus 85 is 149."),
        ("97 plus 8 is 100 5", "97 plus 8 is 105"),
        ("It is 149.", "It is 149."),
        ("100, 49 and 3", "100, 49 and 3"),  # a list, for all we know
        ("85 is 150, 49.", "85 is 150, 49."),
        ("It is 1,100, 49.", "It is 1,149."),
        ("It is 100, 0.", "It is 100, 0."),
        ("", ""),
    ],
)
def test_hundreds_and_the_rest_are_one_number_at_the_end(heard, meant):
    assert in_one_number(heard) == meant


def test_a_parted_number_is_heard_as_a_listener_would():
    judged = judge_reply(
        reply("It is 149."), item(0, 149), "aloud", judge_number, heard="It is 100, 49."
    )
    assert judged.heard == "It is 100, 49." and judged.heard_right_normalised
    other = judge_reply(
        reply("It is 49."), item(0, 49), "aloud", judge_number, heard="It is 100, 49."
    )
    assert not other.heard_right_normalised
