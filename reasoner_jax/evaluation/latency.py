"""How long one user waits: questions asked one at a time, by the clock; knows no batch."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import jax

from reasoner_jax.core.records import Reply, SpokenQuestion
from reasoner_jax.evaluation.condition import Answers, Condition, question_of_item
from reasoner_jax.evaluation.judge import Judge
from reasoner_jax.evaluation.judged_reply import JudgedReply, judge_reply
from reasoner_jax.evaluation.replicas import can_speak
from reasoner_jax.evaluation.reply_log import ReplyLog
from reasoner_jax.evaluation.spoken_answer import hear_reply
from reasoner_jax.generation.engine import MAX_TOKENS, Engine, Question
from reasoner_jax.generation.pacing import Pacing
from reasoner_jax.generation.stream import DoneEvent, Style, stream_question
from reasoner_jax.synthesis.recognise import Recognizer
from reasoner_jax.text.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class Streaming:
    """An engine that answers as it would a user: one question at a time, aloud where it can.

    Attributes:
        engine: on one device.
        speaks: whether there is sound.
        pacing: chooses each block's thoughts; None for the schedule's ratio.
    """

    engine: Engine
    speaks: bool
    pacing: Pacing | None = None

    @property
    def schedule(self) -> Schedule:
        """The one that the checkpoint was taught."""
        return self.engine.schedule

    def generate(
        self,
        questions: Sequence[Question],
        schedule: Schedule | None = None,
        *,
        max_tokens: int = MAX_TOKENS,
    ) -> list[Reply]:
        """A reply to each question, its timings those of a user who asked it alone."""
        style = Style(schedule, max_tokens=max_tokens, speaks=self.speaks, pacing=self.pacing)
        return [self._answer(question, style) for question in questions]

    def _answer(self, question: Question, style: Style) -> Reply:
        *_, last = stream_question(self.engine, question, style)
        assert isinstance(last, DoneEvent)
        return last.reply


def adaptive(
    name: str,
    schedule: Schedule | None = None,
    pacing: Pacing | None = None,
    *,
    with_instruction: bool = False,
    max_tokens: int = MAX_TOKENS,
) -> Condition:
    """The sound that is left to play decides how long each block thinks.

    Questions are asked one at a time, since the clock decides; so other machines may give other
    replies. A network that cannot speak always thinks as little as it may.

    Args:
        name: of the condition.
        schedule: of the blocks, apart from their thoughts.
        pacing: its bounds.
        with_instruction, max_tokens: as in `condition.spoken`.
    """

    def ask(engine: Answers, items: Sequence[SpokenQuestion]) -> list[Reply]:
        own = engine.engine if isinstance(engine, Streaming) else engine
        assert isinstance(own, Engine)
        streaming = Streaming(own, can_speak(own.omni), pacing or Pacing())
        questions = [question_of_item(item, with_instruction) for item in items]
        return streaming.generate(questions, schedule, max_tokens=max_tokens)

    return Condition(name, ask, description="as many thoughts as the sound left to play allows")


def time_alone(
    conditions: Sequence[Condition],
    items: Sequence[SpokenQuestion],
    judge: Judge,
    engine: Answers,
    log: ReplyLog | None = None,
    recognizer: Recognizer | None = None,
) -> list[JudgedReply]:
    """Replies with their timings and, where they are spoken, what is heard in them.

    A question that made something compile, as the first of its length does, is asked once more, and
    the second time counts.

    Args:
        conditions: to time.
        items: to ask under each.
        judge: of the items.
        engine: on one device.
        log: keeps what has been timed.
        recognizer: listens to spoken replies; None lets nobody listen.
    """
    known = {} if log is None else log.read()
    timed = []
    for condition in conditions:
        for asked, item in zip(condition.change(items), items, strict=True):
            reply = known.get((condition.name, item.question_id))
            if reply is None:
                with _compilations() as compiled:
                    (answer,) = condition.ask(engine, [asked])
                if compiled:
                    (answer,) = condition.ask(engine, [asked])
                heard = None if recognizer is None else hear_reply(answer, recognizer)
                reply = judge_reply(answer, item, condition.name, judge, heard=heard, alone=True)
                if log is not None:
                    log.append([reply])
            timed.append(reply)
    return timed


@contextlib.contextmanager
def _compilations() -> Iterator[list[float]]:
    """A list that gets the seconds of everything that JAX compiles meanwhile, or reads compiled."""
    seconds: list[float] = []

    def note(event: str, duration_s: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            seconds.append(duration_s)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
