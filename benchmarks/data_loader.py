"""How fast the loader makes batches, and how much of them is padding.

    python benchmarks/data_loader.py --gsm8k=train.jsonl

Texts are GSM8K's: the question is spoken at 2.5 words a second, the solution is the reasoning, and
a response is deferred as long as that takes (2:8). Sounds are shaped noise. Two tables: the padding
of rows, ours against Grain's best-fit packer on the same examples in the same order; and the rate
of batches, alone and with workers, with the parts that it is made of.
"""

import argparse
import dataclasses
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator

import grain
import numpy as np

from reasoner_jax.audio.log_mel import log_mel
from reasoner_jax.core.records import Problem, SpokenProblem
from reasoner_jax.data.dataset import Outline, SpokenDataset
from reasoner_jax.data.loader import Loader, LoaderConfig
from reasoner_jax.data.plan import Component, Planner, balanced_budget
from reasoner_jax.data.statistics import BatchStatistics
from reasoner_jax.data.task import RowBudget, Task
from reasoner_jax.data.transforms import Draft, Frontend, draft
from reasoner_jax.data.writer import DatasetWriter
from reasoner_jax.sources.gsm8k import Gsm8k
from reasoner_jax.text.special_tokens import FROM_SCRATCH_TOKENS
from reasoner_jax.text.tokenizer import Tokenizer, train_bpe

WORDS_PER_SECOND = 2.5
DEFERRAL = "Well, let me think about that for a moment while I work it out. "
TASK = Task(prompt="audio")
WINDOW = 1024


def spoken_problems(path: str, tokenizer: Callable[[list[str]], Tokenizer]) -> tuple:
    """GSM8K as spoken problems without sound, and the tokenizer of its texts."""
    problems = list(Gsm8k(path).problems())
    vocabulary = tokenizer([text for p in problems for text in (p.question, p.solution)])
    return [speakable(problem, vocabulary) for problem in problems], vocabulary


def speakable(problem: Problem, tokenizer: Tokenizer) -> SpokenProblem:
    num_reasoning = len(tokenizer.encode(problem.solution)) + 1
    response, answer = "", f"The answer is {problem.answer}."
    while 4 * (len(tokenizer.encode(response + answer)) - 2) < num_reasoning:
        response += DEFERRAL
    return SpokenProblem(problem, problem.question, problem.solution, response + answer)


def num_samples(problem: SpokenProblem) -> int:
    return int(16_000 * len(problem.spoken_question.split()) / WORDS_PER_SECOND)


def noise(length: int, seed: int) -> np.ndarray:
    """Noise in syllables, about as compressible as speech."""
    rng = np.random.default_rng(seed)
    envelope = 0.5 + 0.5 * np.sin(np.arange(length) * (2 * np.pi * 4 / 16_000))
    smooth = np.convolve(rng.normal(0, 0.1, length), np.ones(8) / 8, mode="same")
    return np.clip(smooth * envelope, -1, 1).astype(np.float32)


@dataclasses.dataclass
class Texts:
    """What the planner needs of a data set, without files."""

    outlines: list[Outline]
    split: str = "train"

    def __len__(self) -> int:
        return len(self.outlines)

    def outline(self, index: int) -> Outline:
        return self.outlines[index]


def padding_table(texts: Texts, frontend: Frontend, lengths: list[int]) -> None:
    print(f"\nPadding of rows: {len(texts)} examples, window {WINDOW}\n")
    print(
        "| tokens | chunks | rows of ours | tokens empty | chunks empty | rows of Grain | tokens "
        "empty | chunks empty |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for tokens in lengths:
        row = balanced_budget([Component(texts, TASK)], frontend, tokens)
        planner = Planner([Component(texts, TASK)], frontend, row, window=WINDOW, num_epochs=1)
        windows = [planner.window(number) for number in range(planner.num_windows)]
        placed = [each.draft for window in windows for r in window.rows for each in r]
        used = np.array([[d.num_inputs, -(-d.num_frames // 200)] for d in placed]).sum(axis=0)
        slots = np.array([row.tokens, row.chunks])
        cells = [row.tokens, row.chunks]
        ours = sum(len(window.rows) for window in windows)
        for rows in (ours, grain_rows(placed, row)):
            cells += [rows, *(f"{share:.1%}" for share in 1 - used / (rows * slots))]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def grain_rows(placed: list[Draft], row: RowBudget) -> int:
    """Rows that Grain's packer makes of the same examples, with as many open rows as it may."""
    order = np.random.default_rng(0).permutation(len(placed))
    source = grain.MapDataset.source([placed[index] for index in order])
    elements = source.map(
        lambda d: {
            "tokens": np.zeros(d.num_inputs, np.int8),
            "chunks": np.zeros(-(-d.num_frames // 200), np.int8),
        }
    ).to_iter_dataset(grain.ReadOptions(num_threads=0))
    bins = max(1, WINDOW * int(np.mean([d.num_inputs for d in placed])) // row.tokens)
    packed = grain.experimental.BestFitPackIterDataset(
        elements,
        length_struct={"tokens": row.tokens, "chunks": row.chunks},
        num_packing_bins=bins,
        max_sequences_per_bin=row.examples,
    )
    return sum(1 for _ in packed)


def rate_table(
    dataset: SpokenDataset, frontend: Frontend, row: RowBudget, workers: list[int], seconds: float
) -> None:
    print(
        f"\nBatches of 4 rows of {row.tokens} tokens and {row.chunks} chunks, "
        f"{frontend.num_mel_bins} mel bins\n"
    )
    print("| workers | examples/s | tokens/s | seconds of speech/s | first batch s |")
    print("|---|---|---|---|---|")
    for num_workers in workers:
        config = LoaderConfig(row=row, batch_rows=4, num_workers=num_workers, window=256)
        loader = Loader([Component(dataset, TASK)], frontend, config)
        begin = time.perf_counter()
        next(loader)
        first = time.perf_counter() - begin
        sums, elapsed = run(loader, seconds)
        loader.close()
        rates = [sums.examples, sums.tokens, sums.frames / 100]
        cells = [f"{amount / elapsed:,.0f}" for amount in rates]
        print(f"| {num_workers} | " + " | ".join(cells) + f" | {first:.1f} |", flush=True)


def run(loader: Iterator, seconds: float) -> tuple[BatchStatistics, float]:
    sums, begin = BatchStatistics(), time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        sums += BatchStatistics.of(next(loader))
    return sums, elapsed


def parts_table(dataset: SpokenDataset, frontend: Frontend, row: RowBudget) -> None:
    """Milliseconds of processor time for one example, each part by itself."""
    count = min(128, len(dataset))
    planner = Planner([Component(dataset, TASK)], frontend, row, window=WINDOW)
    rng = np.random.default_rng(0)
    outlines = [dataset.outline(index) for index in range(count)]
    sounds = [dataset.waveform(index) for index in range(count)]
    parts = {
        "draft: tokenise, interleave": lambda i: draft(outlines[i], TASK, frontend, rng),
        "read and decode FLAC": dataset.waveform,
        "log-mel": lambda i: log_mel(sounds[i], frontend.num_mel_bins),
    }
    print("\n| part | processor ms an example |\n|---|---|")
    for name, part in parts.items():
        begin = time.process_time()
        for index in range(count):
            part(index)
        print(f"| {name} | {1e3 * (time.process_time() - begin) / count:.2f} |", flush=True)
    begin = time.process_time()
    planner.window(0)
    print(f"| a whole plan: draft, pack | {1e3 * (time.process_time() - begin) / WINDOW:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gsm8k", required=True, help="GSM8K's train.jsonl")
    parser.add_argument("--texts", type=int, default=3072, help="examples to pack")
    parser.add_argument("--sounds", type=int, default=128, help="examples that get a sound")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--vocab_size", type=int, default=4096)
    options = parser.parse_args()
    learn = functools.partial(
        train_bpe, vocab_size=options.vocab_size, special_tokens=FROM_SCRATCH_TOKENS
    )
    problems, tokenizer = spoken_problems(options.gsm8k, lambda texts: learn(texts[:4000]))
    frontends = {bins: Frontend(tokenizer, num_mel_bins=bins) for bins in (80, 128)}
    outlines = [
        dataclasses.replace(Outline.of(problem), num_samples=num_samples(problem))
        for problem in problems
    ]
    seconds = np.array([outline.num_samples / 16_000 for outline in outlines])
    shortest, longest = np.quantile(seconds, [0.1, 0.9])
    print(
        f"{os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f}; {len(problems)} problems, "
        f"questions of {seconds.mean():.1f} s (10 % under {shortest:.1f}, 10 % over {longest:.1f})"
    )
    texts = Texts(outlines[: options.texts])
    padding_table(texts, frontends[80], [2048, 4096, 8192])
    with tempfile.TemporaryDirectory() as directory:
        with DatasetWriter(directory) as writer:
            for seed, problem in enumerate(problems[: options.sounds]):
                sound = noise(num_samples(problem), seed)
                writer.add(dataclasses.replace(problem, waveform=sound))
            writer.finish()
        dataset = SpokenDataset(directory)
        rows = [balanced_budget([Component(texts, TASK)], frontends[80], n) for n in (2048, 8192)]
        parts_table(dataset, frontends[80], rows[0])
        rate_table(dataset, frontends[80], rows[0], options.workers, options.seconds)
        rate_table(dataset, frontends[128], rows[1], options.workers[:1], options.seconds)


if __name__ == "__main__":
    main()
