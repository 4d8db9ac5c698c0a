"""A small network that speaks as a released one does: it reads the prompt, and draws its codes."""

import dataclasses
import functools

import jax
import numpy as np

from reasoner_jax.models.omni import Omni
from reasoner_jax.weights.voices import Voice
from tests.data.problems import TOKENIZER
from tests.models.networks import lively
from tests.training import runs

SPEAKER = Voice(1, np.zeros(8, np.float32), np.zeros((4, 80), np.float32))


@functools.cache
def speaker(ends: float = 2.0) -> Omni:
    """Random weights; `ends` scales the end's score, 0 for one that never ends if it is greedy."""
    config = runs.config()
    talker = dataclasses.replace(config.talker, reads_prompt=True, text_feed=None)
    config = dataclasses.replace(config, talker=talker)
    network = Omni.create(config, tokenizer=TOKENIZER, voices={"Ann": SPEAKER})
    params = jax.tree.map(np.array, lively(network.params))
    head = params["talker"]["codec_head"]["kernel"]
    head[:, talker.codec_end_token_id] *= ends
    if not ends:
        # A score of zero is less than the best of forty random ones.
        head[:, talker.codec_pad_token_id] = 0
    return dataclasses.replace(network, params=params)
