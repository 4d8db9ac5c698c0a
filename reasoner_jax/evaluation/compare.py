"""One call that compares ways to answer on the same items; joins running, judging and reporting."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation.condition import MODES, Answers, Condition, shuffled, spoken
from reasoner_jax.evaluation.judge import Judge, judge_number
from reasoner_jax.evaluation.latency import Streaming
from reasoner_jax.evaluation.replicas import can_speak
from reasoner_jax.evaluation.reply_log import ReplyLog
from reasoner_jax.evaluation.report import Report, summarise
from reasoner_jax.evaluation.run import Progress, Workers, answer_items
from reasoner_jax.generation.engine import MAX_TOKENS, Engine
from reasoner_jax.synthesis.recognise import Recognizer
from reasoner_jax.text.schedule import Mode, Schedule


def evaluate_modes(
    engine: Answers | Mapping[Mode, Answers],
    items: Sequence[SpokenQuestion],
    modes: Sequence[Mode] = MODES,
    *,
    schedule: Schedule | None = None,
    judge: Judge = judge_number,
    control: bool = True,
    title: str = "Modes compared",
    facts: Mapping[str, str] | None = None,
    batch_size: int = 32,
    recognizer: Recognizer | None = None,
    log: ReplyLog | None = None,
    progress: Progress = lambda reply: None,
    **options: Any,
) -> Report:
    """Accuracy, words, thoughts and violations of each mode, by kind of problem.

    Args:
        engine: answers in every mode; or one engine a mode, where each was trained apart.
        items: spoken questions, see `item_set.questions_of`; reported by their `split`, which for
            synthesised problems is the kind.
        modes: to compare, in this order.
        schedule: whose ratio and tokens all modes share; None for the first engine's own.
        judge: decides what is right.
        control: whether the first mode is asked again with the audio of other questions; what is
            right then was not heard.
        title, facts: of the report.
        batch_size: items at once.
        recognizer: listens to the spoken replies, if there are any.
        log: keeps every reply, and what it holds is not asked again.
        progress: called with every reply.
        **options: for `Engine.generate`.

    Returns:
        A report with a condition for each mode, named like it, and "MODE, shuffled audio".

    Raises:
        ValueError: no items, no modes, or a mode without an engine.
    """
    engines = engine if isinstance(engine, Mapping) else dict.fromkeys(modes, engine)
    if missing := [mode for mode in modes if mode not in engines]:
        raise ValueError(f"no engine for the modes {missing}; got engines for {list(engines)}")
    taught = next((found.schedule for found in engines.values()), Schedule())
    conditions = mode_conditions(modes, schedule or taught, control=control, **options)
    workers = Workers({mode: [found] for mode, found in engines.items()}, batch_size, recognizer)
    replies = answer_items(conditions, items, judge, workers, log, progress)
    return summarise(title, replies, {c.name: c.description for c in conditions}, facts)


def evaluate_aloud(
    engine: Engine,
    items: Sequence[SpokenQuestion],
    recognizer: Recognizer,
    *,
    schedule: Schedule | None = None,
    judge: Judge = judge_number,
    max_tokens: int = MAX_TOKENS,
    log: ReplyLog | None = None,
    progress: Progress = lambda reply: None,
) -> Report:
    """How often the right number is heard in the spoken replies, questions asked one at a time.

    Args:
        engine: of a network with a talker and a codec.
        items: spoken questions.
        recognizer: listens.
        schedule: of the replies; None for the checkpoint's own.
        judge, log, progress: as in `evaluate_modes`.
        max_tokens: bound on a reply.

    Returns:
        A report with the one condition "aloud": `micro.heard` beside `micro.normalised`, which
        judges the text of the same replies, and the waits of a single user.

    Raises:
        ValueError: no items, or a network that cannot speak.
    """
    if not can_speak(engine.omni):
        raise ValueError(
            "this network cannot speak: it lacks a talker or the talker's codec; train stage 5"
        )
    aloud = spoken("aloud", schedule, description="spoken replies", max_tokens=max_tokens)
    workers = Workers({"": [Streaming(engine, speaks=True)]}, 1, recognizer)
    replies = answer_items([aloud], items, judge, workers, log, progress)
    return summarise("Spoken replies", replies, {aloud.name: aloud.description})


def mode_conditions(
    modes: Sequence[Mode], schedule: Schedule, *, control: bool, **options: Any
) -> list[Condition]:
    """A condition for each mode, and the shuffled-audio control of the first.

    Each is answered by the engine called like its mode.

    Raises:
        ValueError: no modes.
    """
    if not modes:
        raise ValueError(f"modes: expected at least one of {list(MODES)}, got none")
    conditions = [
        spoken(mode, schedule.for_mode(mode), description=DESCRIPTIONS[mode], **options)
        for mode in modes
    ]
    conditions = [dataclasses.replace(c, engine=c.name) for c in conditions]
    return [*conditions, shuffled(conditions[0])] if control else conditions


DESCRIPTIONS: Mapping[Mode, str] = {
    "in_speaking": "thoughts in between the spoken words",
    "before_speaking": "all thoughts, then the spoken answer",
    "direct": "the spoken answer, no thoughts",
}
