"""From a path to a network and back; knows which layouts there are, not what is in them."""

import dataclasses
from pathlib import Path

import jax
from jax.sharding import Mesh

from reasoner_jax.core import bucket
from reasoner_jax.core.sharding import param_shardings
from reasoner_jax.models.config import Compute
from reasoner_jax.models.omni import Omni, abstract_params
from reasoner_jax.text.special_tokens import SCHEDULE_TOKENS
from reasoner_jax.text.tokenizer import Tokenizer
from reasoner_jax.weights import checkpoint, huggingface
from reasoner_jax.weights.manifest import Manifest
from reasoner_jax.weights.resize import resize_embeddings

_TOKENIZER_FILES = ("tokenizer.json", "vocab.json")


def load(
    path: str | Path,
    compute: Compute | None = None,
    mesh: Mesh | None = None,
) -> Omni:
    """A network from a checkpoint of ours, a Hugging Face directory, or a hub id.

    Parameters are read one by one straight into their place on the mesh. The result is exactly the
    checkpoint; see `extend_vocabulary` for the schedule's tokens.

    Args:
        path: directory, here or in a bucket (`gs://BUCKET/NAME`), or hub id such as
            "Qwen/Qwen2.5-Omni-3B".
        compute: precision and layer layout; float32 with stacked layers if None.
        mesh: see `core.sharding.make_mesh`; None for one device.

    Raises:
        FileNotFoundError: neither a directory nor a hub id.
        ImportError: a bucket's directory, and gcsfs is not installed.
        ConnectionError: a hub id, and the hub cannot be reached.
        ValueError: files that are missing, damaged, or contradict each other.
    """
    directory = huggingface.resolve(path)
    compute = compute or Compute()
    ours = checkpoint.is_checkpoint(directory)
    if not ours:  # another library's files are read from a local disk
        directory = bucket.fetched(directory)
    manifest = (checkpoint if ours else huggingface).read_manifest(directory)
    expected = abstract_params(manifest.config, compute)
    shardings = None if mesh is None else param_shardings(expected, mesh)
    read = checkpoint.load if ours else huggingface.read_checkpoint
    return Omni(
        manifest.config,
        compute,
        read(directory, expected, shardings),
        tokenizer=_tokenizer(manifest),
        voices=manifest.voices,
        reply_format=manifest.reply_format,
        mesh=mesh,
        origin=manifest,
    )


def save(directory: str | Path, omni: Omni) -> None:
    """Writes a checkpoint of ours that `load` reads; it appears when it is complete.

    Args:
        directory: new or empty, here or in a bucket (`gs://BUCKET/NAME`).
        omni: the network.

    Raises:
        ValueError: the directory is not empty, or projections have been fused.
        ImportError: a bucket's directory, and gcsfs is not installed.
    """
    if omni.compute.fuse_projections:
        raise ValueError(
            "the projections of this network are fused for decoding; save the one it was made of"
        )
    checkpoint.save(bucket.as_path(directory), omni.params, manifest_of(omni))


def manifest_of(omni: Omni) -> Manifest:
    """What a checkpoint of this network holds besides its parameters."""
    manifest = omni.origin or Manifest(omni.config)
    return dataclasses.replace(
        manifest,
        config=omni.config,
        tokenizer=omni.tokenizer,
        voices=omni.voices,
        reply_format=omni.reply_format,
    )


def extend_vocabulary(omni: Omni, seed: int = 0) -> Omni:
    """Adds the schedule's special tokens that the tokenizer lacks, and rows for them if needed.

    Qwen2.5-Omni's table has room for them; no id that the network itself uses is taken.

    Raises:
        ValueError: the network has no tokenizer.
    """
    if omni.tokenizer is None:
        raise ValueError(
            "this network has no tokenizer to extend; its checkpoint needs tokenizer.json, or "
            "vocab.json and merges.txt"
        )
    thinker, talker = omni.config.thinker, omni.config.talker
    reserved = {thinker.audio_token_id, thinker.audio_start_token_id, thinker.audio_end_token_id}
    if talker is not None:
        reserved |= {
            talker.text_start_token_id,
            talker.text_end_token_id,
            talker.text_pad_token_id,
        }
    tokenizer = omni.tokenizer.add_special_tokens(SCHEDULE_TOKENS, reserved=frozenset(reserved))
    params, config = resize_embeddings(
        omni.params, omni.config, tokenizer.vocab_size, jax.random.key(seed)
    )
    return dataclasses.replace(omni, config=config, params=params, tokenizer=tokenizer)


def _tokenizer(manifest: Manifest) -> Tokenizer | None:
    files = manifest.text_files
    if files is None or not any((files / name).is_file() for name in _TOKENIZER_FILES):
        return None
    return Tokenizer.load(files)
