"""What a talker reads and says step by step: drawn by hand, and in packed rows."""

import dataclasses

import numpy as np
import pytest

from reasoner_jax.core.text_feed import TEXT_END, TEXT_PAD, TEXT_START, TextFeed
from reasoner_jax.data.batch import Renderer
from reasoner_jax.data.dataset import Outline, SpokenDataset
from reasoner_jax.data.plan import Component, Placed, Planner
from reasoner_jax.data.talker_steps import NO_CODE, fit_feed, lay_out, num_steps, with_noise
from reasoner_jax.data.task import RowBudget
from reasoner_jax.data.transforms import complete, draft
from reasoner_jax.models.presets import TINY
from reasoner_jax.text.schedule import Stream
from tests.data.problems import FRONTEND, READ, TOKENIZER, spoken_problem, waveform, write_dataset

START, END, PAD = (
    TINY.talker.codec_start_token_id,
    TINY.talker.codec_end_token_id,
    TINY.talker.codec_pad_token_id,
)
OWN = dataclasses.replace(TINY.talker, reads_prompt=False, text_feed=TextFeed(1, 1, 2))
QWENS = dataclasses.replace(TINY.talker, reads_prompt=True, text_feed=None)
SPEAK = dataclasses.replace(READ, codes=True, code_shift_samples=0, code_noise=0.0)
CODES = np.arange(100) % 7


def test_a_talker_of_our_own_starts_with_the_first_token():
    steps = lay_out(np.array([7, 8, 9]), np.array([9, 12]), [2.0, 1.0], 5, OWN)
    assert steps.sources.tolist() == [9, 12, TEXT_END, TEXT_PAD]
    assert steps.inputs.tolist() == [START, 7, 8, 9]
    assert steps.targets.tolist() == [7, 8, 9, END]
    assert num_steps(3, 5, OWN) == 4


def test_a_talker_like_qwens_reads_the_prompt_and_the_voice_first():
    steps = lay_out(np.array([7, 8, 9]), np.array([9, 12]), [1.0, 1.0], 2, QWENS)
    assert steps.sources.tolist() == [0, 1, TEXT_START, 9, 12, TEXT_END, TEXT_PAD]
    assert steps.inputs.tolist() == [NO_CODE, NO_CODE, PAD, START, 7, 8, 9]
    assert steps.targets.tolist() == [NO_CODE, NO_CODE, NO_CODE, 7, 8, 9, END]
    assert num_steps(3, 2, QWENS) == 7


def example(config, frontend=FRONTEND):
    frontend = dataclasses.replace(frontend, talker=config)
    outline = Outline.of(spoken_problem(4, response_codes=CODES))
    drafted = draft(outline, SPEAK, frontend, np.random.default_rng(0))
    return drafted, complete(drafted, frontend, response_codes=CODES)


@pytest.mark.parametrize("config", [OWN, QWENS], ids=["own", "qwens"])
def test_only_the_response_is_read_all_of_it_in_order(config):
    drafted, whole = example(config)
    assert drafted.num_codes == len(whole.codes) == len(whole.code_sources)
    prompt = next(span for span in whole.spans if span.name == "prompt")
    read = whole.code_sources[whole.code_sources >= prompt.stop]
    assert (whole.streams[read] == Stream.RESPONSE).all()
    order = list(dict.fromkeys(read.tolist()))
    assert TOKENIZER.decode(whole.tokens[order]) == spoken_problem(4).response
    assert max(order) < drafted.num_inputs


def test_codes_without_a_talker_are_refused():
    with pytest.raises(ValueError, match=r"frontend.talker is None"):
        example(None)


def test_in_a_packed_row_sources_point_at_their_own_example(tmp_path):
    problems = [spoken_problem(number, response_codes=CODES + number) for number in range(2)]
    dataset = SpokenDataset(write_dataset(tmp_path, problems))
    frontend = dataclasses.replace(FRONTEND, talker=OWN)
    row = RowBudget(tokens=900, codes=210, examples=2)
    components = [Component(dataset, SPEAK)]
    (placed,) = Planner(components, frontend, row, shuffle=False, num_epochs=1).window(0).rows
    arrays, _ = Renderer(components, frontend, row, [0]).render([placed], 1)
    row_arrays = {name: array[0] for name, array in arrays.items()}
    for segment, each in enumerate(placed, start=1):
        own = row_arrays["code_segment_ids"] == segment
        sources = row_arrays["code_sources"][own]
        assert (row_arrays["segment_ids"][sources[sources >= 0]] == segment).all()
        order = list(dict.fromkeys(sources[sources >= 0].tolist()))
        said = TOKENIZER.decode(row_arrays["tokens"][order])
        assert said == spoken_problem(each.record).response
        assert row_arrays["codes"][own].tolist() == [*CODES + each.record, END]
        assert row_arrays["code_inputs"][own].tolist() == [START, *CODES + each.record]
    rest = row_arrays["code_segment_ids"] == 0
    assert (row_arrays["codes"][rest] == NO_CODE).all()
    assert isinstance(placed[0], Placed)


def test_a_pace_is_fitted_to_the_lengths_of_spoken_responses(tmp_path):
    problems = [
        spoken_problem(
            n, 0, response=f"Well, {'two ' * n}it.", response_waveform=waveform(160 * n + 320)
        )
        for n in range(2, 40)
    ]
    dataset = SpokenDataset(write_dataset(tmp_path, problems))
    feed = fit_feed([dataset], TOKENIZER, lambda num_samples: num_samples // 16, lead_codes=2)
    tokens = TOKENIZER.encode(problems[3].response)
    paces = feed.codes_of(tokens, TOKENIZER.num_bytes(tokens))
    assert feed.lead_codes == 2
    np.testing.assert_allclose(paces.sum(), 70, atol=2)


def test_a_pace_cannot_be_fitted_where_nobody_speaks(tmp_path):
    dataset = SpokenDataset(write_dataset(tmp_path, [spoken_problem(1)]))
    with pytest.raises(ValueError, match="no response of the data sets is spoken"):
        fit_feed([dataset], TOKENIZER, lambda num_samples: num_samples)


class First:
    """A code for each 100 samples: the first of them, as a whole number."""

    def num_codes(self, num_samples):
        return num_samples // 100

    def encode(self, waveform):
        return (waveform[::100] * 500).astype(np.int32)


def test_a_response_begins_a_little_later_each_time_it_is_seen():
    frontend = dataclasses.replace(FRONTEND, talker=OWN, speech_encoder=First())
    task = dataclasses.replace(SPEAK, code_shift_samples=300)
    ramp = np.arange(1, 8001, dtype=np.float32) / 8000
    outline = Outline.of(spoken_problem(4, response_waveform=ramp))
    seen = set()
    for seed in range(20):
        drafted = draft(outline, task, frontend, np.random.default_rng(seed))
        shift = drafted.code_shift_samples
        codes = complete(drafted, frontend, response_waveform=ramp).codes[:-1]
        silent = -(-shift // 100)
        assert len(codes) == 80 and not codes[:silent].any()
        later = np.arange(silent, 80) * 100 - shift
        np.testing.assert_allclose(codes[silent:], ramp[later] * 500, atol=1)
        seen.add(shift)
    assert len(seen) > 10 and max(seen) <= 300


def test_noise_replaces_codes_that_are_fed_and_no_targets():
    inputs = np.array([START, *[5] * 1000, PAD, NO_CODE])
    noisy = with_noise(inputs, 0.2, 3, OWN)
    assert 150 < (noisy != inputs).sum() < 250
    assert noisy[[0, -2, -1]].tolist() == [START, PAD, NO_CODE]
    assert noisy.max() <= PAD and noisy[1:-2].min() >= 0 and noisy[1:-2].max() < START
    np.testing.assert_array_equal(noisy, with_noise(inputs, 0.2, 3, OWN))
    np.testing.assert_array_equal(inputs, with_noise(inputs, 0.0, 3, OWN))


@pytest.mark.parametrize("fields", [{"code_shift_samples": -1}, {"code_noise": 1.0}])
def test_noise_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ValueError, match=f"task.{next(iter(fields))} is"):
        dataclasses.replace(SPEAK, **fields)
