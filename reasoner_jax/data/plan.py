"""Which examples share a row, window by window; reads texts and lengths, never sound.

Examples come in one endless order (shuffled anew each epoch, data sets mixed by weight), a function
of the seed alone. A window is a fixed number of them in a row; it is packed by itself. So any
window can be planned at any time, by any process, with the same result.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import grain
import numpy as np

from reasoner_jax.data.dataset import CorruptRecordError, SpokenDataset
from reasoner_jax.data.packing import fits, pack
from reasoner_jax.data.task import RowBudget, Task
from reasoner_jax.data.transforms import Draft, Dropped, Frontend, draft

_UNLIMITED = 1 << 30


@dataclasses.dataclass(frozen=True)
class Component:
    """One data set of a mixture, and what is learned from it.

    Attributes:
        dataset: one split.
        task: what to make of its problems.
        weight: examples drawn from it, relative to the others' weights.
    """

    dataset: SpokenDataset
    task: Task
    weight: float = 1.0


class Placed(NamedTuple):
    """A drafted example, and where the sound for it is."""

    component: int
    record: int
    draft: Draft


@dataclasses.dataclass(frozen=True)
class Window:
    """A planned window.

    Attributes:
        rows: the examples of each row, in their order.
        counts: "read", "placed", and each reason for which an example is in no row.
    """

    rows: list[list[Placed]]
    counts: Counter[str]


class Planner:
    """Plans windows. Picklable."""

    def __init__(
        self,
        components: Sequence[Component],
        frontend: Frontend,
        row: RowBudget,
        *,
        seed: int = 0,
        window: int = 1024,
        shuffle: bool = True,
        num_epochs: int | None = None,
    ) -> None:
        """Checks the mixture; reads nothing yet.

        Args:
            components: the mixture.
            frontend: how the network wants text and sound.
            row: the budgets.
            seed: of order, schedules and rows.
            window: examples packed together. More of them waste less of a row, and cost more time
                when a run resumes, which plans one window anew (about 1 ms an example).
            shuffle: anew each epoch; False keeps the order of the data sets.
            num_epochs: how often each example is seen; None for no end. Several components then
                must have equal weights, since each is read to its end.

        Raises:
            ValueError: an empty mixture or data set, weights that make no sense.
        """
        if not components:
            raise ValueError("the mixture has no component, expected one data set or more")
        for component in components:
            _check_component(component, row)
        if num_epochs is not None and len({component.weight for component in components}) > 1:
            raise ValueError(
                f"num_epochs is {num_epochs}, but weights differ; a pass over the data sets reads "
                "each to its end: give equal weights, or no num_epochs"
            )
        if window < 1 or seed < 0:
            raise ValueError(f"window is {window}, expected 1 or more; seed is {seed}, 0 or more")
        self.components, self.frontend, self.row = tuple(components), frontend, row
        self.seed, self.window_size = seed, window
        self._order = _order(self.components, seed, shuffle, num_epochs)

    @property
    def num_windows(self) -> int:
        """Astronomical without an end."""
        return -(-len(self._order) // self.window_size)

    @property
    def epoch_windows(self) -> int:
        """Windows in which every record has had its turn at least once."""
        weights = np.array([component.weight for component in self.components])
        sizes = np.array([len(component.dataset) for component in self.components])
        examples = (sizes / (weights / weights.sum())).max()
        return int(examples // self.window_size) + 2

    def window(self, number: int) -> Window:
        """Plans one window.

        Raises:
            IndexError: past the end.
            CorruptRecordError: an outline cannot be read (and is not to be skipped).
        """
        if not 0 <= number < self.num_windows:
            raise IndexError(f"window {number} of {self.num_windows}")
        first = number * self.window_size
        positions = range(first, min(first + self.window_size, len(self._order)))
        counts: Counter[str] = Counter(read=len(positions))
        placed = []
        for position in positions:
            component, index = self._order[position]
            drafted = self._draft(position, component, index)
            if isinstance(drafted, Dropped):
                counts[drafted.reason] += 1
            else:
                placed.append(Placed(component, index, drafted))
        counts["placed"] = len(placed)
        return Window(self._rows(number, placed), counts)

    def _draft(self, position: int, component: int, index: int) -> Draft | Dropped:
        """The draft of an example that fits a row."""
        dataset, task = self.components[component].dataset, self.components[component].task
        try:
            outline = dataset.outline(index)
        except CorruptRecordError:
            if dataset.on_corrupt == "raise":
                raise
            return Dropped("corrupt outline")
        rng = np.random.default_rng([self.seed, position])
        drafted = draft(outline, task, self.frontend, rng)
        if isinstance(drafted, Dropped):
            return drafted
        for name, length, budget in zip(
            ("tokens", "audio chunks", "speech codes", "words of transcript"),
            self._lengths(drafted),
            self.row.as_array(),
            strict=False,
        ):
            if length > budget:
                return Dropped(f"too many {name}")
        return drafted

    def _lengths(self, drafted: Draft) -> tuple[int, ...]:
        return row_lengths(drafted, self.frontend.chunk_frames)

    def _rows(self, number: int, placed: list[Placed]) -> list[list[Placed]]:
        if not placed:
            return []
        lengths = np.array([self._lengths(each.draft) for each in placed])
        budgets = self.row.as_array()
        assert fits(lengths, budgets).all()
        rows = pack(lengths, budgets)
        # Packing puts the long examples first.
        order = np.random.default_rng([self.seed, number, 1]).permutation(len(rows))
        return [[placed[index] for index in rows[row]] for row in order]


def balanced_budget(
    components: Sequence[Component],
    frontend: Frontend,
    tokens: int,
    *,
    examples: int = 64,
    sample: int = 512,
) -> RowBudget:
    """A row of `tokens` with as much of everything else as such a row needs on average.

    And no less than any single example needs, where only a few have sound.

    Args:
        components: the mixture.
        frontend: how the network wants text and sound.
        tokens: L.
        examples: E.
        sample: examples to look at.

    Raises:
        ValueError: as for `Planner`, or no example of the sample fits.
    """
    unlimited = RowBudget(tokens, _UNLIMITED, _UNLIMITED, _UNLIMITED, examples)
    window = Planner(components, frontend, unlimited, window=sample).window(0)
    drafts = [placed.draft for row in window.rows for placed in row]
    if not drafts:
        raise ValueError(f"no example of {sample} fits {tokens} tokens: {dict(window.counts)}")
    lengths = np.array([row_lengths(each, frontend.chunk_frames) for each in drafts])
    average = np.rint(tokens * lengths.sum(axis=0) / lengths[:, 0].sum()).astype(int)
    _, chunks, codes, words, _ = np.maximum(average, lengths.max(axis=0)).tolist()
    return RowBudget(tokens, chunks, codes, words, examples)


def row_lengths(drafted: Draft, chunk_frames: int) -> tuple[int, ...]:
    """What a draft takes of a row, in the order of `RowBudget.as_array`."""
    num_chunks = -(-drafted.num_frames // chunk_frames)
    transcript = drafted.example.transcript
    num_words = 0 if transcript is None else len(transcript) + 1  # its end
    return drafted.num_inputs, num_chunks, drafted.num_codes, num_words, 1


def _check_component(component: Component, row: RowBudget) -> None:
    if not len(component.dataset):
        raise ValueError(f"{component.dataset} has no records; leave it out or fill it")
    if not component.weight > 0:
        raise ValueError(f"weight of {component.dataset} is {component.weight}, expected above 0")
    task = component.task
    lacks = (task.prompt == "audio" and not row.chunks) or (task.codes and not row.codes)
    if lacks or (task.spell and not row.words):
        raise ValueError(
            f"{task} needs audio chunks, speech codes or words that {row} has not; "
            "balanced_budget finds how many"
        )


def _order(
    components: Sequence[Component], seed: int, shuffle: bool, num_epochs: int | None
) -> grain.MapDataset:
    """Pairs of component and record, by position."""
    parts = []
    for number, component in enumerate(components):
        part = grain.MapDataset.range(len(component.dataset)).map(_Pair(number))
        if shuffle:
            # Seeds far apart: Grain adds the epoch to them.
            (own_seed,) = np.random.SeedSequence([seed, number]).generate_state(1)
            part = part.shuffle(seed=int(own_seed))
        parts.append(part)
    if num_epochs is None:
        weights = [component.weight for component in components]
        return grain.MapDataset.mix([part.repeat() for part in parts], weights)
    whole = grain.MapDataset.concatenate(parts)
    if shuffle:
        whole = whole.shuffle(seed=int(np.random.SeedSequence(seed).generate_state(1)[0]))
    return whole.repeat(num_epochs)


@dataclasses.dataclass(frozen=True)
class _Pair:
    """Adds the component's number to a record's."""

    component: int

    def __call__(self, record: int) -> tuple[int, int]:
        return self.component, record
