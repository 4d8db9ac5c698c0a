"""A talker that starts from its codec's codebook."""

import jax
import numpy as np
import pytest

from reasoner_jax.models.omni import Omni
from reasoner_jax.training.talker_start import with_codebook
from tests.models.networks import omni_config

CENTRES = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
CENTRES[7] = CENTRES[3] + 0.01


def test_codes_that_sound_alike_start_alike():
    before = Omni.create(omni_config()).params["talker"]
    after = with_codebook(before, CENTRES)
    table = np.asarray(after["model"]["embed_tokens"]["embedding"])[:20]
    head = np.asarray(after["codec_head"]["kernel"] - before["codec_head"]["kernel"]).T[:20]
    for vectors in (table, head):
        distances = np.linalg.norm(vectors - vectors[3], axis=1)
        assert np.argsort(distances)[:2].tolist() == [3, 7]


def test_special_codes_and_all_else_stay_as_they_are():
    before = Omni.create(omni_config()).params["talker"]
    after = with_codebook(before, CENTRES)
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), before, after)
    assert sum(jax.tree.leaves(changed)) == 2
    tables = (tree["model"]["embed_tokens"]["embedding"] for tree in (before, after))
    np.testing.assert_array_equal(*(table[20:] for table in tables))


def test_a_codebook_that_is_too_large_is_refused():
    params = Omni.create(omni_config()).params["talker"]
    with pytest.raises(ValueError, match="the codebook has 40 centres, the talker 32 codes"):
        with_codebook(params, np.zeros((40, 4), np.float32))
