"""Directories that may lie in a Google Cloud Storage bucket; knows no layout.

A path of a bucket (`gs://BUCKET/RUN`) behaves like one of `pathlib` but for what object stores
lack: links, locks, appending, and renaming a directory. Arrays go straight to a bucket and back, by
Orbax; libraries that know only local files work on a copy, see `fetched` and `written`.

The package gcsfs is needed (extra `bucket`), and a login: `gcloud auth application-default login`,
or a machine that has one, as TPU machines do.
"""

import atexit
import contextlib
import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

_SCHEME = "gs://"


def as_path(path: str | os.PathLike[str]) -> Path:
    """A path on this machine or in a bucket.

    Raises:
        ValueError: an address that is neither.
        ImportError: it is in a bucket, and gcsfs is not installed.
    """
    text = os.fspath(path)
    if "://" not in text:
        return Path(path)
    if not text.startswith(_SCHEME):
        raise ValueError(
            f"{text}: expected a directory or {_SCHEME}BUCKET/NAME; mount other buckets and give "
            "the path where they are mounted"
        )
    if importlib.util.find_spec("gcsfs") is None:
        raise ImportError(f"{text} needs the package gcsfs; run `source launch/setup.sh bucket`")
    from etils import epath

    # It would print a page of traceback for each error that it raises as well.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    return cast(Path, epath.Path(text))


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether it is the path of a bucket."""
    return os.fspath(path).startswith(_SCHEME)


def address(path: Path) -> str:
    """What a library finds it by from any working directory."""
    return os.fspath(path) if is_remote(path) else os.fspath(path.absolute())


@contextlib.contextmanager
def reached(path: Path) -> Iterator[None]:
    """Names the bucket in what its client raises: errors of HTTP, of a login, of three libraries.

    Raises:
        ConnectionError: the bucket did not answer, or not to us.
    """
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConnectionError(
            f"{os.fspath(path)} cannot be reached: {reason}; check the login (gcloud auth "
            "application-default login) and the rights on the bucket"
        ) from error


def remove(path: Path) -> None:
    """Removes a file or a directory with all that is in it, if it is there."""
    if not path.is_dir() or (not is_remote(path) and path.is_symlink()):
        path.unlink(missing_ok=True)
    elif is_remote(path):
        from etils import epath

        epath.Path(path).rmtree()
    else:
        shutil.rmtree(path)


def write_whole(file: Path, text: str) -> None:
    """Writes a file that appears whole or not at all."""
    if is_remote(file):  # as all objects do
        file.write_text(text)
        return
    partial = file.with_name(f".{file.name}")
    partial.write_text(text)
    partial.replace(file)


def point(link: Path, target: str) -> None:
    """Makes `link` stand for its sibling `target`, by a symbolic link; in a bucket, by its name.

    What it stood for before, it stands for until then.
    """
    if is_remote(link):
        link.write_text(target)
        return
    fresh = link.with_name(f".{link.name}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target, target_is_directory=True)
    fresh.replace(link)


def followed(path: Path) -> Path:
    """What a path of a bucket stands for, see `point`; any other path as it is."""
    if is_remote(path) and path.is_file():
        return path.parent / path.read_text().strip()
    return path


def fetched(directory: Path, leave_out: tuple[str, ...] = ()) -> Path:
    """A local copy of a bucket's directory, which goes when the program ends; a local one as it is.

    Args:
        directory: of files and directories of files.
        leave_out: names in it that are not copied.
    """
    if not is_remote(directory):
        return directory
    local = scratch()
    for entry in directory.iterdir():
        if entry.name not in leave_out:
            copy_all(entry, local / entry.name)
    return local


@contextlib.contextmanager
def written(directory: Path) -> Iterator[Path]:
    """A local directory whose files are in `directory` afterwards; a local one is that itself."""
    if not is_remote(directory):
        yield directory
        return
    with tempfile.TemporaryDirectory() as local:
        yield Path(local)
        copy_all(Path(local), directory)


def copy_file(source: Path, target: Path) -> None:
    """Copies a file between here and there; what `target` held is replaced."""
    target.write_bytes(source.read_bytes())


def scratch() -> Path:
    """An empty local directory that goes when the program ends."""
    local = Path(tempfile.mkdtemp(prefix="reasoner_jax."))
    atexit.register(shutil.rmtree, local, ignore_errors=True)
    return local


def copy_all(source: Path, target: Path) -> None:
    """Copies a file or directory between here and there; of what is there, other files stay."""
    if not source.is_dir():
        copy_file(source, target)
        return
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        copy_all(entry, target / entry.name)
