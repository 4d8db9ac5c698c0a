"""What a step changes, what it measures, and that splitting a batch changes neither."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from reasoner_jax.core import params as trees
from reasoner_jax.text.schedule import Stream
from reasoner_jax.training import state, step
from reasoner_jax.training.loop import Trainer
from reasoner_jax.training.optimizer import learning_rate, make_optimizer
from reasoner_jax.training.stage import LearningRate, Optimizer
from tests.training import runs


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("training")
    return runs.write_network(root / "network"), runs.write_problems(root / "data")


def one_step(tmp_path, places, **changes):
    """A trainer, its batch, and the step's results."""
    trainer = Trainer(runs.stage(*places, **changes), tmp_path / "run")
    batch = next(trainer._loader)
    function = jax.jit(step.make_train_step(trainer.stage, trainer.omni, trainer._optimizer))
    with trainer.omni.on_mesh():
        after, metrics = function(trainer._state, trainer._frozen, trainer._place(batch))
    return trainer, batch, after, metrics


def test_the_reported_loss_is_the_plain_one(tmp_path, places):
    trainer, batch, _, metrics = one_step(tmp_path, places)
    thinker, params = trainer.omni.thinker, trainer.omni.params["thinker"]
    logits = thinker.apply(
        {"params": params},
        batch.tokens,
        mel=batch.mel,
        frames=batch.frames,
        positions=batch.positions,
        segment_ids=batch.segment_ids,
        method="full_logits",
    )
    each = np.asarray(optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets))
    assert float(metrics.loss) == pytest.approx(each[batch.loss_mask].mean(), rel=1e-4)
    for stream in (Stream.RESPONSE, Stream.REASONING):
        chosen = batch.loss_mask & (batch.streams == stream)
        assert int(metrics.num_targets[stream]) == chosen.sum() > 0
        assert float(metrics.cross_entropy[stream]) == pytest.approx(each[chosen].sum(), rel=1e-4)
    figures = step.summary(metrics, trainer.stage.losses)
    assert figures["loss"] == pytest.approx(float(metrics.loss), rel=1e-4)


def test_a_stream_of_weight_zero_has_no_part_in_the_loss(tmp_path, places):
    *_, metrics = one_step(tmp_path, places, losses={"response": 2.0, "reasoning": 0.0})
    total = float(metrics.num_targets.sum())
    expected = 2 * float(metrics.cross_entropy[Stream.RESPONSE]) / total
    assert float(metrics.loss) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("parts", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_accumulation_changes_nothing(tmp_path, places, parts):
    changes = dict(train__batch_rows=32)
    _, _, whole, _ = one_step(tmp_path / "1", places, **changes)
    _, _, split, _ = one_step(tmp_path / "2", places, **changes, train__accumulate=parts)
    for path, leaf in whole.trainable.items():
        np.testing.assert_allclose(split.trainable[path], leaf, atol=2e-4, err_msg=path)


def test_only_what_matches_changes_and_no_moments_are_kept_for_the_rest(tmp_path, places):
    trainer, _, after, _ = one_step(tmp_path, places, trainable=["thinker/model/layers/mlp/.*"])
    assert set(after.trainable) == {
        f"thinker/model/layers/mlp/{name}/kernel" for name in ("gate_proj", "up_proj", "down_proj")
    }
    for path, leaf in after.trainable.items():
        assert not np.array_equal(leaf, trees.flatten(trainer.omni.params)[path]), path
    sizes = [leaf.size for leaf in jax.tree.leaves(after.opt_state) if leaf.size > 1]
    assert sum(sizes) == 2 * sum(leaf.size for leaf in after.trainable.values())


def test_a_loss_that_is_not_finite_changes_nothing(tmp_path, places):
    trainer = Trainer(runs.stage(*places), tmp_path / "run")
    batch = next(trainer._loader)
    broken = batch.replace(mel=np.full_like(batch.mel, np.nan))
    function = jax.jit(step.make_train_step(trainer.stage, trainer.omni, trainer._optimizer))
    with trainer.omni.on_mesh():
        after, metrics = function(trainer._state, trainer._frozen, trainer._place(broken))
    assert not bool(metrics.is_finite)
    jax.tree.map(np.testing.assert_array_equal, after, trainer._state)


def test_a_pattern_that_matches_nothing_is_named(tmp_path, places):
    with pytest.raises(ValueError, match=r"'thinker/modle/\.\*' matches no parameter"):
        Trainer(runs.stage(*places, trainable=["thinker/modle/.*"]), tmp_path)


def test_the_moving_average_follows_and_is_evaluated(tmp_path, places):
    trainer, _, after, _ = one_step(tmp_path, places, optimizer__ema_decay=0.9)
    for path, leaf in after.average.items():
        start = trees.flatten(trainer.omni.params)[path]
        rate = min(0.9, 1 / 10)
        expected = rate * start + (1 - rate) * after.trainable[path]
        np.testing.assert_allclose(leaf, expected, rtol=1e-5, atol=1e-6)


def test_the_rate_warms_up_and_falls_to_its_share():
    rate = learning_rate(Optimizer(1e-3, warmup_steps=10, final_share=0.1), 110)
    values = [float(rate(number)) for number in (0, 5, 10, 60, 110)]
    assert values == pytest.approx([0, 5e-4, 1e-3, 5.5e-4, 1e-4], rel=1e-3)


def test_factors_slow_what_they_name_and_only_kernels_decay():
    params = {"a/kernel": jnp.ones(3), "b/kernel": jnp.ones(3), "b/bias": jnp.ones(3)}
    settings = Optimizer(
        0.1,
        warmup_steps=0,
        weight_decay=0.5,
        clip_norm=0.0,
        factors=(LearningRate("a/.*", 0.1),),
    )
    optimizer = make_optimizer(settings, 10, params)
    grads = {path: jnp.zeros(3) for path in params}
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    moved = {path: float(update[0]) for path, update in updates.items()}
    assert moved == pytest.approx({"a/kernel": -0.005, "b/kernel": -0.05, "b/bias": 0.0})
    with pytest.raises(ValueError, match=r"'a/\.\*' matches no trainable parameter"):
        make_optimizer(settings, 10, {"b/kernel": jnp.ones(3)})


def test_muon_moves_matrices_of_layers_by_orthogonal_steps_and_the_rest_by_adam():
    params = {
        "m/layers/q_proj/kernel": jnp.ones((2, 8, 16)),
        "m/conv1/kernel": jnp.ones((3, 4, 6)),
        "m/layers/q_proj/bias": jnp.ones((2, 16)),
        "m/embed/embedding": jnp.ones((5, 8)),
    }
    settings = Optimizer(1.0, "muon", warmup_steps=0, weight_decay=0.0, clip_norm=0.0)
    optimizer = make_optimizer(settings, 10, params)
    keys = jax.random.split(jax.random.key(0), len(params))
    grads = {
        p: jax.random.normal(k, v.shape) for k, (p, v) in zip(keys, params.items(), strict=True)
    }
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    for path, update in updates.items():
        if path.endswith("kernel"):
            # Singular values all near one another, against the gradient, of the size of Adam's.
            matrices = update if "layers" in path else update.reshape(1, 12, 6)
            values = jnp.linalg.svd(matrices, compute_uv=False)
            assert values.max() < 1.8 * values.min(), path
            assert 0.1 < jnp.sqrt(jnp.mean(update**2)) < 0.3, path
        else:
            sizes = np.abs(update)  # Adam with Nesterov's momentum: all alike in the first step
            np.testing.assert_allclose(sizes, sizes.max(), rtol=1e-3, err_msg=path)
        assert jnp.sum(update * grads[path]) < 0


def test_another_optimiser_is_refused():
    with pytest.raises(ValueError, match=r"optimizer\.method is 'sgd', expected adamw or muon"):
        Optimizer(1.0, "sgd")


def test_split_and_join_are_inverse():
    params = {"a": {"b": 1, "c": 2}, "d": 3}
    trainable, frozen = state.split(params, ["a/b"])
    assert (trainable, frozen) == ({"a/b": 1}, {"a/c": 2, "d": 3})
    assert state.join(trainable, frozen) == params
