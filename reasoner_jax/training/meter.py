"""What a run reports every few steps: losses, rates, and where the time went; knows no loop."""

import contextlib
import time
from collections.abc import Iterator

import jax

from reasoner_jax.training import flops
from reasoner_jax.training.stage import Losses
from reasoner_jax.training.step import Metrics, summary

Figures = dict[str, float]


class Meter:
    """Sums of steps, and where the time went, between two reports."""

    def __init__(self, sizes: Figures) -> None:
        self._sizes = sizes
        self._peak = flops.peak(jax.devices()[0])
        self._start()

    def _start(self) -> None:
        self._total, self._count = Metrics.zeros(), 0
        self._since_s, self._waited_s = time.monotonic(), 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent for data."""
        since_s = time.monotonic()
        yield
        self._waited_s += time.monotonic() - since_s

    @contextlib.contextmanager
    def pausing(self) -> Iterator[None]:
        """Time that does not count."""
        since_s = time.monotonic()
        yield
        self._since_s += time.monotonic() - since_s

    def add(self, metrics: Metrics) -> None:
        """One more step."""
        self._total = self._total + metrics
        self._count += 1

    def read(self, weights: Losses) -> Figures:
        """Means since the last call."""
        figures = summary(self._total, weights)
        passed_s = max(time.monotonic() - self._since_s, 1e-9)
        rate = self._count / passed_s
        figures |= {
            "gradient_norm": float(self._total.gradient_norm) / max(self._count, 1),
            "steps_per_s": rate,
            "tokens_per_s": float(self._total.num_tokens) / passed_s,
            "data_wait_share": self._waited_s / passed_s,
            "tflop_per_s": rate * self._sizes["flop_per_step"] / 1e12,
        }
        if self._peak is not None:
            figures["mfu"] = rate * self._sizes["flop_per_step"] / self._peak / jax.device_count()
        self._start()
        return figures
