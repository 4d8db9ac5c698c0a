"""A network that spells what it hears: words in the decoder's own vectors, and nothing else yet."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import meta

from reasoner_jax.models.config import Compute
from reasoner_jax.models.thinker import Thinker
from tests.models.networks import omni_config

CONFIG = dataclasses.replace(omni_config().thinker, blank_token_id=5)
MEL = jax.random.normal(jax.random.key(0), (1, 1, 200, 8))
FRAMES = jnp.array([[100]])


def new(config=CONFIG):
    module = Thinker(config, Compute())
    tokens = jnp.zeros((1, 4), jnp.int32)
    variables = module.init(jax.random.key(1), tokens, mel=MEL, frames=FRAMES, method="full_logits")
    return module, meta.unbox(variables["params"])


def hear(module, params, mel=MEL, frames=FRAMES):
    return module.apply({"params": params}, mel, frames, method="hear")


def test_a_new_network_hears_what_it_spells_and_nothing_else():
    module, params = new()
    audio, valid, spelling = hear(module, params)
    table = params["model"]["embed_tokens"]["embedding"]
    expected = jax.nn.softmax(spelling) @ table
    np.testing.assert_allclose(audio, expected, rtol=1e-5, atol=1e-6)
    assert valid.sum() == 25 and spelling.shape == (1, 50, CONFIG.vocab_size)


def test_an_encoder_that_halves_early_gives_as_many_tokens_and_hears_no_padding():
    audio_config = dataclasses.replace(CONFIG.audio, halves_early=True)
    module, params = new(dataclasses.replace(CONFIG, audio=audio_config))
    for frames in (100, 99, 97, 3, 1):
        lengths = jnp.array([[frames]])
        _, valid, spelling = hear(module, params, MEL, lengths)
        _, _, other = hear(module, params, MEL.at[:, :, frames:].set(9.0), lengths)
        assert valid.shape == (1, 50) and valid.sum() == (frames + 1) // 2 // 2
        np.testing.assert_allclose(spelling[valid], other[valid], atol=1e-5)


def test_a_word_spelled_with_certainty_is_that_words_vector():
    module, params = new()
    params["ctc_head"]["bias"] = params["ctc_head"]["bias"].at[7].set(1e4)
    audio, _, _ = hear(module, params)
    table = params["model"]["embed_tokens"]["embedding"]
    np.testing.assert_allclose(audio[0, 0], table[7], rtol=1e-5)


def test_without_a_blank_nothing_is_spelled_and_the_adapter_speaks():
    module, params = new(dataclasses.replace(CONFIG, blank_token_id=None))
    audio, _, spelling = hear(module, params)
    assert spelling is None and "ctc_head" not in params
    assert np.abs(audio).max() > 0.01
