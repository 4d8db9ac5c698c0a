"""How fast problems become verified, spoken examples, how many survive, and why the others do not.

    python benchmarks/data.py --gsm8k=train.jsonl --text_limit=7473 --spoken_limit=320
    python benchmarks/data.py --directory=DIR            of a data set that is there already

GSM8K goes through collect, prepare and the certificate as text, and a part of it through Piper and
Whisper-tiny as well. Seconds are wall clock of one worker, so that 1 / seconds is the rate of a
core; `benchmarks/data_loader.py` measures what comes after, the loader.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from configs.data import get_config
from reasoner_jax.synthesis import datasheet, runner_local
from reasoner_jax.synthesis.recipe import Recipe


def make(options: argparse.Namespace, limit: int, spoken: bool, directory: Path) -> dict:
    """Runs the recipe gsm8k; returns the facts of its datasheet."""
    config = get_config("gsm8k")
    config.sources.gsm8k.location = options.gsm8k
    config.limit = limit
    config.speak.enabled = spoken
    config.speak.response.share = float(options.responses)
    runner_local.run(Recipe(config.to_dict()), directory, num_workers=options.num_workers)
    return facts_of(directory)


def facts_of(directory: Path) -> dict:
    datasheet.write(directory)
    return json.loads((directory / "datasheet.json").read_text())


def report(title: str, facts: dict) -> None:
    """Prints tables."""
    kept, problems = facts["kept"], facts["problems"]
    print(f"\n## {title}\n\n{kept} of {problems} problems kept ({kept / problems:.2%}).\n")
    print_table(
        ["stage", "problems", "s each", "each core per hour", "share of the time"],
        [
            [
                stage,
                facts["entered"][stage],
                f"{seconds / facts['entered'][stage]:.3f}",
                f"{3600 * facts['entered'][stage] / seconds:,.0f}",
                f"{seconds / sum(facts['seconds'].values()):.1%}",
            ]
            for stage, seconds in facts["seconds"].items()
        ],
    )
    print_table(
        ["stage", "reason", "problems", "share"],
        [
            [stage, reason, count, f"{count / problems:.2%}"]
            for stage, reasons in facts["reasons"].items()
            for reason, count in reasons.items()
        ],
    )
    print_table(
        ["text", "attempt", "transcribed", "word error rate", "numbers exact"],
        [
            [
                part,
                name,
                found["transcribed"],
                f"{found['word_error_rate']:.2%}",
                f"{found['exact_number_rate']:.2%}",
            ]
            for part, attempts in facts["recognition"].items()
            for name, found in attempts.items()
            if name != "texts"
        ],
    )
    cost = facts["cost"]
    print(
        f"For {cost['examples']:,} examples like these: {cost['problems']:,} problems, "
        f"{cost['core_hours_total']:,.0f} core hours ("
        + ", ".join(f"{stage} {hours:,.0f}" for stage, hours in cost["core_hours"].items())
        + f"), {cost['days_on_64_cores']:.1f} days on 64 cores, {cost['speech_hours']:,.0f} hours "
        f"of speech, {cost['terabytes']:.3f} TB."
    )
    layout = facts["layout"]
    print(
        f"Replies: {layout['response_words_mean']:.1f} words, "
        f"{layout['reasoning_tokens_mean']:.1f} reasoning on {layout['response_tokens_mean']:.1f} "
        f"response tokens, pads {layout['padding_share']:.1%} of all."
    )


def print_table(head: list, rows: list) -> None:
    if not rows:
        return
    for line in [head, ["---"] * len(head), *rows]:
        print("| " + " | ".join(map(str, line)) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gsm8k", help="GSM8K's train.jsonl")
    parser.add_argument("--text_limit", type=int, default=1000, help="problems; 0 for all")
    parser.add_argument("--spoken_limit", type=int, default=32, help="of them, spoken; 0 for all")
    parser.add_argument("--responses", action="store_true", help="speak responses as well")
    parser.add_argument("--num_workers", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="only report on this finished data set")
    options = parser.parse_args()
    print(f"{os.cpu_count()} CPU cores, {options.num_workers} workers")
    if options.directory:
        report(str(options.directory), facts_of(options.directory))
        return
    if not options.gsm8k:
        parser.error("expected --gsm8k or --directory")
    with tempfile.TemporaryDirectory() as folder:
        text = make(options, options.text_limit, False, Path(folder, "text"))
        report("Text", text)
        spoken = make(options, options.spoken_limit, True, Path(folder, "spoken"))
        report("Spoken: Piper, heard by Whisper-tiny", spoken)


if __name__ == "__main__":
    main()
