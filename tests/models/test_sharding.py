"""Eight simulated devices compute what one does, and every parameter knows its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import PartitionSpec

from reasoner_jax.core.sharding import make_mesh, param_shardings
from reasoner_jax.models.config import Compute
from reasoner_jax.models.omni import Omni, abstract_params
from reasoner_jax.models.presets import PRESETS
from tests.models.networks import AUDIO_ID, omni_config

MESHES = [dict(data=2, fsdp=2, tensor=2), dict(fsdp=2, tensor=2, sequence=2)]


def inputs():
    rng = np.random.default_rng(5)
    tokens = rng.integers(0, 40, (8, 16))
    tokens[:, 2:13] = AUDIO_ID
    return tokens, rng.normal(size=(8, 44, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def alone():
    return Omni.create(omni_config(), Compute(remat="dots"), seed=4)


@pytest.fixture(scope="module", params=MESHES, ids=str)
def spread(request):
    return Omni.create(
        omni_config(), Compute(remat="dots"), seed=4, mesh=make_mesh(**request.param)
    )


def gradients(omni):
    tokens = jnp.asarray(inputs()[0])

    def loss(params):
        logits = omni.thinker.apply({"params": params}, tokens, method="full_logits")
        return jnp.mean(jax.nn.log_softmax(logits)[..., 0])

    with omni.on_mesh():
        return jax.jit(jax.grad(loss))(omni.params["thinker"])


def assert_trees_close(one, many, relative):
    """Compares leaf by leaf, with a tolerance relative to the leaf's largest value."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, atol=relative * float(np.abs(a).max()))


def test_a_mesh_of_eight_starts_from_the_same_parameters(alone, spread):
    assert_trees_close(alone.params, spread.params, relative=1e-6)


def test_a_mesh_of_eight_computes_what_one_device_does(alone, spread):
    np.testing.assert_allclose(alone.logits(*inputs()), spread.logits(*inputs()), atol=1e-5)


def test_gradients_on_a_mesh_equal_those_of_one_device(alone, spread):
    assert_trees_close(gradients(alone), gradients(spread), relative=2e-6)


def test_kernels_are_split_over_fsdp_and_tensor():
    mesh = make_mesh(data=2, fsdp=2, tensor=2)
    omni = Omni.create(omni_config(), seed=0, mesh=mesh)
    layer = omni.params["thinker"]["model"]["layers"]
    assert layer["mlp"]["up_proj"]["kernel"].sharding.spec == PartitionSpec(None, "fsdp", "tensor")
    assert layer["mlp"]["down_proj"]["kernel"].sharding.spec == PartitionSpec(
        None, "tensor", "fsdp"
    )
    assert omni.params["thinker"]["lm_head"]["kernel"].sharding.spec == PartitionSpec(
        "fsdp", "tensor"
    )


def test_an_axis_that_does_not_divide_is_replicated():
    boxed = {
        "w": nn.LogicallyPartitioned(jax.ShapeDtypeStruct((3, 8), jnp.float32), ("mlp", "embed"))
    }
    sharding = param_shardings(boxed, make_mesh(fsdp=4, tensor=2))
    assert sharding["w"].spec == PartitionSpec(None, "fsdp")


def test_a_mesh_that_does_not_fit_the_devices_is_refused():
    with pytest.raises(ValueError, match="must multiply to the 8 devices"):
        make_mesh(data=3, fsdp=1)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "7b" else ()) for n in PRESETS]
)
@pytest.mark.parametrize("scan", [True, False])
def test_every_parameter_of_every_preset_names_its_axes(name, scan):
    params = abstract_params(PRESETS[name], Compute(scan_layers=scan))
    leaves = jax.tree.leaves(params, is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned))
    for leaf in leaves:
        assert isinstance(leaf, nn.LogicallyPartitioned), leaf
        assert len(leaf.names) == leaf.value.ndim
