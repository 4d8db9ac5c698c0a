"""What changes while training, and where it lies on the mesh; knows no data and no loss."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from reasoner_jax.core import params as trees
from reasoner_jax.core.axes import Array, Int
from reasoner_jax.core.params import Params

Flat = dict[str, Array]


@flax.struct.dataclass
class TrainState:
    """One step's result and the next one's input. The frozen parameters are no part of it.

    Attributes:
        step: optimiser steps taken.
        trainable: the parameters that are trained, by path.
        opt_state: of the optimiser, for those alone.
        average: their moving average; None without one.
    """

    step: Int[Array, ""]
    trainable: Flat
    opt_state: Any
    average: Flat | None = None


def split(params: Params, patterns: Sequence[str]) -> tuple[Flat, Flat]:
    """Trainable and frozen parameters, by path.

    Raises:
        ValueError: a pattern that matches nothing.
    """
    flat = trees.flatten(params)
    for pattern in patterns:
        if not any(re.fullmatch(pattern, path) for path in flat):
            parts = sorted({"/".join(path.split("/")[:2]) for path in flat})
            raise ValueError(
                f"trainable: {pattern!r} matches no parameter; a pattern must match a whole path, "
                f"such as 'thinker/model/.*'; the network has {', '.join(parts)}"
            )
    trainable = {path: leaf for path, leaf in flat.items() if trees.matches(path, patterns)}
    return trainable, {path: leaf for path, leaf in flat.items() if path not in trainable}


def join(trainable: Mapping[str, Any], frozen: Mapping[str, Any]) -> Params:
    """Undoes `split`."""
    return trees.unflatten({**frozen, **trainable})


def create(trainable: Flat, optimizer: optax.GradientTransformation, averages: bool) -> TrainState:
    """The state before the first step; its arrays lie where the parameters lie.

    The parameters are copied: a step gives its buffers away, and the caller's must survive.
    """
    shardings = _shardings(trainable, optimizer, averages)

    def first(trainable: Flat) -> TrainState:
        copied = jax.tree.map(jnp.copy, trainable)
        average = jax.tree.map(jnp.copy, trainable) if averages else None
        return TrainState(jnp.zeros((), jnp.int32), copied, optimizer.init(trainable), average)

    return jax.jit(first, out_shardings=shardings)(trainable)


def abstract(
    trainable: Mapping[str, jax.ShapeDtypeStruct],
    optimizer: optax.GradientTransformation,
    averages: bool,
) -> TrainState:
    """Shapes and shardings of `create`, without arrays."""
    shapes = jax.eval_shape(
        lambda t: TrainState(
            jnp.zeros((), jnp.int32), t, optimizer.init(t), dict(t) if averages else None
        ),
        dict(trainable),
    )
    shardings = _shardings(trainable, optimizer, averages)
    if shardings is None:
        return shapes
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
        shardings,
    )


def _shardings(
    trainable: Mapping[str, Any], optimizer: optax.GradientTransformation, averages: bool
) -> TrainState | None:
    """Of every leaf of the state: moments lie beside their parameters, counters everywhere."""
    of_params = {path: leaf.sharding for path, leaf in trainable.items()}
    mesh = _mesh(of_params)
    if mesh is None:
        return None
    everywhere = NamedSharding(mesh, PartitionSpec())
    shapes = {path: leaf.shape for path, leaf in trainable.items()}

    def of_leaf(keys: tuple, leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        names = [getattr(key, "key", None) for key in keys]
        found = [name for name in names if shapes.get(name) == leaf.shape]
        return of_params[found[0]] if found else everywhere

    of_state = jax.tree_util.tree_map_with_path(
        of_leaf, jax.eval_shape(optimizer.init, dict(trainable))
    )
    return TrainState(everywhere, of_params, of_state, of_params if averages else None)


def _mesh(shardings: Mapping[str, Any]) -> Mesh | None:
    """Of parameters on several devices; None for one device."""
    first = next(iter(shardings.values()), None)
    return first.mesh if isinstance(first, NamedSharding) else None
