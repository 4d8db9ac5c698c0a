"""What a quickstart run has come to: a table, and RUN/summary.json.

    python launch/summary.py --run=runs/quickstart

Accuracy by mode and kind of problem with counts and 95 % intervals, the control with the audio of
other questions, what a recogniser hears in the spoken answers, and the seconds of every part.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from absl import app, flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reasoner_jax.evaluation.statistics import Proportion

_RUN = flags.DEFINE_string("run", "runs/quickstart", "Directory of launch/quickstart.sh.")

GROUPS = {
    "short digits": ("add", "subtract"),
    "long digits": ("add_long", "subtract_long"),
    "one-step words": ("gain", "lose"),
    "two-step words": ("two_step",),
}
"""Kinds of problems by what they ask for; all with pairs of numbers that training never saw."""


def main(_: list[str]) -> None:
    """Reads the reports, prints and writes the summary."""
    run = Path(_RUN.value)
    try:
        summary = summarise(run)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"summary: {error!r}; run bash launch/quickstart.sh to its end first")
    (run / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print("\n".join(lines(summary)))
    print(f"\nwritten: {run / 'summary.json'}")


def summarise(run: Path) -> dict[str, Any]:
    """Everything of a run, as JSON values."""
    modes = _conditions(run / "evaluation" / "report.json")
    spoken = _conditions(run / "speech" / "report.json")
    first = next(iter(spoken.values()))
    return {
        "accuracy": {name: _accuracies(found) for name, found in modes.items()},
        "spoken": {
            "heard_right": first["micro"]["heard"],
            "first_sound_s": first["first_sound_s"],
            "underruns": first["underruns"],
        },
        "replies": {
            name: {key: found[key] for key in ("num_words", "reasoning_tokens", "violations")}
            for name, found in modes.items()
        },
        "seconds": _seconds(run / "seconds.txt"),
    }


def _conditions(file: Path) -> dict[str, dict[str, Any]]:
    return {found["name"]: found for found in json.loads(file.read_text())["conditions"]}


def _accuracies(condition: dict[str, Any]) -> dict[str, Any]:
    """Of each group of kinds, and of all."""
    kinds = {name: group["normalised"] for name, group in condition["groups"].items()}
    found = {
        group: joined([kinds[name] for name in names if name in kinds])
        for group, names in GROUPS.items()
    }
    return {**found, "all": condition["micro"]["normalised"]}


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Several proportions as one, with Wilson's 95 % interval."""
    whole = Proportion(sum(p["count"] for p in parts), sum(p["total"] for p in parts))
    low, high = whole.interval if whole.total else (None, None)
    return {
        "count": whole.count,
        "total": whole.total,
        "share": whole.share if whole.total else None,
        "low": low,
        "high": high,
    }


def _seconds(file: Path) -> dict[str, int]:
    """Of each part, all attempts together."""
    total: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        name, seconds = line.split()
        total[name] += int(seconds)
    return dict(total)


def lines(summary: dict[str, Any]) -> list[str]:
    """The summary for a terminal."""
    names = list(summary["accuracy"])
    kinds = list(summary["accuracy"][names[0]])
    shown = ["", f"{'right answers':24}" + "".join(f"{name:>33}" for name in names)]
    for kind in kinds:
        cells = [_cell(summary["accuracy"][name][kind]) for name in names]
        shown.append(f"{kind:24}" + "".join(f"{cell:>33}" for cell in cells))
    spoken = summary["spoken"]
    shown += ["", f"heard by a recogniser in the spoken answers: {_cell(spoken['heard_right'])}"]
    shown += ["", "seconds: " + ", ".join(f"{n} {s}" for n, s in summary["seconds"].items())]
    shown += [f"in all {sum(summary['seconds'].values()) / 60:.1f} minutes"]
    return shown


def _cell(proportion: dict[str, Any]) -> str:
    if not proportion["total"]:
        return "-"
    low, high = 100 * proportion["low"], 100 * proportion["high"]
    count = f"{proportion['count']}/{proportion['total']}"
    return f"{100 * proportion['share']:.1f} % ({count}, {low:.0f}-{high:.0f})"


if __name__ == "__main__":
    app.run(main)
