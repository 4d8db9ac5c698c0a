"""Batches: what is in them, in which order, and what a restart changes (nothing)."""

import dataclasses
import functools
import json
import subprocess
import sys
from collections import Counter

import jax
import numpy as np
import pytest

from reasoner_jax.audio.log_mel import log_mel
from reasoner_jax.core.records import Batch
from reasoner_jax.data.dataset import CorruptRecordError, Outline, SpokenDataset
from reasoner_jax.data.loader import Loader, LoaderConfig
from reasoner_jax.data.plan import Component, Planner, balanced_budget
from reasoner_jax.data.statistics import BatchStatistics, measure
from reasoner_jax.data.task import RowBudget
from reasoner_jax.data.transforms import complete, draft
from reasoner_jax.models.config import Compute
from reasoner_jax.models.thinker import Thinker
from reasoner_jax.text.schedule import Schedule, Stream
from tests.data.problems import (
    FRONTEND,
    HEAR,
    READ,
    TALKER,
    TOKENIZER,
    spoken_problem,
    write_dataset,
)
from tests.models.networks import lively, omni_config

COUNT = 23
ROW = RowBudget(tokens=600, chunks=6, examples=8)
CONFIG = LoaderConfig(row=ROW, batch_rows=2, seed=1, window=10)
ONCE = dataclasses.replace(CONFIG, num_epochs=1)


def problems():
    lengths = np.random.default_rng(0).integers(1600, 80_000, COUNT)
    return [spoken_problem(number, int(length)) for number, length in enumerate(lengths)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return SpokenDataset(write_dataset(tmp_path_factory.mktemp("maths"), problems()))


@pytest.fixture
def own_dataset(tmp_path):
    """One that a test may damage."""
    write_dataset(tmp_path, problems()[:9])
    return functools.partial(SpokenDataset, tmp_path)


def loader(dataset, config=CONFIG, task=HEAR, **process):
    return Loader([Component(dataset, task)], FRONTEND, config, **process)


def take(batches, count):
    return [next(batches) for _ in range(count)]


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)


def joined(*shares):
    """The whole batch from what each process has of it."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *shares)


def numbers(batches):
    return [int(n) for batch in batches for n in batch.example_rows.ravel() if n >= 0]


def segments(batch):
    """(row, slot, positions of the segment in the row) of every packed example."""
    for row, ids in enumerate(batch.segment_ids):
        for slot in range(ids.max()):
            yield row, slot, np.flatnonzero(ids == slot + 1)


def alone(dataset, number, task=HEAR):
    """An example by itself, as no loader made it."""
    problem = dataset[number]
    drafted = draft(Outline.of(problem), task, FRONTEND, np.random.default_rng(0))
    return drafted, complete(drafted, FRONTEND, problem.waveform)


def test_every_example_appears_once_in_an_epoch_and_none_is_cut(dataset):
    batches = list(loader(dataset, ONCE))
    assert sorted(numbers(batches)) == list(range(COUNT))
    for batch in batches:
        for row, slot, here in segments(batch):
            drafted, example = alone(dataset, int(batch.example_rows[row, slot]))
            length = drafted.num_inputs
            learned = example.loss_mask[1 : length + 1]
            assert len(here) == length and (np.diff(here) == 1).all()
            np.testing.assert_array_equal(batch.tokens[row, here], example.tokens[:length])
            np.testing.assert_array_equal(batch.targets[row, here], example.tokens[1 : length + 1])
            np.testing.assert_array_equal(batch.streams[row, here], example.streams[1 : length + 1])
            np.testing.assert_array_equal(batch.loss_mask[row, here], learned)
            np.testing.assert_array_equal(batch.positions[row, here], np.arange(length))
            assert learned.sum() == example.loss_mask.sum()


def test_padding_is_never_learned(dataset):
    for batch in loader(dataset, ONCE):
        padding = batch.segment_ids == 0
        assert not batch.loss_mask[padding].any()
        assert not batch.tokens[padding].any()


def test_chunks_lie_in_the_order_of_their_placeholders(dataset):
    audio_id = TOKENIZER.token_id("<|AUDIO|>")
    for batch in take(loader(dataset), 3):
        for row in range(len(batch.tokens)):
            found = [int(n) for n in batch.example_rows[row] if n >= 0]
            mels = [log_mel(dataset.waveform(number), 8) for number in found]
            heard = [m[start : start + 200] for m in mels for start in range(0, len(m), 200)]
            frames = batch.frames[row]
            assert frames[: len(heard)].tolist() == [len(chunk) for chunk in heard]
            assert not frames[len(heard) :].any()
            for chunk, mel in zip(heard, batch.mel[row], strict=False):
                np.testing.assert_array_equal(mel[: len(chunk)], chunk)
                assert not mel[len(chunk) :].any()
            tokens_of_chunks = ((frames + 1) // 2 // 2).sum()
            assert (batch.tokens[row] == audio_id).sum() == tokens_of_chunks


def test_a_packed_batch_through_a_thinker_equals_its_examples_alone(dataset):
    sizes = omni_config().thinker
    config = dataclasses.replace(
        sizes, vocab_size=TOKENIZER.vocab_size, audio_token_id=TOKENIZER.token_id("<|AUDIO|>")
    )
    module = Thinker(config, Compute())
    batch = next(loader(dataset, dataclasses.replace(CONFIG, batch_rows=1)))
    inputs = {
        "tokens": batch.tokens,
        "mel": batch.mel,
        "frames": batch.frames,
        "positions": batch.positions,
        "segment_ids": batch.segment_ids,
    }
    init = functools.partial(module.init, method="full_logits")
    params = lively(jax.eval_shape(functools.partial(init, jax.random.key(0)), **inputs)["params"])
    logits = jax.jit(functools.partial(module.apply, method="full_logits"))
    packed = np.asarray(logits({"params": params}, **inputs))
    found = list(segments(batch))
    assert len(found) > 1
    for index, slot, here in found:
        drafted, example = alone(dataset, int(batch.example_rows[index, slot]))
        padded = np.zeros((1, ROW.tokens), np.int32)
        padded[0, : len(here)] = example.tokens[: len(here)]
        mel = np.zeros_like(batch.mel)
        mel.reshape(-1, 8)[: drafted.num_frames] = example.mel
        frames = np.clip(drafted.num_frames - 200 * np.arange(ROW.chunks), 0, 200)[None]
        single = logits(
            {"params": params},
            tokens=padded,
            mel=mel,
            frames=frames,
            positions=np.arange(ROW.tokens)[None],
            segment_ids=np.ones_like(padded),
        )
        np.testing.assert_allclose(packed[index, here], single[0, : len(here)], atol=2e-5)


def test_equal_seeds_give_equal_batches_and_others_do_not(dataset):
    first, again = take(loader(dataset), 4), take(loader(dataset), 4)
    assert_equal(first, again)
    other = take(loader(dataset, dataclasses.replace(CONFIG, seed=2)), 4)
    assert numbers(first) != numbers(other)


def test_epochs_are_shuffled_anew(dataset):
    config = dataclasses.replace(CONFIG, window=COUNT, batch_rows=1)
    batches = loader(dataset, config)
    epochs = []
    for _ in range(3):
        epoch = []
        while len(epoch) < COUNT:
            epoch += numbers([next(batches)])
        epochs.append(epoch)
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_unshuffled_examples_come_window_by_window(dataset):
    config = dataclasses.replace(ONCE, shuffle=False, window=5)
    found = numbers(loader(dataset, config))
    assert [sorted(found[start : start + 5]) for start in range(0, COUNT, 5)] == [
        list(range(start, min(start + 5, COUNT))) for start in range(0, COUNT, 5)
    ]


@pytest.mark.parametrize("taken", [0, 1, 3, 7])
def test_a_restored_loader_goes_on_as_if_nothing_had_happened(dataset, taken):
    whole = take(loader(dataset), 10)
    first = loader(dataset)
    take(first, taken)
    state = json.loads(json.dumps(first.get_state()))
    second = loader(dataset)
    take(second, 2)
    second.set_state(state)
    assert second.get_state() == state
    assert_equal(take(second, 10 - taken), whole[taken:])


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 4), (4, 1)])
def test_a_restart_may_use_another_number_of_processes(dataset, before, after):
    config = dataclasses.replace(CONFIG, batch_rows=4)
    whole = take(loader(dataset, config), 5)
    old = [loader(dataset, config, process_index=i, process_count=before) for i in range(before)]
    assert_equal(
        [joined(*shares) for shares in zip(*[take(p, 2) for p in old], strict=True)], whole[:2]
    )
    states = [process.get_state() for process in old]
    assert all(state == states[0] for state in states)
    new = [loader(dataset, config, process_index=i, process_count=after) for i in range(after)]
    for process in new:
        process.set_state(states[0])
    assert_equal(
        [joined(*shares) for shares in zip(*[take(p, 3) for p in new], strict=True)], whole[2:]
    )


def test_workers_change_nothing_and_may_change_on_a_restart(dataset):
    whole = take(loader(dataset), 6)
    with_workers = loader(dataset, dataclasses.replace(CONFIG, num_workers=2))
    assert_equal(take(with_workers, 3), whole[:3])
    state = with_workers.get_state()
    with_workers.close()
    alone_again = loader(dataset)
    alone_again.set_state(state)
    assert_equal(take(alone_again, 3), whole[3:])
    assert alone_again.get_state()["step"] == 6


def test_counts_say_what_became_of_every_example(dataset):
    short = dataclasses.replace(ONCE, row=dataclasses.replace(ROW, chunks=2, tokens=300))
    batches = loader(dataset, short)
    kept = numbers(batches)
    counts = batches.counts
    assert counts["read"] == COUNT and counts["placed"] == len(kept) < COUNT
    assert counts["too many audio chunks"] + counts["too many tokens"] == COUNT - len(kept)


def test_a_mixture_follows_its_weights_and_numbers_records_apart(dataset):
    components = [Component(dataset, HEAR, 3.0), Component(dataset, READ, 1.0)]
    batches = Loader(components, FRONTEND, CONFIG)
    found = numbers(take(batches, 12))
    written = sum(number >= COUNT for number in found) / len(found)
    assert 0.15 < written < 0.35
    ids = {batches.example_id(5), batches.example_id(5 + COUNT)}
    assert ids == {"simple_op/train/00005"}
    with pytest.raises(IndexError, match="example row 46 of 46"):
        batches.example_id(2 * COUNT)


def test_a_pass_over_several_data_sets_reads_each_to_its_end(dataset):
    components = [Component(dataset, HEAR), Component(dataset, READ)]
    found = Counter(numbers(Loader(components, FRONTEND, ONCE)))
    assert found == Counter(range(2 * COUNT))


def test_written_rows_carry_no_audio(dataset):
    config = dataclasses.replace(CONFIG, row=RowBudget(tokens=400))
    batch = next(loader(dataset, config, READ))
    assert batch.mel is None and batch.frames is None and batch.codes is None
    assert isinstance(batch, Batch)


def test_ratios_are_drawn_anew_each_epoch(dataset):
    task = dataclasses.replace(READ, schedules=(Schedule(1, 4), Schedule(4, 16)))
    config = LoaderConfig(row=RowBudget(tokens=400, examples=1), batch_rows=1, window=COUNT)
    batches = loader(dataset, config, task)
    lengths = {number: set() for number in range(COUNT)}
    for batch in take(batches, 6 * COUNT):
        lengths[int(batch.example_rows[0, 0])].add(int((batch.segment_ids > 0).sum()))
    assert sum(len(found) == 2 for found in lengths.values()) > COUNT // 2


def test_codes_lie_behind_one_another_with_their_segments(tmp_path):
    directory = write_dataset(
        tmp_path,
        [spoken_problem(n, 0, response_codes=np.arange(n + 1) + 10 * n) for n in range(4)],
    )
    task = dataclasses.replace(READ, codes=True, code_shift_samples=0, code_noise=0.0)
    row = RowBudget(tokens=1000, codes=16)
    config = LoaderConfig(row=row, batch_rows=1, num_epochs=1, shuffle=False)
    (batch,) = loader(SpokenDataset(directory), config, task)
    assert batch.example_rows[0, :5].tolist() == [0, 1, 2, 3, -1]
    end = TALKER.codec_end_token_id
    codes = [0, end, 10, 11, end, 20, 21, 22, end, 30, 31, 32, 33, end, -1, -1]
    assert batch.codes[0].tolist() == codes
    assert batch.code_segment_ids[0].tolist() == [1] * 2 + [2] * 3 + [3] * 4 + [4] * 5 + [0] * 2


class TestDamage:
    name = "spoken_math-train.array_record-00001-of-00003"

    def test_a_corrupt_record_stops_the_loader_by_name(self, own_dataset):
        dataset = own_dataset()
        (dataset.directory / self.name).write_bytes(b"")
        with pytest.raises(CorruptRecordError, match=rf"{self.name}: record \d of 3"):
            list(loader(dataset, ONCE))

    def test_a_corrupt_record_is_silenced_if_asked(self, own_dataset):
        whole = list(loader(own_dataset(), ONCE))
        damaged = own_dataset(on_corrupt="skip")
        (damaged.directory / self.name).write_bytes(b"")
        batches = loader(damaged, ONCE)
        found = list(batches)
        assert batches.counts["silenced"] == 3
        for one, other in zip(found, whole, strict=True):
            np.testing.assert_array_equal(one.tokens, other.tokens)
            np.testing.assert_array_equal(one.frames, other.frames)
            for row, slot, here in segments(one):
                lost = 3 <= one.example_rows[row, slot] < 6
                expected = np.zeros(len(here), bool) if lost else other.loss_mask[row, here]
                np.testing.assert_array_equal(one.loss_mask[row, here], expected)

    def test_a_corrupt_outline_is_named_or_counted(self, own_dataset):
        path = own_dataset().directory / self.name.replace("array_record", "jsonl")
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0], "?", lines[2]]) + "\n")
        with pytest.raises(CorruptRecordError, match="line 2 is no outline"):
            list(loader(own_dataset(), ONCE))
        batches = loader(own_dataset(on_corrupt="skip"), ONCE)
        assert len(numbers(batches)) == 8 and batches.counts["corrupt outline"] == 1

    def test_an_error_in_a_worker_reaches_the_caller(self, own_dataset):
        dataset = own_dataset()
        (dataset.directory / self.name).write_bytes(b"")
        batches = loader(dataset, dataclasses.replace(ONCE, num_workers=1))
        with pytest.raises(CorruptRecordError, match=self.name):
            list(batches)


class TestBadInput:
    def test_an_empty_data_set(self, tmp_path, dataset):
        write_dataset(tmp_path, [spoken_problem(0, 100)])
        (tmp_path / "spoken_math-train.jsonl-00000-of-00001").write_text("")
        info = json.loads((tmp_path / "dataset_info.json").read_text())
        info["splits"][0]["shardLengths"] = ["0"]
        (tmp_path / "dataset_info.json").write_text(json.dumps(info))
        with pytest.raises(ValueError, match="has no records"):
            loader(SpokenDataset(tmp_path))

    @pytest.mark.parametrize("num_epochs", [None, 1])
    def test_examples_that_all_exceed_the_row(self, dataset, num_epochs):
        config = dataclasses.replace(
            CONFIG, row=RowBudget(tokens=20, chunks=4), num_epochs=num_epochs
        )
        with pytest.raises(ValueError, match=r"no example .*'too many tokens'"):
            next(loader(dataset, config))

    def test_a_state_of_other_batches(self, dataset):
        state = loader(dataset).get_state()
        changed = dataclasses.replace(CONFIG, seed=9, batch_rows=4)
        with pytest.raises(ValueError, match=r"batch_rows: 2 then, 4 now\n  seed: 1 then, 9 now"):
            loader(dataset, changed).set_state(state)
        with pytest.raises(ValueError, match="tasks: "):
            loader(dataset, task=dataclasses.replace(HEAR, instruction="Go")).set_state(state)

    def test_a_state_from_before_a_field_of_tasks_existed_serves(self, dataset):
        state = loader(dataset).get_state()
        described = repr(HEAR).replace(", lead_in_s=0.0)", ")")
        assert "lead_in_s" not in described and state["recipe"]["tasks"] == [described]
        later = loader(dataset, task=dataclasses.replace(HEAR, lead_in_s=0.5))
        with pytest.raises(ValueError, match=r"tasks: .* now"):
            later.set_state(state)
        assert "lead_in_s=0.5" in later.get_state()["recipe"]["tasks"][0]

    @pytest.mark.parametrize(
        ("changes", "process", "message"),
        [
            ({"batch_rows": 3}, {"process_count": 2}, "expected a multiple of the 2 processes"),
            ({"batch_rows": 0}, {}, "batch_rows is 0"),
            ({}, {"process_index": 1}, "process_index is 1 of 1"),
            ({"buffer_batches": 0}, {}, "buffer_batches is 0"),
            ({"window": 0}, {}, "window is 0"),
            ({"seed": -1}, {}, "seed is -1"),
            ({"row": RowBudget(tokens=600)}, {}, "needs audio chunks"),
        ],
    )
    def test_settings_that_make_no_sense(self, dataset, changes, process, message):
        with pytest.raises(ValueError, match=message):
            loader(dataset, dataclasses.replace(CONFIG, **changes), **process)

    def test_no_components_or_odd_weights(self, dataset):
        with pytest.raises(ValueError, match="no component"):
            Loader([], FRONTEND, CONFIG)
        with pytest.raises(ValueError, match=r"weight of .* is 0"):
            Loader([Component(dataset, HEAR, 0)], FRONTEND, CONFIG)
        parts = [Component(dataset, HEAR, 1.0), Component(dataset, READ, 2.0)]
        with pytest.raises(ValueError, match="weights differ"):
            Loader(parts, FRONTEND, ONCE)

    def test_a_row_without_room(self):
        with pytest.raises(ValueError, match=r"row.tokens is 0"):
            RowBudget(tokens=0)

    def test_a_window_past_the_end(self, dataset):
        planner = Planner([Component(dataset, HEAR)], FRONTEND, ROW, window=10, num_epochs=1)
        assert planner.num_windows == 3
        with pytest.raises(IndexError, match="window 3 of 3"):
            planner.window(3)


def test_a_balanced_budget_fits_what_the_data_set_needs(dataset):
    components = [Component(dataset, HEAR)]
    row = balanced_budget(components, FRONTEND, 2000, sample=COUNT)
    seconds = [len(problem.waveform) / 16_000 for problem in problems()]
    tokens = [alone(dataset, number)[0].num_inputs for number in range(COUNT)]
    chunks = np.ceil(np.array(seconds) / 2)
    assert row == RowBudget(2000, chunks=round(2000 * sum(chunks) / sum(tokens)), codes=0)
    with pytest.raises(ValueError, match=r"no example of 23 fits 9 tokens: .*too many tokens"):
        balanced_budget(components, FRONTEND, 9, sample=COUNT)


def test_a_balanced_budget_has_room_for_the_rare_sound_of_a_mixture(dataset):
    mostly_text = [Component(dataset, HEAR, 1.0), Component(dataset, READ, 9.0)]
    row = balanced_budget(mostly_text, FRONTEND, 400, sample=10 * COUNT)
    longest = max(len(problem.waveform) for problem in problems())
    assert row.chunks == -(-longest // 32_000)


def test_statistics_count_slots_and_streams(dataset):
    batches = take(loader(dataset), 3)
    sums = measure(batches)
    assert sums == BatchStatistics.of(batches[0]) + measure(batches[1:])
    assert sums.examples == len(numbers(batches)) and sums.batches == 3
    assert sums.token_slots == 3 * 2 * ROW.tokens and sums.chunk_slots == 3 * 2 * ROW.chunks
    assert sums.tokens == sum((batch.segment_ids > 0).sum() for batch in batches)
    assert sums.token_padding == 1 - sums.tokens / sums.token_slots
    assert 0 < sums.chunk_padding < 1 and 0 < sums.frame_padding < 1
    assert sum(sums.targets) == sum(batch.loss_mask.sum() for batch in batches)
    expected = sums.targets[Stream.REASONING] / sums.targets[Stream.RESPONSE]
    assert sums.reasoning_per_response == expected
    assert measure([]).token_padding == 0 and measure([]).reasoning_per_response == 0


def test_loading_imports_neither_librosa_nor_torch_nor_tensorflow():
    code = (
        "import sys, reasoner_jax.data.loader as _; "
        "print([m for m in ('librosa', 'numba', 'torch', 'tensorflow', 'tensorflow_datasets') "
        "if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
