"""From a written problem to speakable text: question, silent trace, short response.

`Rewriter` is the interface; `RuleRewriter` the exact back-end that needs no model and no network.
Knows no audio and no tokenizer.
"""

import dataclasses
import hashlib
import random
import re
from typing import Protocol

from reasoner_jax.core.records import Problem, SpokenProblem
from reasoner_jax.sources import arithmetic
from reasoner_jax.sources.base import Dropped
from reasoner_jax.synthesis import verify_text
from reasoner_jax.synthesis.response import write_response
from reasoner_jax.synthesis.trace import Style, answer_line, join_lines, write_trace
from reasoner_jax.text.desymbolise import desymbolise


class Rewriter(Protocol):
    """Makes a problem speakable."""

    def rewrite(self, problem: Problem, seed: int) -> SpokenProblem | Dropped:
        """The problem in spoken words, without audio, its text checks passed; or why not.

        Args:
            problem: with a numeric answer.
            seed: equal seeds give equal texts, other seeds other phrases.
        """
        ...


@dataclasses.dataclass(frozen=True)
class RuleRewriter:
    """Rewrites by rule, from the problem's exact steps.

    Attributes:
        style: of the trace, see `trace`.
        limits: what the result must keep to.
        restate_share: of the responses, see `response.write_response`.
    """

    style: Style = "equations"
    limits: verify_text.Limits = dataclasses.field(default_factory=verify_text.Limits)
    restate_share: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.restate_share <= 1:
            raise ValueError(f"restate_share: expected 0 to 1, got {self.restate_share}")

    def rewrite(self, problem: Problem, seed: int) -> SpokenProblem | Dropped:
        """See `Rewriter`."""
        if reason := _unusable(problem):
            return Dropped(reason)
        question = speakable_question(problem.question)
        parts = write_trace(problem, self.style)
        lines = [line for part in parts for line in part.lines]
        spoken = SpokenProblem(
            problem=problem,
            spoken_question=question,
            reasoning=join_lines([*lines, answer_line(problem)]),
            response=write_response(
                problem,
                question,
                parts,
                self.limits.schedule,
                _generator(problem, seed),
                self.restate_share,
            ),
        )
        return verify_text.verify(spoken, self.limits)


def speakable_question(question: str) -> str:
    """The question as a person would say it: words only, one paragraph, ending in a mark."""
    text = re.sub(r"\s+", " ", question).strip()
    text = re.sub(r"\s+(?=[,.;?!])", "", text)
    text = re.sub(r"(?<=[a-z)][.?!])(?=[A-Z])", " ", text)
    text = re.sub(r"\s*\(([^()]*)\)", r", \1,", text)
    text = re.sub(r",\s*(?=[,.?!])", "", text)
    spoken = desymbolise(text)
    return spoken if not spoken or spoken.endswith((".", "?", "!")) else f"{spoken}."


def _unusable(problem: Problem) -> str:
    """Why a problem cannot be rewritten by rule; "" if it can."""
    try:
        arithmetic.parse_number(problem.answer)
    except ValueError:
        return "answer is no number"
    if not all(step.exact for step in problem.steps):
        return "wrong equation in the solution"
    return ""


def _generator(problem: Problem, seed: int) -> random.Random:
    """Depends on seed and problem only, not on what was rewritten before."""
    digest = hashlib.blake2b(f"{seed}/{problem.problem_id}".encode(), digest_size=16).digest()
    # An integer seeds `random.Random` the same way on every machine and version.
    return random.Random(int.from_bytes(digest, "big"))
