"""A run in a bucket is the run on a disk."""

import importlib.util
import os
import signal

import jax
import numpy as np
import pytest

import reasoner_jax as rj
from reasoner_jax.core import bucket
from reasoner_jax.training import loop, series
from reasoner_jax.training.loop import Interrupted
from tests.training import runs

pytest.importorskip("gcp_storage_emulator", reason="needs the extra dev")

STEPS = 4


@pytest.fixture(scope="module", autouse=True)
def storage():
    from tests.buckets import emulated

    with emulated("runs"):
        yield


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("training")
    return runs.write_network(root / "network"), runs.write_problems(root / "data")


def stage(places, **changes):
    return runs.stage(*places, **{"train__steps": STEPS, "keep__every": 2, **changes})


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


@pytest.fixture(scope="module")
def run(places):
    """A run that was stopped after its first step, and went on."""

    def stop(event):
        if event.kind == "step" and event.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    remote = bucket.as_path("gs://runs/some/where")
    with pytest.raises(Interrupted):
        loop.train(stage(places), remote, stop)
    loop.train(stage(places), remote)
    return remote


def test_a_stopped_run_goes_on_and_equals_one_on_a_disk(places, run, tmp_path):
    assert names(run) == ["best", "checkpoints", "figures.jsonl", "stage.json", "tensorboard"]
    loop.train(stage(places), tmp_path)
    here, there = ({n: f["loss"] for n, f in series.read(d).items()} for d in (tmp_path, run))
    assert here == there and len(here) == STEPS
    params = [rj.load(directory / "best").params for directory in (tmp_path, run)]
    jax.tree.map(np.testing.assert_array_equal, *params)


def test_a_later_stage_starts_from_an_earlier_one(places, run):
    later = run.parent / "later"
    loop.train(stage(places, train__steps=1, init_from=str(run / "best")), later)
    assert names(later / "checkpoints") == ["00000001"]
    with pytest.raises(ValueError, match=r"train.steps: 1 there, 4 now"):
        loop.train(stage(places, init_from=str(run / "best")), later)


def test_what_is_kept_no_longer_and_what_was_never_finished_is_removed(places, run):
    kept = names(run / "checkpoints")
    assert len(kept) == 2 and kept[-1] == "00000004"
    (run / "checkpoints/00000004/run.json").unlink()
    assert loop.Trainer(stage(places), run).step == int(kept[0])
    assert names(run / "checkpoints") == kept[:1]


def test_a_network_goes_to_a_bucket_and_comes_back(places):
    omni = rj.load(places[0])
    rj.save("gs://runs/network", omni)
    again = rj.load("gs://runs/network")
    jax.tree.map(np.testing.assert_array_equal, omni.params, again.params)
    assert again.tokenizer.vocab_size == omni.tokenizer.vocab_size
    with pytest.raises(ValueError, match="not empty"):
        rj.save("gs://runs/network", omni)


def test_what_cannot_be_reached_is_named(places, monkeypatch):
    with pytest.raises(FileNotFoundError, match="gs://runs/nothing does not exist"):
        rj.load("gs://runs/nothing")
    with pytest.raises(OSError, match="--workdir=gs://no-such-bucket/run cannot be written to"):
        loop.train(stage(places), bucket.as_path("gs://no-such-bucket/run"))
    with pytest.raises(ValueError, match="s3://runs/x: expected a directory or gs://"):
        bucket.as_path("s3://runs/x")
    with (
        pytest.raises(ConnectionError, match=r"gs://runs/x cannot be reached: 403"),
        bucket.reached(bucket.as_path("gs://runs/x")),
    ):
        raise RuntimeError("403 Forbidden")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs the package gcsfs; run `source"):
        bucket.as_path("gs://runs/x")
