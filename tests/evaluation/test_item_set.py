"""Item sets of files that the tests write."""

import io

import numpy as np
import pyarrow
import pytest
import soundfile
from pyarrow import parquet

from reasoner_jax.evaluation.item_set import (
    DatasetSet,
    ParquetSet,
    SpokenMqaSet,
    duration_s,
    item_set,
    limited,
)
from reasoner_jax.evaluation.judge import judge_spoken_mqa, judge_words
from tests.data.problems import spoken_problem, write_dataset
from tests.evaluation.replies import items

TONE = (np.sin(np.arange(800) / 8) / 2).astype(np.float32)


def clip(samples=TONE):
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
    return {"bytes": file.getvalue(), "path": None}


def write_parquet(folder, name, rows):
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / name)


def test_another_spoken_set_needs_only_the_names_of_its_columns(tmp_path):
    rows = [
        {"speech": clip(), "gold": "Paris", "topic": "cities"},
        {"speech": clip(), "gold": "Ada", "topic": "people"},
    ]
    write_parquet(tmp_path, "test.parquet", rows)
    found = ParquetSet(
        "quiz", str(tmp_path), audio="speech", answer="gold", group="topic", judge_name="words"
    )
    questions = list(found.questions())
    assert [q.question_id for q in questions] == ["quiz/cities/00000", "quiz/people/00001"]
    assert [q.answer for q in questions] == ["Paris", "Ada"]
    assert duration_s(questions[0]) == 0.05
    assert found.judge is judge_words


def test_a_missing_column_and_an_unreadable_clip_are_named(tmp_path):
    write_parquet(tmp_path, "a.parquet", [{"audio": clip(), "answer": "1"}])
    with pytest.raises(ValueError, match=r"a.parquet: no column \['topic'\]"):
        list(ParquetSet("quiz", str(tmp_path), group="topic").questions())
    write_parquet(tmp_path, "a.parquet", [{"audio": {"bytes": b"noise"}, "answer": "1"}])
    with pytest.raises(ValueError, match="row 0: audio: cannot decode"):
        list(ParquetSet("quiz", str(tmp_path)).questions())
    write_parquet(tmp_path, "a.parquet", [{"audio": clip(), "answer": [1]}])
    with pytest.raises(ValueError, match="row 0: answer: expected text or a number"):
        list(ParquetSet("quiz", str(tmp_path)).questions())


def test_a_directory_without_a_data_set_is_spoken_mqa(tmp_path):
    found = item_set(str(tmp_path))
    assert isinstance(found, SpokenMqaSet)
    assert found.judge is judge_spoken_mqa
    assert item_set(str(tmp_path), ["long_digit"]).splits == ("long_digit",)
    with pytest.raises(ValueError, match="no splits"):
        list(item_set(str(tmp_path), ["tiny_digit"]).questions())


def test_a_synthesised_data_set_is_reported_by_the_kind_of_its_problems(tmp_path):
    problem = spoken_problem()
    write_dataset(tmp_path, [problem], split="test")
    found = item_set(str(tmp_path))
    assert isinstance(found, DatasetSet)
    assert found.name == "spoken_math"
    (question,) = found.questions()
    assert question.question_id == problem.problem.problem_id
    assert question.split == (problem.problem.kind or problem.problem.source)
    assert question.answer == problem.answer
    with pytest.raises(ValueError, match="expected one split"):
        item_set(str(tmp_path), ["a", "b"])


def test_limits_keep_the_first_of_all_or_of_each_group():
    assert len(limited(items(), 3)) == 3
    assert [q.split for q in limited(items(), 0, num_per_group=1)] == ["subtract", "add"]
    assert len(limited(items(), 0)) == 10
