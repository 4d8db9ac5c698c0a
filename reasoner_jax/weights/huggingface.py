"""Reads a Hugging Face directory of Qwen2.5-Omni straight into (sharded) device arrays.

Knows the directory's layout; sizes are `config_json`'s business, names and axes are `tables`'.
Reading is strict: whatever does not fit is listed before the first value is read.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import meta
from jax.sharding import Sharding, SingleDeviceSharding
from jax.typing import DTypeLike

from reasoner_jax.core import bucket
from reasoner_jax.core import params as trees
from reasoner_jax.core.params import Params
from reasoner_jax.weights import tables
from reasoner_jax.weights.config_json import parse
from reasoner_jax.weights.manifest import TEXT_FILES, Manifest
from reasoner_jax.weights.safetensors_file import StoredTensor, list_tensors
from reasoner_jax.weights.voices import read_voices

LM_HEAD = "thinker.lm_head.weight"
SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
VOICES_FILE = "spk_dict.pt"

Index = tuple[slice, ...]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ("*.safetensors", INDEX_FILE, "config.json", VOICES_FILE, *TEXT_FILES)


def resolve(path_or_hub_id: str | Path) -> Path:
    """The directory of a path, or of a hub id such as "Qwen/Qwen2.5-Omni-3B".

    A hub id is downloaded, or found in the cache of `huggingface_hub`; a path that exists wins. One
    in a bucket (`gs://`) stays there.

    Raises:
        FileNotFoundError: neither a directory nor a hub id.
        ImportError: a bucket's directory, and gcsfs is not installed.
        ConnectionError: the bucket or the hub cannot be reached, or the hub does not have the
            repository.
    """
    path = bucket.as_path(path_or_hub_id).expanduser()
    with bucket.reached(path):
        path = bucket.followed(path)
        if path.is_dir():
            return path
    if path.exists():
        raise FileNotFoundError(f"{path} is a file, expected the directory of a checkpoint")
    if not _HUB_ID.fullmatch(str(path_or_hub_id)):
        raise FileNotFoundError(
            f"{path} does not exist; give the directory of a checkpoint, or a hub id such as "
            "Qwen/Qwen2.5-Omni-3B"
        )
    return _download(str(path_or_hub_id))


def _download(hub_id: str) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=list(_HUB_FILES)))
    except Exception as error:  # the hub's client raises those of three HTTP libraries
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConnectionError(
            f"{hub_id} is no directory here, and the Hugging Face hub did not deliver it: "
            f"{reason}; download the checkpoint where the hub can be reached, give its directory"
        ) from error


def find_tensors(directory: Path) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint, from one file or from the shards its index names.

    Raises:
        ValueError: no safetensors, or shards that are missing, truncated or not as the index says.
    """
    if (directory / SINGLE_FILE).is_file():
        return list_tensors(directory / SINGLE_FILE)
    index = directory / INDEX_FILE
    if not index.is_file():
        found = sorted(path.name for path in directory.iterdir())[:10] if directory.is_dir() else []
        raise ValueError(
            f"{directory} has neither {SINGLE_FILE} nor {INDEX_FILE} (it holds {found}); give a "
            "Hugging Face directory with safetensors weights"
        )
    files = _read_json(index).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise ValueError(f"{index} has no weight_map of tensor names to files; download it again")
    shards = {name: list_tensors(directory / name) for name in sorted(set(files.values()))}
    tensors = {name: tensor for shard in shards.values() for name, tensor in shard.items()}
    problems = [
        f"{name}: {file} does not hold it, as {INDEX_FILE} says"
        for name, file in files.items()
        if name not in shards[file]
    ]
    problems += [
        f"{name}: {tensor.file.name} holds it, {INDEX_FILE} does not name it"
        for name, tensor in tensors.items()
        if name not in files
    ]
    if problems:
        raise ValueError(
            f"the shards of {directory} are not those of its index; download it again:\n  "
            + "\n  ".join(problems)
        )
    return tensors


def read_manifest(directory: Path) -> Manifest:
    """Sizes, tokenizer, voices and carried tensors of a checkpoint.

    Raises:
        ValueError: a file is missing, broken or contradicts another; see `config_json.parse`,
            `find_tensors` and `read_voices`.
    """
    file = directory / "config.json"
    if not file.is_file():
        raise ValueError(f"{file} is missing; give a Hugging Face directory of Qwen2.5-Omni")
    raw, tensors = _read_json(file), find_tensors(directory)
    try:
        config = parse(raw, LM_HEAD in tensors)
    except ValueError as error:
        raise ValueError(f"{directory}: {error}") from error
    voices = directory / VOICES_FILE
    return Manifest(
        config,
        original_config=raw,
        text_files=directory,
        voices=read_voices(voices) if config.talker is not None and voices.is_file() else {},
        carried={name: tensors[name] for name in tensors if tables.is_carried(name)},
    )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        plain = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}; download it again") from error
    if not isinstance(plain, dict):
        raise ValueError(f"{file} holds a {type(plain).__name__}, expected an object")
    return plain


def read_checkpoint(
    directory: Path,
    expected: Params,
    shardings: Any = None,
    dtype: DTypeLike | Literal["stored"] | None = None,
    on_leaf: Callable[[str, int], None] = lambda path, size: None,
) -> Params:
    """The parameters of a checkpoint, on their devices.

    One parameter after the other is read, cast and transposed, of a sharded one only the slices
    that this process needs; so the host holds one parameter (stacked layers are one) beside those
    already on the devices.

    Args:
        directory: see `find_tensors`.
        expected: `models.omni.abstract_params`, boxed or not; its layers stacked or apart, and so
            are those of the result.
        shardings: tree of shardings like `expected` (`core.sharding.param_shardings`); without,
            everything is put on the first device.
        dtype: of the result; None for that of `expected`, "stored" for that of the checkpoint.
        on_leaf: told path and bytes of every parameter read.

    Raises:
        ValueError: lists every tensor without a parameter, every parameter without its tensors,
            every wrong shape and every tensor that is no float.
    """
    leaves = trees.flatten(meta.unbox(expected))
    sources = {path: tables.source_of(path, leaf.shape) for path, leaf in leaves.items()}
    tensors = find_tensors(directory)
    _check_fit(directory, tensors, leaves, sources)
    device = SingleDeviceSharding(jax.local_devices()[0])
    layout = dict.fromkeys(leaves, device) if shardings is None else trees.flatten(shardings)
    read = {}
    for path, leaf in leaves.items():
        source = sources[path]
        stored = [tensors[name] for name in source.names]
        target = _target_dtype(dtype, leaf.dtype, stored)
        read[path] = _read_leaf(source, stored, leaf.shape, target, layout[path])
        on_leaf(path, read[path].nbytes)
    return trees.unflatten(read)


def _check_fit(
    directory: Path,
    tensors: Mapping[str, StoredTensor],
    leaves: Mapping[str, jax.ShapeDtypeStruct],
    sources: Mapping[str, tables.Source],
) -> None:
    wanted = {
        name: (path, source.tensor_shape(leaves[path].shape))
        for path, source in sources.items()
        for name in source.names
    }
    known = {name for name in tensors if tables.is_carried(name) or tables.is_ignored(name)}
    both = [name for name in wanted if name in tensors]
    groups = {
        "tensors that are no parameter of this network": [
            f"{name} {tensors[name].shape}" for name in tensors.keys() - wanted.keys() - known
        ],
        "parameters that the checkpoint lacks": [
            f"{name} {shape} for {path}"
            for name, (path, shape) in wanted.items()
            if name not in tensors
        ],
        "tensors of another shape": [
            f"{name} is {tensors[name].shape}, expected {wanted[name][1]} for {wanted[name][0]}"
            for name in both
            if tensors[name].shape != wanted[name][1]
        ],
        "tensors that are no floating-point numbers": [
            f"{name} is {tensors[name].dtype}"
            for name in both
            if not jnp.issubdtype(tensors[name].dtype, jnp.floating)
        ],
    }
    problems = [
        f"{title} ({len(lines)}):\n    " + "\n    ".join(sorted(lines, key=tables.natural))
        for title, lines in groups.items()
        if lines
    ]
    if problems:
        raise ValueError(
            f"the weights in {directory} are not those its config.json describes; use the two "
            "files of one checkpoint:\n  " + "\n  ".join(problems)
        )


def _target_dtype(
    dtype: DTypeLike | str | None, expected: np.dtype, stored: list[StoredTensor]
) -> np.dtype:
    if dtype is None:
        return expected
    if dtype == "stored":
        return np.dtype(jnp.result_type(*{tensor.dtype for tensor in stored}))
    return np.dtype(jnp.dtype(dtype))


def _read_leaf(
    source: tables.Source,
    stored: list[StoredTensor],
    shape: tuple[int, ...],
    dtype: np.dtype,
    sharding: Sharding,
) -> jax.Array:
    parts: dict[tuple, np.ndarray] = {}

    def part(index: Index | None) -> np.ndarray:
        """One slice; replicas ask for the same one again."""
        assert index is not None, "JAX asks for the slices of devices at hand"
        key = tuple((axis.start, axis.stop) for axis in index)
        if key not in parts:
            parts[key] = _read_slice(source, stored, shape, dtype, index)
        return parts[key]

    return jax.make_array_from_callback(shape, sharding, part).block_until_ready()


def _read_slice(
    source: tables.Source,
    stored: list[StoredTensor],
    shape: tuple[int, ...],
    dtype: np.dtype,
    index: Index,
) -> np.ndarray:
    """A slice of a parameter: a tensor's transpose, or the transposes of many, stacked."""
    sizes = [len(range(*axis.indices(size))) for axis, size in zip(index, shape, strict=True)]
    result = np.empty(sizes, dtype)
    layers, inner = (stored[index[0]], index[1:]) if source.stacked else (stored, index)
    rows = result if source.stacked else result[None]
    in_tensor = tuple(inner[source.layout.index(axis)] for axis in range(len(inner)))
    for row, tensor in zip(rows, layers, strict=True):
        _copy(row, tensor.read()[in_tensor].transpose(source.layout))
    return result


def _copy(target: np.ndarray, values: np.ndarray, block: int = 64) -> None:
    """target[...] = values, by blocks of columns: a transpose in one piece takes twice as long."""
    if target.ndim < 2:
        target[...] = values
        return
    for start in range(0, target.shape[-1], block):
        target[..., start : start + block] = values[..., start : start + block]
