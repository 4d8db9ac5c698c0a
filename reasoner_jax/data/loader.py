"""Packed batches without end, the same for the same seed on any number of machines.

Knows Grain and batches; knows no network, no optimiser and no stage.

    outlines --plan--> rows of drafts --take B--> this process's rows --read sound, log-mel--> Batch

The stream of rows is global: batch s is the next `batch_rows` rows, of which each process renders
its own. So a batch depends on the settings and on s, not on how many processes or workers there
are, and the state is three small numbers, equal in all processes. What that costs: every process
(and every worker of it) plans all rows, reading all outlines, that is texts without sound; only
the sound, which is most of the work, is shared out. See benchmarks/data_loader.py.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import grain
import numpy as np
from absl import flags

from reasoner_jax.core.records import Batch
from reasoner_jax.data.batch import Renderer
from reasoner_jax.data.plan import Component, Placed, Planner, Window
from reasoner_jax.data.task import RowBudget, Task
from reasoner_jax.data.transforms import Frontend

# Of tasks; states were saved before these existed.
_YOUNGER_FIELDS = ("lead_in_s",)


@dataclasses.dataclass(frozen=True)
class LoaderConfig:
    """How batches are made.

    Attributes:
        row: what fits into a row.
        batch_rows: rows of a batch over all processes.
        seed, window, shuffle, num_epochs: see `Planner`. With an end, the last batch is filled up
            with rows of padding.
        num_workers: processes that prepare batches beside the training; 0 for one thread.
        buffer_batches: batches prepared in advance, by each worker.
    """

    row: RowBudget
    batch_rows: int
    seed: int = 0
    window: int = 1024
    shuffle: bool = True
    num_epochs: int | None = None
    num_workers: int = 0
    buffer_batches: int = 2


class Loader:
    """An iterator over `Batch`es of NumPy arrays, the rows of this process only.

    Attributes:
        counts: examples since this loader began, by what became of them: "read", "placed", each
            reason for which one was dropped (over all processes), and "silenced" (this process).
    """

    def __init__(
        self,
        components: Sequence[Component],
        frontend: Frontend,
        config: LoaderConfig,
        *,
        process_index: int = 0,
        process_count: int = 1,
    ) -> None:
        """Checks the settings; starts reading at the first batch.

        Args:
            components: the mixture.
            frontend: how the network wants text and sound.
            config: how batches are made.
            process_index: of this process; it gets the rows from `process_index * b` on, where b
                is `batch_rows / process_count`.
            process_count: how many processes share a batch.

        Raises:
            ValueError: settings that make no sense, or an empty data set.
        """
        if config.batch_rows < 1 or config.batch_rows % process_count:
            raise ValueError(
                f"batch_rows is {config.batch_rows}, expected a multiple of the {process_count} "
                "processes"
            )
        if not 0 <= process_index < process_count:
            raise ValueError(f"process_index is {process_index} of {process_count} processes")
        if config.buffer_batches < 1 or config.num_workers < 0:
            raise ValueError(
                f"buffer_batches is {config.buffer_batches}, expected 1 or more; num_workers is "
                f"{config.num_workers}, expected 0 or more"
            )
        self.config = config
        self.counts: Counter[str] = Counter()
        self._components = tuple(components)
        self._planner = Planner(
            components,
            frontend,
            config.row,
            seed=config.seed,
            window=config.window,
            shuffle=config.shuffle,
            num_epochs=config.num_epochs,
        )
        sizes = [len(component.dataset) for component in components]
        self._offsets = np.cumsum([0, *sizes])
        rows = config.batch_rows // process_count
        self._own_rows = slice(process_index * rows, (process_index + 1) * rows)
        self._recipe = _recipe(self._components, frontend, config)
        self._position = _Position()
        self._batches: Any = None

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next batch.

        Raises:
            StopIteration: after the last epoch.
            ValueError: a corrupt record, or no example fits a row.
        """
        if self._batches is None:
            self._batches = iter(self._pipeline())
        element = next(self._batches)
        notes = json.loads(element["notes"])
        self._position = _Position(**notes["position"])
        self.counts.update(notes["counts"])
        return Batch(**element["arrays"])

    def get_state(self) -> dict[str, Any]:
        """What `set_state` needs to go on behind the last batch: JSON, equal in all processes."""
        return {**dataclasses.asdict(self._position), "recipe": self._recipe}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where `get_state` was called, with any number of processes and workers.

        The next batch takes as long as the first of a run: its window is planned anew.

        Raises:
            ValueError: the state is of other data sets, tasks or settings; says which.
        """
        theirs = state["recipe"]
        changed = [
            f"{name}: {theirs.get(name)} then, {ours} now"
            for name, ours in self._recipe.items()
            if theirs.get(name) != ours
        ]
        if changed:
            raise ValueError(
                "the loader's state belongs to other batches:\n  "
                + "\n  ".join(changed)
                + "\nundo the change, or start anew without the state"
            )
        self.close()
        names = [field.name for field in dataclasses.fields(_Position)]
        self._position = _Position(**{name: int(state[name]) for name in names})

    def example_id(self, example_row: int) -> str:
        """The problem's id behind a number of `Batch.example_rows`.

        Raises:
            IndexError: no such number.
        """
        if not 0 <= example_row < self._offsets[-1]:
            raise IndexError(f"example row {example_row} of {self._offsets[-1]}")
        component = int(np.searchsorted(self._offsets, example_row, side="right")) - 1
        record = int(example_row - self._offsets[component])
        return self._components[component].dataset.outline(record).problem_id

    def close(self) -> None:
        """Stops threads and workers; iterating again starts them anew."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _pipeline(self) -> grain.IterDataset:
        renderer = Renderer(
            self._components, self._planner.frontend, self.config.row, self._offsets.tolist()
        )
        batches = _PlannedBatches(self._planner, self.config.batch_rows, self._position)
        batches = batches.map(_Render(renderer, self._own_rows))
        if self.config.num_workers:
            if not flags.FLAGS.is_parsed():
                # Grain's workers read absl flags, which only absl's own main parses.
                flags.FLAGS.mark_as_parsed()
            options = grain.MultiprocessingOptions(
                self.config.num_workers, self.config.buffer_batches
            )
            return batches.mp_prefetch(options)
        return grain.experimental.ThreadPrefetchIterDataset(
            batches, prefetch_buffer_size=self.config.buffer_batches
        )


@dataclasses.dataclass(frozen=True)
class _Position:
    """Where the global stream of rows stands.

    Attributes:
        step: batches taken.
        window: number of the window that the next row comes from.
        row: of that window.
    """

    step: int = 0
    window: int = 0
    row: int = 0


@dataclasses.dataclass(frozen=True)
class _PlannedBatch:
    rows: list[list[Placed]]
    counts: Counter[str]
    position: _Position


class _PlannedBatches(grain.IterDataset):
    """Global batches of planned rows; sliced among workers by their number."""

    def __init__(self, planner: Planner, batch_rows: int, start: _Position) -> None:
        super().__init__()
        self._planner, self._batch_rows, self._start = planner, batch_rows, start
        self._slice = slice(0, None, 1)

    def set_slice(self, sl: slice, sequential_slice: bool = False) -> None:
        """Called by Grain in each worker."""
        assert not sequential_slice
        self._slice = sl

    def __iter__(self) -> grain.DatasetIterator:
        return _PlannedBatchIterator(self._planner, self._batch_rows, self._start, self._slice)


class _PlannedBatchIterator(grain.DatasetIterator):
    def __init__(self, planner: Planner, batch_rows: int, start: _Position, share: slice) -> None:
        super().__init__()
        self._planner, self._batch_rows = planner, batch_rows
        self._start, self._position, self._share = start, start, share
        self._window: Window | None = None

    def __next__(self) -> _PlannedBatch:
        while True:
            number = self._position.step - self._start.step
            planned = self._take()
            if number % self._share.step == self._share.start:
                return planned

    def _take(self) -> _PlannedBatch:
        rows: list[list[Placed]] = []
        counts: Counter[str] = Counter()
        window, row = self._position.window, self._position.row
        planned_in_vain = 0
        while len(rows) < self._batch_rows and window < self._planner.num_windows:
            if self._window is None:
                self._window = self._planner.window(window)
                counts += self._window.counts if row == 0 else Counter()
                planned_in_vain = 0 if self._window.rows else planned_in_vain + 1
                if planned_in_vain >= self._planner.epoch_windows:
                    self._give_up(counts)  # an endless stream would go on without a row for ever
            taken = self._window.rows[row : row + self._batch_rows - len(rows)]
            rows += taken
            row += len(taken)
            if row == len(self._window.rows):
                window, row, self._window = window + 1, 0, None
        if not rows and not self._position.step:
            self._give_up(counts)
        if not rows:
            raise StopIteration
        self._position = _Position(self._position.step + 1, window, row)
        return _PlannedBatch(rows, counts, self._position)

    def _give_up(self, counts: Counter[str]) -> NoReturn:
        datasets = [component.dataset for component in self._planner.components]
        raise ValueError(
            f"no example of {datasets} gives a row of {self._planner.row}: {dict(counts)}; raise "
            "the budgets, or mend what the reasons name"
        )

    def get_state(self) -> dict[str, Any]:
        return dataclasses.asdict(self._position)

    def set_state(self, state: dict[str, Any]) -> None:
        self._position, self._window = _Position(**state), None


@dataclasses.dataclass(frozen=True)
class _Render:
    """Renders this process's rows of a planned batch."""

    renderer: Renderer
    own_rows: slice

    def __call__(self, planned: _PlannedBatch) -> dict[str, Any]:
        num_rows = self.own_rows.stop - self.own_rows.start
        arrays, silenced = self.renderer.render(planned.rows[self.own_rows], num_rows)
        counts = planned.counts + Counter(silenced=silenced)
        notes = {"position": dataclasses.asdict(planned.position), "counts": counts}
        return {"arrays": arrays, "notes": json.dumps(notes)}


def _recipe(
    components: Sequence[Component], frontend: Frontend, config: LoaderConfig
) -> dict[str, Any]:
    """All that batches depend on, in JSON; directories may move, machines may change."""
    encoder = frontend.speech_encoder
    return {
        "data": [[len(each.dataset), each.dataset.num_bytes] for each in components],
        "tasks": [_described(each.task) for each in components],
        "weights": [float(each.weight) for each in components],
        "vocab_size": frontend.tokenizer.vocab_size,
        "num_mel_bins": frontend.num_mel_bins,
        "chunk_frames": frontend.chunk_frames,
        "speech_encoder": type(encoder).__name__,
        "talker": repr(frontend.talker),
        "row": dataclasses.asdict(config.row),
        **{
            name: getattr(config, name)
            for name in ("batch_rows", "seed", "window", "shuffle", "num_epochs")
        },
    }


def _described(task: Task) -> str:
    """The task in a line; of younger fields only those that are set, so that older runs go on."""
    named = [
        f"{field.name}={getattr(task, field.name)!r}"
        for field in dataclasses.fields(task)
        if field.name not in _YOUNGER_FIELDS or getattr(task, field.name) != field.default
    ]
    return f"Task({', '.join(named)})"
