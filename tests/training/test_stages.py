"""The five stages: what each trains, that each builds at every size, and on a mesh."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

from launch.run import RECIPE
from reasoner_jax.core import params as trees
from reasoner_jax.core.sharding import make_mesh
from reasoner_jax.models.config import Compute
from reasoner_jax.models.omni import abstract_params
from reasoner_jax.models.presets import PRESETS
from reasoner_jax.text.schedule import Schedule
from reasoner_jax.training import loop, state
from reasoner_jax.training.loop import Trainer
from reasoner_jax.training.lowering import lower
from reasoner_jax.training.stage import Evaluate, Stage
from reasoner_jax.weights.load import load
from tests.training import runs

ENCODER, ADAPTER = "audio_tower", "audio_tower/proj"
EMBEDDINGS, LAYERS, NORM, HEAD = "model/embed_tokens", "model/layers", "model/norm", "lm_head"


def stage_of(name, preset, options=""):
    file, own = RECIPE[name]
    config = importlib.import_module(f"configs.{file}").get_config(preset + own + options)
    return Stage.from_config(config.to_dict())


def parts(paths):
    """{"thinker/model/layers/mlp/..", ..} -> {"model/layers", ..}, the adapter told apart."""
    found = set()
    for path in paths:
        room, *rest = path.split("/")
        if room == "talker":
            found.add("talker")
        elif rest[0] in (ENCODER, "model"):
            inner = "/".join(rest[:2])
            found.add(inner if rest[0] == "model" or inner == ADAPTER else ENCODER)
        else:
            found.add(rest[0])
    return found


def trained(stage, preset):
    config = dataclasses.replace(PRESETS[preset], token2wav=None)
    params = abstract_params(config, Compute())
    return parts(state.split(params, stage.trainable)[0])


@pytest.mark.parametrize("preset", ["3b", "7b"])
def test_the_stages_train_what_figure_5_says(preset):
    figure_5 = {
        "stage1a": {ADAPTER},
        "stage1b": {ADAPTER, EMBEDDINGS, LAYERS, NORM, HEAD},
        "stage2": {ADAPTER, EMBEDDINGS, LAYERS, NORM, HEAD},
        "stage3": {EMBEDDINGS, LAYERS, NORM, HEAD},
        "stage4": {ADAPTER, LAYERS, NORM, HEAD},
        "stage5": {"talker"},
    }
    assert {name: trained(stage_of(name, preset), preset) for name in RECIPE} == figure_5


def test_stage_4_trains_the_encoder_too_where_it_is_told_to():
    expected = {ENCODER, ADAPTER, LAYERS, NORM, HEAD}
    assert trained(stage_of("stage4", "3b", ",encoder"), "3b") == expected


def test_the_modes_and_questions_of_the_stages_are_the_papers():
    expected = {
        "stage1a": ({"audio"}, {"direct"}),
        "stage1b": ({"audio"}, {"direct"}),
        "stage2": ({"audio", "text"}, {"before_speaking"}),
        "stage3": ({"text"}, {"in_speaking"}),
        "stage4": ({"audio"}, {"in_speaking"}),
        "stage5": ({"audio"}, {"in_speaking"}),
    }
    for name, (prompts, modes) in expected.items():
        stage = stage_of(name, "3b")
        tasks = [lesson.task(stage.reply) for lesson in stage.lessons]
        assert {task.prompt for task in tasks} == prompts, name
        assert {s.mode for task in tasks for s in task.schedules} == modes, name
        assert Schedule(2, 8).response == 2 and stage.reply.ratios == ((2, 8),)


def test_an_option_or_preset_that_a_stage_lacks_is_named():
    with pytest.raises(ValueError, match=r"no option \['decoder'\]; this stage has \['encoder'\]"):
        stage_of("stage4", "3b", ",decoder")
    with pytest.raises(ValueError, match="no preset 'huge'"):
        stage_of("stage2", "huge")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", RECIPE)
def test_every_config_builds(name, preset):
    assert stage_of(name, preset).train.steps > 0


@pytest.mark.parametrize(
    "name", ["stage1a", pytest.param("stage2", marks=pytest.mark.slow), "stage4", "stage5"]
)
def test_the_stages_of_3b_lower_for_a_mesh(name):
    config = dataclasses.replace(PRESETS["3b"], token2wav=None)
    mesh = make_mesh(data=2, fsdp=2, tensor=2)
    text = lower(stage_of(name, "3b"), config, mesh).as_text()
    assert "sharding" in text


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("training")
    return runs.write_network(root / "network"), runs.write_problems(root / "data")


def small(name, places):
    """A stage of the preset tiny with its losses, lessons and patterns, on a small network."""
    network, data = places
    stage = stage_of(name, "tiny", ",encoder" if name == "stage4" else "")
    lessons = tuple(dataclasses.replace(x, data=data, allow_wait=True) for x in stage.lessons)
    return dataclasses.replace(
        stage,
        init_from=network,
        codec="",
        lessons=lessons,
        reply=dataclasses.replace(stage.reply, system=runs.SYSTEM),
        train=dataclasses.replace(stage.train, steps=2, batch_rows=8, tokens=320, window=16),
        evaluate=Evaluate(),
        log_every=1,
    )


@pytest.mark.parametrize("name", RECIPE)
def test_a_stage_changes_what_it_trains_and_nothing_else_bit_for_bit(name, places, tmp_path):
    stage = small(name, places)
    before = trees.flatten(load(places[0]).params)
    loop.train(stage, tmp_path)
    after = trees.flatten(load(tmp_path / "best").params)
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    expected = {path for path in before if trees.matches(path, stage.trainable)}
    assert changed == expected


ONE_DEVICE = {"data": 1, "fsdp": 1, "tensor": 1, "sequence": 1}


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"data": 8}, marks=pytest.mark.slow),
        pytest.param({"fsdp": 8}, marks=pytest.mark.slow),
        {"data": 2, "fsdp": 2, "tensor": 2},
    ],
)
def test_sharded_training_equals_unsharded(shape, places, tmp_path):
    def params(directory, mesh):
        stage = runs.stage(*places, train__steps=2, mesh=mesh, optimizer__peak_rate=1e-3)
        trainer = Trainer(stage, directory)
        trainer.run()
        return trainer.flat_params

    expected = params(tmp_path / "one", ONE_DEVICE)
    got = params(tmp_path / "many", {**ONE_DEVICE, **shape})
    for path, leaf in expected.items():
        np.testing.assert_allclose(got[path], leaf, atol=1e-4, err_msg=path)


@pytest.mark.parametrize("method", ["adamw", "muon"])
def test_the_shards_of_moments_lie_with_their_parameters(method, places, tmp_path):
    changes = dict(mesh={"data": 1, "fsdp": -1}, optimizer__method=method)
    trainer = Trainer(runs.stage(*places, **changes), tmp_path)
    moments = jax.tree.leaves(trainer._state.opt_state)
    shardings = {(leaf.shape, leaf.sharding) for leaf in trainer._state.trainable.values()}
    shapes = {shape for shape, _ in shardings}
    assert sum(leaf.shape in shapes for leaf in moments) >= len(trainer._state.trainable)
    for leaf in moments:
        if leaf.shape in shapes:  # Muon also keeps its coefficients
            assert (leaf.shape, leaf.sharding) in shardings
