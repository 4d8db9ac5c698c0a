"""A data set whose responses are speech codes, made from a finished one; knows no talker's inside.

codes.json                          what the codes were made from; anything else is refused
the files of `data.dataset`, and while it is being written those of `data.writer`
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reasoner_jax.data.dataset import SpokenDataset, read_info
from reasoner_jax.data.shards import write_text
from reasoner_jax.data.writer import DatasetWriter
from reasoner_jax.generation.distill import Distiller

ORIGIN = "codes.json"

NOTHING_TO_SAY = "nothing to say"
SPEECH_DOES_NOT_END = "speech does not end"
CORRUPT = "corrupt record"

Progress = Callable[[str], None]


def distill(
    dataset: SpokenDataset,
    directory: str | os.PathLike,
    distiller: Distiller,
    *,
    origin: Mapping[str, Any],
    seed: int = 0,
    progress: Progress = lambda reason: None,
) -> dict[str, int]:
    """Writes a data set like another, its responses as codes; goes on where a killed run stopped.

    A recording of the response is left out: it is another voice's.

    Args:
        dataset: finished.
        directory: of the new data set, which gets the same name and split.
        distiller: who speaks.
        origin: JSON values that tell one distiller from another; kept beside the data set.
        seed: of the draws.
        progress: called with every problem, those of earlier runs left out: the reason it was
            dropped for, "" if it was not.

    Returns:
        Problems by the reason they were dropped for, those of earlier runs included; "" counts
        those that were spoken.

    Raises:
        ValueError: the directory is the data set's own, or was made from something else; or nothing
            could be spoken.
        BlockingIOError: another run writes to it.
        OSError: the disk is full; nothing is lost, run again after freeing space.
    """
    directory = Path(directory)
    name = read_info(dataset.directory)["name"]
    if directory.resolve() == dataset.directory.resolve():
        raise ValueError(f"{directory} holds the data set to be spoken; choose another directory")
    size = {"records": len(dataset), "bytes": dataset.num_bytes}
    identity = {**origin, "seed": seed, "split": dataset.split, "of": size}
    _check_origin(directory, identity)
    with DatasetWriter(directory, dataset.split, name=name) as writer:
        if not writer.finished:
            _check_origin(directory, identity)  # under the lock, for two that begin at once
            write_text(directory / ORIGIN, json.dumps(identity, indent=2))
            for first in range(0, len(dataset), distiller.rows):
                stop = min(first + distiller.rows, len(dataset))
                _distill_batch(dataset, range(first, stop), writer, distiller, seed, progress)
            writer.finish(f"Responses spoken by {origin.get('checkpoint', 'a talker')}.")
        return dict(writer.counts)


def _distill_batch(
    dataset: SpokenDataset,
    records: range,
    writer: DatasetWriter,
    distiller: Distiller,
    seed: int,
    progress: Progress,
) -> None:
    """Speaks one batch whole, though parts may be written: so it says the same after a kill."""
    outlines = [dataset.outline(record) for record in records]
    if all(outline.problem_id in writer.done for outline in outlines):
        return
    scripts = [distiller.script(outline) for outline in outlines]
    own_seed = int(np.random.default_rng([seed, records.start]).integers(1 << 31))
    spoken = distiller.speak(scripts, own_seed)
    for record, outline, script, codes in zip(records, outlines, scripts, spoken, strict=True):
        if outline.problem_id in writer.done:
            continue
        problem = dataset[record] if codes is not None else None
        if problem is not None:
            codes_only = {"response_codes": codes, "response_waveform": None}
            writer.add(dataclasses.replace(problem, **codes_only))
        else:
            reason = NOTHING_TO_SAY if script is None else SPEECH_DOES_NOT_END
            writer.drop(outline.problem_id, reason if codes is None else CORRUPT)
        progress(writer.done[outline.problem_id])


def _check_origin(directory: Path, identity: Mapping[str, Any]) -> None:
    path = directory / ORIGIN
    if not path.exists():
        return
    theirs = json.loads(path.read_text())
    differing = sorted(
        key for key in theirs.keys() | identity.keys() if theirs.get(key) != identity.get(key)
    )
    if differing:
        values = ", ".join(f"{k} ({theirs.get(k)!r}, now {identity.get(k)!r})" for k in differing)
        raise ValueError(
            f"the codes of {directory} are made from something else, which differs in {values}; "
            "choose another directory, or delete this one"
        )
