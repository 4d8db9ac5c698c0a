"""Figures over time, as jsonl and TensorBoard; knows no network.

clu's own metric writers need TensorFlow, so the two formats are written here by their libraries.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import jax
from tensorboardX import SummaryWriter

from reasoner_jax.core import bucket

_LINES, _BOARD = "figures.jsonl", "tensorboard"


class Series:
    """Writes one run's figures; the same step written again replaces nothing, the last line counts.

    Only the first process of a multi-host run writes. A bucket, where nothing can be appended, gets
    everything anew with each `sync`.
    """

    def __init__(self, workdir: Path) -> None:
        """Appends to what an earlier part of the run wrote."""
        self._writes, self._workdir = jax.process_index() == 0, workdir
        if not self._writes:
            return
        workdir.mkdir(parents=True, exist_ok=True)
        self._local = bucket.scratch() if bucket.is_remote(workdir) else workdir
        if self._local != workdir and (workdir / _LINES).is_file():
            bucket.copy_file(workdir / _LINES, self._local / _LINES)
        self._lines = (self._local / _LINES).open("a", encoding="utf-8")
        self._board = SummaryWriter(str(self._local / _BOARD))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds a line and a point of each curve."""
        if not self._writes:
            return
        rounded = {name: float(f"{value:.7g}") for name, value in figures.items()}
        self._lines.write(json.dumps({"step": step, **rounded}) + "\n")
        self._lines.flush()
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)

    def sync(self) -> None:
        """Makes sure that what has been written outlives this process."""
        if not self._writes:
            return
        self._board.flush()
        if self._local != self._workdir:
            bucket.copy_all(self._local, self._workdir)

    def close(self) -> None:
        """Writes what is left."""
        if self._writes:
            self.sync()
            self._lines.close()
            self._board.close()


def read(workdir: Path) -> dict[int, dict[str, float]]:
    """All figures of a run by step, as far as they were written."""
    found: dict[int, dict[str, float]] = {}
    file = workdir / _LINES
    for line in file.read_text("utf-8").splitlines() if file.is_file() else ():
        values = json.loads(line)
        found.setdefault(values.pop("step"), {}).update(values)
    return found
