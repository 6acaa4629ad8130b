"""The run's journal: one JSON object a line, appended as things happen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..config import Count
from ..errors import RunError
from .documents import EPOCH, check_record, parse_json
from .files import open_regular, write_errors

_MOST_BYTES = 1 << 28
_LINE_BYTES = 1 << 24
_FIX = "Remove the line, or train again into another run folder."
_EVENT = {"event": str}
_EPOCH_NUMBER = {"epoch": Count}


class Journal:
    """An append-only JSONL file; each record has an ``"event"``: start, device, warning, epoch, interrupted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Add one record in a line of its own: a line that a crash cut short is removed first."""
        line = (json.dumps(record) + "\n").encode()
        with write_errors(self.path), self.path.open("a+b") as file:
            end = _end_of_lines(file)
            if end < file.seek(0, os.SEEK_END):
                file.truncate(end)
            try:
                file.write(line)
                file.flush()
            except OSError:
                file.truncate(end)  # a full disk leaves no part of a line
                raise

    def size(self) -> int:
        """Return its length in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def truncate(self, size: int) -> None:
        """Cut what was written past `size` bytes: a resumed run repeats what its checkpoint does not cover."""
        if self.size() > size:
            with write_errors(self.path), self.path.open("r+b") as file:
                file.truncate(size)

    def records(self) -> list[dict[str, Any]]:
        """Return every complete record; a line that a crash cut short is skipped.

        Raises
        ------
        RunError
            A complete line is not a record.
        """
        return list(self._records())

    def epochs(self) -> list[dict[str, Any]]:
        """Return the record of every finished epoch, in order; of one that was run twice, the last."""
        last = {r["epoch"]: r for r in self._records() if r["event"] == "epoch"}
        epochs = [last[number] for number in sorted(last)]
        layers = {len(record["rates"]) for record in epochs if record.get("rates")}
        if len(layers) > 1:
            got = f"{self.path} has epochs of {' and '.join(map(str, sorted(layers)))} rates"
            raise RunError(got, "one for each layer of the network", _FIX)
        return epochs

    def last_epoch(self) -> int:
        """Return the number of the last finished epoch; 0 where there is none, or the journal is damaged."""
        try:
            return max((record["epoch"] for record in self.epochs()), default=0)
        except RunError:
            return 0

    def complete(self, history: list[dict[str, Any]]) -> None:
        """Add the records of epochs that a crash has taken from the end of the journal."""
        try:
            known = {record["epoch"] for record in self.epochs()}
        except RunError:  # damaged elsewhere: what reads the journal says so
            return
        for record in history:
            if record["epoch"] not in known:
                self.append(record)

    def _records(self) -> Iterator[dict[str, Any]]:
        try:
            file = open_regular(self.path, _MOST_BYTES)
        except FileNotFoundError:
            return
        with file:
            for number, line in enumerate(iter(lambda: file.readline(_LINE_BYTES), b""), 1):
                if line.endswith(b"\n") or len(line) == _LINE_BYTES:
                    yield self._parse(number, line)

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        name = f"{self.path}, line {number},"
        if len(line) == _LINE_BYTES:
            raise RunError(f"{name} has {_LINE_BYTES:,} bytes or more", "one record", _FIX)
        record = check_record(parse_json(line, name, _FIX), _EVENT, name, hint=_FIX)
        if record["event"] != "epoch":
            return record
        check_record(record, _EPOCH_NUMBER, name, hint=_FIX)
        return check_record(record, EPOCH, name, optional=frozenset(EPOCH), hint=_FIX)


def _end_of_lines(file: IO[bytes]) -> int:
    """Return the position after the last newline."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
