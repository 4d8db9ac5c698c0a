"""The stages that make a written problem a spoken one, as a pure function of one problem.

    collect -> prepare -> speak -> check -> write

`Pipeline` is prepare, speak and check; a runner does the rest. What fails is repaired (a text is
deferred, a question is spoken again, clean) or dropped with a reason. Knows no process, no file.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from reasoner_jax.audio.waveform import SAMPLE_RATE_HZ
from reasoner_jax.core.axes import Float
from reasoner_jax.core.records import Check, Problem, SpokenProblem, Voice, to_dict
from reasoner_jax.sources import base
from reasoner_jax.sources.base import Dropped, Source
from reasoner_jax.sources.deduplicate import Evaluation, deduplicate
from reasoner_jax.synthesis.augment import VoiceOptions, choose_voice, record, stable_seed
from reasoner_jax.synthesis.back_end import Speaker, SpeechError, check_speakable
from reasoner_jax.synthesis.endpoint import EndpointError
from reasoner_jax.synthesis.recognise import Recognizer
from reasoner_jax.synthesis.rewrite import Rewriter
from reasoner_jax.synthesis.verify_speech import SpeechLimits, check_audio, verify_speech

STAGES = ("collect", "prepare", "speak", "check")

OUTAGES = frozenset({"endpoint failed", "judge failed", "speech failed", "recogniser failed"})
"""Reasons that blame a program or a server, not the problem; many in a row are an outage."""

_SLOWER = 0.92

Judge = Callable[[SpokenProblem], tuple[Check, ...]]


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One recording of a question or a response.

    Attributes:
        part: "question" or "response".
        speech_s: its length.
        checks: verdicts on it.
    """

    part: str
    speech_s: float
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether it may be kept."""
        return all(check.passed for check in self.checks)


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a problem.

    Attributes:
        problem_id: of the problem.
        source: its corpus.
        spoken: what is to be written; None if it was dropped.
        stage: which dropped it, of `STAGES`; empty if none did.
        reason: why; empty likewise.
        seconds: wall clock by stage.
        attempts: all recordings made, in order.
    """

    problem_id: str
    source: str
    spoken: SpokenProblem | None = None
    stage: str = ""
    reason: str = ""
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()

    def dropped(self, stage: str, reason: str) -> "Outcome":
        """The same problem, dropped."""
        return dataclasses.replace(self, spoken=None, stage=stage, reason=reason)

    def measurements(self) -> dict[str, Any]:
        """All but the example, as JSON values; the transcript of a failed check is kept."""
        return {
            "problem_id": self.problem_id,
            "source": self.source,
            "stage": self.stage,
            "reason": self.reason,
            "repairs": list(self.spoken.repairs) if self.spoken else [],
            "seconds": {stage: round(seconds, 5) for stage, seconds in self.seconds.items()},
            "attempts": [
                {
                    "part": attempt.part,
                    "speech_s": round(attempt.speech_s, 3),
                    "passed": attempt.passed,
                    "values": {check.name: check.value for check in attempt.checks},
                    "failed": [to_dict(check) for check in attempt.checks if not check.passed],
                }
                for attempt in self.attempts
            ],
        }


@dataclasses.dataclass(frozen=True)
class Speech:
    """How texts are spoken and heard back.

    Attributes:
        speakers: by the name that `Voice.back_end` has.
        options: what a question's voice, room and noise are drawn from.
        response_voice: of every response, dry and clean, as a talker learns one voice; None leaves
            responses unspoken.
        response_share: of the problems, those whose response is spoken.
        recognizer: None checks only what needs no transcript.
        limits: what passes.
        num_tries: recordings of a text before the problem is dropped. From the second on, a
            question gets another voice without room and noise, and a response is said slower.
    """

    speakers: Mapping[str, Speaker]
    options: VoiceOptions
    response_voice: Voice | None = None
    response_share: float = 1.0
    recognizer: Recognizer | None = None
    limits: SpeechLimits = dataclasses.field(default_factory=SpeechLimits)
    num_tries: int = 2

    def __post_init__(self) -> None:
        if self.num_tries < 1:
            raise ValueError(f"speak.num_tries is {self.num_tries}, expected 1 or more")
        if not 0 <= self.response_share <= 1:
            raise ValueError(
                f"speak.response.share is {self.response_share}, expected a share from 0 to 1"
            )
        wanted = {voice.back_end for voice in self.options.voices}
        wanted |= {self.response_voice.back_end} if self.response_voice else set()
        if missing := sorted(wanted - self.speakers.keys()):
            raise ValueError(f"no speaker for the voices of {missing}; got {list(self.speakers)}")


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Prepare, speak and check: the same result for the same problem and seed, anywhere.

    Attributes:
        rewriter: makes the texts, and passes or repairs their checks.
        speech: None leaves the examples silent, for the stages that train on text.
        judge: a language model's opinion of the text; None asks none.
        seed: of phrases, voices, rooms and noise.
    """

    rewriter: Rewriter
    speech: Speech | None = None
    judge: Judge | None = None
    seed: int = 0

    def __call__(self, problem: Problem) -> Outcome:
        """All stages.

        Raises:
            ImportError: a back-end is not installed.
            EndpointError: a server refuses every request alike (see the back-end).
            ValueError: a back-end broke on this problem; names it.
        """
        return self.speak(self.prepare(problem))

    def prepare(self, problem: Problem) -> Outcome:
        """The texts, verified."""
        outcome, start_s = Outcome(problem.problem_id, problem.source), time.perf_counter()
        with _naming(problem.problem_id):
            spoken = self.rewriter.rewrite(problem, self.seed)
            if isinstance(spoken, Dropped):
                outcome = outcome.dropped("prepare", spoken.reason)
            else:
                outcome = self._judged(dataclasses.replace(outcome, spoken=spoken))
        return _timed(outcome, prepare=time.perf_counter() - start_s)

    def speak(self, outcome: Outcome) -> Outcome:
        """The recordings, verified, of what `prepare` returned; one it dropped stays dropped."""
        if self.speech is None or outcome.spoken is None:
            return outcome
        with _naming(outcome.problem_id):
            outcome = _speak_question(outcome, self.speech, self.seed)
            if outcome.spoken is not None and self._answers_aloud(outcome.problem_id):
                outcome = _speak_response(outcome, self.speech, self.speech.response_voice)
        return outcome

    def _answers_aloud(self, problem_id: str) -> bool:
        if self.speech.response_voice is None:
            return False
        drawn = stable_seed("response", self.seed, problem_id) % 2**32
        return drawn < self.speech.response_share * 2**32

    def _judged(self, outcome: Outcome) -> Outcome:
        if self.judge is None:
            return outcome
        assert outcome.spoken is not None
        try:
            checks = self.judge(outcome.spoken)
        except (EndpointError, ValueError):
            return outcome.dropped("prepare", "judge failed")
        if failed := [check.name for check in checks if not check.passed]:
            return outcome.dropped("prepare", failed[0].replace("_", " "))
        spoken = dataclasses.replace(outcome.spoken, checks=(*outcome.spoken.checks, *checks))
        return dataclasses.replace(outcome, spoken=spoken)


def collect(
    sources: Iterable[Source],
    counts: base.Counts,
    evaluation: Evaluation | None = None,
    limit: int | None = None,
) -> Iterator[Problem | Outcome]:
    """The first stage: problems of all corpora, each once, none of the evaluation set.

    Args:
        sources: earlier ones win over later ones.
        counts: gets what each read and left out, "gsm8k: read", "gsm8k: duplicate".
        evaluation: what to keep out.
        limit: problems to yield; None for all.

    Yields:
        A problem, or the outcome of one that was left out, in the order of the corpora.
    """
    rejected: list[Outcome] = []
    problems = deduplicate(_watched(sources, counts, rejected), evaluation, counts)
    for problem in islice(problems, limit):
        yield from rejected
        rejected.clear()
        yield problem
    yield from rejected


def _watched(
    sources: Iterable[Source], counts: base.Counts, rejected: list[Outcome]
) -> Iterator[Problem]:
    """All problems; notes the ones that `deduplicate` goes past, by the count that it raises."""
    for source in sources:
        own = base.Counts()
        try:
            for problem in source.problems(own):
                before = dict(counts)
                yield problem
                raised = next(key for key in counts if counts[key] != before.get(key, 0))
                reason = raised.removeprefix(f"{problem.source}: ")
                if reason != "kept":
                    outcome = Outcome(problem.problem_id, problem.source)
                    rejected.append(outcome.dropped("collect", reason))
        finally:  # also where a limit ends the stream
            counts.update({f"{source.name}: {key}": count for key, count in own.items()})


def _speak_question(outcome: Outcome, speech: Speech, seed: int) -> Outcome:
    spoken = outcome.spoken
    assert spoken is not None

    def voice(number: int) -> Voice:
        if number == 0:
            return choose_voice(seed, outcome.problem_id, speech.options)
        drawn = choose_voice(seed, f"{outcome.problem_id}/again/{number}", speech.options)
        return dataclasses.replace(drawn, noise_db=None, room_s=0.0)

    def rng(number: int) -> np.random.Generator:
        return np.random.default_rng(stable_seed("room", seed, outcome.problem_id, number))

    for number in range(speech.num_tries):
        text, drawn = spoken.spoken_question, voice(number)
        outcome, waveform = _utter(outcome, "question", text, drawn, rng(number), speech)
        if waveform is None:
            return outcome
        attempt = outcome.attempts[-1]
        if attempt.passed:
            kept = dataclasses.replace(
                spoken,
                voice=drawn,
                waveform=waveform,
                checks=(*spoken.checks, *attempt.checks),
                repairs=(*spoken.repairs, "question_spoken_again") if number else spoken.repairs,
            )
            return dataclasses.replace(outcome, spoken=kept)
    return outcome.dropped("check", _first_failure(outcome.attempts[-1]))


def _speak_response(outcome: Outcome, speech: Speech, voice: Voice) -> Outcome:
    spoken = outcome.spoken
    assert spoken is not None
    for number in range(speech.num_tries):
        slower = dataclasses.replace(voice, speed=voice.speed * _SLOWER**number)
        outcome, waveform = _utter(outcome, "response", spoken.response, slower, None, speech)
        if waveform is None:
            return outcome
        attempt = outcome.attempts[-1]
        if attempt.passed:
            checks = (dataclasses.replace(c, name=f"response_{c.name}") for c in attempt.checks)
            kept = dataclasses.replace(
                spoken,
                response_waveform=waveform,
                checks=(*spoken.checks, *checks),
                repairs=(*spoken.repairs, "response_spoken_again") if number else spoken.repairs,
            )
            return dataclasses.replace(outcome, spoken=kept)
    return outcome.dropped("check", f"response {_first_failure(outcome.attempts[-1])}")


def _utter(
    outcome: Outcome,
    part: str,
    text: str,
    voice: Voice,
    rng: np.random.Generator | None,
    speech: Speech,
) -> tuple[Outcome, Float[np.ndarray, " S"] | None]:
    """One recording and its verdicts, added to the attempts; None if a back-end failed.

    Without a generator it stays dry and clean.
    """
    start_s = time.perf_counter()
    try:
        text = check_speakable(text)
    except ValueError:
        return outcome.dropped("speak", "unspeakable text"), None
    try:
        waveform = speech.speakers[voice.back_end].speak(text, voice)
    except SpeechError:
        return outcome.dropped("speak", "speech failed"), None
    waveform = waveform if rng is None else record(waveform, voice, rng)
    spoken_s = time.perf_counter()
    try:
        if speech.recognizer is None:
            checks = check_audio(waveform, text, speech.limits)
        else:
            checks = verify_speech(waveform, text, speech.recognizer, speech.limits)
    except EndpointError:
        return outcome.dropped("check", "recogniser failed"), None
    attempt = Attempt(part, waveform.size / SAMPLE_RATE_HZ, checks)
    outcome = dataclasses.replace(outcome, attempts=(*outcome.attempts, attempt))
    check_s = time.perf_counter() - spoken_s
    return _timed(outcome, speak=spoken_s - start_s, check=check_s), waveform


def _first_failure(attempt: Attempt) -> str:
    return next(check.name for check in attempt.checks if not check.passed).replace("_", " ")


def _timed(outcome: Outcome, **seconds: float) -> Outcome:
    sums = {stage: outcome.seconds.get(stage, 0.0) + taken for stage, taken in seconds.items()}
    return dataclasses.replace(outcome, seconds={**outcome.seconds, **sums})


@contextlib.contextmanager
def _naming(problem_id: str) -> Iterator[None]:
    """Puts the problem's id in front of what a back-end says of it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"problem {problem_id!r}: {error}") from error
