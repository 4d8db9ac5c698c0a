"""A run's directory belongs to one run."""

import dataclasses
import json

import pytest

from reasoner_jax.training import loop, workdir
from reasoner_jax.training.loop import Trainer
from tests.training import runs


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("training")
    return runs.write_network(root / "network"), runs.write_problems(root / "data")


def settings(**changes):
    return runs.stage("network", "data", **changes)


def test_the_same_settings_open_it_again(tmp_path):
    for _ in range(2):
        with workdir.opened(tmp_path, settings()):
            pass


def test_other_settings_are_refused_and_named(tmp_path):
    with workdir.opened(tmp_path, settings()):
        pass
    changed = settings(optimizer__peak_rate=0.5, train__seed=7, log_every=3)
    with (
        pytest.raises(ValueError, match="other settings") as error,
        workdir.opened(tmp_path, changed),
    ):
        pass
    message = str(error.value)
    assert "optimizer.peak_rate: 0.01 there, 0.5 now" in message
    assert "train.seed: 0 there, 7 now" in message
    assert "log_every" not in message


def test_a_run_from_before_a_setting_existed_goes_on_with_its_default(tmp_path):
    older = settings().to_dict()
    assert older["lessons"][0].pop("lead_in_s") == 0.0
    (tmp_path / "stage.json").write_text(json.dumps(older))
    with workdir.opened(tmp_path, settings()):
        pass
    lesson = dataclasses.replace(settings().lessons[0], lead_in_s=0.5)
    changed = dataclasses.replace(settings(), lessons=(lesson, *settings().lessons[1:]))
    refused = pytest.raises(ValueError, match=r"lessons\.0\.lead_in_s: 0\.0 there, 0\.5 now")
    with refused, workdir.opened(tmp_path, changed):
        pass


def test_a_run_of_a_later_version_is_refused_by_what_it_has_more(tmp_path):
    later = {**settings().to_dict(), "mood": "good"}
    (tmp_path / "stage.json").write_text(json.dumps(later))
    refused = pytest.raises(ValueError, match="mood: 'good' there, None now")
    with refused, workdir.opened(tmp_path, settings()):
        pass


def test_a_run_that_fails_before_it_saves_leaves_the_directory_free(tmp_path):
    with pytest.raises(RuntimeError), workdir.opened(tmp_path, settings()):
        raise RuntimeError("no data")
    with workdir.opened(tmp_path, settings(train__seed=7)):
        (tmp_path / "checkpoints" / "00000001").mkdir(parents=True)
    with pytest.raises(RuntimeError), workdir.opened(tmp_path, settings(train__seed=7)):
        raise RuntimeError("no disk")
    with pytest.raises(ValueError, match="other settings"), workdir.opened(tmp_path, settings()):
        pass


def test_two_runs_at_once_are_refused(tmp_path):
    taken = pytest.raises(ValueError, match="another process trains")
    with workdir.opened(tmp_path, settings()), taken, workdir.opened(tmp_path, settings()):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    refused = pytest.raises(OSError, match=r"--workdir=.*file/run cannot be written to")
    with refused, workdir.opened(tmp_path / "file" / "run", settings()):
        pass


def test_a_loss_that_is_not_finite_names_its_examples_and_saves_what_was_before(places, tmp_path):
    stage = runs.stage(*places, optimizer__peak_rate=1e30, optimizer__clip_norm=0.0)
    with pytest.raises(FloatingPointError, match=r"step \d.*simple_op/train/\d{5}"):
        loop.train(stage, tmp_path)


def test_what_was_learned_is_kept_where_it_cannot_be_measured(places, tmp_path):
    asked = dict(evaluate__data=places[1], evaluate__split="train", evaluate__num_answers=1)
    stage = runs.stage(*places, **asked)

    def broken(_):
        raise RuntimeError("no decoder")

    with pytest.raises(RuntimeError, match="no decoder"):
        Trainer(stage, tmp_path).run(answer=broken)
    assert Trainer(stage, tmp_path).step == 2


def test_data_of_which_nothing_fits_is_named(places, tmp_path):
    with pytest.raises(ValueError, match=r"no example of 512 fits 32 tokens: .*too many tokens"):
        Trainer(runs.stage(*places, train__tokens=32), tmp_path / "run")


def test_a_missing_data_set_and_a_missing_network_are_named(places, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no finished data set in .*nowhere"):
        Trainer(runs.stage(places[0], str(tmp_path / "nowhere")), tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Trainer(runs.stage(str(tmp_path / "nothing"), places[1]), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__steps": 0}, "train.steps is 0"),
        ({"train__accumulate": 3}, "train.accumulate is 3, expected a divisor of the 8 rows"),
        ({"trainable": []}, "trainable is empty"),
        ({"lessons": []}, "has no lessons"),
        ({"losses": {"response": 0.0, "reasoning": 0.0}}, "all weights in losses are 0"),
        ({"losses__ctc": 1.0}, "no lesson has spell=True"),
        ({"losses__codes": 1.0}, "no lesson has codes=True"),
        ({"train__batch_size": 3}, r"Train: unknown fields \['batch_size'\]"),
        ({"optimizer__peak_rate": "fast"}, r"Optimizer\.peak_rate: expected float, got 'fast'"),
        ({"evaluate__better": "most"}, "evaluate.better is 'most'"),
    ],
)
def test_settings_that_make_no_sense_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        runs.stage("network", "data", **changes)


def test_rows_that_devices_cannot_share_are_refused(places, tmp_path):
    with pytest.raises(ValueError, match="cannot be split over 8 devices"):
        Trainer(runs.stage(*places, train__batch_rows=4), tmp_path)
