"""Counts, shares and their intervals; knows no model and no benchmark."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

_Z = 1.959963984540054
"""Of a 95 % interval: the normal distribution's quantile at 97.5 %."""


@dataclasses.dataclass(frozen=True)
class Proportion:
    """So many of so many; adds up.

    Attributes:
        count: items for which something holds.
        total: items.
    """

    count: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.total:
            raise ValueError(f"expected 0 <= count <= total, got {self.count} of {self.total}")

    @classmethod
    def of(cls, verdicts: Iterable[bool]) -> "Proportion":
        """How many of the verdicts are true."""
        found = list(verdicts)
        return cls(sum(found), len(found))

    def __add__(self, other: "Proportion") -> "Proportion":
        return Proportion(self.count + other.count, self.total + other.total)

    @property
    def share(self) -> float:
        """In [0, 1]; NaN of nothing."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval: never outside [0, 1], and honest for 0 of 50; NaN of nothing.

        Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference,
        1927.
        """
        if not self.total:
            return math.nan, math.nan
        weight = _Z**2 / self.total
        centre = (self.share + weight / 2) / (1 + weight)
        spread = self.share * (1 - self.share) / self.total + weight / (4 * self.total)
        half = _Z * math.sqrt(spread) / (1 + weight)
        low = 0.0 if self.count == 0 else centre - half
        return low, 1.0 if self.count == self.total else centre + half


def micro(proportions: Iterable[Proportion]) -> Proportion:
    """All items alike: the sum of the counts."""
    return sum(proportions, Proportion(0, 0))


@dataclasses.dataclass(frozen=True)
class Macro:
    """The mean of several shares, each group counting the same.

    Attributes:
        share: in [0, 1]; NaN of no group.
        interval: 95 %, from those of the groups by squaring and adding their arms (Zou and Donner,
            Construction of confidence limits about effect measures, 2008).
        num_groups: groups with an item.
    """

    share: float
    interval: tuple[float, float]
    num_groups: int


def macro(proportions: Iterable[Proportion]) -> Macro:
    """All groups alike, empty ones left out."""
    groups = [group for group in proportions if group.total]
    if not groups:
        return Macro(math.nan, (math.nan, math.nan), 0)
    mean = sum(group.share for group in groups) / len(groups)
    below = math.hypot(*(group.share - group.interval[0] for group in groups)) / len(groups)
    above = math.hypot(*(group.interval[1] - group.share for group in groups)) / len(groups)
    return Macro(mean, (mean - below, mean + above), len(groups))


def sign_test(left: Sequence[bool], right: Sequence[bool]) -> float:
    """How likely two systems that are equally good differ as much on the same items.

    McNemar's exact test: of the items that only one gets right, half should be either's.

    Args:
        left: verdicts of one system.
        right: verdicts of the other, in the same order.

    Returns:
        The two-sided p-value; 1 if no item tells them apart.

    Raises:
        ValueError: other numbers of items.
    """
    if len(left) != len(right):
        raise ValueError(f"expected verdicts on the same items, got {len(left)} and {len(right)}")
    only_left = sum(a and not b for a, b in zip(left, right, strict=True))
    only_right = sum(b and not a for a, b in zip(left, right, strict=True))
    total, fewer = only_left + only_right, min(only_left, only_right)
    tail = sum(math.comb(total, count) for count in range(fewer + 1))
    return min(1.0, 2 * tail / 2**total)


@dataclasses.dataclass(frozen=True)
class Spread:
    """How a measured quantity is distributed; NaN where nothing was measured.

    Attributes:
        mean, median, p95: in the quantity's unit.
        total: measurements.
    """

    mean: float
    median: float
    p95: float
    total: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread":
        """Of all values that are not None."""
        known = np.array([value for value in values if value is not None], np.float64)
        if not known.size:
            return cls(math.nan, math.nan, math.nan, 0)
        median, p95 = np.percentile(known, [50, 95])
        return cls(float(known.mean()), float(median), float(p95), known.size)
