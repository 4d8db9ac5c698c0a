"""A report as pictures; computes nothing."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reasoner_jax.evaluation.report import ConditionSummary, Report

_COLOURS = (
    "#4269d0",
    "#efb118",
    "#ff725c",
    "#6cc5b0",
    "#3ca951",
    "#a463f2",
    "#9c6b4e",
    "#97bbf5",
    "#9498a0",
    "#000000",
)
_DPI = 150


def write_plots(report: Report, directory: str | os.PathLike) -> list[Path]:
    """Draws what the report has numbers for.

    accuracy_words.png     accuracy against words spoken, as the paper's figure 6
    accuracy_groups.png    accuracy by kind of problem, a bar a condition
    accuracy_latency.png   accuracy against the first sound, or the first token of silent replies;
                           only where replies were timed one at a time

    Args:
        report: to draw.
        directory: to write into; must exist.

    Returns:
        The files.
    """
    directory = Path(directory)
    figures = {"accuracy_words": _against_words(report), "accuracy_groups": _by_group(report)}
    if any(not math.isnan(_wait_s(c)) for c in report.conditions):
        figures["accuracy_latency"] = _against_wait(report)
    paths = []
    for name, figure in figures.items():
        path = directory / f"{name}.png"
        FigureCanvasAgg(figure)
        figure.savefig(path, dpi=_DPI)
        paths.append(path)
    return paths


def _against_words(report: Report) -> Figure:
    figure, axes = _figure(report)
    points = [(c.num_words.median, c) for c in report.conditions]
    _scatter(axes, points)
    axes.set_xlabel("words of the spoken answer (median)")
    return figure


def _against_wait(report: Report) -> Figure:
    figure, axes = _figure(report)
    timed = [(1000 * _wait_s(c), c) for c in report.conditions]
    _scatter(axes, [point for point in timed if not math.isnan(point[0])])
    spoken = any(c.first_sound_s.total for c in report.conditions)
    axes.set_xlabel(f"ms until the first {'sound' if spoken else 'token'} (median)")
    return figure


def _by_group(report: Report) -> Figure:
    groups = list(dict.fromkeys(group for c in report.conditions for group in c.groups))
    figure, axes = _figure(
        report, width=max(6.0, 1.2 + 0.22 * len(groups) * len(report.conditions))
    )
    width = 0.8 / len(report.conditions)
    for number, condition in enumerate(report.conditions):
        found = [
            (n, condition.groups[g].normalised)
            for n, g in enumerate(groups)
            if g in condition.groups
        ]
        places = [n - 0.4 + width * (number + 0.5) for n, _ in found]
        shares = [100 * share.share for _, share in found]
        axes.bar(
            places,
            shares,
            width,
            yerr=_bars([share.interval for _, share in found], shares),
            color=_COLOURS[number % len(_COLOURS)],
            label=condition.name,
            error_kw={"linewidth": 0.8},
        )
    axes.set_xticks(range(len(groups)), groups, rotation=30, ha="right")
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _figure(report: Report, width: float = 8.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(report.title, fontsize=10)
    axes.set_ylabel("accuracy in %, with 95 % interval")
    axes.set_ylim(0, 103)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _scatter(axes: Axes, points: Sequence[tuple[float, ConditionSummary]]) -> None:
    for number, (place, condition) in enumerate(points):
        share = condition.micro.normalised
        height = 100 * share.share
        axes.errorbar(
            [place],
            [height],
            yerr=_bars([share.interval], [height]),
            fmt="o",
            color=_COLOURS[number % len(_COLOURS)],
            label=condition.name,
            linewidth=0.8,
        )
    axes.set_xlim(0, 1.1 * max((place for place, _ in points), default=1.0) or 1.0)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _bars(
    intervals: Sequence[tuple[float, float]], heights: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Lengths below and above each height."""
    pairs = list(zip(intervals, heights, strict=True))
    below = [max(0.0, height - 100 * low) for (low, _), height in pairs]
    above = [max(0.0, 100 * high - height) for (_, high), height in pairs]
    return below, above


def _wait_s(condition: ConditionSummary) -> float:
    sound, token = condition.first_sound_s, condition.first_token_s
    return sound.median if sound.total else token.median
