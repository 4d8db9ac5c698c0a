"""Asks all items under all conditions, on all devices and processes, and goes on where it stopped.

Batches are cut from the items alone, before anything is known of devices: which device or process
answers a batch changes no shape that is computed, and so no verdict. Knows no report.
"""

import dataclasses
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation.condition import Answers, Condition
from reasoner_jax.evaluation.item_set import duration_s
from reasoner_jax.evaluation.judge import Judge
from reasoner_jax.evaluation.judged_reply import JudgedReply, judge_reply
from reasoner_jax.evaluation.reply_log import ReplyLog
from reasoner_jax.evaluation.spoken_answer import hear
from reasoner_jax.synthesis.recognise import Recognizer

Progress = Callable[[JudgedReply], None]


@dataclasses.dataclass(frozen=True)
class Workers:
    """Who answers.

    Attributes:
        engines: by the name that `Condition.engine` gives, one engine for each local device.
        batch_size: items that an engine gets at once.
        recognizer: listens to spoken replies; None judges what was said by its text alone.
        process_index, process_count: of this process among those of the run.
    """

    engines: Mapping[str, Sequence[Answers]]
    batch_size: int = 32
    recognizer: Recognizer | None = None
    process_index: int = 0
    process_count: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not 0 <= self.process_index < self.process_count:
            raise ValueError(
                "expected batch_size >= 1 and 0 <= process_index < process_count, got "
                f"{self.batch_size}, {self.process_index} and {self.process_count}"
            )
        if not self.engines or not all(self.engines.values()):
            raise ValueError(f"expected an engine for each name, got {dict(self.engines)}")


@dataclasses.dataclass(frozen=True)
class Batch:
    """Items to ask at once: as they are asked, and as they are judged."""

    condition: Condition
    asked: tuple[SpokenQuestion, ...]
    items: tuple[SpokenQuestion, ...]


def answer_items(
    conditions: Sequence[Condition],
    items: Sequence[SpokenQuestion],
    judge: Judge,
    workers: Workers,
    log: ReplyLog | None = None,
    progress: Progress = lambda reply: None,
) -> list[JudgedReply]:
    """Asks what has not been asked yet; one process's share of it.

    Args:
        conditions: in this order, each under a name of its own.
        items: of one set.
        judge: of that set.
        workers: engines, and this process's share.
        log: of earlier runs and for this one; None keeps nothing on disk.
        progress: called with every reply, those of earlier runs first.

    Returns:
        The replies known to this process, by condition, then in the order of the items. Those of
        other processes are in the log once they have written them.

    Raises:
        ValueError: no items, two of one id, or conditions of one name.
    """
    _check_names("conditions", [condition.name for condition in conditions])
    _check_names("items", [item.question_id for item in items])
    known = {} if log is None else log.read()
    wanted = {(c.name, item.question_id) for c in conditions for item in items}
    known = {key: reply for key, reply in known.items() if key in wanted}
    for reply in known.values():
        progress(reply)
    batches = [
        batch
        for number, batch in enumerate(cut_batches(conditions, items, workers.batch_size))
        if number % workers.process_count == workers.process_index
        and any((batch.condition.name, item.question_id) not in known for item in batch.items)
    ]
    for replies in _answers(batches, judge, workers):
        new = [reply for reply in replies if (reply.condition, reply.item_id) not in known]
        if log is not None:
            log.append(new)
        for reply in new:
            known[reply.condition, reply.item_id] = reply
            progress(reply)
    return in_order(known, conditions, items)


def in_order(
    replies: Mapping[tuple[str, str], JudgedReply],
    conditions: Sequence[Condition],
    items: Sequence[SpokenQuestion],
) -> list[JudgedReply]:
    """The replies that exist, by condition, then in the order of the items."""
    keys = [(c.name, item.question_id) for c in conditions for item in items]
    return [replies[key] for key in keys if key in replies]


def cut_batches(
    conditions: Sequence[Condition], items: Sequence[SpokenQuestion], batch_size: int
) -> Iterator[Batch]:
    """All batches of a run, questions of like length together; the last of a condition is short."""
    for condition in conditions:
        pairs = list(zip(condition.change(items), items, strict=True))
        pairs.sort(key=lambda pair: (duration_s(pair[0]), pair[0].question_id))
        for start in range(0, len(pairs), batch_size):
            asked, judged = zip(*pairs[start : start + batch_size], strict=True)
            yield Batch(condition, asked, judged)


def _answers(
    batches: Sequence[Batch], judge: Judge, workers: Workers
) -> Iterator[list[JudgedReply]]:
    """The judged replies of each batch, as they come; one thread an engine."""
    idle: dict[str, queue.SimpleQueue[Answers]] = {}
    for name, engines in workers.engines.items():
        idle[name] = queue.SimpleQueue()
        for engine in engines:
            idle[name].put(engine)
    listening = threading.Lock()

    def work(batch: Batch) -> list[JudgedReply]:
        engine = idle[batch.condition.engine].get()
        try:
            return _answer(batch, engine, judge, workers, listening)
        finally:
            idle[batch.condition.engine].put(engine)

    num_threads = max(len(engines) for engines in workers.engines.values())
    with ThreadPoolExecutor(num_threads) as pool:
        waiting: set[Future] = {pool.submit(work, batch) for batch in batches}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _answer(
    batch: Batch, engine: Answers, judge: Judge, workers: Workers, listening: threading.Lock
) -> list[JudgedReply]:
    replies = batch.condition.ask(engine, batch.asked)
    heard: Sequence[str | None] = [None] * len(replies)
    if workers.recognizer is not None:
        with listening:  # one recogniser, and it takes all it can get of the processor
            heard = hear(replies, workers.recognizer)
    alone = workers.batch_size == 1
    return [
        judge_reply(reply, item, batch.condition.name, judge, heard=text, alone=alone)
        for reply, item, text in zip(replies, batch.items, heard, strict=True)
    ]


def _check_names(what: str, names: Sequence[str]) -> None:
    if not names:
        raise ValueError(f"{what}: expected at least one, got none; is the data set empty?")
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"{what}: expected names of their own, got {twice[:5]} more than once")
