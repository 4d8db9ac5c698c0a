"""When each word of a response enters the talker; knows neither the talker nor any sound.

A talker that was taught with a `TextFeed` hears the text at about the pace at which it speaks it,
a little ahead. So it can start after the first tokens, and what it has to say next is always among
the last few vectors it has read. The pace is a guess from the length of the words, the same in
training and in speaking; the talker makes up the difference.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from reasoner_jax.core.axes import Int

TEXT_START, TEXT_END, TEXT_PAD = -1, -2, -3
"""Instead of a response token, where `sources` has none to name."""


@dataclasses.dataclass(frozen=True)
class TextFeed:
    """The pace, in codes.

    Token i enters at step floor(sum over j < i of (codes_per_token + codes_per_byte * bytes of
    token j)) - lead_codes, but at least one step after token i - 1, and is held until the next one
    enters.

    Attributes:
        codes_per_token: spoken for every token, however short.
        codes_per_byte: and for each byte of it.
        lead_codes: how far the text is ahead of that.
    """

    codes_per_token: float
    codes_per_byte: float
    lead_codes: float

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"text_feed.{name} is {value}, expected 0 or more")

    def steps(self, num_bytes: Sequence[int]) -> Int[np.ndarray, " T"]:
        """The step at which each token enters, strictly increasing.

            TextFeed(1, 2, 3).steps([2, 4, 1, 3])  ->  0, 2, 11, 14

        and one more entry: when the text has ended.

        Args:
            num_bytes: of each response token, its end token left out.
        """
        paces = self.codes_per_token + self.codes_per_byte * np.asarray(num_bytes, np.float64)
        due = np.floor(np.concatenate([[0], np.cumsum(paces)]) - self.lead_codes)
        order = np.arange(len(due))
        # At least one after the other: the running maximum of how far each is behind its number.
        return (np.maximum.accumulate(np.maximum(due, 0) - order) + order).astype(np.int32)

    def sources(self, num_bytes: Sequence[int], num_codes: int) -> Int[np.ndarray, " K"]:
        """What is held at each step: the number of a token, then `TEXT_END` once, then `TEXT_PAD`.

        TextFeed(1, 2, 3).sources([2, 4], 14)  ->  0 0 1 1 1 1 1 1 1 1 1 -2 -3 -3
        """
        steps = self.steps(num_bytes)
        held = np.searchsorted(steps, np.arange(num_codes), side="right") - 1
        held[np.arange(num_codes) == steps[-1]] = TEXT_END
        held[np.arange(num_codes) > steps[-1]] = TEXT_PAD
        return held.astype(np.int32)


ONE_A_STEP = TextFeed(codes_per_token=1, codes_per_byte=0, lead_codes=0)
"""How a talker without a feed of its own reads, as Qwen2.5-Omni's: the text is there at once."""
