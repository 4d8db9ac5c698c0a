import json
import subprocess
import sys
from pathlib import Path

import reasoner_jax as rj
from reasoner_jax.data.dataset import SpokenDataset
from reasoner_jax.generation.distill_dataset import ORIGIN
from tests.generation.speakers import speaker

ROOT = Path(__file__).parents[2]


def synthesize(directory, *options):
    command = [sys.executable, "launch/synthesize.py", "--config=configs/data.py:quickstart"]
    return subprocess.run(
        [
            *command,
            f"--out={directory}",
            "--num_workers=0",
            "--config.speak.enabled=False",
            *options,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_command_makes_a_data_set_with_its_datasheet(tmp_path):
    done = synthesize(tmp_path, "--config.limit=5")
    assert done.returncode == 0, done.stderr
    assert "5 of 5 problems kept" in done.stdout
    assert len(SpokenDataset(tmp_path)) == 5
    assert (tmp_path / "datasheet.md").exists()


def test_another_recipe_in_the_same_directory_ends_with_one_clear_line(tmp_path):
    synthesize(tmp_path, "--config.limit=5")
    done = synthesize(tmp_path, "--config.limit=6")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "differs in limit (5, now 6)" in done.stderr.splitlines()[-1]


def test_a_talker_says_the_responses_of_the_finished_data_set(tmp_path):
    rj.save(tmp_path / "talker", speaker())
    options = ["--config.limit=5", f"--codes_from={tmp_path / 'talker'}"]
    done = synthesize(tmp_path / "data", *options)
    assert done.returncode == 0, done.stderr
    assert "5 of 5 problems kept" in done.stdout
    codes = SpokenDataset(tmp_path / "data_codes")
    assert f"{len(codes)} of 5 responses spoken into {tmp_path / 'data_codes'}" in done.stdout
    assert all(codes.outline(index).num_codes for index in range(len(codes)))
    origin = json.loads((tmp_path / "data_codes" / ORIGIN).read_text())
    assert origin["checkpoint"] == str(tmp_path / "talker")
    elsewhere = synthesize(tmp_path / "data", "--config.limit=5", f"--codes_from={tmp_path}")
    assert elsewhere.returncode == 1
    assert "Traceback" not in elsewhere.stderr
