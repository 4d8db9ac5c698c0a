"""A checkpoint on every device that is to answer; knows no items.

A network that fits one device is copied to each, and every copy answers batches of its own: the
shapes computed, and so the verdicts, do not depend on the number of devices. One that does not fit
lives on a mesh and is a single engine. The cores of a CPU are one device, which two engines share.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from reasoner_jax.core.params import Params
from reasoner_jax.generation.engine import Engine
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.schedule import Schedule
from reasoner_jax.text.special_tokens import SCHEDULE_TOKENS

_SAMPLED = 16

_ENGINES_OF_A_CPU = 2
"""Decoding is small operations one after the other, of which two batches keep more cores busy; and
one device compiles each of its programs once, where simulated devices would compile their own."""


def engines(omni: Omni, batch_size: int, devices: Sequence[Any] | None = None) -> list[Engine]:
    """An engine a device, two on a CPU's only one; a single one for a network that is on a mesh.

    Args:
        omni: the network.
        batch_size: rows that are decoded together, on each device.
        devices: of JAX; defaults to those of this process.

    Raises:
        ValueError: the network has no tokenizer, or fewer embedding rows than its tokenizer needs.
    """
    check_vocabulary(omni)
    if omni.mesh is not None:
        return [Engine(omni, batch_size)]
    devices = jax.local_devices() if devices is None else devices
    served = omni.for_serving(batch_size=batch_size)
    if len(devices) == 1:
        engine = Engine(served, batch_size)
        return [engine] * (_ENGINES_OF_A_CPU if devices[0].platform == "cpu" else 1)
    return [
        Engine(
            dataclasses.replace(served, params=jax.device_put(served.params, device)), batch_size
        )
        for device in devices
    ]


def check_vocabulary(omni: Omni) -> None:
    """Refuses a network and a tokenizer that do not belong together.

    Raises:
        ValueError: see `engines`.
    """
    rows = omni.config.thinker.vocab_size
    if omni.tokenizer is None:
        raise ValueError(
            "the checkpoint has no tokenizer, so it cannot be asked; put tokenizer.json, or "
            "vocab.json and merges.txt, beside it"
        )
    if omni.tokenizer.vocab_size > rows:
        raise ValueError(
            f"the tokenizer has {omni.tokenizer.vocab_size} tokens, the network {rows} embedding "
            "rows; the tokenizer is of another checkpoint"
        )


def taught(omni: Omni) -> ReplyFormat:
    """How the network answers when nobody says otherwise.

    A released Qwen2.5-Omni knows no schedule's tokens: it answers directly, without control tokens.
    """
    if omni.reply_format is not None:
        return omni.reply_format
    if omni.tokenizer is not None and set(SCHEDULE_TOKENS) <= omni.tokenizer.special_tokens.keys():
        return ReplyFormat()
    return ReplyFormat(schedule=Schedule(mode="direct", control_tokens=False))


def can_speak(omni: Omni) -> bool:
    """Whether there is a talker and a codec for it; a talker before its stage has none."""
    has_codec = omni.config.token2wav is not None or (
        omni.origin is not None and omni.origin.codec_files is not None
    )
    return omni.config.talker is not None and has_codec


def fingerprint(omni: Omni) -> str:
    """Tells one training of a network from another: of its sizes and some numbers of every array.

    Args:
        omni: with its parameters as they were loaded.
    """
    digest = hashlib.sha256(repr(omni.config).encode())
    taught_ = None if omni.reply_format is None else omni.reply_format.to_dict()
    digest.update(json.dumps(taught_, sort_keys=True).encode())
    for path, leaf in sorted(_leaves(omni.params)):
        digest.update(path.encode())
        digest.update(np.asarray(leaf.ravel()[:_SAMPLED], np.float32).tobytes())
    return digest.hexdigest()[:16]


def _leaves(params: Params) -> list[tuple[str, jax.Array]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(params)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in flat]
