"""Items, replies and a scripted engine for the tests of this room."""

import dataclasses
import re

import numpy as np

from reasoner_jax.core.records import Reply, SpokenQuestion, Timings
from reasoner_jax.evaluation.judged_reply import JudgedReply
from reasoner_jax.text.numbers import to_digits
from reasoner_jax.text.schedule import Schedule, Stream


def item(number, answer, group="add", num_samples=None):
    """A question whose waveform tells which one it is: sample 0 is its number / 1000."""
    waveform = np.zeros(num_samples or 100 + number, np.float32)
    waveform[0] = number / 1000
    return SpokenQuestion(
        f"set/{number:03d}", group, f"question {number}", "Answer.", str(answer), 16_000, waveform
    )


def items(count=10):
    return [item(n, 3 * n, "add" if n % 2 else "subtract") for n in range(count)]


def reply(response, reasoning="1+1=2\nanswer 2", streams=None, **fields):
    streams = [1, 1, 2, 2, 2, 4] if streams is None else streams
    kinds = np.array(streams, np.int8)
    values = {
        "timings": Timings(0.01, None, 0.1),
        "tokens": np.zeros(len(kinds), np.int32),
        "streams": kinds,
    }
    return Reply(response, reasoning, **{**values, **fields})


class ScriptedEngine:
    """Hears perfectly: says three times the number in the waveform's first sample.

    `fails_on` makes it break at that question, as a killed run does.
    """

    schedule = Schedule()

    def __init__(self, fails_on=None):
        self.calls = []
        self.fails_on = fails_on

    def generate(self, questions, schedule=None, **options):
        schedule = schedule or Schedule()
        self.calls.append((len(questions), schedule, options))
        replies = []
        for question in questions:
            if question.waveform is not None:
                number = round(float(question.waveform[0]) * 1000)
            else:
                number = int(re.search(r"\d+", to_digits(question.text))[0])
            if number == self.fails_on:
                raise KeyboardInterrupt
            thinks = [Stream.REASONING] * 3 if schedule.thinks else []
            replies.append(
                reply(
                    f"So that is {3 * number}.",
                    f"answer {3 * number}" if schedule.thinks else "",
                    [Stream.RESPONSE] * 2 + thinks,
                )
            )
        return replies


def judged(condition, number, right, group="add", **fields):
    values = {
        "condition": condition,
        "item_id": f"set/{number:03d}",
        "group": group,
        "reference": "1",
        "response": "one",
        "reasoning": "answer 1",
        "right": False,
        "right_normalised": right,
        "follows": right,
        "num_words": 10 + number,
        "num_response_tokens": 12,
        "num_reasoning_tokens": 30,
        "pad_share": 0.25,
        "violations": (),
    }
    return JudgedReply(**{**values, **fields})


def with_answer(question, answer):
    return dataclasses.replace(question, answer=answer)
