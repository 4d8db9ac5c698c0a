"""The loop that every stage runs: batches in, checkpoints and figures out; prints nothing.

    Trainer(stage, workdir).run(report)

The same call again goes on from the last checkpoint, and a run that was interrupted gives the same
losses as one that was not.
"""

import contextlib
import dataclasses
import functools
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from reasoner_jax.core import params as trees
from reasoner_jax.core.records import Batch
from reasoner_jax.core.sharding import batch_sharding, make_mesh
from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.data.loader import Loader, LoaderConfig
from reasoner_jax.data.plan import Component, balanced_budget
from reasoner_jax.data.task import RowBudget
from reasoner_jax.data.transforms import Frontend
from reasoner_jax.models.omni import Omni
from reasoner_jax.training import checkpoint, flops, network, series, state, workdir
from reasoner_jax.training.meter import Figures, Meter
from reasoner_jax.training.optimizer import learning_rate, make_optimizer
from reasoner_jax.training.stage import Stage
from reasoner_jax.training.step import (
    EvalStep,
    Metrics,
    TrainStep,
    jitted,
    make_eval_step,
    make_train_step,
    summary,
)
from reasoner_jax.weights.load import manifest_of

Answer = Callable[[Omni], Figures]
"""Measures a network by real decoding."""


@dataclasses.dataclass(frozen=True)
class Event:
    """What a run has to say.

    Attributes:
        kind: "start" (figures of the run: parameters, tokens and operations of a step), "step" (a
            report every `log_every` steps), "held_out" (an evaluation), "saved", "end".
        step: optimiser steps taken.
        figures: by name.
    """

    kind: str
    step: int
    figures: Mapping[str, float]


class Interrupted(Exception):  # noqa: N818, it is no error
    """The run was asked to stop, and has saved where it stands."""


class Trainer:
    """One run of a stage.

    Attributes:
        stage: what is done.
        omni: the network as it was before this part of the run.
        row: budgets of a row.
    """

    def __init__(self, stage: Stage, directory: Path) -> None:
        """Opens the data, builds or restores the network; compiles nothing yet.

        Args:
            stage: the settings.
            directory: of the run.

        Raises:
            FileNotFoundError, ConnectionError, ValueError: data or weights cannot be read or do
                not fit, see `training.network`, `data.loader` and `training.state`.
        """
        self.stage, self._directory = stage, directory
        self._mesh = _mesh(stage)
        self._checkpoints = checkpoint.Checkpointer(
            directory, stage.keep, stage.evaluate.best, stage.evaluate.better
        )
        saved = self._checkpoints.latest()
        datasets = [SpokenDataset(x.data, x.split, x.on_corrupt) for x in stage.lessons]
        origin = stage.init_from if saved is None else str(saved.directory)
        self.omni = network.build(
            dataclasses.replace(stage, init_from=origin), datasets, directory, self._mesh
        )
        self._frontend = network.frontend_of(self.omni)
        self._components = mixture(stage, datasets)
        self.row = row_budget(stage, self._components, self._frontend)
        trainable, self._frozen = state.split(self.omni.params, stage.trainable)
        averages = stage.optimizer.ema_decay > 0
        self._optimizer = make_optimizer(stage.optimizer, stage.train.steps, trainable)
        self._loader = self._new_loader(self._components, num_epochs=None)
        if saved is None:
            self._state = state.create(trainable, self._optimizer, averages)
        else:
            abstract = state.abstract(trainable, self._optimizer, averages)
            self._state = checkpoint.restore_state(saved, trainable, abstract)
            self._loader.set_state(dict(saved.loader))
        self._stop_signal = 0

    @property
    def step(self) -> int:
        """Optimiser steps taken."""
        return int(self._state.step)

    @property
    def params(self) -> trees.Params:
        """The parameters as they are now."""
        return state.join(self._state.trainable, self._frozen)

    @property
    def trainable_paths(self) -> list[str]:
        """Paths of the parameters that are trained."""
        return sorted(self._state.trainable)

    @property
    def flat_params(self) -> state.Flat:
        """All parameters by path."""
        return {**self._frozen, **self._state.trainable}

    def network(self) -> Omni:
        """The network as it is now; of averaged parameters where the stage averages."""
        best = self._state.average or self._state.trainable
        return dataclasses.replace(self.omni, params=state.join(best, self._frozen))

    def run(
        self, report: Callable[[Event], None] = lambda _: None, answer: Answer | None = None
    ) -> Figures:
        """Trains to the last step.

        Args:
            report: told of everything that happens.
            answer: measures the network by answering; without one, only losses are measured.

        Returns:
            The figures of the best checkpoint.

        Raises:
            Interrupted: SIGTERM or SIGINT; everything is saved.
            FloatingPointError: a loss or gradient is not finite; names the examples. The state
                before it is saved.
            OSError: a checkpoint cannot be written.
        """
        figures = series.Series(self._directory)
        with self.omni.on_mesh(), self._signals(), contextlib.closing(figures):
            compiled = self._compile()
            report(Event("start", self.step, self._sizes()))
            self._steps(compiled, figures, report, answer)
            self._checkpoints.finish()
        best = self._checkpoints.best()
        assert best is not None
        report(Event("end", self.step, best.figures))
        return dict(best.figures)

    def _steps(
        self,
        compiled: TrainStep,
        figures: series.Series,
        report: Callable[[Event], None],
        answer: Answer | None,
    ) -> None:
        stage, rate = self.stage, learning_rate(self.stage.optimizer, self.stage.train.steps)
        meter = Meter(self._sizes())
        # A step is looked at when the next one is under way, so that the device never waits.
        under_way: deque[tuple[int, Metrics, np.ndarray]] = deque()
        number = self.step
        while number < stage.train.steps:
            with meter.waiting():
                batch = next(self._loader)
            placed = self._place(batch)
            self._state, metrics = compiled(self._state, self._frozen, placed)
            number += 1
            under_way.append((number, metrics, batch.example_rows))
            due = number == stage.train.steps or number % stage.keep.every == 0
            stops = self._must_stop(number)
            while len(under_way) > (0 if due or stops else 1):
                done, metrics, rows = under_way.popleft()
                self._check_finite(done, metrics, rows)
                meter.add(metrics)
                if done % stage.log_every == 0 or done == stage.train.steps:
                    shown = {**meter.read(stage.losses), "learning_rate": float(rate(done - 1))}
                    figures.write(done, shown)
                    report(Event("step", done, shown))
            if due or stops:
                with meter.pausing():
                    self._save(number, figures, report, None if stops and not due else answer)
            elif stage.evaluate.every and number % stage.evaluate.every == 0:
                with meter.pausing():
                    self._evaluate(number, figures, report, answer)
            if stops and number < stage.train.steps:
                self._checkpoints.finish()
                raise Interrupted(f"stopped after step {number} of {stage.train.steps}, all saved")

    def _save(
        self,
        number: int,
        figures: series.Series,
        report: Callable[[Event], None],
        answer: Answer | None,
    ) -> None:
        try:
            measured = self._evaluate(number, figures, report, answer)
        except Exception:  # what was learned is kept even if it cannot be measured
            self._start_saving({})
            self._checkpoints.finish()
            raise
        self._start_saving(measured)
        figures.sync()
        report(Event("saved", number, measured))

    def _start_saving(self, measured: Figures) -> None:
        manifest = manifest_of(self.omni)
        self._checkpoints.start_saving(
            manifest, self.params, self._state, self._loader.get_state(), measured
        )

    def _evaluate(
        self,
        number: int,
        figures: series.Series,
        report: Callable[[Event], None],
        answer: Answer | None,
    ) -> Figures:
        """Losses on held-out problems, and answers by real decoding."""
        if not self.stage.evaluate.data:
            return {}
        measured = {f"held_out/{name}": value for name, value in self._held_out().items()}
        if answer is not None and self.stage.evaluate.num_answers:
            measured |= {f"answers/{n}": v for n, v in answer(self.network()).items()}
        figures.write(number, measured)
        report(Event("held_out", number, measured))
        return measured

    def _held_out(self) -> Figures:
        settings = self.stage.evaluate
        dataset = SpokenDataset(settings.data, settings.split)
        # What is asked and learned as in training, of other problems.
        tasks = {component.task: component.weight for component in self._components}
        components = [Component(dataset, task) for task in tasks]
        loader = self._new_loader(components, num_epochs=1)
        evaluate = self._eval_step
        total = Metrics.zeros()
        params = self._state.average or self._state.trainable
        for _, batch in zip(range(settings.num_batches), loader, strict=False):
            total += evaluate(params, self._frozen, self._place(batch))
        loader.close()
        return summary(total, self.stage.losses)

    @functools.cached_property
    def _eval_step(self) -> EvalStep:
        return jax.jit(make_eval_step(self.stage, self.omni))

    def _compile(self) -> TrainStep:
        return jitted(make_train_step(self.stage, self.omni, self._optimizer), self._state)

    def _new_loader(self, components: Any, num_epochs: int | None) -> Loader:
        train = self.stage.train
        config = LoaderConfig(
            self.row,
            train.batch_rows,
            seed=train.seed,
            window=train.window,
            num_epochs=num_epochs,
            num_workers=0 if num_epochs else train.num_workers,
        )
        return Loader(
            components,
            self._frontend,
            config,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )

    def _place(self, batch: Batch) -> Batch:
        if self._mesh is None:
            return jax.device_put(batch)
        sharding = batch_sharding(self._mesh)
        return jax.tree.map(
            functools.partial(jax.make_array_from_process_local_data, sharding), batch
        )

    def _check_finite(self, number: int, metrics: Metrics, rows: np.ndarray) -> None:
        if bool(metrics.is_finite):
            return
        ids = [self._loader.example_id(int(row)) for row in rows[rows >= 0]]
        self._checkpoints.finish()
        raise FloatingPointError(
            f"step {number}: the loss is {float(metrics.loss)}, the norm of its gradient "
            f"{float(metrics.gradient_norm)}; nothing was learned from this batch and nothing "
            f"overwritten. Examples: {', '.join(ids)}. Lower optimizer.peak_rate, set "
            "optimizer.clip_norm, or look at these examples"
        )

    def _sizes(self) -> Figures:
        sizes = flops.sizes_of(self.params)
        trainable = set(self._state.trainable)
        per_row = flops.of_row(self.omni.config, sizes, trainable, self.row, self.stage.losses)
        return {
            "parameters": float(sum(sizes.values())),
            "trainable": float(sum(sizes[path] for path in trainable)),
            "tokens_per_step": float(self.stage.train.batch_rows * self.row.tokens),
            "flop_per_step": per_row * self.stage.train.batch_rows,
            "steps": float(self.stage.train.steps),
        }

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and the first SIGINT ask for a stop after the step under way.

        Of several processes, JAX's own service hears SIGTERM and tells all of them.
        """
        if jax.process_count() > 1:
            yield
            return

        def ask(number: int, _frame: Any) -> None:
            if self._stop_signal and number == signal.SIGINT:
                raise KeyboardInterrupt
            self._stop_signal = number

        try:
            before = {n: signal.signal(n, ask) for n in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not in the main thread
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _must_stop(self, number: int) -> bool:
        """Whether all processes stop after this step."""
        if jax.process_count() > 1:
            return bool(multihost_utils.reached_preemption_sync_point(number))
        return self._stop_signal != 0


def mixture(stage: Stage, datasets: Sequence[SpokenDataset]) -> tuple[Component, ...]:
    """What the loader draws from: the stage's lessons on their data sets, in this order."""
    return tuple(
        Component(dataset, lesson.task(stage.reply), lesson.weight)
        for dataset, lesson in zip(datasets, stage.lessons, strict=True)
    )


def row_budget(stage: Stage, components: tuple[Component, ...], frontend: Frontend) -> RowBudget:
    """The static shapes of a row; what the stage leaves open is balanced on its data."""
    train = stage.train
    given = {"chunks": train.chunks, "codes": train.codes, "words": train.words}
    if -1 in given.values():
        balanced = balanced_budget(components, frontend, train.tokens, examples=train.examples)
        given = {n: getattr(balanced, n) if v == -1 else v for n, v in given.items()}
    return RowBudget(train.tokens, **given, examples=train.examples)


def _mesh(stage: Stage) -> Mesh | None:
    """None for one device, where a mesh would only cost."""
    shape = stage.mesh
    if jax.device_count() == 1 or set(dataclasses.astuple(shape)) == {1}:
        return None
    mesh = make_mesh(shape.data, shape.fsdp, shape.tensor, shape.sequence)
    rows = mesh.shape["data"] * mesh.shape["fsdp"]
    parts = stage.train.batch_rows // stage.train.accumulate
    if parts % rows:
        raise ValueError(
            f"{parts} rows at once (train.batch_rows / train.accumulate) cannot be split over "
            f"{rows} devices of the mesh's data and fsdp axes; make them a multiple of {rows}"
        )
    return mesh


def train(
    stage: Stage,
    directory: Path,
    report: Callable[[Event], None] = lambda _: None,
    answer: Answer | None = None,
) -> Figures:
    """A whole run in its directory; see `Trainer`, and `workdir.opened` for further errors."""
    with workdir.opened(directory, stage):
        return Trainer(stage, directory).run(report, answer)
