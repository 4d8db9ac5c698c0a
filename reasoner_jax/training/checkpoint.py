"""Checkpoints of a run: what training needs to go on, beside what anybody needs to load a network.

    checkpoints/00000400/
        reasoner.json, params/, tokenizer/ ..   as `weights.checkpoint` writes them, for `rj.load`
        optimizer/                              the rest of the `TrainState`
        run.json                                written last: step, loader, figures, settings
    best                                        a link to the best of them; in a bucket, its name

A checkpoint without run.json was never finished, and counts as absent. Writing goes on while
training does; it is finished, at the latest, before the next one begins.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import SingleDeviceSharding
from orbax.checkpoint import v1 as ocp

from reasoner_jax.core import bucket
from reasoner_jax.core.params import Params
from reasoner_jax.training.stage import Keep
from reasoner_jax.training.state import Flat, TrainState
from reasoner_jax.weights import checkpoint as weights
from reasoner_jax.weights.manifest import Manifest

_FOLDER, _RUN, _BEST = "checkpoints", "run.json", "best"


@dataclasses.dataclass(frozen=True)
class Saved:
    """A finished checkpoint.

    Attributes:
        directory: for `rj.load`.
        step: optimiser steps before it.
        loader: state of the data loader.
        figures: measured at this step; may be empty.
    """

    directory: Path
    step: int
    loader: Mapping[str, Any]
    figures: Mapping[str, float]


class Checkpointer:
    """Writes and finds the checkpoints of one run. Every process has one, and calls it alike."""

    def __init__(self, workdir: Path, keep: Keep, best: str, better: str) -> None:
        """Removes what an earlier run left unfinished.

        Args:
            workdir: of the run.
            keep: how many are kept.
            best: the figure by which one is the best.
            better: "max" or "min".
        """
        self._folder, self._keep = workdir / _FOLDER, keep
        self._best_figure, self._sign = best, 1 if better == "max" else -1
        self._under_way: tuple[Path, dict[str, Any], list[Any]] | None = None
        if jax.process_index() == 0 and self._folder.is_dir():
            for directory in self._folder.iterdir():
                if not (directory / _RUN).is_file():
                    bucket.remove(directory)
        _wait("reasoner_jax.checkpoints.begin")

    def saved(self) -> list[Saved]:
        """The finished ones, the oldest first.

        Raises:
            ValueError: a run.json cannot be read.
        """
        files = sorted(self._folder.glob(f"*/{_RUN}"))
        return [_read(file) for file in files]

    def latest(self) -> Saved | None:
        """The one to go on from."""
        return max(self.saved(), key=lambda saved: saved.step, default=None)

    def best(self) -> Saved | None:
        """The one with the best figure; the latest where none was measured."""
        measured = [saved for saved in self.saved() if self._best_figure in saved.figures]
        if not measured:
            return self.latest()
        return max(
            measured, key=lambda saved: (self._sign * saved.figures[self._best_figure], saved.step)
        )

    def start_saving(
        self,
        manifest: Manifest,
        params: Params,
        state: TrainState,
        loader: Mapping[str, Any],
        figures: Mapping[str, float],
    ) -> None:
        """Begins to write a checkpoint; arrays may be donated as soon as this returns.

        Raises:
            OSError: the disk is full, or may not be written to.
        """
        self.finish()
        step = int(state.step)
        directory = self._folder / f"{step:08d}"
        if jax.process_index() == 0:
            bucket.remove(directory)
            directory.mkdir(parents=True)
            weights.write_manifest(directory, manifest)
        _wait("reasoner_jax.checkpoint.begin")
        rest = _numbered((state.step, state.opt_state, state.average))
        writing = [
            weights.start_writing(directory, params),
            weights.start_writing_arrays(directory / weights.OPTIMIZER, rest),
        ]
        run = {"step": step, "loader": dict(loader), "figures": dict(figures)}
        self._under_way = directory, run, writing

    def finish(self) -> None:
        """Waits until the checkpoint under way is complete, then removes what is kept no longer.

        Raises:
            OSError: it could not be written; the earlier ones are still there.
        """
        if self._under_way is None:
            return
        directory, run, writing = self._under_way
        self._under_way = None
        try:
            for each in writing:
                each.result()
        except Exception as error:  # tensorstore's, for whatever went wrong
            reason = (str(error).splitlines() or [repr(error)])[0]
            raise OSError(
                f"checkpoint {directory} could not be written: {reason}; make room or choose "
                "another --workdir, then run the same command again: it goes on from "
                f"{getattr(self.latest(), 'directory', 'the beginning')}"
            ) from error
        _wait("reasoner_jax.checkpoint.written")
        if jax.process_index() == 0:
            bucket.write_whole(directory / _RUN, json.dumps(run, indent=1) + "\n")
            self._tidy()
        _wait("reasoner_jax.checkpoint.done")

    def _tidy(self) -> None:
        saved, best = self.saved(), self.best()
        assert best is not None
        kept = {each.directory for each in (*saved[-max(self._keep.last, 1) :], best)}
        bucket.point(best_link(self._folder.parent), f"{_FOLDER}/{best.directory.name}")
        for each in saved:
            if each.directory not in kept:
                bucket.remove(each.directory)


def best_link(workdir: Path) -> Path:
    """Where a run's best checkpoint is found, once there is one."""
    return workdir / _BEST


def restore_state(saved: Saved, trainable: Flat, abstract: TrainState) -> TrainState:
    """The state as it was saved.

    Args:
        saved: the checkpoint.
        trainable: from its parameters.
        abstract: of `state.abstract`.

    Raises:
        ValueError: the file is damaged, or belongs to another optimiser.
    """
    wanted = (abstract.step, abstract.opt_state, abstract.average)
    device = SingleDeviceSharding(jax.local_devices()[0])
    targets = {
        number: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding or device)
        for number, leaf in _numbered(wanted).items()
    }
    directory = saved.directory / weights.OPTIMIZER
    try:
        with weights.bounded_memory(targets.values()):
            found = ocp.load(bucket.address(directory), targets)
    except Exception as error:  # Orbax has a dozen kinds
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise ValueError(
            f"{directory} cannot be read: {reason}; remove {saved.directory} to go on from an "
            "earlier checkpoint"
        ) from error
    leaves = [found[number] for number in targets]
    step, opt_state, average = jax.tree.unflatten(jax.tree.structure(wanted), leaves)
    return TrainState(step, trainable, opt_state, average)


def _numbered(tree: Any) -> dict[str, Any]:
    """Leaves by number: Orbax would store the tuples of optax under names of its own."""
    return {f"{number:05d}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}


def _read(file: Path) -> Saved:
    try:
        run = json.loads(file.read_text())
        return Saved(file.parent, run["step"], run["loader"], run["figures"])
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{file} is damaged ({error!r}); remove {file.parent} to go on from an earlier one"
        ) from error


def _wait(point: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(point)
