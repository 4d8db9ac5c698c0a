"""One problem, one task, one training sequence."""

import dataclasses
import pickle

import numpy as np
import pytest

from reasoner_jax.audio.log_mel import log_mel
from reasoner_jax.core.records import Span
from reasoner_jax.data.dataset import Outline
from reasoner_jax.data.task import Task
from reasoner_jax.data.transforms import Draft, Dropped, complete, draft
from reasoner_jax.text.interleave import deinterleave, interleave
from reasoner_jax.text.schedule import Schedule, Stream
from reasoner_jax.text.special_tokens import SpecialToken
from tests.data.problems import (
    FRONTEND,
    HEAR,
    READ,
    TALKER,
    TOKENIZER,
    spoken_problem,
    waveform,
)

DIRECT = Schedule(mode="direct")
BEFORE = Schedule(mode="before_speaking")


def make(task, seed=0, frontend=FRONTEND, **changes):
    problem = spoken_problem(4, **{"num_samples": 16_000, **changes})
    return draft(Outline.of(problem), task, frontend, np.random.default_rng(seed))


def text(example, stream):
    return TOKENIZER.decode(example.tokens[example.streams == stream])


def test_a_spoken_question_is_placeholders_and_an_interleaved_reply():
    drafted = make(HEAR)
    example = drafted.example
    prompt, audio, reply = example.spans
    assert (prompt.name, audio.name, reply.name) == ("prompt", "audio", "reply")
    assert drafted.num_frames == 100 and audio.stop - audio.start == 25
    assert set(example.tokens[audio.start : audio.stop]) == {TOKENIZER.token_id("<|AUDIO|>")}
    assert text(example, Stream.PROMPT) == (
        "<|im_start|>system\nGo.<|im_end|>\n<|im_start|>user\n<|audio_bos|>"
        + "<|AUDIO|>" * 25
        + "<|audio_eos|><|im_end|>\n<|im_start|>assistant\n"
    )
    problem = spoken_problem(4)
    assert text(example, Stream.RESPONSE) == problem.response + "<|im_end|>"
    assert text(example, Stream.REASONING) == problem.reasoning + "<|end_of_thought|>"
    first = example.tokens[reply.start : reply.start + 4]
    assert TOKENIZER.decode(first[:1]) == "<|speak|>" and TOKENIZER.decode(first[3:]) == "<|think|>"


def test_the_reply_is_exactly_what_the_schedule_weaves():
    example = make(HEAR).example
    start = example.spans[-1].start
    response, reasoning = deinterleave(example.tokens[start:], example.streams[start:])
    woven = interleave(response, reasoning, Schedule(), FRONTEND.control_ids)
    np.testing.assert_array_equal(example.tokens[start:], woven.tokens)
    np.testing.assert_array_equal(example.streams[start:], woven.streams)
    np.testing.assert_array_equal(example.loss_mask[start:], woven.loss_mask)


def test_only_response_and_reasoning_are_learned():
    example = make(HEAR).example
    learned = np.isin(example.streams, [Stream.RESPONSE, Stream.REASONING])
    np.testing.assert_array_equal(example.loss_mask, learned)


def test_a_written_question_has_no_audio():
    drafted = make(dataclasses.replace(READ, instruction="Be brief."))
    assert drafted.num_frames == 0
    assert [span.name for span in drafted.example.spans] == ["prompt", "reply"]
    assert "user\nWhat is two plus number 4?\nBe brief.<|im_end|>" in text(
        drafted.example, Stream.PROMPT
    )


def test_an_instruction_follows_the_audio():
    example = make(dataclasses.replace(HEAR, instruction="Write it down.")).example
    assert "<|audio_eos|>Write it down.<|im_end|>" in text(example, Stream.PROMPT)


def test_a_transcript_repeats_the_question_and_thinks_nothing():
    example = make(dataclasses.replace(HEAR, target="transcript", schedules=(DIRECT,))).example
    assert text(example, Stream.RESPONSE) == "What is two plus number 4?<|im_end|>"
    assert not (example.streams == Stream.REASONING).any()


def test_before_speaking_thinks_first():
    example = make(dataclasses.replace(HEAR, schedules=(BEFORE,))).example
    thought = np.flatnonzero(example.streams == Stream.REASONING)
    spoken = np.flatnonzero(example.streams == Stream.RESPONSE)
    assert thought.max() < spoken.min()


def test_direct_drops_the_reasoning():
    example = make(dataclasses.replace(HEAR, schedules=(DIRECT,))).example
    assert not (example.streams == Stream.REASONING).any()
    assert text(example, Stream.RESPONSE).endswith("it makes four.<|im_end|>")


def test_special_tokens_in_a_problem_are_mere_text():
    example = make(READ, response="Four.<|im_end|>" + " More." * 20).example
    assert (example.tokens == TOKENIZER.token_id(SpecialToken.IM_END)).sum() == 3


def test_schedules_are_drawn_by_weight_and_seed():
    one, two = Schedule(2, 8), Schedule(2, 16)
    task = dataclasses.replace(READ, schedules=(one, two), weights=(3.0, 1.0))
    lengths = {
        len(make(dataclasses.replace(READ, schedules=(s,))).example.tokens): s for s in (one, two)
    }
    drawn = [lengths[len(make(task, seed).example.tokens)] for seed in range(200)]
    assert 0.65 < drawn.count(one) / 200 < 0.85
    assert drawn == [lengths[len(make(task, seed).example.tokens)] for seed in range(200)]


def test_a_schedule_that_does_not_fit_is_never_drawn():
    slow, fast = Schedule(8, 1), Schedule(2, 16)
    task = dataclasses.replace(READ, schedules=(slow, fast), weights=(99.0, 1.0))
    lengths = {len(make(task, seed).example.tokens) for seed in range(20)}
    assert lengths == {len(make(dataclasses.replace(READ, schedules=(fast,))).example.tokens)}


@pytest.mark.parametrize(
    ("task", "changes", "reason"),
    [
        (HEAR, {"num_samples": 0}, "question not spoken"),
        (HEAR, {"num_samples": 320}, "question not spoken"),
        (HEAR, {"reasoning": "on and on " * 200}, "reasoning outlasts the response"),
        (HEAR, {"response": ""}, "nothing to say"),
        (
            dataclasses.replace(HEAR, codes=True, code_shift_samples=0, code_noise=0.0),
            {},
            "response without speech codes",
        ),
    ],
)
def test_what_gives_no_example_is_dropped_with_a_reason(task, changes, reason):
    assert make(task, **changes) == Dropped(reason)


def test_thoughts_that_end_after_the_last_word_do_not_fit():
    """A decoder may not end the response before the thought, so training must not show it."""
    response = "a"  # and its end token: one block
    late = Task(prompt="text", schedules=(Schedule(2, 8),))
    assert make(late, response=response, reasoning="b") == Dropped(
        "reasoning outlasts the response"
    )
    before = dataclasses.replace(late, schedules=(Schedule(2, 8, lead="reasoning"),))
    assert isinstance(make(before, response=response, reasoning="b"), Draft)


def test_a_response_may_wait_for_its_reasoning_if_the_task_allows():
    task = dataclasses.replace(HEAR, allow_wait=True)
    example = make(task, reasoning="on and on " * 20).example
    assert (example.tokens == TOKENIZER.token_id(SpecialToken.WAIT)).any()


def test_the_mel_is_that_of_the_waveform():
    drafted = make(HEAR)
    sound = waveform(16_000, 4)
    example = complete(drafted, FRONTEND, sound)
    np.testing.assert_array_equal(example.mel, log_mel(sound, 8))
    assert drafted.example.mel is None


def test_another_tempo_has_other_lengths_and_the_same_sound():
    task = dataclasses.replace(HEAR, tempo=(0.5, 2.0))
    lengths = {make(task, seed).num_frames for seed in range(20)}
    assert len(lengths) > 10 and min(lengths) >= 50 and max(lengths) <= 200
    drafted = make(task, 3)
    sound = waveform(16_000, 4)
    mel, example = log_mel(sound, 8), complete(drafted, FRONTEND, sound)
    count = drafted.num_frames
    assert len(example.mel) == count != 100
    assert (example.tokens == TOKENIZER.token_id("<|AUDIO|>")).sum() == (count + 1) // 2 // 2
    np.testing.assert_array_equal(example.mel[[0, -1]], mel[[0, -1]])
    places = np.linspace(0, 99, count)
    expected = np.interp(places, np.arange(100), mel[:, 5])
    np.testing.assert_allclose(example.mel[:, 5], expected, atol=1e-5)


def test_a_question_begins_after_some_silence():
    task = dataclasses.replace(HEAR, lead_in_s=0.5)
    silences = {make(task, seed).lead_in_samples for seed in range(20)}
    assert len(silences) > 10 and min(silences) >= 0 and max(silences) <= 8000
    drafted = make(task, 3)
    sound = waveform(16_000, 4)
    example = complete(drafted, FRONTEND, sound)
    later = np.concatenate([np.zeros(drafted.lead_in_samples, np.float32), sound])
    np.testing.assert_array_equal(example.mel, log_mel(later, 8))
    count = drafted.num_frames
    assert count == len(example.mel) > 100
    assert (example.tokens == TOKENIZER.token_id("<|AUDIO|>")).sum() == (count + 1) // 2 // 2


def test_nobody_who_says_nothing_is_waited_for():
    task = dataclasses.replace(HEAR, lead_in_s=0.5)
    assert make(task, num_samples=0) == Dropped("question not spoken")


class Doubler:
    """Four codes a second, each the sample's sign."""

    def num_codes(self, num_samples):
        return num_samples // 4000

    def encode(self, waveform):
        return (waveform[: len(waveform) // 4000 * 4000 : 4000] > 0).astype(int)


def test_codes_come_from_the_encoder_and_end_with_the_end_code():
    frontend = dataclasses.replace(FRONTEND, speech_encoder=Doubler())
    task = dataclasses.replace(HEAR, codes=True, code_shift_samples=0, code_noise=0.0)
    spoken = waveform(9000, 1)
    drafted = make(task, frontend=frontend, response_waveform=spoken)
    assert drafted.num_codes == 3
    example = complete(drafted, frontend, waveform(16_000, 4), spoken)
    end = TALKER.codec_end_token_id
    assert example.codes.tolist() == [int(spoken[0] > 0), int(spoken[4000] > 0), end]


def test_stored_codes_serve_where_there_is_no_encoder():
    task = dataclasses.replace(READ, codes=True, code_shift_samples=0, code_noise=0.0)
    drafted = make(task, response_codes=np.array([3, 1, 4]))
    example = complete(drafted, FRONTEND, response_codes=np.array([3, 1, 4]))
    assert drafted.num_codes == 4
    assert example.codes.tolist() == [3, 1, 4, TALKER.codec_end_token_id]


def test_audio_of_another_length_is_refused():
    with pytest.raises(ValueError, match="train/00004: expected 16000 samples, got 15800"):
        complete(make(HEAR), FRONTEND, waveform(15_800))
    with pytest.raises(ValueError, match="no waveform"):
        complete(make(HEAR), FRONTEND)


def test_what_follows_the_last_target_need_not_be_read():
    drafted = make(HEAR)
    example = drafted.example
    assert example.loss_mask[drafted.num_inputs]
    assert not example.loss_mask[drafted.num_inputs + 1 :].any()
    assert TOKENIZER.decode([example.tokens[drafted.num_inputs]]) == "<|im_end|>"


def test_a_frontend_can_be_pickled():
    FRONTEND.control_ids  # noqa: B018 (cached properties must not get in the way)
    assert pickle.loads(pickle.dumps(FRONTEND)).control_ids == FRONTEND.control_ids


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "video"}, "task.prompt is 'video', expected audio or text"),
        ({"target": "song"}, "task.target is 'song'"),
        ({"schedules": ()}, "task.schedules is empty"),
        ({"weights": (1.0, 2.0)}, "task.weights is"),
        ({"weights": (0.0,)}, "task.weights is"),
        ({"tempo": (1.2, 0.8)}, "task.tempo is"),
        ({"lead_in_s": -1.0}, "task.lead_in_s is -1.0, expected seconds"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Task(**fields)


def test_spans_cover_the_example():
    example = make(HEAR).example
    prompt, audio, reply = example.spans
    assert prompt == Span("prompt", 0, reply.start) and reply.stop == len(example.tokens)
    assert prompt.start < audio.start < audio.stop < prompt.stop
