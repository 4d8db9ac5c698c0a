"""How many replies a second an evaluation gets, by batch size and by number of devices.

    python benchmarks/evaluate.py --checkpoint=DIR --data=DIR     a trained network, real questions
    python benchmarks/evaluate.py                                 preset tiny, random weights

The peer is the same network asked one question at a time. A network with random weights seldom
ends, so its replies all have --max_tokens tokens, which is the harder case; its questions are
noise of 2 to 4 seconds. On a CPU every core is a device. Compiling is not counted: each setting
runs four times, and the fastest counts, since devices share questions out anew each time.
"""

import argparse
import os
import time
from collections.abc import Sequence

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + f" --xla_force_host_platform_device_count={os.cpu_count()}"
    # A device is a core here: the threads of one operation would only get in each other's way.
    + " --xla_cpu_multi_thread_eigen=false"
)

import jax
import machine
import numpy as np

import reasoner_jax as rj
from reasoner_jax.core.records import SpokenQuestion
from reasoner_jax.evaluation import replicas, table
from reasoner_jax.evaluation.condition import spoken
from reasoner_jax.evaluation.item_set import item_set, limited
from reasoner_jax.evaluation.judge import judge_number
from reasoner_jax.evaluation.run import Workers, answer_items
from reasoner_jax.models.omni import Omni
from reasoner_jax.sources.simple_op import SimpleOp
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS
from reasoner_jax.text.tokenizer import train_bpe


def main() -> None:
    options = _options()
    omni = rj.load(options.checkpoint) if options.checkpoint else tiny()
    items = questions(options.num_items, options.data)
    network = options.checkpoint or "preset tiny, random weights"
    print(f"# Replies a second in an evaluation\n\n{machine.describe()}\n")
    print(f"{network}; {len(items)} questions, replies of at most {options.max_tokens} tokens\n")
    alone = rate(omni, items[: options.num_alone], 1, 1, options.max_tokens)
    rows = [["1", "1", f"{alone:.2f}", "1.0"]]
    for num_devices in options.devices:
        for batch_size in options.batch_sizes:
            found = rate(omni, items, batch_size, num_devices, options.max_tokens)
            rows.append([str(num_devices), str(batch_size), f"{found:.2f}", f"{found / alone:.1f}"])
    print(table.table(["devices", "batch", "replies/s", "times one at a time"], rows))


def rate(
    omni: Omni, items: Sequence[SpokenQuestion], batch_size: int, num_devices: int, max_tokens: int
) -> float:
    """Replies a second when everything is compiled."""
    workers = Workers(
        {"": replicas.engines(omni, batch_size, jax.local_devices()[:num_devices])}, batch_size
    )
    conditions = [spoken("in_speaking", max_tokens=max_tokens)]
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        answer_items(conditions, items, judge_number, workers)
        seconds.append(time.perf_counter() - start)
    return len(items) / min(seconds)


def tiny() -> Omni:
    """The preset with random weights and a vocabulary of simple sums."""
    sizes = rj.preset("tiny")
    texts = [problem.question for problem in SimpleOp(2000).problems()]
    tokenizer = train_bpe(texts, sizes.thinker.vocab_size, FROM_SCRATCH_TOKENS)
    return Omni.create(sizes, tokenizer=tokenizer, reply_format=ReplyFormat(system=""))


def questions(count: int, location: str) -> list[SpokenQuestion]:
    """The first questions of a set, or noise."""
    if location:
        return limited(item_set(location).questions(), count)
    rng = np.random.default_rng(0)
    lengths = rng.integers(2 * 16_000, 4 * 16_000, count)
    return [
        SpokenQuestion(
            f"noise/{number:04d}",
            "noise",
            "",
            "",
            "0",
            16_000,
            rng.uniform(-0.1, 0.1, length).astype(np.float32),
        )
        for number, length in enumerate(lengths)
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--data", default="")
    parser.add_argument("--num_items", type=int, default=64)
    parser.add_argument("--num_alone", type=int, default=8, help="items asked one at a time")
    parser.add_argument("--max_tokens", type=int, default=96)
    parser.add_argument("--batch_sizes", type=_numbers, default=(8, 16, 32, 64))
    parser.add_argument("--devices", type=_numbers, default=(1, os.cpu_count() or 1))
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    main()
