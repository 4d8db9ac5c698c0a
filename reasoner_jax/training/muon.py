"""Muon: momentum made orthogonal, so that a matrix moves by as much in all of its directions.

Knows parameter paths and shapes, no network. Matrices of one shape are treated together, each by
one device of the mesh: where parameters are replicated, every device would do the work of all.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); the size of
updates as in Liu et al., "Muon is Scalable for LLM Training" (2025).
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import accumulate

import jax.numpy as jnp
import optax

from reasoner_jax.core.axes import Array, Float
from reasoner_jax.core.sharding import num_devices, spread

_MOMENTUM = 0.95

# Of an update at rate 1: about what AdamW's have.
_RMS = 0.2

# a X + b (X X') X + c (X X')^2 X: as steep at zero as it can be without leaving (0, 1.2).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_NUM_ITERATIONS = 5

_EPSILON = 1e-8


def moves(path: str) -> bool:
    """Whether a parameter is for Muon: the matrices of layers and convolutions."""
    return is_convolution(path) or re.fullmatch(r".*/layers(_\d+)?/.*/kernel", path) is not None


def is_convolution(path: str) -> bool:
    """Whether a parameter is the kernel of a convolution, [taps, inputs, outputs]: one matrix."""
    return re.fullmatch(r".*/conv\d/kernel", path) is not None


def scale_by_muon() -> optax.GradientTransformation:
    """Gradients by path to updates of a root mean square near 0.2, where Muon `moves` them.

    The others must be masked (`optax.partition`).
    """

    def orthogonal(momentum: optax.Updates, _: optax.Params | None) -> optax.Updates:
        there = {path: leaf for path, leaf in momentum.items() if moves(path)}
        return {**momentum, **_orthogonal(there)}

    return optax.chain(optax.trace(_MOMENTUM, nesterov=True), optax.stateless(orthogonal))


def _orthogonal(momentum: Mapping[str, Array]) -> dict[str, Array]:
    """Every matrix as U V' of its U S V', times the size of an update."""
    matrices = {path: as_matrices(path, leaf) for path, leaf in momentum.items()}
    groups: dict[tuple[int, int], list[str]] = defaultdict(list)
    for path, leaf in sorted(matrices.items()):
        groups[min(leaf.shape[1:]), max(leaf.shape[1:])].append(path)
    updates = {}
    for (_, longer), paths in groups.items():
        stacked = jnp.concatenate([_wide(matrices[path]) for path in paths])
        done = _on_all_devices(stacked) * (_RMS * math.sqrt(longer))
        borders = list(accumulate(len(matrices[path]) for path in paths))
        parts = jnp.split(done, borders[:-1])
        for path, part in zip(paths, parts, strict=True):
            is_tall = matrices[path].shape[1:] != part.shape[1:]
            part = part.swapaxes(1, 2) if is_tall else part
            updates[path] = part.reshape(momentum[path].shape)
    return updates


def as_matrices(path: str, leaf: Array) -> Float[Array, "N I O"]:
    """Inputs by outputs; layers may be stacked."""
    shape = (1, -1) if is_convolution(path) else (-1, leaf.shape[-2])
    return leaf.reshape(*shape, leaf.shape[-1])


def _wide(matrices: Float[Array, "N I O"]) -> Float[Array, "N P Q"]:
    """The shorter side first."""
    return matrices if matrices.shape[1] <= matrices.shape[2] else matrices.swapaxes(1, 2)


def _on_all_devices(matrices: Float[Array, "N P Q"]) -> Float[Array, "N P Q"]:
    """`newton_schulz`, every device taking as many matrices."""
    padding = -len(matrices) % num_devices()
    padded = spread(jnp.pad(matrices, ((0, padding), (0, 0), (0, 0))))
    return newton_schulz(padded)[: len(matrices)]


def newton_schulz(matrices: Float[Array, "N P Q"]) -> Float[Array, "N P Q"]:
    """Matrices with the same singular vectors, and singular values of 0.7 to 1.2.

    Those below some thousandth of the largest come out smaller, and a matrix of zeros stays one.

    Args:
        matrices: P rows of Q >= P.
    """
    norms = jnp.linalg.norm(matrices, axis=(1, 2), keepdims=True)
    x = matrices / (norms + _EPSILON)
    for _ in range(_NUM_ITERATIONS):
        gram = x @ x.swapaxes(1, 2)
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x
