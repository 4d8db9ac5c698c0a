"""How long one user waits: questions asked one at a time, by the clock; knows no batch."""

from collections.abc import Sequence

from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation.condition import Answers, Condition
from reasoner_jax.evaluation.judge import Judge
from reasoner_jax.evaluation.judged_reply import JudgedReply, judge_reply
from reasoner_jax.evaluation.reply_log import ReplyLog


def time_alone(
    conditions: Sequence[Condition],
    items: Sequence[SpokenQuestion],
    judge: Judge,
    engine: Answers,
    log: ReplyLog | None = None,
) -> list[JudgedReply]:
    """Replies with their timings.

    Every question is asked twice, and the second time counts: the first compiles what a question of
    its length needs.

    Args:
        conditions: to time.
        items: to ask under each.
        judge: of the items.
        engine: on one device.
        log: keeps what has been timed.
    """
    known = {} if log is None else log.read()
    timed = []
    for condition in conditions:
        for asked, item in zip(condition.change(items), items, strict=True):
            reply = known.get((condition.name, item.question_id))
            if reply is None:
                condition.ask(engine, [asked])
                (answer,) = condition.ask(engine, [asked])
                reply = judge_reply(answer, item, condition.name, judge, alone=True)
                if log is not None:
                    log.append([reply])
            timed.append(reply)
    return timed
