"""Verdicts on the text of an example, and repairs; pure, knows no audio and no language model."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from reasoner_jax.core.records import Check, SpokenProblem
from reasoner_jax.sources import arithmetic
from reasoner_jax.sources.base import Dropped
from reasoner_jax.synthesis import pieces
from reasoner_jax.text import anticipation
from reasoner_jax.text.deferral import repair
from reasoner_jax.text.desymbolise import desymbolise
from reasoner_jax.text.interleave import interleave, late_reasoning
from reasoner_jax.text.numbers import Number, numbers_in
from reasoner_jax.text.schedule import Schedule

_WORDS_PER_MINUTE = 150
_UNSPEAKABLE = re.compile(
    r"[\d=<>*+#_\\^|~{}\[\]()/$€£¥%&@`•→≈≤≥×÷°]|\n|^\s*-\s|\s-\s", re.MULTILINE
)
# Whole equations between numbers only: of "2x+40=70" or "8*1 1/2=12" no part is one.
_EQUATION = re.compile(
    r"(?<![\w.)(+*/=%√^-])(?<!\d )(?P<expression>[-\d.()+*/%]*\d[\d.()%]*[-+*/][-\d.()+*/%]*)"
    r"=(?P<value>-?[\d.]*\d(?:/\d+)?)(?P<rest>r\d+|%)?(?![\w*(+/^-]|\.\d| \d)"
)
_SPACED_OPERATOR = re.compile(r"[ \t]*([-+*/=])[ \t]*")
_ANSWER_LINE = re.compile(r"^answer (?P<value>\S+)")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the text of an example must keep to.

    Attributes:
        schedule: under which the certificate must hold.
        max_response_words: the paper's answers have 42.9 on average.
        max_question_s: spoken at 150 words a minute.
    """

    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    max_response_words: int = 90
    max_question_s: float = 120.0

    def __post_init__(self) -> None:
        if not self.schedule.thinks:
            raise ValueError(
                "limits.schedule: expected a mode that thinks, got direct; texts are prepared for "
                "in_speaking, and the other modes use the same ones"
            )


def check_text(spoken: SpokenProblem, limits: Limits) -> tuple[Check, ...]:
    """All verdicts on the text of an example, in a fixed order."""
    return tuple(check(spoken, limits) for check in _CHECKS)


def verify(spoken: SpokenProblem, limits: Limits) -> SpokenProblem | Dropped:
    """The example with its verdicts, repaired if need be, or the reason to drop it.

    Returns:
        An example that passes every check, with their verdicts added and the repairs named; or
        the name of the first check that fails and cannot be repaired.
    """
    checks = check_text(spoken, limits)
    failed = [check.name for check in checks if not check.passed]
    if failed:
        spoken = repair_text(spoken, failed, limits)
        checks = check_text(spoken, limits)
        failed = [check.name for check in checks if not check.passed]
    if failed:
        return Dropped(failed[0].replace("_", " "))
    return dataclasses.replace(spoken, checks=(*spoken.checks, *checks))


def repair_text(spoken: SpokenProblem, failed: Iterable[str], limits: Limits) -> SpokenProblem:
    """Changes what can be mended without knowing better than the author; meaning stays.

    Symbols are read aloud, and deferring phrases hold back what would come too early. A wrong
    answer, or a trace that does not reach it, is not mended.

    Args:
        spoken: the example.
        failed: names of the checks that it failed.
        limits: see `Limits`.

    Returns:
        The example, with the repairs made added to `repairs`.
    """
    for name in failed:
        if name in _REPAIRS:
            mended = _REPAIRS[name](spoken, limits)
            asked, said = mended.spoken_question, mended.response
            if (asked, said) != (spoken.spoken_question, spoken.response):
                spoken = dataclasses.replace(mended, repairs=(*spoken.repairs, name))
    return spoken


def check_certificate(spoken: SpokenProblem, limits: Limits) -> Check:
    """No number is spoken before the question or the reasoning has it, however text is cut."""
    violations = _violations(spoken, limits.schedule)
    detail = f"{violations[0].text!r} comes too early" if violations else ""
    return Check("certificate", not violations, len(violations), detail)


def check_reasoning_in_time(spoken: SpokenProblem, limits: Limits) -> Check:
    """The thought ends before the response does, however text is cut."""
    late = max(_num_late(spoken, cut, limits.schedule) for cut in pieces.ALL.values())
    return Check("reasoning_in_time", late == 0, late)


def check_answer_in_response(spoken: SpokenProblem, limits: Limits) -> Check:
    """The value that a scorer reads from the response is the answer, exactly."""
    heard = spoken_answer(spoken.response)
    value = _value(spoken)
    right = heard is not None and value is not None and value in (heard.value, *heard.equals)
    return Check("answer_in_response", right, detail=f"heard {heard.text if heard else 'none'!r}")


def check_reasoning_reaches_answer(spoken: SpokenProblem, limits: Limits) -> Check:
    """Every equation of the reasoning holds; its last line states the answer, others give it."""
    name, value = "reasoning_reaches_answer", _value(spoken)
    if false := false_equation(spoken.reasoning):
        return Check(name, False, detail=f"{false} does not hold")
    steps, _, last = spoken.reasoning.strip().rpartition("\n")
    stated = _ANSWER_LINE.fullmatch(last)
    if not stated or value is None or _number(stated["value"]) != value:
        return Check(name, False, detail=f"it ends in {last!r}, expected 'answer {spoken.answer}'")
    given = {v for number in numbers_in(steps) for v in (number.value, *number.equals)}
    given |= {_number(match["value"]) for match in _equations(steps)}
    return Check(
        name, value in given, detail="" if value in given else f"no step gives {spoken.answer}"
    )


def check_response_length(spoken: SpokenProblem, limits: Limits) -> Check:
    """The response says something, and not too much."""
    num_words = len(spoken.response.split())
    return Check("response_length", 0 < num_words <= limits.max_response_words, num_words)


def check_colloquial(spoken: SpokenProblem, limits: Limits) -> Check:
    """The response can be said: no digits, symbols, LaTeX, markdown, brackets or lists."""
    found = _UNSPEAKABLE.search(spoken.response)
    return Check("colloquial", found is None, detail=f"it has {found[0]!r}" if found else "")


def check_question_in_words(spoken: SpokenProblem, limits: Limits) -> Check:
    """The question can be said, as `check_colloquial`."""
    found = _UNSPEAKABLE.search(spoken.spoken_question)
    return Check("question_in_words", found is None, detail=f"it has {found[0]!r}" if found else "")


def check_question_length(spoken: SpokenProblem, limits: Limits) -> Check:
    """The question is not empty, and is said within the limit."""
    seconds = len(spoken.spoken_question.split()) * 60 / _WORDS_PER_MINUTE
    return Check("question_length", 0 < seconds <= limits.max_question_s, seconds)


def check_question_has_number(spoken: SpokenProblem, limits: Limits) -> Check:
    """The question gives something to calculate with: a number or a word like "half"."""
    count = len(numbers_in(spoken.spoken_question))
    return Check("question_has_number", count > 0, count)


_CHECKS: tuple[Callable[[SpokenProblem, Limits], Check], ...] = (
    check_question_length,
    check_question_has_number,
    check_question_in_words,
    check_colloquial,
    check_response_length,
    check_reasoning_reaches_answer,
    check_answer_in_response,
    check_reasoning_in_time,
    check_certificate,
)


def spoken_answer(response: str) -> Number | None:
    """The final value of a response: after "the answer is" the first number, else the last."""
    _, stated, after = response.lower().rpartition("the answer is")
    numbers = numbers_in(after if stated else response)
    if not numbers:
        return None
    return numbers[0] if stated else numbers[-1]


def false_equation(reasoning: str) -> str | None:
    """The first equation between numbers that does not hold; None if all do.

    A value with decimals may be rounded to them; 20% may stand for 20 or 1/5; 24/7=3r3 has a rest.
    """
    for match in _equations(reasoning):
        try:
            if not _holds(match):
                return match[0]
        except ValueError:
            continue
    return None


def _equations(reasoning: str) -> Iterator[re.Match]:
    plain = reasoning.replace("×", "*").replace("÷", "/")
    return _EQUATION.finditer(_SPACED_OPERATOR.sub(r"\1", plain))


def _holds(match: re.Match) -> bool:
    expression = re.sub(r"([\d.]+)%", r"(\1/100)", match["expression"])
    computed, value = arithmetic.evaluate(expression), arithmetic.evaluate(match["value"])
    rest = match["rest"] or ""
    if rest.startswith("r"):
        divisor = int(match["expression"].rpartition("/")[2])
        return computed == value + Fraction(int(rest[1:]), divisor)
    places = len(match["value"].partition(".")[2])
    rounding = Fraction(1, 2 * 10**places) if places else 0
    scales = (1, 100) if rest == "%" else (1,)
    return any(abs(computed * scale - value) <= rounding for scale in scales)


def _value(spoken: SpokenProblem) -> Fraction | None:
    return _number(spoken.answer)


def _number(written: str) -> Fraction | None:
    r"""The value of "72", "3/4" or "\frac{3}{4}"; None if that is not one number."""
    try:
        return arithmetic.evaluate(written)
    except ValueError:
        numbers = numbers_in(written)
        return numbers[0].value if len(numbers) == 1 else None


def _violations(spoken: SpokenProblem, schedule: Schedule) -> list[anticipation.Violation]:
    """In the order of speaking, for the cut that has most."""
    certificates = [
        anticipation.certify(
            spoken.spoken_question, cut(spoken.response), cut(spoken.reasoning), schedule
        )
        for cut in pieces.ALL.values()
    ]
    return list(max((c.violations for c in certificates), key=len))


def _num_late(spoken: SpokenProblem, cut: Callable[[str], list[str]], schedule: Schedule) -> int:
    """Reasoning tokens, the thought's end included, that come after the response's last token."""
    return _late(len(cut(spoken.response)) + 1, len(cut(spoken.reasoning)) + 1, schedule)


@functools.lru_cache(maxsize=1 << 14)
def _late(num_response: int, num_reasoning: int, schedule: Schedule) -> int:
    try:
        woven = interleave(range(num_response), range(num_reasoning), schedule)
    except ValueError:  # not even the block in which the response ends holds them
        return num_reasoning
    return late_reasoning(woven.streams)


def _defer(spoken: SpokenProblem, limits: Limits) -> SpokenProblem:
    """Deferring phrases before what comes too early; unchanged if no delay would help."""
    response = spoken.response
    for cut in pieces.ALL.values():
        # The thought's end is one more token.
        thought = [*cut(spoken.reasoning), ""]
        repaired = repair(spoken.spoken_question, response, thought, limits.schedule, cut)
        if repaired is None:
            return spoken
        response = repaired.response
    return dataclasses.replace(spoken, response=response)


def _say_response(spoken: SpokenProblem, limits: Limits) -> SpokenProblem:
    plain = re.sub(r"[*_#`]+", "", " ".join(spoken.response.split()))
    return dataclasses.replace(spoken, response=desymbolise(plain))


def _say_question(spoken: SpokenProblem, limits: Limits) -> SpokenProblem:
    plain = " ".join(spoken.spoken_question.split())
    return dataclasses.replace(spoken, spoken_question=desymbolise(plain))


_REPAIRS: dict[str, Callable[[SpokenProblem, Limits], SpokenProblem]] = {
    "question_in_words": _say_question,
    "colloquial": _say_response,
    "reasoning_in_time": _defer,
    "certificate": _defer,
}
