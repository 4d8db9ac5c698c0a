"""The nouns: what flows from a written problem to a spoken reply; knows no file format, no model.

    Problem -> SpokenProblem -> Example -> Batch          (data)
    SpokenQuestion -> Reply                               (evaluation and talking)

Records are frozen. `to_dict` and `from_dict` turn them to and from JSON; arrays stay outside, since
data sets store them as bytes beside the JSON.
"""

import dataclasses
import re
import types
import typing
from typing import Any, TypeVar

import numpy as np
from flax import struct

from reasoner_jax.core.axes import Array, Bool, Float, Int

Record = TypeVar("Record")

_NUMBER = r"\d+(?:\.\d+)?"
_OPERATION = re.compile(rf"({_NUMBER})([-+*/])({_NUMBER})")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One binary operation, e.g. left "48", symbol "/", right "2"."""

    left: str
    symbol: str
    right: str


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of an exact derivation.

    Attributes:
        expression: what is computed, "48/2", with + - * / ** and brackets, plain numbers, no
            spaces; empty for a sentence that computes nothing.
        value: what comes out, "24"; empty if `expression` is.
        text: the sentence of the solution that ends with this step, "Natalia sold 48/2 = 24 clips
            in May."; empty where a sentence goes on to another step.
        exact: whether `expression` really equals `value`. Corpora hold wrong and rounded ones.
    """

    expression: str
    value: str
    text: str = ""
    exact: bool = True

    @property
    def operation(self) -> Operation | None:
        """The operands and their operator, where the expression is a single operation."""
        match = _OPERATION.fullmatch(self.expression)
        return Operation(*match.groups()) if match else None


@dataclasses.dataclass(frozen=True)
class Problem:
    """A written problem with its solution, as collected from a corpus or generated.

    Attributes:
        source: name of the corpus, "gsm8k".
        problem_id: unique over all sources and stable between runs, "gsm8k/train/00042".
        question: as written, symbols, digits and LaTeX included.
        solution: worked solution as prose, without annotations and without the final-answer line.
        answer: the final value as written, no currency, unit or thousands comma: "72", "0.5",
            "3/4", or LaTeX for the MATH kind.
        kind: the corpus's own category ("GSM_Rephrased", "two_step"); empty if it has none.
        steps: the derivation in order, where the corpus allows an exact one; may be empty.
        original_question: the question this one was rewritten from; empty if it was not.
    """

    source: str
    problem_id: str
    question: str
    solution: str
    answer: str
    kind: str = ""
    steps: tuple[Step, ...] = ()
    original_question: str = ""


@dataclasses.dataclass(frozen=True)
class Voice:
    """How a text was spoken.

    Attributes:
        back_end: what spoke it, "piper".
        voice_id: which of its voices.
        speed: 1 is the voice's own, 2 twice as fast.
        pitch_semitones: shift of the voice's pitch.
        noise_db: signal-to-noise ratio of the added noise; None for clean.
        room_s: reverberation time; 0 for a dry recording.
    """

    back_end: str
    voice_id: str
    speed: float = 1.0
    pitch_semitones: float = 0.0
    noise_db: float | None = None
    room_s: float = 0.0


@dataclasses.dataclass(frozen=True)
class Check:
    """One verdict on an example, e.g. name "word_error_rate", value 0.04, detail the transcript."""

    name: str
    passed: bool
    value: float | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class SpokenProblem:
    """A problem made speakable, and spoken.

    Attributes:
        problem: where it came from.
        spoken_question: the question in words a person would say.
        reasoning: the silent trace.
        response: the short colloquial answer, in words.
        voice: of the question; None until it is spoken.
        checks: verdicts so far, passed or not.
        repairs: names of what was changed to pass, in order.
        sample_rate_hz: of both waveforms.
        waveform: the spoken question in [-1, 1]; None until it is spoken.
        response_waveform: the spoken response, for the talker; None without one.
        response_codes: speech codes of the response, where its codec cannot compute them from the
            waveform or has done so already; None without them.
    """

    problem: Problem
    spoken_question: str
    reasoning: str
    response: str
    voice: Voice | None = None
    checks: tuple[Check, ...] = ()
    repairs: tuple[str, ...] = ()
    sample_rate_hz: int = 16_000
    waveform: Float[np.ndarray, " S"] | None = None
    response_waveform: Float[np.ndarray, " S"] | None = None
    response_codes: Int[np.ndarray, " K"] | None = None

    @property
    def answer(self) -> str:
        """The final value, in digits."""
        return self.problem.answer


@dataclasses.dataclass(frozen=True, eq=False)
class SpokenQuestion:
    """An item to evaluate on.

    Attributes:
        question_id: unique within the benchmark, "spoken_mqa/short_digit/00007".
        split: of the benchmark, "short_digit".
        transcript: what is said in the waveform.
        instruction: the text prompt that goes with it.
        answer: the reference as the benchmark stores it; scoring rules read it raw.
        sample_rate_hz: of the waveform, as stored.
        waveform: mono, in [-1, 1].
    """

    question_id: str
    split: str
    transcript: str
    instruction: str
    answer: str
    sample_rate_hz: int
    waveform: Float[np.ndarray, " S"]


@dataclasses.dataclass(frozen=True)
class Span:
    """Tokens `start` up to, not including, `stop` of an example, e.g. name "audio"."""

    name: str
    start: int
    stop: int


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """One training sequence on the host, not yet packed.

    Attributes:
        example_id: the problem's id, with a suffix where a problem gives several examples.
        tokens: prompt, then reply, one placeholder per audio token.
        streams: the stream of each token, see `text.interleave`.
        loss_mask: true where the token is a target.
        mel: log-mel of the spoken question at 100 frames/s; None for text.
        spans: named ranges of tokens: prompt, audio, reply.
        transcript: the spoken question's tokens, for the CTC head; None where it has no target.
        codes: target of each step of the talker, -1 for none; None without speech. The steps are
            laid out by `data.talker_steps`.
        code_inputs: code fed at each step, -1 for none.
        code_sources: token whose thinker vector is fed at each step, or one of the negative
            numbers of `core.text_feed`.
    """

    example_id: str
    tokens: Int[np.ndarray, " L"]
    streams: Int[np.ndarray, " L"]
    loss_mask: Bool[np.ndarray, " L"]
    mel: Float[np.ndarray, "T M"] | None = None
    spans: tuple[Span, ...] = ()
    transcript: Int[np.ndarray, " W"] | None = None
    codes: Int[np.ndarray, " K"] | None = None
    code_inputs: Int[np.ndarray, " K"] | None = None
    code_sources: Int[np.ndarray, " K"] | None = None


END_OF_TRANSCRIPT = -2
"""Stands behind the words of each example in `Batch.transcripts`."""


@struct.dataclass
class Batch:
    """Packed rows as device arrays; F is the frames of a chunk, E the most examples of a row.

    Attributes:
        tokens: inputs.
        targets: the token after each input; arbitrary where `loss_mask` is false.
        loss_mask: true where `targets` counts.
        streams: the stream of each *target*, so that losses can be weighted and reported by it.
        positions: restart at 0 with each example of a row.
        segment_ids: 1, 2, .. for the examples of a row, 0 for padding.
        example_rows: number of each packed example in its data set (in a mixture: in all of them,
            one behind the other), -1 for none; names the culprits of a non-finite loss.
        mel: audio chunks in the order of their placeholders; None in a batch of text.
        frames: valid frames of each chunk, 0 for padding; None in a batch of text.
        transcripts: what is said in the row's audio, its examples one behind the other, each
            with `END_OF_TRANSCRIPT` behind it; -1 for padding. None unless the CTC head trains.
        codes: target of each step of the talker, the row's examples one behind the other; -1 for
            none. None unless the talker trains.
        code_segment_ids: the segment that a step belongs to, 0 for padding; None as `codes`.
        code_inputs: code fed at each step, -1 for none; None as `codes`.
        code_sources: position in the row whose thinker vector is fed at each step, or one of the
            negative numbers of `core.text_feed`; None as `codes`.
    """

    tokens: Int[Array, "B L"]
    targets: Int[Array, "B L"]
    loss_mask: Bool[Array, "B L"]
    streams: Int[Array, "B L"]
    positions: Int[Array, "B L"]
    segment_ids: Int[Array, "B L"]
    example_rows: Int[Array, "B E"]
    mel: Float[Array, "B C F M"] | None = None
    frames: Int[Array, "B C"] | None = None
    transcripts: Int[Array, "B W"] | None = None
    codes: Int[Array, "B K"] | None = None
    code_segment_ids: Int[Array, "B K"] | None = None
    code_inputs: Int[Array, "B K"] | None = None
    code_sources: Int[Array, "B K"] | None = None


@dataclasses.dataclass(frozen=True)
class Timings:
    """Wall-clock seconds after the end of the question.

    Attributes:
        first_token_s: until the first response token.
        first_sound_s: until the first sample of speech was ready; None for a silent reply.
        total_s: until everything was done.
        audio_s: length of the spoken reply.
        num_underruns: how often playback would have run dry.
    """

    first_token_s: float
    first_sound_s: float | None
    total_s: float
    audio_s: float = 0.0
    num_underruns: int = 0

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of work per second of speech; None for a silent reply."""
        return self.total_s / self.audio_s if self.audio_s else None


@dataclasses.dataclass(frozen=True, eq=False)
class Reply:
    """What the model answered.

    Attributes:
        response: what it said.
        reasoning: what it thought.
        timings: when.
        violations: what the anticipation certificate found, one sentence each; None if the words of
            the question are not known, so that nothing could be checked.
        truncated: it reached the bound on its length before it ended.
        sample_rate_hz: of the waveform.
        waveform: the spoken response; None for a silent reply.
        tokens: all of it as ids, forced tokens included; None if unknown.
        streams: a `Stream` for each of `tokens`.
        vectors: what the talker reads, of each response token but its end; None if unwanted.
    """

    response: str
    reasoning: str
    timings: Timings
    violations: tuple[str, ...] | None = ()
    truncated: bool = False
    sample_rate_hz: int = 24_000
    waveform: Float[np.ndarray, " S"] | None = None
    tokens: Int[np.ndarray, " L"] | None = None
    streams: Int[np.ndarray, " L"] | None = None
    vectors: Float[np.ndarray, "R D"] | None = None


def to_dict(record: Any) -> dict[str, Any]:
    """A record as JSON values, without its array fields.

    Step("48/2", "24")  ->  {"expression": "48/2", "value": "24", "text": "", "exact": true}
    """
    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    hints = typing.get_type_hints(type(record))
    return {name: _plain(value) for name, value in fields.items() if not _is_array(hints[name])}


def from_dict(record_type: type[Record], values: dict[str, Any], **arrays: np.ndarray) -> Record:
    """Undoes `to_dict`.

    Args:
        record_type: what to build.
        values: JSON values, as made by `to_dict`.
        **arrays: the array fields, which JSON does not hold.

    Raises:
        ValueError: a field is missing, unknown or of another type; names record and field.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{record_type.__name__}: expected an object, got {values!r}")
    fields = {f.name: f for f in dataclasses.fields(record_type)}  # type: ignore[arg-type]
    given = {**values, **arrays}
    unknown = sorted(given.keys() - fields.keys())
    required = {name for name, f in fields.items() if f.default is dataclasses.MISSING}
    missing = sorted(required - given.keys())
    if unknown or missing:
        raise ValueError(
            f"{record_type.__name__}: unknown fields {unknown}, missing fields {missing}; "
            f"expected {list(fields)}"
        )
    hints = typing.get_type_hints(record_type)
    where = record_type.__name__
    built = {name: _typed(hints[name], value, f"{where}.{name}") for name, value in values.items()}
    return record_type(**built, **arrays)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _is_array(hint: Any) -> bool:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return any(hasattr(option, "array_type") for option in options)


def _typed(hint: Any, value: Any, where: str) -> Any:
    """The value as the type hint wants it: nested records built, lists made tuples."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not types.NoneType)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value)  # type: ignore[arg-type]
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list, got {value!r}")
        return tuple(_typed(typing.get_args(hint)[0], item, where) for item in value)
    accepted = (int, float) if hint is float else (hint,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value
