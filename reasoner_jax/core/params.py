"""Parameter trees by path: naming, matching, strict comparison; knows no model, no file format."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
from flax import traverse_util

Params = dict[str, Any]


def flatten(params: Params) -> dict[str, Any]:
    """{"a": {"b": x}} -> {"a/b": x}."""
    return traverse_util.flatten_dict(params, sep="/")


def unflatten(flat: Mapping[str, Any]) -> Params:
    """{"a/b": x} -> {"a": {"b": x}}."""
    return traverse_util.unflatten_dict(dict(flat), sep="/")


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a parameter path fully matches one of the regular expressions."""
    return any(re.fullmatch(pattern, path) for pattern in patterns)


def check_same_tree(expected: Params, got: Params, source: str) -> None:
    """Compares two trees leaf by leaf.

    Args:
        expected: tree of arrays or `jax.ShapeDtypeStruct`.
        got: the tree to check.
        source: where `got` comes from, for the message.

    Raises:
        ValueError: lists every missing path, every surplus path and every path of another shape.
    """
    want, have = flatten(expected), flatten(got)
    problems = [f"missing: {path} {want[path].shape}" for path in sorted(want.keys() - have.keys())]
    problems += [
        f"unexpected: {path} {have[path].shape}" for path in sorted(have.keys() - want.keys())
    ]
    problems += [
        f"shape of {path}: expected {want[path].shape}, got {have[path].shape}"
        for path in sorted(want.keys() & have.keys())
        if want[path].shape != have[path].shape
    ]
    if problems:
        raise ValueError(f"{source} does not fit the model:\n  " + "\n  ".join(problems))


def count(params: Params) -> int:
    """Number of scalars in a tree of arrays or shape structs."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def num_bytes(params: Params) -> int:
    """Bytes held by a tree of arrays or shape structs."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))


def stack_layers(params: Params, name: str = "layers") -> Params:
    """Joins `layers_0`, `layers_1` ... at any depth into one `layers` with a leading layer axis."""
    if not isinstance(params, Mapping):
        return params
    indexed = {
        key: int(key[len(name) + 1 :]) for key in params if re.fullmatch(rf"{name}_\d+", key)
    }
    rest = {key: stack_layers(value, name) for key, value in params.items() if key not in indexed}
    if indexed:
        ordered = [params[key] for key in sorted(indexed, key=indexed.__getitem__)]
        rest[name] = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *ordered)
    return rest


def unstack_layers(params: Params, name: str = "layers") -> Params:
    """{"layers": [2, ...]} -> {"layers_0": [...], "layers_1": [...]}, undoing `stack_layers`.

    Serving wants layers apart: a scan over stacked weights copies each layer's slice before use,
    which doubles the memory traffic of a decode step.
    """
    if not isinstance(params, Mapping):
        return params
    split = {}
    for key, value in params.items():
        if key != name:
            split[key] = unstack_layers(value, name)
            continue
        depth = jax.tree.leaves(value)[0].shape[0]
        for index in range(depth):
            split[f"{name}_{index}"] = jax.tree.map(lambda leaf, i=index: leaf[i], value)
    return split


FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


def fuse_projections(params: Params) -> Params:
    """Joins projections of the same input along their output axis, at any depth; see `FUSED`.

    The audio encoder's q, k and v stay apart: its keys have no bias to join.
    """
    if not isinstance(params, Mapping):
        return params
    joined = {}
    for fused, names in FUSED.items():
        parts = [params[name] for name in names if name in params]
        if len(parts) == len(names) and len({frozenset(part) for part in parts}) == 1:
            joined[fused] = jax.tree.map(lambda *x: jax.numpy.concatenate(x, axis=-1), *parts)
    gone = {name for fused in joined for name in FUSED[fused]}
    kept = {key: fuse_projections(value) for key, value in params.items() if key not in gone}
    return kept | joined


def transpose_kernels(
    params: Params, is_out_in: Callable[[int, int], bool], tables: bool = False
) -> Params:
    """[in, out] -> [out, in] for dense layers' kernels, at any depth.

    Args:
        params: of a network.
        is_out_in: which kernels, by their sizes [in, out].
        tables: embedding tables too, [V, D] -> [D, V].
    """
    turned = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            turned[key] = transpose_kernels(value, is_out_in, tables)
        elif key == "kernel" and value.ndim == 2 and is_out_in(*value.shape):
            turned[key] = value.T
        else:
            turned[key] = value.T if key == "embedding" and tables else value
    return turned
