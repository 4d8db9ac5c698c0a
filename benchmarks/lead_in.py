"""What silence before a question costs: the same questions, each later by so many seconds.

    python benchmarks/lead_in.py --checkpoint=DIR --data=DIR

Microphones record before people speak; recordings of a synthetic voice begin with its first word.
The peer is the same question without silence.
"""

import argparse
import dataclasses
from collections.abc import Sequence

import machine
import numpy as np

import reasoner_jax as rj
from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation import replicas, table
from reasoner_jax.evaluation.condition import Condition, spoken
from reasoner_jax.evaluation.item_set import item_set
from reasoner_jax.evaluation.judge import judge_number
from reasoner_jax.evaluation.report import summarise
from reasoner_jax.evaluation.run import Workers, answer_items


def main() -> None:
    options = _options()
    groups = options.groups.split(",")
    items = [item for item in item_set(options.data).questions() if item.split in groups]
    conditions = [after(seconds) for seconds in options.seconds]
    batch_size = 32
    engines = replicas.engines(rj.load(options.checkpoint), batch_size)
    replies = answer_items(conditions, items, judge_number, Workers({"": engines}, batch_size))
    report = summarise("What silence before a question costs", replies)
    print(f"# {report.title}\n\n{machine.describe()}\n\n{options.checkpoint}\n")
    print(table.accuracy_table(report, "normalised"))


def after(seconds: float) -> Condition:
    """Questions that begin after `seconds` of silence."""

    def change(items: Sequence[SpokenQuestion]) -> list[SpokenQuestion]:
        return [
            dataclasses.replace(
                item,
                waveform=np.pad(item.waveform, (round(seconds * item.sample_rate_hz), 0)),
            )
            for item in items
        ]

    return dataclasses.replace(spoken(f"{seconds:g} s"), change=change)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data", required=True, help="a data set of launch/synthesize.py")
    parser.add_argument("--groups", default="add,subtract", help="kinds of problems")
    parser.add_argument("--seconds", type=_numbers, default=(0.0, 0.25, 0.5, 1.0))
    return parser.parse_args()


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


if __name__ == "__main__":
    main()
