"""Every judged reply on disk, a line of JSON each, so that a killed run goes on; knows no model.

    replies.json                 what the run is: items, conditions, checkpoint
    replies-00000.jsonl          the replies of process 0, in the order they were given

Lines are appended a batch at a time. A line that a kill cut short is dropped when read, and its
question is asked again.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reasoner_jax.core.records import from_dict, to_dict
from reasoner_jax.evaluation.judged_reply import JudgedReply

_RUN_FILE = "replies.json"


class ReplyLog:
    """The replies of a run in a directory.

    Attributes:
        directory: as given.
    """

    def __init__(
        self, directory: str | os.PathLike, run: Mapping[str, Any], process_index: int = 0
    ) -> None:
        """Opens the log of a run, or begins it.

        Args:
            directory: created if need be; the same for all processes of a run.
            run: what decides the replies, JSON values; a directory takes one run.
            process_index: of this process, which writes a file of its own.

        Raises:
            ValueError: the directory holds the replies of another run; says what differs.
        """
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._own = self.directory / f"replies-{process_index:05d}.jsonl"
        self._check_run(json.loads(json.dumps(run)))

    def _check_run(self, run: dict[str, Any]) -> None:
        path = self.directory / _RUN_FILE
        if not path.is_file():
            partial = path.with_name(f".{self._own.stem}.{_RUN_FILE}")
            partial.write_text(json.dumps(run, indent=2, sort_keys=True) + "\n")
            partial.replace(path)
            return
        found = json.loads(path.read_text())
        if found != run:
            differing = sorted(k for k in found.keys() | run.keys() if found.get(k) != run.get(k))
            details = "; ".join(
                f"{k}: {found.get(k)!r} there, {run.get(k)!r} now" for k in differing
            )
            raise ValueError(
                f"{self.directory} holds the replies of another run ({details}); choose another "
                "directory, or delete it"
            )

    def append(self, replies: Iterable[JudgedReply]) -> None:
        """Writes replies down; they are on disk when this returns."""
        lines = [json.dumps(to_dict(reply), ensure_ascii=False) + "\n" for reply in replies]
        with self._own.open("ab") as file:
            if file.tell() and not _ends_line(self._own):
                file.write(b"\n")
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> dict[tuple[str, str], JudgedReply]:
        """All replies of all processes so far, by condition and item; the first of two counts.

        Raises:
            ValueError: a line inside a file is no reply; names file and line.
        """
        replies: dict[tuple[str, str], JudgedReply] = {}
        for path in sorted(self.directory.glob("replies-*.jsonl")):
            for reply in _read_lines(path):
                replies.setdefault((reply.condition, reply.item_id), reply)
        return replies


def _read_lines(path: Path) -> Iterable[JudgedReply]:
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            values = json.loads(line)
        except ValueError:
            continue  # empty, or cut short by a kill
        try:
            yield from_dict(JudgedReply, values)
        except ValueError as error:
            raise ValueError(
                f"{path}: line {number} is no judged reply ({error}); it is of another version, "
                "delete the directory or choose another"
            ) from error


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
