"""What must not change the thinker's answer: padding, packing, layer layout, chunking."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import meta

from reasoner_jax.core.params import check_same_tree, stack_layers, unstack_layers
from reasoner_jax.models.audio_encoder import num_chunk_tokens, split_chunks
from reasoner_jax.models.config import Compute
from reasoner_jax.models.omni import Omni, abstract_params
from reasoner_jax.models.rope import rotary
from reasoner_jax.models.thinker import Thinker, place_audio
from tests.models.networks import AUDIO_ID, omni_config, thinker

RNG = np.random.default_rng(3)
TOLERANCE = 5e-6


def speech(frames):
    return RNG.normal(size=(frames, 8)).astype(np.float32)


def prompt(frames, before=2, after=3):
    number = int(num_chunk_tokens(frames))
    text = RNG.integers(0, 40, before + after)
    return np.concatenate([text[:before], np.full(number, AUDIO_ID), text[before:]])


@pytest.fixture(scope="module")
def omni():
    _, params = thinker(Compute())
    return Omni(omni_config(), Compute(), {"thinker": params})


def encoder(omni):
    """The jitted audio encoder of a network."""
    apply = jax.jit(functools.partial(omni.thinker.apply, method="encode_audio"))
    return functools.partial(apply, {"params": omni.params["thinker"]})


def test_audio_lands_on_its_placeholders():
    embeddings = jnp.zeros((1, 4, 1))
    placeholder = jnp.array([[False, True, True, False]])
    audio = jnp.array([[[1.0], [2.0], [3.0]]])
    valid = jnp.array([[True, False, True]])
    placed = place_audio(embeddings, placeholder, audio, valid)
    assert placed[0, :, 0].tolist() == [0, 1, 3, 0]


def test_split_chunks_counts_the_frames_of_each_chunk():
    mel = jnp.arange(6.0).reshape(1, 6, 1)
    chunks, frames = split_chunks(mel, jnp.array([6]), 4)
    assert chunks[0, :, :, 0].tolist() == [[0, 1, 2, 3], [4, 5, 0, 0]]
    assert frames.tolist() == [[4, 2]]


@pytest.mark.parametrize("frames", [1, 2, 3, 199, 200, 201, 473])
def test_chunk_by_chunk_audio_equals_the_whole(omni, frames):
    encode = encoder(omni)
    mel = speech(frames)
    chunks, lengths = split_chunks(jnp.asarray(mel[None]), jnp.array([frames]), 200)
    whole, valid = encode(chunks, lengths)
    pieces = []
    for start in range(0, frames, 200):
        piece = mel[None, start : start + 200]
        chunk, length = split_chunks(jnp.asarray(piece), jnp.array([piece.shape[1]]), 200)
        audio, ok = encode(chunk, length)
        pieces.append(audio[ok])
    np.testing.assert_allclose(whole[valid], np.concatenate(pieces), atol=TOLERANCE)
    assert int(valid.sum()) == int(num_chunk_tokens(frames))


def test_a_later_chunk_never_changes_an_earlier_one(omni):
    encode = encoder(omni)
    mel = np.stack([speech(400)] * 2)
    mel[1, 200:] = 9.0
    chunks, lengths = split_chunks(jnp.asarray(mel), jnp.array([400, 400]), 200)
    audio, _ = encode(chunks, lengths)
    np.testing.assert_array_equal(audio[0, :50], audio[1, :50])
    assert np.abs(audio[0, 50:] - audio[1, 50:]).max() > 1e-3


def test_what_lies_after_the_last_frame_is_never_heard(omni):
    encode = encoder(omni)
    mel = np.stack([speech(200)] * 2)[:, None]
    mel[1, :, 77:] = np.nan
    audio, valid = encode(jnp.asarray(mel), jnp.array([[77], [77]]))
    np.testing.assert_array_equal(audio[0][valid[0]], audio[1][valid[1]])
    assert np.isfinite(audio).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_equal_rows_alone(omni, side):
    lengths = [473, 201]
    mels = [speech(n) for n in lengths]
    rows = [prompt(n) for n in lengths]
    width = max(map(len, rows))
    tokens, mask = np.zeros((2, width), int), np.zeros((2, width), int)
    mel = np.full((2, 480, 8), np.nan, np.float32)
    for i, row in enumerate(rows):
        at = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        tokens[i, at], mask[i, at] = row, 1
        mel[i, : lengths[i]] = mels[i]
    together = omni.logits(tokens, mel, np.array(lengths), mask)
    for i, row in enumerate(rows):
        alone = omni.logits(row[None], mels[i][None])
        np.testing.assert_allclose(together[i][mask[i] == 1], alone[0], atol=TOLERANCE)


def test_packed_rows_equal_separate_rows(omni):
    lengths = [201, 90]
    mels = [speech(n) for n in lengths]
    rows = [prompt(n) for n in lengths]
    tokens = np.concatenate([*rows, [0, 0]])[None]
    segments = np.concatenate([np.full(len(row), i + 1) for i, row in enumerate(rows)] + [[0, 0]])
    positions = np.concatenate([np.arange(len(row)) for row in rows] + [[0, 0]])
    chunks, frames = zip(
        *(split_chunks(jnp.asarray(m[None]), jnp.array([len(m)]), 200) for m in mels), strict=True
    )
    packed = jax.jit(functools.partial(omni.thinker.apply, method="full_logits"))(
        {"params": omni.params["thinker"]},
        jnp.asarray(tokens),
        mel=jnp.concatenate(chunks, axis=1),
        frames=jnp.concatenate(frames, axis=1),
        positions=jnp.asarray(positions[None]),
        segment_ids=jnp.asarray(segments[None]),
    )[0]
    for i, row in enumerate(rows):
        alone = omni.logits(row[None], mels[i][None])[0]
        np.testing.assert_allclose(packed[segments == i + 1], alone, atol=TOLERANCE)


def test_a_row_without_audio_may_sit_beside_one_with(omni):
    text = RNG.integers(0, 40, 30)
    spoken = np.concatenate([prompt(90), np.zeros(30, int)])[:30]
    tokens = np.stack([text, spoken])
    mel = np.stack([np.zeros((90, 8), np.float32), speech(90)])
    together = omni.logits(tokens, mel, np.array([0, 90]))
    np.testing.assert_allclose(together[0], omni.logits(text[None])[0], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("platform", "batch_size", "kernels_for"),
    [("cpu", 1, "cpu"), ("cpu", 8, "any"), ("gpu", 8, "gpu"), ("tpu", 1, "any")],
)
def test_the_layout_for_serving_changes_no_value(omni, platform, batch_size, kernels_for):
    tokens, mel = prompt(90)[None], speech(90)[None]
    serving = omni.for_serving(platform, batch_size)
    assert not serving.compute.scan_layers and serving.compute.fuse_projections
    assert serving.compute.kernels_for == kernels_for
    np.testing.assert_allclose(omni.logits(tokens, mel), serving.logits(tokens, mel), atol=5e-6)
    shapes = meta.unbox(abstract_params(omni.config, serving.compute))
    check_same_tree({"thinker": shapes["thinker"]}, serving.params, "for_serving")


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_few_vectors_are_multiplied_as_many_are(omni, platform, count):
    """What a CPU and a GPU do with one or two vectors, and with more."""
    tokens = RNG.integers(0, 40, (1, count))
    served = omni.for_serving(platform).logits(tokens)
    np.testing.assert_allclose(served, omni.logits(tokens), atol=5e-6)


def test_unstacked_layers_stack_again(omni):
    restacked = stack_layers(unstack_layers(omni.params))
    np.testing.assert_array_equal(
        restacked["thinker"]["model"]["layers"]["mlp"]["up_proj"]["kernel"],
        omni.params["thinker"]["model"]["layers"]["mlp"]["up_proj"]["kernel"],
    )


@pytest.mark.parametrize("remat", ["dots", "full"])
@pytest.mark.parametrize("scan", [True, False])
def test_rematerialisation_changes_no_value(omni, remat, scan):
    compute = Compute(remat=remat, scan_layers=scan)
    params = omni.params["thinker"] if scan else unstack_layers(omni.params["thinker"])
    tokens = RNG.integers(0, 40, (1, 7))
    module = Thinker(omni.config.thinker, compute)
    other = jax.jit(functools.partial(module.apply, method="full_logits"))(
        {"params": params}, jnp.asarray(tokens)
    )
    np.testing.assert_allclose(other, omni.logits(tokens), atol=TOLERANCE)


def test_bfloat16_activations_stay_close_and_logits_are_float32(omni):
    tokens = RNG.integers(0, 40, (2, 9))
    narrow = dataclasses.replace(omni, compute=Compute(dtype="bfloat16"))
    logits, exact = narrow.logits(tokens), omni.logits(tokens)
    assert logits.dtype == jnp.float32
    assert np.abs(logits - exact).max() < 0.05 * np.abs(exact).max()


def test_bfloat16_weights_lose_what_rounding_them_loses_and_no_more(omni):
    tokens = RNG.integers(0, 40, (2, 9))
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), omni.params)
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), narrow)
    stored = dataclasses.replace(omni, params=narrow, compute=Compute(param_dtype="bfloat16"))
    exact = dataclasses.replace(omni, params=rounded).logits(tokens)
    np.testing.assert_allclose(stored.logits(tokens), exact, atol=1e-4)


def test_equal_positions_on_three_axes_are_ordinary_rope():
    decoder = omni_config().thinker.decoder
    positions = jnp.asarray(RNG.integers(0, 500, (2, 5)))
    for plain, threefold in zip(
        rotary(positions, decoder), rotary(jnp.stack([positions] * 3), decoder), strict=True
    ):
        np.testing.assert_array_equal(plain, threefold)


def test_each_axis_of_tmrope_turns_its_own_frequencies():
    decoder = omni_config().thinker.decoder
    still = jnp.zeros((3, 1, 1), jnp.int32)
    for axis, columns in enumerate([range(2), range(2, 5), range(5, 8)]):
        _, sines = rotary(still.at[axis].set(1), decoder)
        assert np.flatnonzero(sines[0, 0]).tolist() == list(columns)


class TestBadInput:
    def test_placeholders_that_do_not_match_the_audio(self, omni):
        with pytest.raises(ValueError, match=r"\[49\] audio placeholders.*makes \[50\]"):
            omni.logits(prompt(200)[None, 1:][:, 2:], speech(200)[None])

    def test_placeholders_without_audio(self, omni):
        with pytest.raises(ValueError, match="mel is None"):
            omni.logits(prompt(200)[None])

    def test_features_in_the_layout_of_transformers(self, omni):
        with pytest.raises(ValueError, match=r"transpose\(0, 2, 1\)"):
            omni.logits(prompt(200)[None], speech(200).T[None])

    def test_lengths_beyond_the_features(self, omni):
        with pytest.raises(ValueError, match="mel_lengths"):
            omni.logits(prompt(200)[None], speech(200)[None], np.array([201]))

    def test_features_that_are_not_finite(self, omni):
        mel = speech(200)[None]
        mel[0, 3, 2] = np.nan
        with pytest.raises(ValueError, match=r"rows \[0\] holds NaN"):
            omni.logits(prompt(200)[None], mel)

    def test_token_ids_outside_the_vocabulary(self, omni):
        with pytest.raises(ValueError, match="48 rows"):
            omni.logits(np.array([[48]]))

    @pytest.mark.parametrize("tokens", [np.zeros((0, 3), int), np.zeros(3, int), np.zeros((1, 3))])
    def test_tokens_of_the_wrong_shape_or_type(self, omni, tokens):
        with pytest.raises(ValueError, match="tokens must be integers"):
            omni.logits(tokens)

    def test_a_mask_of_another_shape(self, omni):
        with pytest.raises(ValueError, match="attention_mask"):
            omni.logits(np.zeros((1, 3), int), attention_mask=np.ones((1, 4)))

    def test_a_network_without_a_talker(self):
        config = dataclasses.replace(omni_config(), talker=None)
        with pytest.raises(ValueError, match="no talker"):
            _ = Omni(config, Compute(), {}).talker
