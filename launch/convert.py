"""Hugging Face directory <-> checkpoint of reasoner_jax.

    python launch/convert.py import --hf=Qwen/Qwen2.5-Omni-3B --out=DIR
    python launch/convert.py export --checkpoint=DIR --out=DIR

Import makes a checkpoint to train from; export gives transformers what was trained. What this
project does not compute with (the visual tower) goes along both ways.
"""

import argparse
import contextlib
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Converting moves bytes: it must not seize an accelerator that somebody trains on.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from tqdm import tqdm

from reasoner_jax.core import params as trees
from reasoner_jax.core.params import Params
from reasoner_jax.models.config import Compute, OmniConfig
from reasoner_jax.weights import checkpoint, huggingface, huggingface_export
from reasoner_jax.weights.manifest import Manifest, check_new_directory, expected_params
from reasoner_jax.weights.safetensors_file import num_bytes

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one conversion; 0, or 2 if what it was given does not fit."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"convert.py {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="convert.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("import", help="Hugging Face directory -> our checkpoint")
    reading.add_argument(
        "--hf", required=True, metavar="DIR", help="directory with safetensors, or a hub id"
    )
    reading.set_defaults(run=_import)
    writing = commands.add_parser("export", help="our checkpoint -> Hugging Face directory")
    writing.add_argument("--checkpoint", required=True, type=Path, metavar="DIR")
    writing.add_argument(
        "--max-shard-size",
        type=_size,
        default=_size("5G"),
        metavar="SIZE",
        help="of one safetensors file, e.g. 500M (default 5G)",
    )
    writing.add_argument(
        "--thinker-only",
        action="store_true",
        help="leave out the talker; needed if it speaks through a codec that is not Qwen's",
    )
    writing.set_defaults(run=_export)
    for command in (reading, writing):
        command.add_argument("--out", required=True, type=Path, metavar="DIR", help="new or empty")
        command.add_argument(
            "--dtype",
            choices=("float32", "bfloat16", "float16"),
            help="of thinker and talker (token2wav: float32); default: as they are stored",
        )
    return parser


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)\s*([KMG]?)B?", text.strip(), re.IGNORECASE)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write e.g. 500M or 5G")
    return int(match[1]) * _UNITS[match[2].upper()]


def _import(options: argparse.Namespace) -> None:
    check_new_directory(options.out)
    directory = huggingface.resolve(options.hf)
    manifest = huggingface.read_manifest(directory)
    expected = _expected(manifest.config, options.dtype)
    with _bar("reading", len(trees.flatten(expected))) as advance:
        params = huggingface.read_checkpoint(
            directory, expected, dtype=_kept(options.dtype), on_leaf=advance
        )
    _say(f"writing {options.out}")
    checkpoint.save(options.out, params, manifest)
    _summarise(options.out, params, manifest)


def _export(options: argparse.Namespace) -> None:
    check_new_directory(options.out)
    manifest = checkpoint.read_manifest(options.checkpoint)
    if options.thinker_only:
        manifest = manifest.thinker_only()
    _say(f"reading {options.checkpoint}")
    expected = _expected(manifest.config, options.dtype)
    params = checkpoint.load(options.checkpoint, expected, dtype=_kept(options.dtype))
    with _bar("writing") as advance:
        huggingface_export.write_checkpoint(
            options.out, params, manifest, options.max_shard_size, on_tensor=advance
        )
    _summarise(options.out, params, manifest)


def _expected(config: OmniConfig, dtype: str | None) -> Params:
    return expected_params(config, Compute(param_dtype=dtype or "float32"))


def _kept(dtype: str | None) -> str | None:
    """Without a type asked for, the stored one; else the one `_expected` says, part by part."""
    return "stored" if dtype is None else None


def _say(line: str) -> None:
    print(line, file=sys.stderr)


@contextlib.contextmanager
def _bar(what: str, total: int | None = None) -> Iterator[Callable[[str, int], None]]:
    """Counts tensors on stderr; yields what to call after each."""
    with tqdm(total=total, desc=what, unit=" tensors") as bar:

        def advance(name: str, size: int) -> None:
            bar.update()

        yield advance


def _summarise(out: Path, params: Params, manifest: Manifest) -> None:
    """A table of what has been converted, module by module."""
    rows = []
    for part, modules in params.items():
        for module, leaves in modules.items():
            arrays = trees.flatten(leaves).values()
            types = ", ".join(sorted({str(array.dtype) for array in arrays}))
            size = trees.num_bytes(leaves)
            rows.append((f"{part}/{module}", len(arrays), trees.count(leaves), size, types))
    carried = manifest.carried.values()
    count = sum(math.prod(tensor.shape) for tensor in carried)
    rows.append(("carried through", len(carried), count, sum(map(num_bytes, carried)), ""))
    rows.append(("total", *(sum(row[i] for row in rows) for i in (1, 2, 3)), ""))
    print(f"{'module':<34}{'tensors':>8}{'parameters':>16}{'MB':>10}  type")
    for name, tensors, scalars, size, types in rows:
        print(f"{name:<34}{tensors:>8}{scalars:>16,}{size / 1e6:>10.1f}  {types}".rstrip())
    print(f"written to {out}")


if __name__ == "__main__":
    sys.exit(main())
