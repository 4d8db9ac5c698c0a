"""Logical axis names -> mesh axes, in one table; knows meshes and arrays, not models.

A parameter or activation names its axes by meaning ("embed", "mlp", "heads" ...). Only this file
says which mesh axis carries which meaning. Mesh axes are

    data      replicas of the parameters, different examples
    fsdp      parameters split over devices, gathered layer by layer, different examples
    tensor    heads, mlp width and vocabulary split over devices, same examples
    sequence  tokens of one example split over devices
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

MESH_AXES = ("data", "fsdp", "tensor", "sequence")

LOGICAL_RULES: tuple[tuple[str, str | tuple[str, ...] | None], ...] = (
    ("batch", ("data", "fsdp")),
    ("length", "sequence"),
    ("embed", "fsdp"),
    ("vocab", "tensor"),
    ("heads", "tensor"),
    ("kv_heads", "tensor"),
    ("mlp", "tensor"),
    ("layers", None),
    ("head_dim", None),
    ("channels", None),
    ("activation_embed", None),
)


def make_mesh(
    data: int = 1,
    fsdp: int = -1,
    tensor: int = 1,
    sequence: int = 1,
    devices: Sequence[jax.Device] | None = None,
) -> Mesh:
    """Arranges devices in a (data, fsdp, tensor, sequence) mesh with Auto axes.

    Linen's logical constraints need Auto axis types; `jax.make_mesh` now defaults to Explicit.

    Args:
        data, fsdp, tensor, sequence: devices along each axis; at most one may be -1, "the rest".
        devices: defaults to all devices of all processes.

    Raises:
        ValueError: the sizes do not multiply to the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    sizes = dict(zip(MESH_AXES, (data, fsdp, tensor, sequence), strict=True))
    unknown = [name for name, size in sizes.items() if size == -1]
    known = int(np.prod([size for size in sizes.values() if size != -1]))
    if len(unknown) == 1 and len(devices) % known == 0:
        sizes[unknown[0]] = len(devices) // known
    if min(sizes.values()) < 1 or int(np.prod(list(sizes.values()))) != len(devices):
        raise ValueError(
            f"mesh sizes {sizes} must multiply to the {len(devices)} devices at hand; "
            "set one of them to -1 to let it take the rest"
        )
    shape = tuple(sizes.values())
    return jax.make_mesh(shape, MESH_AXES, axis_types=(AxisType.Auto,) * 4, devices=devices)


def constrain(x: jax.Array, *logical_axes: str | None) -> jax.Array:
    """Lays out `x` by the rules; the identity without a mesh (`jax.set_mesh`)."""
    return nn.with_logical_constraint(x, logical_axes, rules=LOGICAL_RULES)


def num_devices() -> int:
    """Of the mesh (`jax.set_mesh`); 1 without one, or where one device's part is treated."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh.size if _splits_by_itself(mesh) else 1


def spread(x: jax.Array) -> jax.Array:
    """Splits the first axis, a multiple of `num_devices`, over all of them."""
    if num_devices() == 1:
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec(MESH_AXES))


def _splits_by_itself(mesh: AbstractMesh) -> bool:
    """Whether XLA may lay out arrays over more than one device."""
    return mesh.size > 1 and all(kind == AxisType.Auto for kind in mesh.axis_types)


Axes = tuple[str | None, ...]


def on_each_device(
    function: Callable[..., jax.Array],
    arrays: Sequence[jax.Array],
    axes: Sequence[Axes],
    out_axes: Axes,
) -> jax.Array:
    """`function(*arrays)`, run by every device on its own part; for what XLA cannot split itself.

    Without a mesh (`jax.set_mesh`), or inside another such function, it is simply called.

    Args:
        function: treats the entries of a split axis independently of each other.
        arrays: its arguments.
        axes: logical names of their axes, split by the rules where every dimension of that name
            allows it; an axis of None is whole everywhere.
        out_axes: likewise of the result.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if not _splits_by_itself(mesh):
        return function(*arrays)
    sizes: dict[str, int] = {}
    for array, names in zip(arrays, axes, strict=True):
        for dim, name in zip(array.shape, names, strict=True):
            if name is not None:
                sizes[name] = int(np.gcd(sizes.get(name, 0), dim))
    names = tuple(sizes)
    entries = _divisible(
        nn.logical_to_mesh_axes(names, rules=LOGICAL_RULES), list(sizes.values()), mesh.shape
    )
    split = dict(zip(names, entries, strict=True))
    specs = [PartitionSpec(*(split.get(name) for name in each)) for each in (*axes, out_axes)]
    return jax.shard_map(
        function, in_specs=tuple(specs[:-1]), out_specs=specs[-1], check_vma=False
    )(*arrays)


def param_shardings(abstract_params: Any, mesh: Mesh) -> Any:
    """The NamedSharding of every parameter.

    A mesh axis that does not divide its dimension is dropped there (a 2-head key projection on a
    4-way tensor axis is replicated rather than refused).

    Args:
        abstract_params: boxed tree from `jax.eval_shape(module.init, ...)["params"]`: each leaf is
            a `nn.LogicallyPartitioned` (or a bare array, which is replicated).
    """

    def one(leaf: Any) -> NamedSharding:
        if not isinstance(leaf, nn.LogicallyPartitioned):
            return NamedSharding(mesh, PartitionSpec())
        spec = nn.logical_to_mesh_axes(leaf.names, rules=LOGICAL_RULES)
        return NamedSharding(mesh, _divisible(spec, leaf.value.shape, mesh.shape))

    return jax.tree.map(
        one, abstract_params, is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned)
    )


def _divisible(
    spec: PartitionSpec, shape: Sequence[int], sizes: Mapping[str, int]
) -> PartitionSpec:
    kept = []
    for dim, entry in zip(shape, spec, strict=True):
        names = entry if isinstance(entry, tuple) else (entry,) if entry else ()
        split = int(np.prod([sizes[name] for name in names], initial=1))
        kept.append(entry if dim % split == 0 else None)
    return PartitionSpec(*kept)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Leading axis split over data and fsdp, the rest replicated."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def batch_shards(mesh: Mesh | None) -> int:
    """Parts that `batch_sharding` cuts a batch into; 1 without a mesh."""
    return 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]
