"""Right or wrong: a judge for each kind of reference answer; knows strings only.

A new kind of answer is one function here. Every judge gives two verdicts, the rule taken literally
and the rule after the prediction's number words are written in digits, since systems that speak
their numbers fail the first by their very nature.
"""

import dataclasses
import re
from typing import Protocol

from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation.scorer import RULE_OF_SPLIT, score, score_normalised
from reasoner_jax.sources.normal_words import normal_words

_ANSWER_LINE = re.compile(r"\banswer\s+(\S+)\s*$")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a judge says of one prediction.

    Attributes:
        raw: by the rule as published.
        normalised: by the same rule after inverse text normalisation.
    """

    raw: bool
    normalised: bool


class Judge(Protocol):
    """Decides whether a reply answers its question."""

    def __call__(self, prediction: str | None, question: SpokenQuestion) -> Verdict:
        """The verdicts on a reply; None, for a missing reply, is wrong."""
        ...


def judge_spoken_mqa(prediction: str | None, question: SpokenQuestion) -> Verdict:
    """Spoken-MQA's rule of the question's split.

    Raises:
        ValueError: the question is of no split of that benchmark.
    """
    if question.split not in RULE_OF_SPLIT:
        raise ValueError(
            f"{question.question_id}: split {question.split!r} is none of Spoken-MQA's "
            f"{list(RULE_OF_SPLIT)}; judge numbers of other sets with judge_number"
        )
    rule = RULE_OF_SPLIT[question.split]
    return Verdict(
        score(prediction, question.answer, rule),
        score_normalised(prediction, question.answer, rule),
    )


def judge_number(prediction: str | None, question: SpokenQuestion) -> Verdict:
    """Spoken-MQA's rule for word problems, with any number as the reference."""
    return Verdict(
        score(prediction, question.answer), score_normalised(prediction, question.answer)
    )


def judge_words(prediction: str | None, question: SpokenQuestion) -> Verdict:
    """Whether the reference's words occur in the prediction, in a row.

    "It is the Eiffel Tower." answers "eiffel tower". Numbers agree in digits and in words.
    """
    said, wanted = normal_words(prediction or ""), normal_words(question.answer)
    starts = range(len(said) - len(wanted) + 1)
    found = bool(wanted) and any(said[s : s + len(wanted)] == wanted for s in starts)
    literal = rf"(?<!\w){re.escape(question.answer.casefold())}(?!\w)"
    raw = bool(wanted) and re.search(literal, (prediction or "").casefold()) is not None
    return Verdict(raw, found)


JUDGES: dict[str, Judge] = {
    "spoken_mqa": judge_spoken_mqa,
    "number": judge_number,
    "words": judge_words,
}
"""By the name that a config gives them."""


def thought_answer(reasoning: str) -> str | None:
    """What a trace of ours concludes, "48/2=24 .. answer 72" -> "72"; None if it is cut off."""
    found = _ANSWER_LINE.search(reasoning.rstrip())
    return found[1] if found else None
