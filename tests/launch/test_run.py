"""launch/run.py as people call it: what it prints, and that the same command goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import reasoner_jax as rj
from tests.training import runs


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    network = runs.write_network(root / "network")
    for folder in ("spoken", "written"):
        runs.write_problems(root / "data" / folder)
    runs.write_problems(root / "data" / "held_out", count=4, split="held_out")
    return network, str(root / "data")


def call(*arguments):
    command = [sys.executable, "launch/run.py", *arguments]
    flags = os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def small(places, *more):
    network, data = places
    return (
        "--config=configs/stage4.py:tiny",
        f"--config.init_from={network}",
        f"--config.data={data}",
        f"--config.reply.system={runs.SYSTEM}",
        "--config.train.steps=3",
        "--config.train.batch_rows=2",
        "--config.train.tokens=320",
        "--config.train.window=16",
        "--config.lessons.spoken.allow_wait=True",
        "--config.lessons.written.allow_wait=True",
        "--config.log_every=1",
        f"--config.evaluate.data={data}/held_out",
        "--config.evaluate.num_answers=2",
        *more,
    )


@pytest.mark.slow
def test_a_stage_trains_evaluates_and_goes_on(places, tmp_path):
    first = call(*small(places), f"--workdir={tmp_path}")
    assert first.returncode == 0, first.stderr
    assert "train  thinker/model/layers/mlp/up_proj/kernel" in first.stdout
    assert "answers/right" in first.stderr and "held_out/loss" in first.stderr
    assert rj.load(tmp_path / "best").reply_format.schedule == rj.Schedule()
    figures = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    assert {"loss", "loss/response", "tokens_per_s", "data_wait_share"} <= figures[0].keys()
    again = call(*small(places), f"--workdir={tmp_path}")
    assert again.returncode == 0, again.stderr
    assert "3/3" in again.stderr


def test_other_settings_in_the_same_directory_are_refused(places, tmp_path):
    (tmp_path / "stage.json").write_text(json.dumps({"name": "stage9"}))
    got = call(*small(places), f"--workdir={tmp_path}")
    assert got.returncode == 1
    assert "belongs to a run with other settings" in got.stderr
    assert "name: 'stage9' there, 'stage4' now" in got.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --config=configs/stageN.py:PRESET or --recipe=PRESET"),
        (
            ["--config=configs/stage2.py:tiny", "--config.data=no/such/data"],
            "no finished data set in no/such/data/spoken",
        ),
        (["--config=configs/stage9.py:tiny"], "stage9.py"),
        (["--recipe=tiny", "--set=train.tokenz=3"], 'mean "tokens" instead of "tokenz"'),
    ],
)
def test_what_is_missing_is_said_with_a_remedy(arguments, message, tmp_path):
    got = call(*arguments, f"--workdir={tmp_path / 'run'}")
    assert got.returncode != 0
    assert message in got.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_full_disk_is_said_in_one_line(places, tmp_path):
    (tmp_path / "figures.jsonl").symlink_to("/dev/full")
    stopped = call(*small(places), f"--workdir={tmp_path}")
    assert stopped.returncode == 1
    assert "Traceback" not in stopped.stderr
    assert f"run: no space left for {tmp_path}" in stopped.stderr
