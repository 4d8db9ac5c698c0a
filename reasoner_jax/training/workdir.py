"""A run's directory: one run at a time, and always with the same settings; knows no network."""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from reasoner_jax.core import bucket
from reasoner_jax.training.stage import Stage

_SETTINGS, _LOCK = "stage.json", ".lock"

# May change between two parts of a run: they change what is written, not what is learned.
_FREE = ("log_every", "keep", "mesh", "evaluate", "train.num_workers")


@contextlib.contextmanager
def opened(workdir: Path, stage: Stage) -> Iterator[None]:
    """Holds the directory for this run, and writes its settings into a new one.

    A first run that fails before it has saved anything leaves the directory free for others. In a
    bucket, which knows no locks, nothing keeps two runs apart.

    Args:
        workdir: new, or of the same run.
        stage: what the run does.

    Raises:
        ValueError: it belongs to a run with other settings (says which), or another process uses
            it now.
        OSError: it may not be written to.
    """
    if jax.process_index() > 0:  # the first process looks after it
        yield
        return
    with contextlib.nullcontext() if bucket.is_remote(workdir) else _locked(workdir):
        try:
            with bucket.reached(workdir):
                is_new = _check(workdir / _SETTINGS, stage)
        except OSError as error:
            raise OSError(f"--workdir={workdir} cannot be written to: {error}") from error
        try:
            yield
        except Exception:
            if is_new and not any((workdir / "checkpoints").glob("*")):
                (workdir / _SETTINGS).unlink()
            raise


@contextlib.contextmanager
def _locked(workdir: Path) -> Iterator[None]:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = (workdir / _LOCK).open("w")
    except OSError as error:
        raise OSError(f"--workdir={workdir} cannot be written to: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"another process trains in {workdir} now; wait for it or choose another --workdir"
            ) from error
        yield


def _check(file: Path, stage: Stage) -> bool:
    """Whether the directory is new."""
    settings = stage.to_dict()
    if not file.is_file():
        file.write_text(json.dumps(settings, indent=1) + "\n")
        return True
    try:
        before = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); choose another --workdir") from error
    changed = differences(_in_full(before), settings)
    if changed:
        lines = [f"  {name}: {old!r} there, {new!r} now" for name, (old, new) in changed.items()]
        raise ValueError(
            f"{file.parent} belongs to a run with other settings:\n" + "\n".join(lines) + "\n"
            "undo the change, choose another --workdir, or remove that one"
        )
    return False


def _in_full(settings: Any) -> Any:
    """The settings of a run from before a field existed, with that field's default."""
    try:
        return Stage.from_config(settings).to_dict()
    except (TypeError, ValueError):  # of a later version: what it has more is named
        return settings


def differences(before: Any, now: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Values that differ, by their dotted path, but for those that are free to."""
    if path.removesuffix(".") in _FREE or before == now:
        return {}
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if isinstance(before, dict) and isinstance(now, dict):
        found = {}
        for name in sorted(before.keys() | now.keys()):
            found |= differences(before.get(name), now.get(name), f"{path}{name}.")
        return found
    return {path.removesuffix("."): (before, now)}
