"""Replies of all processes to all processes, with or without a common disk; knows no engine."""

import json
from collections.abc import Iterable

import jax
import numpy as np
from jax.experimental import multihost_utils

from reasoner_jax.core.records import from_dict, to_dict
from reasoner_jax.evaluation.judged_reply import JudgedReply


def gather(replies: Iterable[JudgedReply]) -> dict[tuple[str, str], JudgedReply]:
    """What all processes know, by condition and item; every process must call this at once.

    Without `jax.distributed` it is what this process knows.
    """
    own = list(replies)
    if jax.process_count() == 1:
        return {(reply.condition, reply.item_id): reply for reply in own}
    text = json.dumps([to_dict(reply) for reply in own], ensure_ascii=False).encode()
    # Arrays of one shape can be gathered: the longest text decides.
    lengths = multihost_utils.process_allgather(np.array([len(text)], np.int32)).reshape(-1)
    padded = np.zeros(int(lengths.max()), np.uint8)
    padded[: len(text)] = np.frombuffer(text, np.uint8)
    rows = multihost_utils.process_allgather(padded)
    known: dict[tuple[str, str], JudgedReply] = {}
    for row, length in zip(rows, lengths, strict=True):
        for values in json.loads(bytes(row[: int(length)])):
            reply = from_dict(JudgedReply, values)
            known.setdefault((reply.condition, reply.item_id), reply)
    return known
