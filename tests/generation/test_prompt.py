"""Questions become the prompts that training has shown; whatever the recording is like."""

import dataclasses

import numpy as np
import pytest

from reasoner_jax.audio.log_mel import num_audio_tokens, num_mel_frames
from reasoner_jax.generation.prompt import PromptEncoder, Question, pad_questions, rounded
from reasoner_jax.text.chat import encode_prompt
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.schedule import ControlIds, Schedule
from reasoner_jax.text.special_tokens import SpecialToken
from tests.generation.networks import omni, waveform


@pytest.fixture(scope="module")
def encoder():
    network = dataclasses.replace(
        omni(), reply_format=ReplyFormat(system="Be brief.", instruction="Think.")
    )
    return PromptEncoder.of(network)


def test_a_spoken_question_stands_in_the_prompt_of_its_checkpoint(encoder):
    num_audio = num_audio_tokens(num_mel_frames(16_000))
    expected = encode_prompt(encoder.tokenizer, "Think.", num_audio, "Be brief.")
    encoded = encoder.encode(Question(waveform(1.0)))
    assert encoded.tokens.tolist() == expected
    assert encoded.mel.shape == (100, 8)


def test_text_beside_a_recording_replaces_the_instruction(encoder):
    num_audio = num_audio_tokens(num_mel_frames(16_000))
    expected = encode_prompt(encoder.tokenizer, "Be quick.", num_audio, "Be brief.")
    assert encoder.encode(Question(waveform(1.0), "Be quick.")).tokens.tolist() == expected


def test_a_written_question_goes_before_the_instruction(encoder):
    expected = encode_prompt(encoder.tokenizer, "how many\nThink.", 0, "Be brief.")
    encoded = encoder.encode(Question(text="how many"))
    assert encoded.tokens.tolist() == expected
    assert encoded.mel is None


@pytest.mark.parametrize(
    "question",
    [
        Question(np.zeros(16_000, np.float32)),
        Question(np.clip(5 * waveform(1.0), -1, 1)),
        Question(np.stack([waveform(1.0), waveform(1.0, 1)], axis=1)),
        Question(waveform(0.5), sample_rate_hz=8_000),
        Question(np.repeat(waveform(1.0), 3), sample_rate_hz=48_000),
    ],
    ids=["silence", "clipped", "stereo", "8 kHz", "48 kHz"],
)
def test_any_recording_of_a_second_makes_25_audio_tokens(encoder, question):
    encoded = encoder.encode(question)
    audio_id = encoder.tokenizer.token_id(SpecialToken.AUDIO)
    assert (encoded.tokens == audio_id).sum() == 25
    assert np.isfinite(encoded.mel).all()


def test_slots_hold_text_and_the_end_of_their_own_stream(encoder):
    special = encoder.tokenizer.special_tokens
    response, reasoning = encoder.allowed
    text = encoder.tokenizer.encode("ten")
    assert response[text].all() and reasoning[text].all()
    allowed = {
        "response": {t for t, i in special.items() if response[i]},
        "reasoning": {t for t, i in special.items() if reasoning[i]},
    }
    assert allowed == {"response": {"<|im_end|>"}, "reasoning": {"<|end_of_thought|>"}}
    # Rows of the embedding table that no token has.
    assert not response[encoder.tokenizer.vocab_size :].any()


def test_control_ids_are_the_vocabularys(encoder):
    ids = encoder.control_ids([Schedule()])
    assert ids.speak == encoder.tokenizer.token_id(SpecialToken.SPEAK)
    assert min(dataclasses.astuple(ids)) >= 0
    assert isinstance(ids, ControlIds)


def test_padding_keeps_every_question(encoder):
    questions = [encoder.encode(q) for q in (Question(waveform(5.1)), Question(text="ten"))]
    padded = pad_questions(questions, 3, encoder.config)
    assert padded.lengths.tolist() == [len(questions[0].tokens), len(questions[1].tokens), 1]
    assert padded.frames.tolist() == [[200, 200, 110], [0, 0, 0], [0, 0, 0]]
    joined = padded.mel[0].reshape(-1, 8)
    np.testing.assert_array_equal(joined[:510], questions[0].mel)
    assert not joined[510:].any()


def test_recordings_of_as_many_chunks_have_one_shape(encoder):
    shapes = set()
    for seconds in (4.1, 5.0, 5.9):
        question = encoder.encode(Question(waveform(seconds)))
        padded = pad_questions([question], 1, encoder.config)
        assert padded.tokens.shape[1] >= len(question.tokens)
        shapes.add((padded.tokens.shape, padded.mel.shape))
    assert len(shapes) == 1


def test_sizes_are_few_and_at_most_a_quarter_too_large():
    for number in range(1, 3000):
        assert number <= rounded(number, 1) <= max(4, 1.25 * number)
    assert len({rounded(number, 64) for number in range(1, 8192)}) <= 24
