r"""What the length of a row costs a stage: the empty part of a batch, the time of an example.

    XLA_FLAGS="--xla_force_host_platform_device_count=2 $XLA_FLAGS" OPENBLAS_NUM_THREADS=1 \
        python benchmarks/rows.py --run=runs/quickstart --stage=stage4 --rows=4x384,2x768

A stage of a run that is there already, with the batches of its own data, from where it started.
Every row has room for the longest example, so a short one is often emptier. Step functions are
called in turns, so that what disturbs the machine disturbs all of them.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from machine import describe

from reasoner_jax.core.records import Batch
from reasoner_jax.core.sharding import batch_sharding, make_mesh
from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.data.loader import Loader, LoaderConfig
from reasoner_jax.data.statistics import BatchStatistics
from reasoner_jax.models.omni import Omni
from reasoner_jax.training import network, state
from reasoner_jax.training.loop import mixture, row_budget
from reasoner_jax.training.optimizer import make_optimizer
from reasoner_jax.training.stage import Stage
from reasoner_jax.training.step import jitted, make_train_step

_NUM_BATCHES = 16
"""To count; those that are timed are the first few of them."""
_NUM_TIMED = 4


class Candidate:
    """A stage with rows of one length, compiled."""

    def __init__(self, stage: Stage, omni: Omni, datasets: list[SpokenDataset], mesh: Mesh) -> None:
        self.stage, train = stage, stage.train
        frontend = network.frontend_of(omni)
        parts = mixture(stage, datasets)
        self.row = row_budget(stage, parts, frontend)
        config = LoaderConfig(self.row, train.batch_rows, seed=train.seed, window=train.window)
        loader = Loader(parts, frontend, config)
        batches = [batch for _, batch in zip(range(_NUM_BATCHES), loader, strict=False)]
        loader.close()
        self.counts = sum(map(BatchStatistics.of, batches), BatchStatistics())
        sharding = batch_sharding(mesh)
        self._batches: list[Batch] = jax.device_put(batches[:_NUM_TIMED], sharding)
        trainable, self._frozen = state.split(omni.params, stage.trainable)
        optimiser = make_optimizer(stage.optimizer, train.steps, trainable)
        self._state = state.create(trainable, optimiser, averages=False)
        self._step: Any = jitted(make_train_step(stage, omni, optimiser), self._state)
        self.seconds: list[float] = []
        for batch in self._batches[:2]:
            self._run(batch)

    def time(self) -> None:
        """A step on each of the timed batches."""
        for batch in self._batches:
            start = time.perf_counter()
            self._run(batch)
            self.seconds.append(time.perf_counter() - start)

    def _run(self, batch: Batch) -> None:
        self._state, metrics = self._step(self._state, self._frozen, batch)
        jax.block_until_ready(metrics)

    def line(self) -> str:
        """A line of the table."""
        counts, rows = self.counts, self.stage.train.batch_rows
        examples = counts.examples / counts.batches
        ms = 1e3 * statistics.median(self.seconds)
        empty = (counts.token_padding, counts.chunk_padding, counts.code_padding)
        slots = (self.row.tokens, self.row.chunks, self.row.codes)
        shares = [f"{share:.0%}" if n else "-" for share, n in zip(empty, slots, strict=True)]
        return (
            f"| {self.stage.name} | {rows} of {self.row.tokens} | {self.row.chunks} | "
            f"{' | '.join(shares)} | {examples:.1f} | {ms:.0f} | {ms / examples:.1f} |"
        )


def candidates(
    run: Path, name: str, lengths: list[tuple[int, int]], scratch: Path
) -> list[Candidate]:
    """The stage with rows of each length; `scratch` keeps a codec that the stage fits."""
    stage = Stage.from_config(json.loads((run / name / "stage.json").read_text()))
    datasets = [SpokenDataset(x.data, x.split, x.on_corrupt) for x in stage.lessons]
    mesh = make_mesh(data=jax.device_count(), fsdp=1)
    omni = network.build(stage, datasets, scratch, mesh)
    made = []
    for rows, tokens in lengths:
        free = {"chunks": -1, "codes": -1, "words": -1}
        train = dataclasses.replace(stage.train, batch_rows=rows, tokens=tokens, **free)
        with omni.on_mesh():
            made.append(Candidate(dataclasses.replace(stage, train=train), omni, datasets, mesh))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--stage", default="stage4")
    parser.add_argument("--rows", default="4x384,2x768", help="rows x tokens, ..")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    lengths = [tuple(map(int, part.split("x"))) for part in args.rows.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        made = candidates(args.run, args.stage, lengths, Path(scratch))
        for _ in range(args.rounds):
            for candidate in made:
                candidate.time()
    print(f"{describe()}, {jax.device_count()} devices\n")
    print(
        "| stage | rows | chunks a row | tokens empty | chunks empty | codes empty | "
        "examples a step | ms a step | ms an example |\n" + "|---" * 9 + "|"
    )
    for candidate in made:
        print(candidate.line())


if __name__ == "__main__":
    main()
