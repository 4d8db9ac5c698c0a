"""Checkpoint directories of our own: parameters by Orbax, everything else beside them.

    reasoner.json         sizes, token ids, reply format, the config.json of the origin, versions
    params/               Orbax; layers stacked
    tokenizer/            `manifest.TEXT_FILES`
    spk_dict.pt           voices
    carried.safetensors   tensors of the original that this project does not compute with
    codec/                of a codec that is not part of the parameters

Knows no Hugging Face layout and no training state, which may lie beside these files.
"""

import collections
import importlib.metadata
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax.core import meta
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from jax.typing import DTypeLike
from orbax.checkpoint import v1 as ocp

from reasoner_jax.core import bucket
from reasoner_jax.core import params as trees
from reasoner_jax.core.params import Params
from reasoner_jax.models.config import OmniConfig
from reasoner_jax.text.reply_format import ReplyFormat
from reasoner_jax.weights.manifest import (
    Manifest,
    check_new_directory,
    finish_new_directory,
    make_new_directory,
    partial_of,
)
from reasoner_jax.weights.safetensors_file import list_tensors, write_file
from reasoner_jax.weights.voices import read_voices, write_voices

FORMAT = 1

_DESCRIPTION = "reasoner.json"
_PARAMS = "params"
_TEXT = "tokenizer"
_VOICES = "spk_dict.pt"
_CARRIED = "carried.safetensors"
_CODEC = "codec"
OPTIMIZER = "optimizer"
"""What training keeps beside these, see `training.checkpoint`."""
_IN_FLIGHT_BYTES = 2**30
_PACKAGES = ("reasoner_jax", "jax", "flax", "orbax-checkpoint")

_ONE_LAYER = re.compile(r"/layers_\d+/")


def is_checkpoint(directory: Path) -> bool:
    """Whether a directory is one of ours."""
    return (directory / _DESCRIPTION).is_file()


def save(directory: Path, params: Params, manifest: Manifest) -> None:
    """Writes a checkpoint, which appears under its name when it is complete.

    Every process of a multi-host program calls it.

    Args:
        directory: new, or empty; seen by all processes.
        params: as trained, or with layers apart; of any type and sharding.
        manifest: what else belongs to the network.

    Raises:
        ValueError: the directory is not empty.
    """
    check_new_directory(directory)
    # A bucket's directory cannot be renamed: it is a checkpoint from its manifest on.
    remote = bucket.is_remote(directory)
    partial = directory if remote else partial_of(directory)
    if jax.process_index() == 0 and not remote:
        make_new_directory(directory)
    _wait("reasoner_jax.save.begin")
    start_writing(partial, params, may_change=False).result()
    _wait("reasoner_jax.save.end")
    if jax.process_index() == 0:
        write_manifest(partial, manifest)
        if not remote:
            finish_new_directory(directory)
    _wait("reasoner_jax.save.done")


def start_writing(
    directory: Path, params: Params, *, may_change: bool = True
) -> ocp.AsyncResponse[None]:
    """Begins to write the parameters of a checkpoint; `result()` of what it returns waits.

    Every process of a multi-host program calls it, and waits.

    Args:
        directory: of the checkpoint, without parameters so far.
        params: as in `save`.
        may_change: whether their buffers may be given away before the writing ends, as a training
            step does; they are then copied first.
    """
    return start_writing_arrays(directory / _PARAMS, trees.stack_layers(params), may_change)


def start_writing_arrays(
    directory: Path, arrays: Any, may_change: bool = True
) -> ocp.AsyncResponse[None]:
    """The same for any tree of arrays."""
    with bounded_memory(jax.tree.leaves(arrays), copies=may_change):
        return ocp.save_async(bucket.address(directory), arrays)


def bounded_memory(leaves: Iterable[Any], copies: bool = False) -> ocp.Context:
    """Orbax with a few parameters in flight; unlimited, it holds a second copy of the network.

    An array larger than the limit would wait for ever, so the largest decides.

    Args:
        leaves: the arrays.
        copies: whether arrays that lie in host memory are copied before saving goes on without
            the caller.
    """
    largest = max((4 * leaf.size for leaf in leaves if hasattr(leaf, "size")), default=0)
    limit = max(_IN_FLIGHT_BYTES, 2 * largest)
    context = ocp.Context()
    context.memory.write_concurrent_bytes = limit
    context.memory.read_concurrent_bytes = limit
    context.memory.transfer_concurrent_bytes = limit
    context.memory.deepcopy_host_arrays = copies
    return context


def _wait(point: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(point)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes everything but the parameters into an existing directory."""
    description = {
        "format": FORMAT,
        "config": manifest.config.to_dict(),
        "huggingface_config": manifest.original_config,
        "reply_format": manifest.reply_format and manifest.reply_format.to_dict(),
        "written_with": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }
    text = json.dumps(description, indent=2, ensure_ascii=False)
    with bucket.written(directory) as local:
        (local / _DESCRIPTION).write_text(text + "\n", "utf-8")
        (local / _TEXT).mkdir()
        manifest.copy_text_files(local / _TEXT)
        write_voices(local / _VOICES, manifest.voices)
        if manifest.carried:
            write_file(local / _CARRIED, manifest.carried)
        if manifest.codec_files is not None:
            shutil.copytree(manifest.codec_files, local / _CODEC)


def read_manifest(directory: Path) -> Manifest:
    """Everything but the parameters.

    Raises:
        ValueError: not a checkpoint of ours, of a later format, or with broken files.
    """
    file = directory / _DESCRIPTION
    if not file.is_file():
        raise ValueError(f"{file} is missing; give a checkpoint directory of reasoner_jax")
    try:
        description = json.loads(file.read_text("utf-8"))
        version, config = description["format"], description["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is broken ({error!r}); restore it from a copy") from error
    if version != FORMAT:
        raise ValueError(
            f"{file} is of format {version}, this version reads {FORMAT}; use the version that "
            f"wrote it: {description.get('written_with')}"
        )
    directory = bucket.fetched(directory, leave_out=(_PARAMS, OPTIMIZER))
    carried, codec = directory / _CARRIED, directory / _CODEC
    reply_format = description.get("reply_format")
    return Manifest(
        OmniConfig.from_dict(config),
        original_config=description["huggingface_config"],
        text_files=directory / _TEXT,
        voices=read_voices(directory / _VOICES),
        carried=list_tensors(carried) if carried.is_file() else {},
        reply_format=reply_format and ReplyFormat.from_dict(reply_format),
        codec_files=codec if codec.is_dir() else None,
    )


def load(
    directory: Path,
    expected: Params,
    shardings: Any = None,
    dtype: DTypeLike | Literal["stored"] | None = None,
) -> Params:
    """The parameters, on their devices.

    Args:
        directory: written by `save`, on any mesh.
        expected: `models.omni.abstract_params`, boxed or not; its layers stacked or apart, and so
            are those of the result. Parts it lacks are not read.
        shardings: tree of shardings like `expected`; without, everything is put on the first
            device.
        dtype: of the result; None for that of `expected`, "stored" for that of the checkpoint.

    Raises:
        ValueError: lists every parameter that is missing, unexpected or of another shape.
    """
    leaves = trees.flatten(meta.unbox(expected))
    device = SingleDeviceSharding(jax.local_devices()[0])
    layout = dict.fromkeys(leaves, device) if shardings is None else trees.flatten(shardings)
    stacked = _stack(leaves, layout)
    stored = _stored(directory)
    parts = {path.partition("/")[0] for path in leaves}
    wanted = {path: leaf for path, leaf in stored.items() if path.partition("/")[0] in parts}
    trees.check_same_tree(trees.unflatten(stacked), trees.unflatten(wanted), str(directory))
    targets: dict[str, Any] = dict.fromkeys(stored, ocp.PLACEHOLDER)
    for path, leaf in stacked.items():
        kind = {None: leaf.dtype, "stored": stored[path].dtype}.get(dtype, dtype)
        targets[path] = jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(kind), sharding=leaf.sharding)
    restored = _restore(directory, targets)
    return trees.unflatten(_apart(restored, layout))


def _stored(directory: Path) -> dict[str, Any]:
    """Shape and type of every parameter on disk, by path."""
    cause = None
    try:
        metadata = ocp.metadata(bucket.address(directory / _PARAMS)).metadata
        if metadata is not None:
            return trees.flatten(metadata)
    except Exception as error:  # Orbax has a dozen kinds
        cause = error
    raise ValueError(
        f"{directory / _PARAMS} is missing, damaged or no Orbax checkpoint; restore it from a copy"
    ) from cause


def _restore(directory: Path, targets: dict[str, Any]) -> dict[str, jax.Array]:
    try:
        with bounded_memory(targets.values()):
            restored = ocp.load(bucket.address(directory / _PARAMS), trees.unflatten(targets))
    except Exception as error:  # tensorstore's, for whatever is wrong with a file
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise ValueError(
            f"{directory / _PARAMS} is damaged: {reason}; restore it from a copy"
        ) from error
    return {
        path: leaf for path, leaf in trees.flatten(restored).items() if leaf is not ocp.PLACEHOLDER
    }


def _stack(
    leaves: Mapping[str, jax.ShapeDtypeStruct], layout: Mapping[str, Sharding]
) -> dict[str, jax.ShapeDtypeStruct]:
    """The abstract parameters as they lie on disk: what is apart in `leaves` is one leaf here."""
    depth = collections.Counter(_ONE_LAYER.sub("/layers/", path) for path in leaves)
    stacked = {}
    for path, leaf in leaves.items():
        whole = _ONE_LAYER.sub("/layers/", path)
        shape, sharding = leaf.shape, layout[path]
        if whole != path:
            shape = (depth[whole], *shape)
            if isinstance(sharding, NamedSharding):
                sharding = NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec))
        stacked[whole] = jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=sharding)
    return stacked


def _apart(restored: dict[str, jax.Array], layout: Mapping[str, Sharding]) -> dict[str, jax.Array]:
    """Splits the layers of leaves that `layout` wants apart, freeing each leaf as it goes."""
    result = {}
    for path in list(restored):
        leaf = restored.pop(path)
        if path in layout:
            result[path] = leaf
            continue
        for layer in range(leaf.shape[0]):
            one = path.replace("/layers/", f"/layers_{layer}/")
            result[one] = jax.device_put(leaf[layer], layout[one])
    return result
