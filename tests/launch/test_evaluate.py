"""The command, on a small network with random weights and a data set that the test writes."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import reasoner_jax as rj
from tests.data.problems import spoken_problem, write_dataset
from tests.generation.networks import omni, waveform

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint and a data set of six questions of two kinds."""
    folder = tmp_path_factory.mktemp("evaluate")
    rj.save(folder / "checkpoint", omni())
    problems = []
    for number in range(6):
        problem = spoken_problem(number, num_samples=0)
        kind = "add" if number % 2 else "subtract"
        problem = dataclasses.replace(
            problem,
            problem=dataclasses.replace(problem.problem, kind=kind),
            waveform=waveform(0.5, number),
        )
        problems.append(problem)
    write_dataset(folder / "data", problems, split="held_out")
    return folder


def command(folder, out, *options):
    return [
        sys.executable,
        "launch/evaluate.py",
        f"--checkpoint={folder / 'checkpoint'}",
        f"--data={folder / 'data'}",
        f"--out={out}",
        "--config.max_tokens=24",
        "--config.batch_size=2",
        "--config.num_timed=0",
        *options,
    ]


def environment():
    flags = os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=1"
    return {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}


def evaluate(folder, out, *options):
    return subprocess.run(
        command(folder, out, *options),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def replies_of(out):
    lines = [line for path in out.glob("replies-*.jsonl") for line in path.read_text().splitlines()]
    return sorted(lines)


def test_one_command_makes_a_report_with_plots_and_every_reply(folder, tmp_path):
    done = evaluate(folder, tmp_path, "--compare=in_speaking,direct")
    assert done.returncode == 0, done.stderr
    assert "micro (all items)" in done.stdout
    assert len(replies_of(tmp_path)) == 18
    report = json.loads((tmp_path / "report.json").read_text())
    assert [c["name"] for c in report["conditions"]] == [
        "in_speaking 2:8",
        "direct",
        "in_speaking 2:8, shuffled audio",
    ]
    assert report["conditions"][0]["groups"].keys() == {"add", "subtract"}
    assert (tmp_path / "report.md").exists()
    assert (tmp_path / "accuracy_words.png").exists()

    other = evaluate(folder, tmp_path, "--compare=direct", "--config.limit=3")
    assert other.returncode == 1
    assert "Traceback" not in other.stderr
    assert "holds the replies of another run (items:" in other.stderr.splitlines()[-1]


@pytest.mark.slow
def test_two_processes_give_the_replies_of_one(folder, tmp_path):
    alone = evaluate(folder, tmp_path / "one", "--compare=in_speaking")
    assert alone.returncode == 0, alone.stderr
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    # Directories of their own, as machines without a common disk have.
    processes = [
        subprocess.Popen(
            command(
                folder,
                tmp_path / f"two-{index}",
                "--compare=in_speaking",
                f"--coordinator=localhost:{port}",
                "--num_processes=2",
                f"--process_id={index}",
            ),
            cwd=ROOT,
            env=environment(),
        )
        for index in range(2)
    ]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    shares = [replies_of(tmp_path / f"two-{index}") for index in range(2)]
    assert all(shares)
    assert sorted(shares[0] + shares[1]) == replies_of(tmp_path / "one")
    reports = [
        json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two-0")
    ]
    assert reports[0]["conditions"] == reports[1]["conditions"]
    assert not (tmp_path / "two-1" / "report.json").exists()


def test_a_missing_checkpoint_ends_with_one_clear_line(folder, tmp_path):
    options = [f"--checkpoint={tmp_path / 'nowhere'}"]
    done = evaluate(folder, tmp_path / "out", *options)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("evaluate: ")
