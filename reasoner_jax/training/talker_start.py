"""Where a talker without weights begins: codes that sound alike are alike to it; knows no stage."""

import jax.numpy as jnp
import numpy as np

from reasoner_jax.core import params as trees
from reasoner_jax.core.axes import Float
from reasoner_jax.core.params import Params

_MAX_DIRECTIONS = 64
_EMBEDDING_SCALE = 0.5
_HEAD_SCALE = 0.08
_KEPT = 0.3
"""Of the random embedding, so that equal sounds still differ."""


def with_codebook(params: Params, centres: Float[np.ndarray, "V M"]) -> Params:
    """A talker that knows the codebook: both its tables start from the centres' main directions.

    With random tables it has to find out from examples which of a thousand codes are nearly the
    same sound. Measured on 550 responses, one run each: cross-entropy of held-out codes after 200
    steps 2.03 nats from the codebook, 2.82 from random tables.

    Args:
        params: of the talker.
        centres: of the codebook, a row a code; codes beyond it (start, end) stay as they are.

    Raises:
        ValueError: more centres than codes.
    """
    flat = trees.flatten(params)
    table = flat["model/embed_tokens/embedding"]
    head = flat["codec_head/kernel"]
    count = len(centres)
    if count > len(table):
        raise ValueError(
            f"the codebook has {count} centres, the talker {len(table)} codes; fit a smaller one"
        )
    size = min(_MAX_DIRECTIONS, count, centres.shape[1], table.shape[1], head.shape[0])
    left, lengths, _ = np.linalg.svd(centres - centres.mean(axis=0), full_matrices=False)
    places = left[:, :size] * lengths[:size]
    places = jnp.asarray(places / places.std(), table.dtype)
    table = table.at[:count].multiply(_KEPT).at[:count, :size].add(_EMBEDDING_SCALE * places)
    head = head.at[:size, :count].add((_HEAD_SCALE * places.T).astype(head.dtype))
    return trees.unflatten(
        {**flat, "model/embed_tokens/embedding": table, "codec_head/kernel": head}
    )
