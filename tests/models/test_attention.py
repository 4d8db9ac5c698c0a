"""Every kernel of attention gives what the reference gives, and its gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from reasoner_jax.core.sharding import make_mesh
from reasoner_jax.models.attention import attend, reference
from reasoner_jax.models.attention_kernels import fits_cudnn, fits_splash, splash

RNG = np.random.default_rng(5)
TOLERANCE = 2e-5


def arrays(batch, length, keys, heads=6, kv_heads=2, width=8):
    shapes = [(length, heads), (keys, kv_heads), (keys, kv_heads), (length, heads)]
    return [
        jnp.asarray(RNG.normal(size=(batch, slots, number, width)), jnp.float32)
        for slots, number in shapes
    ]


def packed(*rows):
    """Segment ids of rows that hold examples of the given lengths, then padding (id 0)."""
    longest = max(map(sum, rows))
    ids = [np.repeat(np.arange(1, len(row) + 1), row) for row in rows]
    return jnp.asarray([np.pad(row, (0, longest - len(row))) for row in ids], jnp.int32)


def out_and_gradients(implementation, q, k, v, d_out, **facts):
    def run(q, k, v):
        return attend(q, k, v, implementation=implementation, **facts)

    @jax.jit
    def both(q, k, v):
        out, pull = jax.vjp(run, q, k, v)
        return out, *pull(d_out)

    return both(q, k, v)


def compare(q, k, v, d_out, **facts):
    ours = out_and_gradients("blockwise", q, k, v, d_out, **facts)
    theirs = out_and_gradients("reference", q, k, v, d_out, **facts)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 300])
@pytest.mark.parametrize("causal", [True, False])
def test_blockwise_equals_the_reference(length, causal):
    compare(*arrays(2, length, length), causal=causal)


@pytest.mark.parametrize("heads", [(1, 1), (4, 4), (9, 3)])
def test_blockwise_groups_heads_like_the_reference(heads):
    compare(*arrays(1, 140, 140, *heads), causal=True)


def test_blockwise_separates_packed_examples():
    segment_ids = packed([100, 60, 150], [310], [1, 2, 3])
    ids = (segment_ids, segment_ids)
    compare(*arrays(3, 310, 310), causal=True, segment_ids=ids)


def test_blockwise_needs_no_order_among_segments():
    segment_ids = jnp.asarray(RNG.integers(0, 3, (2, 270)), jnp.int32)
    compare(*arrays(2, 270, 270), causal=True, segment_ids=(segment_ids, segment_ids))


def test_blockwise_continues_rows_of_a_cache():
    offset = jnp.array([3, 150])
    compare(*arrays(2, 130, 290), causal=True, q_offset=offset)


def test_blockwise_sees_no_key_past_a_rows_length():
    compare(*arrays(3, 50, 200), causal=False, kv_lengths=jnp.array([1, 129, 200]))


def test_blockwise_leaves_no_trace_of_what_nobody_sees():
    q, k, v, _ = arrays(2, 260, 260)
    lengths = jnp.array([0, 40])
    d_out = jnp.zeros_like(q).at[1, :40].set(1)
    ours = out_and_gradients("blockwise", q, k, v, d_out, causal=False, kv_lengths=lengths)
    for array in ours:
        assert np.isfinite(array).all()
    for gradient in ours[1:]:
        assert not gradient[0].any()
    assert not ours[2][1, 40:].any()


def test_blockwise_rounds_bfloat16_as_the_reference_does():
    q, k, v, _ = (x.astype(jnp.bfloat16) for x in arrays(1, 200, 200))
    attended = functools.partial(attend, q, k, v, causal=True)
    ours, theirs = attended(implementation="blockwise"), attended(implementation="reference")
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        ours.astype(jnp.float32), theirs.astype(jnp.float32), atol=0.02, rtol=0.02
    )


def test_long_rows_on_a_cpu_go_blockwise():
    def loops(length):
        q, k, v, _ = arrays(1, length, length)
        return "while" in str(jax.make_jaxpr(functools.partial(attend, causal=True))(q, k, v))

    assert loops(256)
    assert not loops(255)


@pytest.mark.parametrize("batch, kv_heads", [(4, 2), (3, 2), (4, 1)])
def test_each_device_attends_to_its_own_rows_and_heads(batch, kv_heads):
    q, k, v, d_out = arrays(batch, 300, 300, 3 * kv_heads, kv_heads)
    segment_ids = packed(*[[100, 60, 140]] * batch)
    facts = {"causal": True, "segment_ids": (segment_ids, segment_ids)}
    alone = out_and_gradients("blockwise", q, k, v, d_out, **facts)
    with jax.set_mesh(make_mesh(data=2, fsdp=2, tensor=2)):
        together = out_and_gradients("blockwise", q, k, v, d_out, **facts)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_no_device_asks_another_for_rows():
    mesh = make_mesh(data=4, tensor=2, fsdp=1)
    q, k, v, _ = arrays(4, 300, 300)
    with jax.set_mesh(mesh):
        split = [
            jax.device_put(x, NamedSharding(mesh, P("data", None, "tensor"))) for x in (q, k, v)
        ]
        compiled = jax.jit(functools.partial(attend, causal=True)).lower(*split).compile()
    assert "all-gather" not in compiled.as_text()


SPLASH_FACTS = [
    {"causal": True, "segment_ids": "packed"},
    {"causal": False, "kv_lengths": jnp.array([140])},
]


@pytest.mark.parametrize("facts", SPLASH_FACTS, ids=["packed", "padded"])
def test_splash_equals_the_reference(facts):
    facts = {"q_offset": None, "segment_ids": None, "kv_lengths": None, **facts}
    if facts["segment_ids"]:
        facts["segment_ids"] = (packed([60, 70, 10]),) * 2
    q, k, v, d_out = arrays(1, 140, 140, width=64)

    def both(kernel):
        out, pull = jax.vjp(functools.partial(kernel, **facts), q, k, v)
        return out, *pull(d_out)

    interpreted = both(functools.partial(splash, interpret=True))
    for one, other in zip(interpreted, both(reference), strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def test_splash_lowers_for_a_tpu_with_its_gradient():
    q, k, v, _ = (x.astype(jnp.bfloat16) for x in arrays(2, 256, 256, width=128))
    ids = packed([100, 156], [256])

    def gradients(q, k, v):
        run = functools.partial(
            attend, causal=True, segment_ids=(ids, ids), implementation="splash"
        )
        return jax.vjp(run, q, k, v)[1](q)

    lowered = jax.jit(gradients).trace(q, k, v).lower(lowering_platforms=("tpu",))
    assert lowered.as_text().count("tpu_custom_call") >= 3


def test_splash_has_no_moving_offset():
    q, k, v, _ = arrays(1, 128, 128, width=128)
    with pytest.raises(ValueError, match="expected None"):
        attend(q, k, v, causal=True, q_offset=jnp.array([1]), implementation="splash")
    assert fits_splash(q, None)
    assert not fits_splash(q, jnp.array([1]))
    assert not fits_splash(q[:, :1], None)


def test_without_cuda_no_array_is_for_cudnn():
    q, k, _, _ = (x.astype(jnp.bfloat16) for x in arrays(1, 128, 128, width=128))
    assert fits_cudnn(q, k) == ("cuda" in jax.devices()[0].client.platform_version)


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN needs an NVIDIA GPU")
@pytest.mark.parametrize("segments", [None, [[60, 68], [128]]])
def test_cudnn_equals_the_reference(segments):
    q, k, v, _ = (x.astype(jnp.bfloat16) for x in arrays(2, 128, 128, width=64))
    ids = None if segments is None else (packed(*segments),) * 2
    attended = functools.partial(attend, q, k, v, causal=True, segment_ids=ids)
    ours, theirs = attended(implementation="cudnn"), attended(implementation="reference")
    np.testing.assert_allclose(
        ours.astype(jnp.float32), theirs.astype(jnp.float32), atol=0.03, rtol=0.03
    )
