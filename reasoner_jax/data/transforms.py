"""Turns a spoken problem into a training sequence, as a task says; knows no stage, no file.

Two steps, so that batches can be planned before any sound is read: `draft` needs the texts and
lengths alone, `complete` adds the features of the audio. Both are pure.
"""

import dataclasses
import functools

import numpy as np

from reasoner_jax.audio.log_mel import log_mel, num_audio_tokens, num_mel_frames
from reasoner_jax.audio.waveform import SAMPLE_RATE_HZ
from reasoner_jax.core.axes import Float, Int
from reasoner_jax.core.records import Example, Span
from reasoner_jax.data.dataset import Outline
from reasoner_jax.data.frontend import Frontend
from reasoner_jax.data.talker_steps import lay_out, num_steps, with_noise
from reasoner_jax.data.task import Task
from reasoner_jax.models.config import TalkerConfig
from reasoner_jax.text.chat import (
    PromptParts,
    encode_prompt,
    encode_prompt_parts,
)
from reasoner_jax.text.interleave import Woven, interleave, late_reasoning
from reasoner_jax.text.schedule import NO_TOKENIZER, ControlIds, Schedule, Stream
from reasoner_jax.text.special_tokens import SpecialToken
from reasoner_jax.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, eq=False)
class Draft:
    """An example of known lengths whose audio is still to come.

    Attributes:
        example: without mel and codes.
        num_frames: of its mel; 0 for a written question.
        num_samples: of the recording that the mel is made of.
        lead_in_samples: of silence before it.
        num_codes: steps of the talker, see `data.talker_steps`; 0 unless the task wants codes.
        code_shift_samples: how much later the response begins.
        code_noise, code_seed: share of the codes to be replaced, and the seed of which and by what.
    """

    example: Example
    num_frames: int = 0
    num_samples: int = 0
    lead_in_samples: int = 0
    num_codes: int = 0
    code_shift_samples: int = 0
    code_noise: float = 0.0
    code_seed: int = 0

    @property
    def num_inputs(self) -> int:
        """Tokens a network must read: what follows the last target changes no loss."""
        return int(np.flatnonzero(self.example.loss_mask)[-1])


@dataclasses.dataclass(frozen=True)
class Dropped:
    """Why a problem gives no example, a few words for the counts."""

    reason: str


def draft(
    outline: Outline, task: Task, frontend: Frontend, rng: np.random.Generator
) -> Draft | Dropped:
    """Tokens, streams and loss mask of a problem.

    With an audio prompt of 2 tokens, and a schedule of 1 response and 2 reasoning tokens a block:

        token    ..  <|audio_bos|>  A  A  <|audio_eos|>  ..  <|speak|>  r  <|think|>  z  z  ..
        stream    0              0  0  0              0   0          3  1          3  2  2
        loss      0              0  0  0              0   0          0  1          0  1  1

    Args:
        outline: of the problem.
        task: what to make of it.
        frontend: the vocabulary, and how sound becomes tokens.
        rng: draws the schedule; unused if there is only one.

    Raises:
        ValueError: the tokenizer lacks a special token, or codes are wanted without a talker.
    """
    lead_in, num_frames = 0, 0
    if task.prompt == "audio":
        lead_in = _lead_in(outline.num_samples, task, rng)
        num_frames = _num_frames(lead_in + outline.num_samples, task, rng)
    num_audio = num_audio_tokens(num_frames) if num_frames else 0
    if task.prompt == "audio" and not num_audio:
        return Dropped("question not spoken")
    num_codes = frontend.num_codes(outline) if task.codes else 0
    if task.codes and not num_codes:
        return Dropped("response without speech codes")
    reply = _reply(outline, task, frontend, rng)
    if isinstance(reply, Dropped):
        return reply
    prompt = _prompt(outline, task, frontend, num_audio, rng)
    start = len(prompt)
    if task.codes:
        num_codes = num_steps(num_codes, start, _talker_of(frontend))
    spans = [Span("prompt", 0, start), Span("reply", start, start + len(reply))]
    if num_audio:
        first = int(np.argmax(prompt == frontend.tokenizer.token_id(SpecialToken.AUDIO)))
        spans.insert(1, Span("audio", first, first + num_audio))
    example = Example(
        example_id=outline.problem_id,
        tokens=np.concatenate([prompt, reply.tokens]),
        streams=np.concatenate([np.full(start, Stream.PROMPT, np.int8), reply.streams]),
        loss_mask=np.concatenate([np.zeros(start, bool), reply.loss_mask]),
        spans=tuple(spans),
        transcript=_words(outline, frontend) if task.spell else None,
    )
    num_samples = outline.num_samples if num_frames else 0
    drafted = Draft(example, num_frames, num_samples, lead_in, num_codes)
    if not task.codes:
        return drafted
    return dataclasses.replace(
        drafted,
        code_shift_samples=int(rng.integers(task.code_shift_samples + 1)),
        code_noise=task.code_noise,
        code_seed=int(rng.integers(1 << 31)),
    )


def complete(
    drafted: Draft,
    frontend: Frontend,
    waveform: Float[np.ndarray, " S"] | None = None,
    response_waveform: Float[np.ndarray, " S"] | None = None,
    response_codes: Int[np.ndarray, " K"] | None = None,
) -> Example:
    """The draft with the features of its audio.

    Args:
        drafted: from `draft`.
        frontend: the same as there.
        waveform: the spoken question; ignored for a written one.
        response_waveform: for the frontend's speech encoder; ignored where no codes are wanted.
        response_codes: used where the frontend has no speech encoder.

    Raises:
        ValueError: audio that is missing, or not as long as the outline said.
    """
    name, mel = drafted.example.example_id, None
    if drafted.num_frames:
        if waveform is None:
            raise ValueError(f"{name}: the draft hears a question of which there is no waveform")
        _check_length(name, "samples", drafted.num_samples, len(waveform))
        heard = np.pad(waveform, (drafted.lead_in_samples, 0))
        mel = _stretched(log_mel(heard, frontend.num_mel_bins), drafted.num_frames)
    spoken = {}
    if drafted.num_codes:
        encoder = frontend.speech_encoder
        if encoder is not None and response_waveform is not None:
            response_codes = encoder.encode(_later(response_waveform, drafted.code_shift_samples))
        if response_codes is None:
            raise ValueError(f"{name}: the draft speaks a response of which there are no codes")
        spoken = _talker_steps(drafted, frontend, response_codes)
        _check_length(name, "steps of the talker", drafted.num_codes, len(spoken["codes"]))
    return dataclasses.replace(drafted.example, mel=mel, **spoken)


def _lead_in(num_samples: int, task: Task, rng: np.random.Generator) -> int:
    """Samples of silence before a question; none where nothing is said."""
    if not task.lead_in_s or not num_samples:
        return 0
    return int(rng.integers(round(task.lead_in_s * SAMPLE_RATE_HZ) + 1))


def _num_frames(num_samples: int, task: Task, rng: np.random.Generator) -> int:
    """Mel frames of a sound at a tempo that the task allows."""
    num_frames = num_mel_frames(num_samples)
    if task.tempo == (1.0, 1.0):
        return num_frames
    return round(num_frames / rng.uniform(*task.tempo))


def _stretched(mel: Float[np.ndarray, "T M"], num_frames: int) -> Float[np.ndarray, "T2 M"]:
    """As many frames, each between the two that were next to it in time."""
    if len(mel) == num_frames:
        return mel
    places = np.linspace(0, len(mel) - 1, num_frames)
    before = places.astype(int)
    share = (places - before)[:, None].astype(mel.dtype)
    return mel[before] * (1 - share) + mel[np.minimum(before + 1, len(mel) - 1)] * share


def _talker_of(frontend: Frontend) -> TalkerConfig:
    if frontend.talker is None:
        raise ValueError(
            "the task wants speech codes, but frontend.talker is None; take a network with a "
            "talker, or a task without codes"
        )
    return frontend.talker


def _later(waveform: Float[np.ndarray, " S"], shift_samples: int) -> Float[np.ndarray, " S"]:
    """The same length, after some silence; as much is lost of the silence at the end."""
    return np.concatenate([np.zeros(shift_samples, waveform.dtype), waveform])[: len(waveform)]


def _talker_steps(
    drafted: Draft, frontend: Frontend, codes: Int[np.ndarray, " K"]
) -> dict[str, Int[np.ndarray, " K"]]:
    """The fields of an example that speaks."""
    example = drafted.example
    end = frontend.control_ids.end_of_response
    is_said = (example.streams == Stream.RESPONSE) & (example.tokens != end)
    response = np.flatnonzero(is_said)
    prompt = next(span for span in example.spans if span.name == "prompt")
    talker, tokens = _talker_of(frontend), example.tokens[response]
    paces = talker.pace.codes_of(tokens, frontend.tokenizer.num_bytes(tokens))
    steps = lay_out(codes, response, paces, prompt.stop, talker)
    inputs = with_noise(steps.inputs, drafted.code_noise, drafted.code_seed, talker)
    return {"codes": steps.targets, "code_inputs": inputs, "code_sources": steps.sources}


def _words(outline: Outline, frontend: Frontend) -> Int[np.ndarray, " W"]:
    words = frontend.tokenizer.encode(outline.spoken_question, parse_special=False)
    return np.array(words, np.int32)


def _prompt(
    outline: Outline, task: Task, frontend: Frontend, num_audio: int, rng: np.random.Generator
) -> Int[np.ndarray, " L"]:
    tokenizer = frontend.tokenizer
    if num_audio or task.prompt == "heard":
        parts = _spoken_prompt_parts(tokenizer, task.instruction or None, task.system)
        audio = [tokenizer.token_id(SpecialToken.AUDIO)] * num_audio
        if task.prompt == "heard":
            blank = tokenizer.token_id(SpecialToken.END_OF_TEXT)
            audio = as_spelled(_words(outline, frontend).tolist(), blank, rng)
        return np.array([*parts.before_audio, *audio, *parts.after_audio], np.int32)
    text = "\n".join(filter(None, [outline.spoken_question, task.instruction]))
    return np.array(encode_prompt(tokenizer, text, 0, task.system), np.int32)


def as_spelled(words: list[int], blank: int, rng: np.random.Generator) -> list[int]:
    """Words as a CTC head might spell them, frame by frame: with blanks between, some repeated.

    [7, 8, 8]  ->  [0, 7, 7, 0, 0, 8, 0, 8]     with blank 0, for one

    The pace is drawn for each text, as speakers have one: up to six blanks a word on average. Their
    numbers fall off like a geometric series, as such a head may spell two words at once and then
    nothing for half a second.
    """
    frames: list[int] = []
    stop = 1 / (1 + rng.uniform(0.5, 6.0))
    for place, word in enumerate(words):
        repeated = place > 0 and word == words[place - 1]
        frames += [blank] * max(int(rng.geometric(stop)) - 1, int(repeated))
        frames += [word] * (1 + int(rng.random() < 0.15))
    return frames + [blank] * (int(rng.geometric(stop)) - 1)


@functools.lru_cache(maxsize=64)
def _spoken_prompt_parts(tokenizer: Tokenizer, instruction: str | None, system: str) -> PromptParts:
    """The same for every example of a task."""
    return encode_prompt_parts(tokenizer, instruction, system)


def _reply(
    outline: Outline, task: Task, frontend: Frontend, rng: np.random.Generator
) -> Woven | Dropped:
    """The reply under the first schedule drawn that it fits."""
    ids = frontend.control_ids

    def encode(text: str, end: int) -> list[int]:
        return [*frontend.tokenizer.encode(text, parse_special=False), end] if text else []

    transcribes = task.target == "transcript"
    response = encode(
        outline.spoken_question if transcribes else outline.response, ids.end_of_response
    )
    reasoning = [] if transcribes else encode(outline.reasoning, ids.end_of_thought)
    if not response:
        return Dropped("nothing to say")
    for schedule in _drawn(task, rng):
        thoughts = reasoning if schedule.thinks else []
        layout = _layout(len(response), len(thoughts), schedule, task.allow_wait)
        if layout is not None:
            return _filled(layout, response, thoughts, ids)
    return Dropped("reasoning outlasts the response")


def _drawn(task: Task, rng: np.random.Generator) -> list[Schedule]:
    """The task's schedules in random order, likely ones first."""
    if len(task.schedules) == 1:
        return list(task.schedules)
    weights = np.array(task.weights or [1.0] * len(task.schedules))
    count = len(weights)
    order = rng.choice(count, count, replace=False, p=weights / weights.sum())
    return [task.schedules[index] for index in order]


@functools.lru_cache(maxsize=1 << 14)
def _layout(
    num_response: int, num_reasoning: int, schedule: Schedule, allow_wait: bool
) -> Woven | None:
    """A reply of these lengths without its words; None if it does not fit.

    Laying out costs more than everything else in a draft, and lengths recur.
    """
    try:
        woven = interleave(
            range(num_response), range(num_reasoning), schedule, allow_wait=allow_wait
        )
    except ValueError:  # the lengths are all that `interleave` can object to here
        return None
    return woven if allow_wait or not late_reasoning(woven.streams) else None


def _filled(layout: Woven, response: list[int], reasoning: list[int], ids: ControlIds) -> Woven:
    """The layout with its words: sentinels become ids, and every stream its own tokens."""
    tokens = layout.tokens.copy()
    for name in ("speak", "think", "pad", "wait"):
        tokens[layout.tokens == getattr(NO_TOKENIZER, name)] = getattr(ids, name)
    tokens[layout.streams == Stream.RESPONSE] = response
    tokens[layout.streams == Stream.REASONING] = reasoning
    return dataclasses.replace(layout, tokens=tokens)


def _check_length(name: str, what: str, expected: int, got: int) -> None:
    if got != expected:
        raise ValueError(f"{name}: expected {expected} {what}, got {got}; the data set is damaged")
