"""One reply with its verdicts and measurements, as a line of JSON; knows no model."""

import dataclasses

import numpy as np

from reasoner_jax.core.records import Reply, SpokenQuestion, Timings
from reasoner_jax.evaluation.judge import Judge, thought_answer
from reasoner_jax.evaluation.spoken_answer import in_one_number
from reasoner_jax.text.schedule import Stream


@dataclasses.dataclass(frozen=True)
class JudgedReply:
    """What a report is made of.

    Attributes:
        condition: under which it was given, "in_speaking".
        item_id: of the question.
        group: split or kind of the question.
        reference: the right answer, as stored.
        response, reasoning: of the reply.
        right: by the published rule.
        right_normalised: by the rule after number words are written in digits.
        follows: whether the response states what the reasoning concludes ("answer 72"), number
            words in digits; None where it concludes nothing.
        num_words: of the response.
        num_response_tokens, num_reasoning_tokens: end tokens included.
        pad_share: of the reply's tokens that are filler, in [0, 1].
        violations: what the anticipation certificate found; None where nobody knows what the
            question says.
        truncated: it was cut off at the bound on its length.
        heard: transcript of the spoken reply; None if it was not listened to.
        heard_right, heard_right_normalised: verdicts on that transcript.
        audio_s: length of the spoken reply; None for a silent one.
        first_token_s, first_sound_s, total_s: seconds after the end of the question; None where
            replies were made in batches, which tells nothing about one user's wait.
        num_underruns: how often playback would have run dry; None for a silent or batched reply.
    """

    condition: str
    item_id: str
    group: str
    reference: str
    response: str
    reasoning: str
    right: bool
    right_normalised: bool
    follows: bool | None
    num_words: int
    num_response_tokens: int
    num_reasoning_tokens: int
    pad_share: float
    violations: tuple[str, ...] | None = None
    truncated: bool = False
    heard: str | None = None
    heard_right: bool | None = None
    heard_right_normalised: bool | None = None
    audio_s: float | None = None
    first_token_s: float | None = None
    first_sound_s: float | None = None
    total_s: float | None = None
    num_underruns: int | None = None


def judge_reply(
    reply: Reply,
    question: SpokenQuestion,
    condition: str,
    judge: Judge,
    *,
    heard: str | None = None,
    alone: bool = False,
) -> JudgedReply:
    """The verdicts on a reply.

    Args:
        reply: to judge.
        question: the item; its reference counts, whatever the model was really asked.
        condition: name of the condition.
        judge: of the item's set.
        heard: transcript of the reply's waveform, if somebody listened.
        alone: whether the reply was made in a batch of its own, so that its timings mean something.
    """
    verdict = judge(reply.response, question)
    streams = np.zeros(0, np.int8) if reply.streams is None else np.asarray(reply.streams)
    judged = JudgedReply(
        condition=condition,
        item_id=question.question_id,
        group=question.split,
        reference=question.answer,
        response=reply.response,
        reasoning=reply.reasoning,
        right=verdict.raw,
        right_normalised=verdict.normalised,
        follows=_follows(reply, question, judge),
        num_words=len(reply.response.split()),
        num_response_tokens=int(np.sum(streams == Stream.RESPONSE)),
        num_reasoning_tokens=int(np.sum(streams == Stream.REASONING)),
        pad_share=round(float(np.mean(streams == Stream.PAD)), 4) if streams.size else 0.0,
        violations=reply.violations,
        truncated=reply.truncated,
    )
    if reply.waveform is not None:
        audio_s = round(len(reply.waveform) / reply.sample_rate_hz, 4)
        judged = dataclasses.replace(judged, audio_s=audio_s)
    if heard is not None:
        by_ear = judge(in_one_number(heard), question)
        judged = dataclasses.replace(
            judged,
            heard=heard,
            heard_right=by_ear.raw,
            heard_right_normalised=by_ear.normalised,
        )
    return _timed(judged, reply.timings) if alone else judged


def _follows(reply: Reply, question: SpokenQuestion, judge: Judge) -> bool | None:
    concluded = thought_answer(reply.reasoning)
    if concluded is None:
        return None
    return judge(reply.response, dataclasses.replace(question, answer=concluded)).normalised


def _timed(judged: JudgedReply, timings: Timings) -> JudgedReply:
    sound_s = timings.first_sound_s
    return dataclasses.replace(
        judged,
        first_token_s=round(timings.first_token_s, 5),
        first_sound_s=None if sound_s is None else round(sound_s, 5),
        total_s=round(timings.total_s, 5),
        num_underruns=None if sound_s is None else timings.num_underruns,
    )


def with_clock(reply: JudgedReply, alone: JudgedReply) -> JudgedReply:
    """A reply of a batch with what was measured when its question was asked alone."""
    measured = (
        "audio_s", "first_token_s", "first_sound_s", "total_s", "num_underruns",
        "heard", "heard_right", "heard_right_normalised",
    )  # fmt: skip
    return dataclasses.replace(reply, **{name: getattr(alone, name) for name in measured})
