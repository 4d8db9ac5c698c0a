"""Questions as the network reads them: ids and features, one by one and in padded batches.

Knows how a checkpoint wants to be asked; runs nothing.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from reasoner_jax.audio.log_mel import log_mel, num_audio_tokens
from reasoner_jax.audio.waveform import SAMPLE_RATE_HZ, to_model_rate
from reasoner_jax.core.axes import Bool, Float, Int
from reasoner_jax.models.config import ThinkerConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.text.chat import encode_prompt, encode_prompt_parts
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.schedule import ControlIds, Schedule
from reasoner_jax.text.special_tokens import SpecialToken
from reasoner_jax.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, eq=False)
class Question:
    """What is asked.

    Attributes:
        waveform: mono [samples] or [samples, channels], floats in [-1, 1]; None for a written one.
        text: the written question; beside a waveform, the text that goes with it instead of the
            checkpoint's own instruction.
        sample_rate_hz: of the waveform.
        transcript: what the waveform says, where that is known. The network does not see it; the
            anticipation certificate needs it.
        thoughts: what the network is made to think instead of its own thoughts, as for tests of
            whether they matter; None lets it think, "" ends the thought at once.
    """

    waveform: Float[np.ndarray, "S ..."] | None = None
    text: str | None = None
    sample_rate_hz: int = SAMPLE_RATE_HZ
    transcript: str | None = None
    thoughts: str | None = None

    @property
    def words(self) -> str | None:
        """What is asked, in words; None if only the recording is known."""
        return self.text if self.waveform is None else self.transcript


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedQuestion:
    """Ids with a placeholder per audio token, and the features of the audio.

    Attributes:
        tokens: the prompt, up to the assistant's turn.
        mel: log-mel of the audio; None for a written question.
        thoughts: reasoning tokens to be forced, the end of the thought included; None for none.
    """

    tokens: Int[np.ndarray, " L"]
    mel: Float[np.ndarray, "T M"] | None = None
    thoughts: Int[np.ndarray, " R"] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class PromptEncoder:
    """How a checkpoint is asked.

    Attributes:
        tokenizer: its vocabulary.
        reply_format: the prompt around a question.
        config: sizes and ids of the thinker.
    """

    tokenizer: Tokenizer
    reply_format: ReplyFormat
    config: ThinkerConfig

    @classmethod
    def of(cls, omni: Omni) -> "PromptEncoder":
        """Of a network, as its checkpoint says; Qwen's way where that says nothing.

        Raises:
            ValueError: it has no tokenizer.
        """
        if omni.tokenizer is None:
            raise ValueError(
                "this network has no tokenizer, so it cannot be asked; its checkpoint needs "
                "tokenizer.json, or vocab.json and merges.txt"
            )
        return cls(omni.tokenizer, omni.reply_format or ReplyFormat(), omni.config.thinker)

    def encode(self, question: Question) -> EncodedQuestion:
        """The prompt of one question.

        Raises:
            ValueError: neither text nor audio, audio that is broken or shorter than one audio
                token (21 ms).
        """
        ours = self.reply_format
        if question.waveform is None:
            if not question.text:
                raise ValueError("the question has neither a waveform nor text; pass one of them")
            text = "\n".join(filter(None, [question.text, ours.instruction]))
            return EncodedQuestion(
                np.array(encode_prompt(self.tokenizer, text, 0, ours.system), np.int32),
                thoughts=self._thoughts(question.thoughts),
            )
        waveform = to_model_rate(question.waveform, question.sample_rate_hz)
        mel = log_mel(waveform, self.config.audio.num_mel_bins)
        num_audio = num_audio_tokens(len(mel))
        if not num_audio:
            raise ValueError(
                f"the question has {1000 * len(waveform) / SAMPLE_RATE_HZ:.1f} ms of audio, "
                "expected at least 21 ms (one audio token); was the recording cut short?"
            )
        instruction = ours.instruction if question.text is None else question.text
        parts = encode_prompt_parts(self.tokenizer, instruction or None, ours.system)
        audio = [self.config.audio_token_id] * num_audio
        tokens = np.array([*parts.before_audio, *audio, *parts.after_audio], np.int32)
        return EncodedQuestion(tokens, mel, self._thoughts(question.thoughts))

    def _thoughts(self, text: str | None) -> Int[np.ndarray, " R"] | None:
        if text is None:
            return None
        end = self.tokenizer.token_id(SpecialToken.END_OF_THOUGHT)
        return np.array([*self.tokenizer.encode(text, parse_special=False), end], np.int32)

    def control_ids(self, schedules: Sequence[Schedule]) -> ControlIds:
        """The forced tokens in this vocabulary; sentinels for those that it lacks.

        Raises:
            ValueError: a token that a schedule needs is missing.
        """
        needed = {SpecialToken.IM_END}
        if any(schedule.control_tokens for schedule in schedules):
            needed |= {SpecialToken.SPEAK}
        if any(schedule.thinks for schedule in schedules):
            needed |= {SpecialToken.END_OF_THOUGHT, SpecialToken.PAD, SpecialToken.WAIT}
            if any(schedule.control_tokens for schedule in schedules if schedule.thinks):
                needed |= {SpecialToken.THINK}
        known = self.tokenizer.special_tokens
        if missing := sorted(needed - known.keys()):
            raise ValueError(
                f"the tokenizer lacks {', '.join(missing)}, which the schedule needs; add them "
                "with reasoner_jax.extend_vocabulary, or answer with Schedule(mode='direct', "
                "control_tokens=False)"
            )
        tokens = dict(
            speak=SpecialToken.SPEAK,
            think=SpecialToken.THINK,
            pad=SpecialToken.PAD,
            wait=SpecialToken.WAIT,
            end_of_thought=SpecialToken.END_OF_THOUGHT,
            end_of_response=SpecialToken.IM_END,
        )
        sentinels = ControlIds()
        return ControlIds(
            **{name: known.get(token, getattr(sentinels, name)) for name, token in tokens.items()}
        )

    @functools.cached_property
    def allowed(self) -> Bool[np.ndarray, "2 V"]:
        """Tokens that a response and a reasoning slot may hold: text, and each its own end."""
        mask = np.zeros((2, self.config.vocab_size), bool)
        mask[:, : self.tokenizer.vocab_size] = True
        special = self.tokenizer.special_tokens
        mask[:, [id_ for id_ in special.values() if id_ < mask.shape[1]]] = False
        for row, end in enumerate((SpecialToken.IM_END, SpecialToken.END_OF_THOUGHT)):
            if end in special:
                mask[row, special[end]] = True
        return mask


@dataclasses.dataclass(frozen=True, eq=False)
class PaddedQuestions:
    """Questions of a batch in arrays of one shape.

    Attributes:
        tokens: padded on the right.
        lengths: valid tokens; 1 for a row that only fills the batch.
        mel, frames: chunks of audio and their valid frames; None if all are written.
        thoughts: reasoning tokens to be forced, -1 after them; None if no row has any.
    """

    tokens: Int[np.ndarray, "B L"]
    lengths: Int[np.ndarray, " B"]
    mel: Float[np.ndarray, "B C F M"] | None
    frames: Int[np.ndarray, "B C"] | None
    thoughts: Int[np.ndarray, "B R"] | None = None


def pad_questions(
    questions: Sequence[EncodedQuestion], batch: int, config: ThinkerConfig
) -> PaddedQuestions:
    """Puts questions into a batch of `batch` rows, its sizes rounded up (see `rounded`).

    Beside audio there is room for a prompt that fills it: one number of tokens for a number of
    chunks, so that few pairs of them have to be compiled for.
    """
    audio = config.audio
    longest = max((len(q.mel) for q in questions if q.mel is not None), default=0)
    num_chunks = rounded(-(-longest // audio.chunk_frames), 1)
    lengths = np.ones(batch, np.int32)
    lengths[: len(questions)] = [len(question.tokens) for question in questions]
    num_tokens = int(lengths.max())
    if longest:  # the chunks have been rounded up already, so the next multiple will do
        num_tokens += num_audio_tokens(num_chunks * audio.chunk_frames) - num_audio_tokens(longest)
        num_tokens = -(-num_tokens // 64) * 64
    else:
        num_tokens = rounded(num_tokens, 64)
    tokens = np.zeros((batch, num_tokens), np.int32)
    for row, question in enumerate(questions):
        tokens[row, : len(question.tokens)] = question.tokens
    if not longest:
        return PaddedQuestions(tokens, lengths, None, None, _pad_thoughts(questions, batch))
    mel = np.zeros((batch, num_chunks * audio.chunk_frames, audio.num_mel_bins), np.float32)
    num_frames = np.zeros((batch, 1), np.int32)
    for row, question in enumerate(questions):
        if question.mel is not None:
            mel[row, : len(question.mel)] = question.mel
            num_frames[row] = len(question.mel)
    starts = np.arange(num_chunks) * audio.chunk_frames
    return PaddedQuestions(
        tokens,
        lengths,
        mel.reshape(batch, num_chunks, audio.chunk_frames, audio.num_mel_bins),
        np.clip(num_frames - starts, 0, audio.chunk_frames),
        _pad_thoughts(questions, batch),
    )


def _pad_thoughts(
    questions: Sequence[EncodedQuestion], batch: int
) -> Int[np.ndarray, "B R"] | None:
    given = {row: q.thoughts for row, q in enumerate(questions) if q.thoughts is not None}
    if not given:
        return None
    padded = np.full((batch, rounded(max(map(len, given.values())), 32)), -1, np.int32)
    for row, ids in given.items():
        padded[row, : len(ids)] = ids
    return padded


def rounded(number: int, step: int) -> int:
    """The next size that programs are compiled for: multiples of `step`, coarser as they grow.

    At most a quarter more than `number`, beyond 4 steps; so there are few sizes to compile.

    >>> [rounded(n, 1) for n in (1, 3, 5, 9, 17, 33)], rounded(100, 64), rounded(700, 64)
    ([1, 3, 5, 10, 20, 40], 128, 768)
    """
    steps = -(-number // step)
    coarse = max(1, 1 << max(0, steps.bit_length() - 3))
    return -(-steps // coarse) * coarse * step
