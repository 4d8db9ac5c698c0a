"""Interrupted and resumed equals uninterrupted, wherever it was interrupted."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest

import reasoner_jax as rj
from reasoner_jax.core import params as trees
from reasoner_jax.training import checkpoint, loop, series
from reasoner_jax.training.loop import Interrupted, Trainer
from reasoner_jax.weights import checkpoint as weights
from tests.training import runs

STEPS = 6


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("training")
    return runs.write_network(root / "network"), runs.write_problems(root / "data")


def stage(places, **changes):
    return runs.stage(*places, **{"train__steps": STEPS, **changes})


@pytest.fixture(scope="module")
def whole(places, tmp_path_factory):
    """The losses and the last parameters of a run that nothing interrupts."""
    directory = tmp_path_factory.mktemp("whole")
    loop.train(stage(places), directory)
    return losses(directory), rj.load(directory / "best").params


def losses(directory):
    return {number: figures["loss"] for number, figures in series.read(directory).items()}


def assert_same(directory, whole):
    expected, params = whole
    assert losses(directory) == expected and len(expected) == STEPS
    got = rj.load(directory / "best").params
    jax.tree.map(np.testing.assert_array_equal, got, params)


def interrupt_at(number):
    def report(event):
        if event.kind == "step" and event.step == number:
            os.kill(os.getpid(), signal.SIGTERM)

    return report


@pytest.mark.parametrize("number", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_a_terminated_run_saves_and_goes_on_as_if_nothing_had_happened(
    places, whole, tmp_path, number
):
    with pytest.raises(Interrupted, match=f"of {STEPS}, all saved"):
        loop.train(stage(places), tmp_path, interrupt_at(number))
    assert len(losses(tmp_path)) < STEPS
    loop.train(stage(places), tmp_path)
    assert_same(tmp_path, whole)


def test_a_run_killed_while_it_saves_goes_on_from_the_checkpoint_before(places, whole, tmp_path):
    loop.train(stage(places, keep__last=9), tmp_path)
    # As a kill leaves it: the later checkpoints begun, none of them finished.
    for number in (4, 6):
        (tmp_path / f"checkpoints/{number:08d}/run.json").unlink()
    shutil.rmtree(tmp_path / "checkpoints/00000006/params")
    (tmp_path / "figures.jsonl").unlink()
    trainer = Trainer(stage(places, keep__last=9), tmp_path)
    assert trainer.step == 2
    trainer.run()
    assert {n: v for n, v in whole[0].items() if n > 2} == losses(tmp_path)
    jax.tree.map(
        np.testing.assert_array_equal, rj.load(tmp_path / "checkpoints/00000006").params, whole[1]
    )


@pytest.mark.slow
def test_a_process_killed_in_mid_save_loses_nothing(places, whole, tmp_path):
    script = textwrap.dedent(
        f"""
        import os, signal, sys
        from pathlib import Path
        from reasoner_jax.training import loop
        from reasoner_jax.weights import checkpoint
        from tests.training.test_resume import stage
        started = checkpoint.start_writing
        def killed(directory, *args, **kwargs):
            writing = started(directory, *args, **kwargs)
            if directory.name == "00000004":
                os.kill(os.getpid(), signal.SIGKILL)
            return writing
        checkpoint.start_writing = killed
        loop.train(stage({places!r}), Path({str(tmp_path)!r}))
        """
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    loop.train(stage(places), tmp_path)
    assert_same(tmp_path, whole)


@pytest.mark.slow
def test_averages_survive_too(places, tmp_path):
    changes = dict(optimizer__ema_decay=0.9)
    loop.train(stage(places, **changes), tmp_path / "whole")
    with pytest.raises(Interrupted):
        loop.train(stage(places, **changes), tmp_path / "parts", interrupt_at(3))
    loop.train(stage(places, **changes), tmp_path / "parts")
    networks = [
        Trainer(stage(places, **changes), tmp_path / name).network() for name in ("whole", "parts")
    ]
    jax.tree.map(np.testing.assert_array_equal, *(network.params for network in networks))


def test_a_checkpoint_alone_is_a_network_with_its_reply_format(places, tmp_path):
    loop.train(stage(places, train__steps=1, reply__ratios=[[2, 4], [2, 8]]), tmp_path)
    omni = rj.load(tmp_path / "best")
    assert omni.tokenizer is not None
    assert omni.reply_format.system == runs.SYSTEM
    assert omni.reply_format.schedule == rj.Schedule(2, 4)


def test_the_last_and_the_best_are_kept(places, tmp_path):
    keep = checkpoint.Keep(every=1, last=1)
    omni = rj.load(places[0])
    trainable, _ = runs_split(omni)
    checkpoints = checkpoint.Checkpointer(tmp_path, keep, "right", "max")
    for number, right in enumerate([0.1, 0.9, 0.3, 0.2], start=1):
        state = trainer_state(trainable, number)
        manifest = weights.read_manifest(Path(places[0]))
        checkpoints.start_saving(manifest, omni.params, state, {}, {"right": right})
    checkpoints.finish()
    assert [saved.step for saved in checkpoints.saved()] == [2, 4]
    assert checkpoints.best().step == 2 and checkpoints.latest().step == 4
    assert (tmp_path / "best").resolve().name == "00000002"


def runs_split(omni):
    flat = trees.flatten(omni.params)
    return {path: leaf for path, leaf in flat.items() if path.endswith("bias")}, flat


def trainer_state(trainable, number):
    return checkpoint.TrainState(jax.numpy.int32(number), trainable, (), None)


def test_a_damaged_run_json_is_named(places, tmp_path):
    loop.train(stage(places, train__steps=1), tmp_path)
    file = tmp_path / "checkpoints/00000001/run.json"
    file.write_text(json.dumps({"step": 1}))
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        Trainer(stage(places, train__steps=1), tmp_path)
