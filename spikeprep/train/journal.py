"""The run's journal: one JSON object a line, appended as things happen.

A resumed run goes on in a new file, so that a copy of the folder whose files are hard links keeps what it has.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ..config import Count, excerpt
from ..errors import RunError
from .documents import EPOCH, check_record, parse_json
from .files import open_regular, refuse_irregular, write_bytes_atomic, write_errors

_MOST_BYTES = 1 << 28
_LINE_BYTES = 1 << 24
_FIX = "Resume the run, which writes the journal again from the checkpoint, or remove the line."
_EVENT = {"event": str}
_EPOCH_NUMBER = {"epoch": Count}


class Journal:
    """A JSONL file; each record has an ``"event"``: start, resume, device, warning, epoch, stopped, interrupted.

    The first record is ``start``, with the configuration of the run that the journal belongs to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Add one record in a line of its own: a line that a crash cut short is removed first."""
        refuse_irregular(self.path)
        line = _line(record)
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

    def rewind(
        self, size: int, start: Mapping[str, Any], history: Sequence[dict[str, Any]], checkpoint: Path
    ) -> str:
        """Go back to where a checkpoint was saved: a resumed run repeats what its checkpoint does not cover.

        Parameters
        ----------
        size
            Length of the journal in bytes when the checkpoint was saved.
        start
            The first record of a journal of this run.
        history, checkpoint
            Records of the finished epochs, and the file that has them: epochs that a crash has taken from the end of
            the journal are added again.

        Returns
        -------
        A warning where the journal was damaged or edited: it is then written again from `start` and `history`.

        Raises
        ------
        RunError
            The journal is of another run.
        """
        warning = ""
        try:
            first: dict[str, Any] | None = next(self._records(), None)
        except RunError:  # damaged: written again below
            first = None
        self._check_run(first, start["config"]["run_id"])
        try:
            records = list(self._records(size)) or [dict(start)]
            self.compare(_last_of_each(records), history, checkpoint)
            self.check_later(_last_of_each(records), len(history), checkpoint, 0)
        except RunError as error:
            warning = f"{error.got}; the journal is written again, as {checkpoint.name} has it"
            records = [dict(start)]
        known = {record["epoch"] for record in _last_of_each(records)}
        records += [record for record in history if record["epoch"] not in known]
        write_bytes_atomic(self.path, b"".join(map(_line, records)))
        return warning

    def records(self) -> list[dict[str, Any]]:
        """Return every complete record; a line that a crash cut short is skipped.

        Raises
        ------
        RunError
            A complete line is not a record.
        """
        return list(self._records())

    def epochs(self, run_id: str = "") -> list[dict[str, Any]]:
        """Return the record of every finished epoch, in order; of one that was run twice, the last.

        Raises
        ------
        RunError
            A complete line is not a record, or the journal is of another run than `run_id`, where one is given.
        """
        if run_id:
            self._check_run(next(self._records(), None), run_id)
        epochs = _last_of_each(self._records())
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

    def compare(
        self, epochs: Sequence[Mapping[str, Any]], history: Sequence[Mapping[str, Any]], checkpoint: Path
    ) -> None:
        """Raise `RunError` where epochs of the journal are other ones than a checkpoint has under their number."""
        known = {record["epoch"]: record for record in history}
        for record in epochs:
            other = known.get(record["epoch"], record)
            for key in {**record, **other}:
                if record.get(key) != other.get(key):
                    raise RunError(
                        f"{self.path} has {key} = {excerpt(record.get(key), 60)} in epoch {record['epoch']}",
                        f"{excerpt(other.get(key), 60)}, as in {checkpoint}",
                        "Resume the run: that writes the journal again.",
                    )

    def check_later(
        self, epochs: Sequence[Mapping[str, Any]], done: int, checkpoint: Path, most: int
    ) -> None:
        """Raise `RunError` where epochs of the journal after the `done` ones of a checkpoint are no course of the run.

        A run that was killed before it saved its checkpoint leaves the next epochs, `most` at most, each complete.
        """
        later = [record for record in epochs if record["epoch"] > done]
        for number, record in enumerate(later, done + 1):
            lacking = [key for key in EPOCH if key not in record]
            if record["epoch"] == number and number <= done + most and not lacking:
                continue
            what = f" without {lacking[0]!r}" if lacking and record["epoch"] == number else ""
            raise RunError(
                f"{self.path} has epoch {record['epoch']}{what}",
                f"{done} epoch{'s' if done != 1 else ''}, as {checkpoint} has, or the record of the next one",
                "Resume the run: that writes the journal again.",
            )

    def _check_run(self, first: Mapping[str, Any] | None, run_id: str) -> None:
        """Raise `RunError` where the first record, if there is one, is not the start of a run."""
        if first is None:
            return
        config = first.get("config")
        found = config.get("run_id") if first["event"] == "start" and isinstance(config, dict) else None
        if found != run_id:
            got = (
                f"another run, {excerpt(found, 60)}"
                if found
                else "no run: its first record is not the start of one"
            )
            raise RunError(
                f"{self.path} belongs to {got}",
                f"the journal of {run_id}, as in config.json",
                "Restore the file, or remove it: the checkpoints have the run's epochs too.",
            )

    def _records(self, most: int = _MOST_BYTES) -> Iterator[dict[str, Any]]:
        """Yield the complete records within the first `most` bytes."""
        try:
            file = open_regular(self.path, _MOST_BYTES)
        except FileNotFoundError:
            return
        with file:
            for number, line in enumerate(iter(lambda: file.readline(_LINE_BYTES), b""), 1):
                if file.tell() > most:
                    return
                if line.endswith(b"\n") or len(line) == _LINE_BYTES:
                    yield self._parse(number, line)

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        name = f"{self.path}, line {number}"
        if len(line) == _LINE_BYTES:
            raise RunError(f"{name} has {_LINE_BYTES:,} bytes or more", "one record", _FIX)
        record = check_record(parse_json(line, name, _FIX), _EVENT, name, hint=_FIX)
        if record["event"] != "epoch":
            return record
        check_record(record, _EPOCH_NUMBER, name, hint=_FIX)
        return check_record(record, EPOCH, name, optional=frozenset(EPOCH), hint=_FIX)


def _line(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record) + "\n").encode()


def _last_of_each(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last record of each epoch, in order of the epochs."""
    last = {record["epoch"]: record for record in records if record["event"] == "epoch"}
    return [last[number] for number in sorted(last)]


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
