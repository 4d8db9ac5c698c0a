"""What the interventions do to traces, and that answers are asked with them."""

import pytest

from reasoner_jax.evaluation.causality import corrupt, interventions, shuffle, swap
from reasoner_jax.evaluation.judge import judge_number, thought_answer
from reasoner_jax.evaluation.run import Workers, answer_items
from reasoner_jax.text.schedule import Schedule
from tests.evaluation.replies import items, judged, reply

DIGITS = "37+46:7+6=13;3+4+1=08>083\nanswer 83"
TRACES = {f"set/{n:03d}": f"{n}+40={n + 40}\nanswer {n + 40}" for n in range(8)}


@pytest.mark.parametrize("seed", range(20))
def test_a_corrupted_trace_concludes_another_number_everywhere(seed):
    (changed,) = corrupt({"a": DIGITS}, seed).values()
    concluded = thought_answer(changed)
    assert len(concluded) == 2
    assert concluded != "83"
    assert concluded[0] != "0"
    assert changed == DIGITS.replace("083", f"0{concluded}").replace(
        "answer 83", f"answer {concluded}"
    )


def test_other_numbers_with_the_same_digits_stay():
    (changed,) = corrupt({"a": "183+8=191\n8.83\nanswer 8"}, 0).values()
    assert changed.startswith("183+")
    assert "=191\n8.83\n" in changed
    assert changed.endswith(f"answer {thought_answer(changed)}")
    assert thought_answer(changed) not in ("8", None)


def test_a_trace_without_a_conclusion_has_its_last_digit_changed():
    (changed,) = corrupt({"a": "1+2=3 apples"}, 0).values()
    assert changed.startswith("1+2=")
    assert changed != "1+2=3 apples"
    assert corrupt({"a": "no number"}, 0) == {"a": "no number"}


def test_a_shuffled_trace_has_the_same_pieces_in_another_order():
    trace = "she sold 48/2=24 clips\nanswer 24"
    (changed,) = shuffle({"a": trace}, 1).values()
    assert sorted(changed) == sorted(trace)
    assert changed != trace
    assert len(changed.split("\n")) == 2


def test_a_swapped_trace_is_of_another_item_and_concludes_something_else():
    swapped = swap({**TRACES, "set/900": TRACES["set/000"]}, 3)
    own = {**TRACES, "set/900": TRACES["set/000"]}
    assert all(thought_answer(swapped[i]) != thought_answer(own[i]) for i in own)


class Obedient:
    """Says what the thoughts it is given conclude, or 7 without any."""

    schedule = Schedule()

    def generate(self, questions, schedule=None, **options):
        assert options == {"max_tokens": 99}
        return [reply(f"It is {thought_answer(q.thoughts) or 7}.", q.thoughts) for q in questions]


def test_a_model_that_uses_its_thoughts_follows_them_into_the_wrong():
    questions = items(8)
    base = {
        q.question_id: judged("base", n, True, reasoning=f"3*{n}={3 * n}\nanswer {3 * n}")
        for n, q in enumerate(questions)
    }
    conditions = interventions("base", Schedule(), base, questions, max_tokens=99)
    replies = answer_items(conditions, questions, judge_number, Workers({"": [Obedient()]}, 4))
    right = {c.name: sum(r.right for r in replies if r.condition == c.name) for c in conditions}
    assert right == {
        "base, thoughts given back": 8,
        "base, thoughts blank": 0,
        "base, thoughts shuffled": right["base, thoughts shuffled"],
        "base, thoughts swapped": 0,
        "base, thoughts corrupted": 0,
    }
    for name in ("given back", "swapped", "corrupted"):
        assert all(r.follows for r in replies if r.condition == f"base, thoughts {name}")
    assert all(r.follows is None for r in replies if r.condition == "base, thoughts blank")


def test_items_without_a_reply_are_named():
    with pytest.raises(ValueError, match=r"no reply of 'base' to 2 items, 'set/000' the first"):
        interventions("base", Schedule(), {}, items(2))
