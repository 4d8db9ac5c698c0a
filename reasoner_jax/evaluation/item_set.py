"""Sets of spoken questions to evaluate on, behind one interface; knows no model.

A set is a name, its questions and their judge. Another corpus of audio and answers in parquet files
is a `ParquetSet` with the names of its columns; anything else is a small class.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from reasoner_jax.audio.waveform import SAMPLE_RATE_HZ
from reasoner_jax.core.records import SpokenProblem, SpokenQuestion
from reasoner_jax.data.dataset import INFO_FILE, SpokenDataset, read_info
from reasoner_jax.evaluation.judge import JUDGES, Judge
from reasoner_jax.sources import files
from reasoner_jax.sources.spoken_mqa import SPLITS, SpokenMqa, decode_clip


class ItemSet(Protocol):
    """What can be evaluated on."""

    @property
    def name(self) -> str:
        """For reports, "spoken_mqa"."""
        ...

    @property
    def judge(self) -> Judge:
        """Of its answers."""
        ...

    def questions(self) -> Iterator[SpokenQuestion]:
        """Yields the items in the same order every time.

        Raises:
            FileNotFoundError: no such files.
            ValueError: a column is missing or a clip unreadable; names file and row.
        """
        ...


@dataclasses.dataclass(frozen=True)
class SpokenMqaSet:
    """The benchmark, see `sources.spoken_mqa`; its splits are the groups of a report."""

    location: str
    splits: tuple[str, ...] = tuple(SPLITS)
    name = "spoken_mqa"
    judge = staticmethod(JUDGES["spoken_mqa"])

    def questions(self) -> Iterator[SpokenQuestion]:
        """See `ItemSet`."""
        return SpokenMqa(self.location, self.splits).questions()


@dataclasses.dataclass(frozen=True)
class DatasetSet:
    """A data set of launch/synthesize.py; the groups of a report are the kinds of its problems.

    Attributes:
        location: where dataset_info.json lies.
        split: its name; empty for the only one.
        judge_name: of `judge.JUDGES`.
    """

    location: str
    split: str = ""
    judge_name: str = "number"

    @property
    def name(self) -> str:
        """The data set's own."""
        return read_info(Path(self.location))["name"]

    @property
    def judge(self) -> Judge:
        """See `ItemSet`."""
        return JUDGES[self.judge_name]

    def questions(self) -> Iterator[SpokenQuestion]:
        """See `ItemSet`; a problem that is not spoken has a waveform of no sample."""
        splits = [split["name"] for split in read_info(Path(self.location))["splits"]]
        if not self.split and len(splits) > 1:
            raise ValueError(f"{self.location} has splits {splits}; say which to evaluate on")
        dataset = SpokenDataset(self.location, self.split or splits[0])
        for index in range(len(dataset)):
            problem = dataset[index]
            assert problem is not None
            yield question_of(problem)


@dataclasses.dataclass(frozen=True)
class ParquetSet:
    """Audio and answers in parquet files, one row an item.

    ParquetSet("vocalbench", location, audio="audio", answer="reference", judge_name="words")

    Attributes:
        name: for reports.
        location: a directory, a file, or a hub id.
        audio: column of {"bytes": ..} or {"array": .., "sampling_rate": ..}.
        answer: column of the reference.
        transcript: column of what is said; empty if there is none.
        group: column by which to report; empty for one group.
        instruction: the text prompt of every item.
        pattern: of the files in a directory.
        judge_name: of `judge.JUDGES`.
    """

    name: str
    location: str
    audio: str = "audio"
    answer: str = "answer"
    transcript: str = ""
    group: str = ""
    instruction: str = ""
    pattern: str = "**/*.parquet"
    judge_name: str = "number"

    @property
    def judge(self) -> Judge:
        """See `ItemSet`."""
        return JUDGES[self.judge_name]

    def questions(self) -> Iterator[SpokenQuestion]:
        """See `ItemSet`."""
        optional = [column for column in (self.transcript, self.group) if column]
        columns = [self.audio, self.answer, *optional]
        number = 0
        for path in files.find_files(self.location, [self.pattern], self.name):
            for place, row in files.read_parquet(path, columns, batch_rows=16):
                yield self._question(number, place, row)
                number += 1

    def _question(self, number: int, place: str, row: dict[str, Any]) -> SpokenQuestion:
        waveform, sample_rate_hz = decode_clip(row[self.audio], f"{place}: {self.audio}")
        answer = row[self.answer]
        if not isinstance(answer, str | int | float) or isinstance(answer, bool):
            raise ValueError(f"{place}: {self.answer}: expected text or a number, got {answer!r}")
        group = str(row[self.group]) if self.group else self.name
        return SpokenQuestion(
            question_id=f"{self.name}/{group}/{number:05d}",
            split=group,
            transcript=str(row[self.transcript]) if self.transcript else "",
            instruction=self.instruction,
            answer=str(answer),
            sample_rate_hz=sample_rate_hz,
            waveform=waveform,
        )


def question_of(problem: SpokenProblem) -> SpokenQuestion:
    """A synthesised problem as an item; its kind is the group."""
    silent = np.zeros(0, np.float32)
    return SpokenQuestion(
        question_id=problem.problem.problem_id,
        split=problem.problem.kind or problem.problem.source,
        transcript=problem.spoken_question,
        instruction="",
        answer=problem.answer,
        sample_rate_hz=problem.sample_rate_hz,
        waveform=silent if problem.waveform is None else problem.waveform,
    )


def questions_of(problems: Iterable[SpokenProblem]) -> list[SpokenQuestion]:
    """Synthesised problems as items, in order."""
    return [question_of(problem) for problem in problems]


def item_set(location: str, splits: Sequence[str] = ()) -> SpokenMqaSet | DatasetSet:
    """The set at a place: a data set of ours where dataset_info.json lies, else Spoken-MQA.

    Args:
        location: a directory, or Spoken-MQA's hub id.
        splits: of it; none for all of Spoken-MQA, or the only one of a data set.

    Raises:
        ValueError: several splits of a data set.
    """
    if (Path(location).expanduser() / INFO_FILE).is_file():
        if len(splits) > 1:
            raise ValueError(f"expected one split of the data set {location}, got {list(splits)}")
        return DatasetSet(str(Path(location).expanduser()), splits[0] if splits else "")
    return SpokenMqaSet(location, tuple(splits) or tuple(SPLITS))


def limited(
    questions: Iterable[SpokenQuestion], limit: int, num_per_group: int = 0
) -> list[SpokenQuestion]:
    """The first items.

    Args:
        questions: all of a set.
        limit: how many of them; 0 for all.
        num_per_group: at most so many of a group; 0 for all.
    """
    kept: list[SpokenQuestion] = []
    taken: dict[str, int] = {}
    for question in questions:
        if limit and len(kept) == limit:
            break
        taken[question.split] = taken.get(question.split, 0) + 1
        if not num_per_group or taken[question.split] <= num_per_group:
            kept.append(question)
    return kept


def duration_s(question: SpokenQuestion) -> float:
    """Length of the spoken question."""
    return len(question.waveform) / (question.sample_rate_hz or SAMPLE_RATE_HZ)


def digest(questions: Iterable[SpokenQuestion]) -> str:
    """Tells one list of items from another: of their ids, answers and lengths."""
    found = hashlib.sha256()
    for question in questions:
        line = (question.question_id, question.answer, len(question.waveform))
        found.update(f"{line}\n".encode())
    return found.hexdigest()[:16]
