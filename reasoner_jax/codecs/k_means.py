"""Vectors to their nearest centre, and centres to vectors; knows no sound."""

import numpy as np

from reasoner_jax.core.axes import Float, Int

_BLOCK_VECTORS = 2048


def nearest(
    vectors: Float[np.ndarray, "T M"], centres: Float[np.ndarray, "V M"]
) -> tuple[Int[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """The closest centre of each vector, and the squared distance to it."""
    lengths = (centres**2).sum(axis=1)
    indices = np.empty(len(vectors), np.int32)
    distances = np.empty(len(vectors), np.float32)
    for begin in range(0, len(vectors), _BLOCK_VECTORS):
        block = vectors[begin : begin + _BLOCK_VECTORS]
        scores = lengths - 2 * block @ centres.T
        best = scores.argmin(axis=1)
        here = slice(begin, begin + len(block))
        indices[here] = best
        distances[here] = scores[np.arange(len(block)), best] + (block**2).sum(axis=1)
    return indices, np.maximum(distances, 0)


def fit_centres(
    vectors: Float[np.ndarray, "T M"], num_centres: int, *, num_iterations: int = 15, seed: int = 0
) -> Float[np.ndarray, "V M"]:
    """Lloyd's algorithm from randomly drawn vectors; the same centres every time.

    A centre that loses all its vectors moves to the vector farthest from any centre.

    Args:
        vectors: to be represented; at least `num_centres` different ones.
        num_centres: V.
        num_iterations: of assigning and averaging; distances settle in about 15.
        seed: of the draw.

    Raises:
        ValueError: fewer different vectors than centres.
    """
    different = np.unique(vectors, axis=0)
    if len(different) < num_centres:
        raise ValueError(
            f"{len(vectors)} vectors hold {len(different)} different ones, expected at least "
            f"num_centres {num_centres}; bring more speech, or ask for fewer centres"
        )
    rng = np.random.default_rng(seed)
    centres = different[rng.choice(len(different), num_centres, replace=False)]
    for _ in range(num_iterations):
        indices, distances = nearest(vectors, centres)
        counts = np.bincount(indices, minlength=num_centres)
        order = np.argsort(indices, kind="stable")
        starts = np.searchsorted(indices[order], np.arange(num_centres))
        used = counts > 0
        sums = np.add.reduceat(vectors[order], starts[used], axis=0, dtype=np.float64)
        centres = centres.copy()
        centres[used] = sums / counts[used, None]
        farthest = np.argsort(-distances, kind="stable")[: (~used).sum()]
        centres[~used] = vectors[farthest]
    return centres
