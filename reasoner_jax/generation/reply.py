"""From decoded ids to a `Reply`: texts, and what the anticipation certificate says of them."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from reasoner_jax.core.axes import Float, Int
from reasoner_jax.core.records import Reply, Timings
from reasoner_jax.generation.prompt import Question
from reasoner_jax.text.anticipation import Violation, certify
from reasoner_jax.text.interleave import deinterleave
from reasoner_jax.text.schedule import Schedule
from reasoner_jax.text.tokenizer import StreamDecoder, Tokenizer


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """What decoding gave for one question.

    Attributes:
        tokens: forced ones included.
        streams: a `Stream` each.
        finished: it ended by itself, not at the bound on its length.
        first_token_s, total_s: seconds until the first response token, and until the end.
        vectors: what the talker reads, of each response token that was fed.
    """

    tokens: Int[np.ndarray, " L"]
    streams: Int[np.ndarray, " L"]
    finished: bool
    first_token_s: float
    total_s: float
    vectors: Float[np.ndarray, "R D"] | None = None

    @classmethod
    def of_row(
        cls, found: Mapping[str, Any], row: int, *, first_token_s: float, total_s: float
    ) -> "Outcome":
        """Row `row` of what a batch's `replies.Replies` held."""
        length, vectors = int(found["lengths"][row]), found["vectors"]
        return cls(
            tokens=found["tokens"][row, :length],
            streams=found["streams"][row, :length],
            finished=bool(found["finished"][row]),
            first_token_s=float(first_token_s),
            total_s=float(total_s),
            vectors=None if vectors is None else vectors[row, : found["num_vectors"][row]],
        )


def reply_of(
    outcome: Outcome, question: Question, schedule: Schedule, tokenizer: Tokenizer
) -> Reply:
    """The record of a reply that is not spoken."""
    response, reasoning = (
        pieces(ids, tokenizer) for ids in deinterleave(outcome.tokens, outcome.streams)
    )
    violations = None
    if question.words is not None:
        certificate = certify(
            question.words, response, reasoning, schedule, streams=outcome.streams
        )
        violations = tuple(map(describe, certificate.violations))
    return Reply(
        response="".join(response),
        reasoning="".join(reasoning),
        timings=Timings(outcome.first_token_s, None, outcome.total_s),
        violations=violations,
        truncated=not outcome.finished,
        tokens=outcome.tokens,
        streams=outcome.streams,
        vectors=outcome.vectors,
    )


def pieces(ids: Iterable[int], tokenizer: Tokenizer) -> list[str]:
    """The text that each token completes; special tokens have none."""
    decoder, texts = StreamDecoder(tokenizer, skip_special=True), []
    for id_ in ids:
        decoder, text = decoder.step([id_])
        texts.append(text)
    if texts:
        texts[-1] += decoder.finish()
    return texts


def describe(violation: Violation) -> str:
    """A violation as a sentence."""
    if violation.earliest_token is None:
        known = "is in neither question nor thoughts"
    else:
        known = f"is known only before response token {violation.earliest_token}"
    return f"{violation.text!r}, said at response token {violation.token}, {known}"
