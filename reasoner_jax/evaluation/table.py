"""A report as text: aligned Markdown, for a terminal and for a file alike; computes nothing."""

import math
from collections.abc import Iterable, Sequence

from reasoner_jax.evaluation.published import PUBLISHED
from reasoner_jax.evaluation.report import Report
from reasoner_jax.evaluation.statistics import Macro, Proportion, Spread
from reasoner_jax.sources.spoken_mqa import SPLITS

_RULES = {
    "normalised": "after number words are written in digits",
    "raw": "by the published rule, literally",
    "heard": "of what a recogniser heard in the spoken replies, number words in digits",
}
_LEGEND = {
    "follows": "`follows`: the spoken answer is the one that the reasoning concludes.",
    "ran ahead": "`ran ahead`: a number was spoken before its reasoning.",
    "ran dry": "`ran dry`: playback waited for sound.",
    "p": "`p`: of being no better or worse than the first row (McNemar, exact).",
}
_ABSENT = "-"


def markdown(report: Report) -> str:
    """The whole report; ends in a line break."""
    parts = [f"# {report.title}", *_facts(report)]
    for rule, meaning in _RULES.items():
        if any(getattr(c.micro, rule).total for c in report.conditions):
            parts += [f"## Accuracy in %, {meaning}", accuracy_table(report, rule)]
    parts += ["## Words, thoughts and time", cost_table(report)]
    if _is_benchmark(report):
        parts += [
            "## As published by others (raw rule, in %; not measured here)",
            published_table(),
        ]
    return "\n\n".join(parts) + "\n"


def summary(report: Report) -> str:
    """What fits a terminal: one accuracy table and the costs."""
    return "\n\n".join([accuracy_table(report, "normalised"), cost_table(report)]) + "\n"


def accuracy_table(report: Report, rule: str) -> str:
    """A row for each group and both averages, a column for each condition.

    Args:
        report: to be written.
        rule: "raw", "normalised" or "heard".
    """
    groups = list(dict.fromkeys(group for c in report.conditions for group in c.groups))
    rows = []
    for group in groups:
        found = [c.groups.get(group) for c in report.conditions]
        shares = [Proportion(0, 0) if a is None else getattr(a, rule) for a in found]
        rows.append([group, str(max(s.total for s in shares)), *map(_share, shares)])
    micros = [getattr(c.micro, rule) for c in report.conditions]
    total = str(max(share.total for share in micros))
    rows.append(["micro (all items)", total, *map(_share, micros)])
    macros = [_share(condition.macro[rule]) for condition in report.conditions]
    rows.append([f"macro (mean of {len(groups)} groups)", total, *macros])
    return table(["group", "items", *(c.name for c in report.conditions)], rows)


def cost_table(report: Report) -> str:
    """A row for each condition: what its replies are like, and what they cost."""
    columns = {
        "words": lambda c: _spread(c.num_words, "{:.0f}"),
        "reasoning tokens": lambda c: _spread(c.reasoning_tokens, "{:.0f}"),
        "pads %": lambda c: f"{100 * c.pad_share:.0f}",
        "follows": lambda c: _count(c.follows),
        "ran ahead": lambda c: _count(c.violations),
        "cut off": lambda c: _count(c.truncated),
        "speech s": lambda c: _spread(c.audio_s, "{:.1f}"),
        "first token ms": lambda c: _spread(c.first_token_s, "{:.0f}", 1000),
        "first sound ms": lambda c: _spread(c.first_sound_s, "{:.0f}", 1000),
        "ran dry": lambda c: _count(c.underruns),
        "p": lambda c: _p_value(c.p_value),
    }
    rows = [[c.name, *(write(c) for write in columns.values())] for c in report.conditions]
    kept = [n for n in range(len(columns) + 1) if any(row[n] != _ABSENT for row in rows)]
    head = ["condition", *columns]
    legend = " ".join(_LEGEND[head[n]] for n in kept if head[n] in _LEGEND)
    cells = table([head[n] for n in kept], [[row[n] for n in kept] for row in rows])
    return f"{cells}\n\nMedian / 95th percentile, or replies of all. {legend}".rstrip()


def published_table() -> str:
    """Other systems on Spoken-MQA."""
    rows = [
        [
            row.system,
            *(f"{getattr(row, split):.1f}" for split in SPLITS),
            f"{row.micro:.1f}",
            f"{row.macro:.1f}",
            row.source,
        ]
        for row in PUBLISHED
    ]
    return table(["system (published)", *SPLITS, "micro", "macro", "source"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned Markdown; the first column to the left, the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    )


def _facts(report: Report) -> list[str]:
    described = [c for c in report.conditions if c.description]
    facts = [f"- {name}: {value}" for name, value in report.facts.items()]
    legend = [f"- {c.name}: {c.description}" for c in described]
    return ["\n".join(facts + legend)] if facts or legend else []


def _share(value: Proportion | Macro) -> str:
    low, high = value.interval
    if math.isnan(value.share):
        return _ABSENT
    return f"{100 * value.share:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _count(value: Proportion) -> str:
    return f"{value.count} of {value.total}" if value.total else _ABSENT


def _spread(value: Spread, form: str, scale: float = 1) -> str:
    if not value.total:
        return _ABSENT
    return f"{form.format(scale * value.median)} / {form.format(scale * value.p95)}"


def _p_value(value: float) -> str:
    if math.isnan(value):
        return _ABSENT
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _is_benchmark(report: Report) -> bool:
    return any(group in SPLITS for c in report.conditions for group in c.groups)
