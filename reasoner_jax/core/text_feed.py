"""When each word of a response enters the talker; knows neither the talker nor any sound.

A talker that was taught with a `TextFeed` hears the text at about the pace at which it speaks it,
a little ahead. So it can start after the first tokens, and what it has to say next is always among
the last few vectors it has read. The pace is a guess, the same in training and in speaking; the
talker makes up the difference. The better the guess, the less there is to learn: see `fit`.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from reasoner_jax.core.axes import Float, Int

TEXT_START, TEXT_END, TEXT_PAD = -1, -2, -3
"""Instead of a response token, where `sources` has none to name."""

_SHORTEST = 0.25
"""Codes that every token takes at least."""


@dataclasses.dataclass(frozen=True)
class TextFeed:
    """The pace, in codes.

    Attributes:
        codes_per_token: spoken for every token, however short.
        codes_per_byte: and for each byte of it.
        lead_codes: how far the text is ahead of that.
        corrections: (token id, codes more than that), for tokens that are known better.
    """

    codes_per_token: float
    codes_per_byte: float
    lead_codes: float
    corrections: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        for name in ("codes_per_token", "codes_per_byte", "lead_codes"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"text_feed.{name} is {value}, expected 0 or more")
        for token, more in self.corrections:
            if not math.isfinite(more):
                raise ValueError(f"text_feed.corrections has {more} for token {token}")

    @classmethod
    def fit(
        cls,
        responses: Sequence[Int[np.ndarray, " R"]],
        num_bytes: Sequence[Sequence[int]],
        num_codes: Sequence[int],
        *,
        lead_codes: float,
    ) -> "TextFeed":
        """The pace of a voice, from how long it took to say whole responses.

        Least squares: two numbers for all tokens first, then a correction of each token that
        occurs, drawn towards none. A few hundred short responses of one steady voice give lengths
        of new ones to within two codes of 40 ms, where bytes alone miss by seven.

        Args:
            responses: token ids of each, without the token that ends it.
            num_bytes: of each of these tokens.
            num_codes: of each response.
            lead_codes: see the attributes.

        Raises:
            ValueError: no responses, or lists of different lengths.
        """
        if not len(responses) or not len(responses) == len(num_bytes) == len(num_codes):
            raise ValueError(
                f"got {len(responses)} responses, num_bytes of {len(num_bytes)} and num_codes of "
                f"{len(num_codes)}; expected as many of each, one or more"
            )
        totals = np.array([[len(own), sum(own)] for own in num_bytes], np.float64)
        per_token, per_byte = np.linalg.lstsq(totals, np.array(num_codes), rcond=None)[0]
        if min(per_token, per_byte) < 0:  # one of them explains all
            per_token, per_byte = 0.0, np.sum(num_codes) / totals[:, 1].sum()
        feed = cls(float(per_token), float(per_byte), lead_codes)
        known, column = np.unique(np.concatenate(responses), return_inverse=True)
        row = np.repeat(np.arange(len(responses)), [len(own) for own in responses])
        counts = np.zeros((len(responses), len(known)))
        np.add.at(counts, (row, column), 1)
        missed = np.array(num_codes) - [
            feed.codes_of(own, lengths).sum()
            for own, lengths in zip(responses, num_bytes, strict=True)
        ]
        more = np.linalg.solve(counts.T @ counts + np.eye(len(known)), counts.T @ missed)
        pairs = zip(known.tolist(), np.round(more, 3).tolist(), strict=True)
        return dataclasses.replace(feed, corrections=tuple(pairs))

    def codes_of(self, tokens: Sequence[int], num_bytes: Sequence[int]) -> Float[np.ndarray, " T"]:
        """How many codes each token is expected to take.

        Args:
            tokens: ids.
            num_bytes: of each of them.
        """
        paces = self.codes_per_token + self.codes_per_byte * np.asarray(num_bytes, np.float64)
        more = [self._corrections.get(int(token), 0.0) for token in tokens]
        return np.maximum(paces + np.array(more, np.float64), _SHORTEST)

    def steps(self, codes: Sequence[float]) -> Int[np.ndarray, " T"]:
        """The step at which each token enters, and one entry more: when the text has ended.

        Token i enters when those before it should have been said, `lead_codes` earlier, but at
        least one step after token i - 1. With a lead of 3:

        steps([5, 9, 3, 7])  ->  0, 2, 11, 14, 21

        Args:
            codes: that each token takes, see `codes_of`.
        """
        due = np.floor(np.concatenate([[0], np.cumsum(codes)]) - self.lead_codes)
        order = np.arange(len(due))
        # At least one after the other: the running maximum of how far each is behind its number.
        return (np.maximum.accumulate(np.maximum(due, 0) - order) + order).astype(np.int32)

    def sources(self, codes: Sequence[float], num_codes: int) -> Int[np.ndarray, " K"]:
        """What is held at each step: the number of a token, then `TEXT_END` once, then `TEXT_PAD`.

        sources([5, 9], 14)  ->  0 0 1 1 1 1 1 1 1 1 1 -2 -3 -3      with a lead of 3
        """
        steps = self.steps(codes)
        held = np.searchsorted(steps, np.arange(num_codes), side="right") - 1
        held[np.arange(num_codes) == steps[-1]] = TEXT_END
        held[np.arange(num_codes) > steps[-1]] = TEXT_PAD
        return held.astype(np.int32)

    @functools.cached_property
    def _corrections(self) -> Mapping[int, float]:
        return dict(self.corrections)


ONE_A_STEP = TextFeed(codes_per_token=1, codes_per_byte=0, lead_codes=0)
"""How a talker without a feed of its own reads, as Qwen2.5-Omni's: the text is there at once."""
