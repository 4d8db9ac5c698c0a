"""An evaluation from plan to files: which conditions, in which order, and what is written."""

import dataclasses
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation import plot, table
from reasoner_jax.evaluation.cascade import cascade
from reasoner_jax.evaluation.causality import NUM_INTERVENTIONS, interventions
from reasoner_jax.evaluation.compare import DESCRIPTIONS
from reasoner_jax.evaluation.condition import MODES, Condition, shuffled, spoken, written
from reasoner_jax.evaluation.gather import gather
from reasoner_jax.evaluation.judge import Judge
from reasoner_jax.evaluation.judged_reply import JudgedReply, with_clock
from reasoner_jax.evaluation.latency import Streaming, adaptive, time_alone
from reasoner_jax.evaluation.replicas import can_speak
from reasoner_jax.evaluation.reply_log import ReplyLog
from reasoner_jax.evaluation.report import Report, summarise
from reasoner_jax.evaluation.run import Progress, Workers, answer_items, in_order
from reasoner_jax.generation.engine import Engine
from reasoner_jax.synthesis.recognise import Recognizer
from reasoner_jax.text.schedule import Schedule

ADAPTIVE = "adaptive"

_RATIO = re.compile(r"(\d+):(\d+)")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to ask a checkpoint.

    Attributes:
        schedule: what it was taught; the modes and ratios below vary it.
        modes: to compare; none for the one it was taught.
        ratios: response to reasoning slots of further in-speaking conditions, "2:4"; or "adaptive",
            see `latency.adaptive`.
        control: whether the first condition is asked again with the audio of other questions.
        as_text: whether the thinker also reads the questions: what hearing costs.
        cascade: whether it also reads what a recogniser heard.
        causality: whether the first condition's thoughts are tampered with.
        with_instruction: whether each item's own text prompt goes along.
        max_tokens: bound on a reply.
        num_timed: items that are asked one at a time, for the clock.
        seed: of shuffles and interventions.
    """

    schedule: Schedule
    modes: tuple[str, ...] = ()
    ratios: tuple[str, ...] = ()
    control: bool = True
    as_text: bool = False
    cascade: bool = False
    causality: bool = False
    with_instruction: bool = False
    max_tokens: int = 512
    num_timed: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := [mode for mode in self.modes if mode not in MODES]:
            raise ValueError(f"modes: expected some of {list(MODES)}, got {unknown}")
        if self.causality and not self.first_schedule.thinks:
            raise ValueError(
                "causality: the first condition has no thoughts to tamper with; put in_speaking or "
                "before_speaking first among the modes"
            )
        for ratio in self.ratios:
            if ratio != ADAPTIVE:
                parse_ratio(ratio)

    @property
    def first_schedule(self) -> Schedule:
        """Of the condition that all others are compared with."""
        return self._schedules()[0]

    @property
    def num_conditions(self) -> int:
        """How often each item is asked, the clock aside."""
        schedules = {name_of(schedule) for schedule in self._schedules()}
        more = self.control + self.as_text + self.cascade + NUM_INTERVENTIONS * self.causality
        return len(schedules) + more + (ADAPTIVE in self.ratios)

    def _schedules(self) -> list[Schedule]:
        schedules = [
            self.schedule.for_mode(mode)
            for wanted in self.modes
            for mode in MODES
            if mode == wanted
        ] or [self.schedule]
        for ratio in self.ratios:
            if ratio == ADAPTIVE:
                continue
            response, reasoning = parse_ratio(ratio)
            schedule = dataclasses.replace(
                self.schedule, response=response, reasoning=reasoning, mode="in_speaking"
            )
            schedules.append(schedule)
        return schedules

    def conditions(self, recognizer: Recognizer | None = None) -> list[Condition]:
        """All but the interventions, which need the first condition's replies.

        Args:
            recognizer: of the cascade.

        Raises:
            ValueError: a cascade without a recogniser.
        """
        options = {"with_instruction": self.with_instruction, "max_tokens": self.max_tokens}
        found = {name_of(schedule): schedule for schedule in self._schedules()}
        conditions = [
            spoken(name, schedule, description=DESCRIPTIONS[schedule.mode], **options)
            for name, schedule in found.items()
        ]
        if ADAPTIVE in self.ratios:
            in_speaking = self.schedule.for_mode("in_speaking")
            conditions.append(adaptive(f"in_speaking {ADAPTIVE}", in_speaking, **options))
        first_name, first = next(iter(found.items()))
        if self.control:
            conditions.append(shuffled(conditions[0], self.seed))
        if self.as_text:
            conditions.append(written(f"{first_name}, read", first, **options))
        if self.cascade:
            if recognizer is None:
                raise ValueError("cascade: needs a recogniser; set config.recognizer='whisper'")
            conditions.append(cascade(f"{first_name}, cascade", recognizer, first, **options))
        return conditions


def parse_ratio(text: str) -> tuple[int, int]:
    """Response and reasoning slots, "2:8" -> (2, 8).

    Raises:
        ValueError: anything else.
    """
    found = _RATIO.fullmatch(text.strip())
    if not found or not all(map(int, found.groups())):
        raise ValueError(
            f"ratio: expected RESPONSE:REASONING such as 2:8, both at least 1, or {ADAPTIVE}, "
            f"got {text!r}"
        )
    return int(found[1]), int(found[2])


def name_of(schedule: Schedule) -> str:
    """Of its condition: "in_speaking 2:8"; the other modes have no ratio."""
    if schedule.mode != "in_speaking":
        return schedule.mode
    return f"in_speaking {schedule.response}:{schedule.reasoning}"


def evaluate(
    plan: Plan,
    items: Sequence[SpokenQuestion],
    judge: Judge,
    workers: Workers,
    log: ReplyLog,
    *,
    recognizer: Recognizer | None = None,
    title: str = "Evaluation",
    facts: Mapping[str, str] | None = None,
    progress: Progress = lambda reply: None,
) -> Report:
    """Asks everything, on this process's share, and reports on all of it.

    Args:
        plan: what to ask.
        items: of one set.
        judge: of that set.
        workers: engines under the name ""; `workers.recognizer` listens to the replies that are
            made one at a time, which are spoken where the network can.
        log: what it holds is not asked again.
        recognizer: of the cascade.
        title, facts: of the report.
        progress: called with every reply of this process.

    Raises:
        ValueError: options that contradict each other, or items that cannot be asked.
    """
    begin_s = time.perf_counter()
    conditions = plan.conditions(recognizer)
    replies = gather(answer_items(conditions, items, judge, workers, log, progress))
    if plan.causality:
        first = {
            item: reply for (name, item), reply in replies.items() if name == conditions[0].name
        }
        tampered = interventions(
            conditions[0].name, plan.first_schedule, first, items, seed=plan.seed,
            with_instruction=plan.with_instruction, max_tokens=plan.max_tokens,
        )  # fmt: skip
        conditions = [*conditions, *tampered]
        replies |= gather(answer_items(tampered, items, judge, workers, log, progress))
    if plan.num_timed:
        replies = _timed(replies, conditions, items[: plan.num_timed], judge, workers, log)
    spent_s = time.perf_counter() - begin_s
    facts = {**(facts or {}), "seconds of this run": f"{spent_s:.0f}"}
    descriptions = {c.name: c.description for c in conditions}
    return summarise(title, in_order(replies, conditions, items), descriptions, facts)


def _timed(
    replies: dict[tuple[str, str], JudgedReply],
    conditions: Sequence[Condition],
    items: Sequence[SpokenQuestion],
    judge: Judge,
    workers: Workers,
    log: ReplyLog,
) -> dict[tuple[str, str], JudgedReply]:
    """The replies with the clock of the same questions asked alone; the first process measures."""
    alone = []
    if workers.process_index == 0:
        engine = workers.engines[""][0]
        if isinstance(engine, Engine):
            engine = Streaming(engine, can_speak(engine.omni))
        asked = [condition for condition in conditions if condition.timed]
        alone_log = ReplyLog(log.directory / "alone", {})
        alone = time_alone(asked, items, judge, engine, alone_log, workers.recognizer)
    timed = dict(replies)
    for key, reply in gather(alone).items():
        timed[key] = with_clock(replies[key], reply)
    return timed


def write(report: Report, directory: Path) -> list[Path]:
    """report.json, report.md and the plots; the files written."""
    directory.mkdir(parents=True, exist_ok=True)
    as_json, as_text = directory / "report.json", directory / "report.md"
    as_json.write_text(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n")
    as_text.write_text(table.markdown(report))
    return [as_json, as_text, *plot.write_plots(report, directory)]
