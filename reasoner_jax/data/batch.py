"""Planned rows become the arrays of a batch: reads sound, computes log-mel; knows no order."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from reasoner_jax.core.records import END_OF_TRANSCRIPT, Example
from reasoner_jax.core.text_feed import TEXT_PAD
from reasoner_jax.data.dataset import CorruptRecordError
from reasoner_jax.data.plan import Component, Placed
from reasoner_jax.data.task import RowBudget
from reasoner_jax.data.transforms import Frontend, complete

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Renderer:
    """Makes batches of planned rows. Picklable.

    Attributes:
        components: where records come from.
        frontend: how the network wants sound.
        row: the budgets.
        row_offsets: what to add to a component's record numbers, so that all differ.
    """

    components: Sequence[Component]
    frontend: Frontend
    row: RowBudget
    row_offsets: Sequence[int]

    def render(self, rows: Sequence[Sequence[Placed]], num_rows: int) -> tuple[Arrays, int]:
        """The arrays of `core.records.Batch`, and the number of examples that were silenced.

        Two examples of 3 and 2 inputs in a row of 7:

            tokens        a0 a1 a2 b0 b1  0  0
            targets       a1 a2 a3 b1 b2  0  0
            positions      0  1  2  0  1  0  0
            segment_ids    1  1  1  2  2  0  0

        An example is silenced if its record is corrupt and the data set says to skip such: it
        keeps its place, which was planned without looking at the sound, but nothing is learned
        from it.

        Args:
            rows: at most `num_rows`; the rest is padding.
            num_rows: B.

        Raises:
            CorruptRecordError: a record cannot be read (and is not to be skipped).
        """
        arrays = self._empty(num_rows)
        silenced = 0
        for number, placed_row in enumerate(rows):
            row = {name: array[number] for name, array in arrays.items()}
            starts = dict.fromkeys(("tokens", "chunks", "codes", "words"), 0)
            for slot, placed in enumerate(placed_row):
                example = self._complete(placed)
                silenced += example is None
                row["example_rows"][slot] = self.row_offsets[placed.component] + placed.record
                _put_tokens(row, slot, starts, placed, learns=example is not None)
                _put_audio(row, starts, placed, example)
                _put_transcript(row, starts, placed, learns=example is not None)
                _put_codes(row, slot, starts, placed, example)
        return arrays, silenced

    def _complete(self, placed: Placed) -> Example | None:
        """The whole example; None where its record is corrupt and to be skipped."""
        dataset, drafted = self.components[placed.component].dataset, placed.draft
        waveform = response = codes = None
        try:
            if drafted.num_frames:
                waveform = dataset.waveform(placed.record)
            if drafted.num_codes and self.frontend.speech_encoder is not None:
                response = dataset.response_waveform(placed.record)
            if drafted.num_codes and response is None:
                codes = dataset.response_codes(placed.record)
        except CorruptRecordError:
            if dataset.on_corrupt == "raise":
                raise
            return None
        return complete(drafted, self.frontend, waveform, response, codes)

    def _empty(self, num_rows: int) -> Arrays:
        """A batch of padding."""
        row = self.row

        def full(value: int, *shape: int, dtype: type = np.int32) -> np.ndarray:
            return np.full((num_rows, *shape), value, dtype)

        arrays = {
            name: full(0, row.tokens)
            for name in ("tokens", "targets", "streams", "positions", "segment_ids")
        }
        arrays["loss_mask"] = full(0, row.tokens, dtype=bool)
        arrays["example_rows"] = full(-1, row.examples)
        if row.chunks:
            shape = (row.chunks, self.frontend.chunk_frames, self.frontend.num_mel_bins)
            arrays["mel"] = full(0, *shape, dtype=np.float32)
            arrays["frames"] = full(0, row.chunks)
        if row.words:
            arrays["transcripts"] = full(-1, row.words)
        if row.codes:
            arrays["codes"] = full(-1, row.codes)
            arrays["code_segment_ids"] = full(0, row.codes)
            arrays["code_inputs"] = full(-1, row.codes)
            arrays["code_sources"] = full(TEXT_PAD, row.codes)
        return arrays


def _put_tokens(row: Arrays, slot: int, starts: dict, placed: Placed, learns: bool) -> None:
    example, length = placed.draft.example, placed.draft.num_inputs
    here = slice(starts["tokens"], starts["tokens"] + length)
    row["tokens"][here] = example.tokens[:length]
    row["targets"][here] = example.tokens[1 : length + 1]
    row["streams"][here] = example.streams[1 : length + 1]
    row["loss_mask"][here] = example.loss_mask[1 : length + 1] & learns
    row["positions"][here] = np.arange(length)
    row["segment_ids"][here] = slot + 1
    starts["tokens"] += length


def _put_audio(row: Arrays, starts: dict, placed: Placed, example: Example | None) -> None:
    """Chunks of the example, one behind the other; frames count where the sound is silenced too."""
    num_frames = placed.draft.num_frames
    if not num_frames:
        return
    _, chunk_frames, num_mel_bins = row["mel"].shape
    first, count = starts["chunks"], -(-num_frames // chunk_frames)
    if example is not None:
        flat = row["mel"][first : first + count].reshape(-1, num_mel_bins)
        flat[:num_frames] = example.mel
    left = num_frames - chunk_frames * np.arange(count)
    row["frames"][first : first + count] = np.minimum(left, chunk_frames)
    starts["chunks"] += count


def _put_transcript(row: Arrays, starts: dict, placed: Placed, learns: bool) -> None:
    """Words of sound that is silenced are left out: there is nothing to spell."""
    words = placed.draft.example.transcript
    if words is not None:
        words = [*(words if learns else ()), END_OF_TRANSCRIPT]
        row["transcripts"][starts["words"] : starts["words"] + len(words)] = words
        starts["words"] += len(words)


def _put_codes(
    row: Arrays, slot: int, starts: dict, placed: Placed, example: Example | None
) -> None:
    """Steps of the talker; `_put_tokens` has put the tokens that their sources name."""
    count = placed.draft.num_codes
    here = slice(starts["codes"], starts["codes"] + count)
    if count and example is not None:
        first = starts["tokens"] - placed.draft.num_inputs
        sources = example.code_sources
        row["codes"][here] = example.codes
        row["code_inputs"][here] = example.code_inputs
        row["code_sources"][here] = np.where(sources >= 0, sources + first, sources)
        row["code_segment_ids"][here] = slot + 1
    starts["codes"] += count
