"""The run's journal: one JSON object a line, appended as things happen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import RunError


class Journal:
    """An append-only JSONL file; each record has an ``"event"``: start, device, warning, epoch, interrupted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Add one record and flush it."""
        with self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(record) + "\n")

    def size(self) -> int:
        """Return its length in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def truncate(self, size: int) -> None:
        """Cut what was written past `size` bytes: a resumed run repeats what its checkpoint does not cover."""
        if self.size() > size:
            with self.path.open("r+b") as f:
                f.truncate(size)

    def records(self) -> list[dict[str, Any]]:
        """Return every complete record; a line that a crash cut short is skipped.

        Raises
        ------
        RunError
            A complete line is not JSON.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [self._parse(n, line) for n, line in enumerate(lines, 1) if line.endswith("\n")]

    def epochs(self) -> list[dict[str, Any]]:
        """Return the record of every finished epoch; of one that was run twice, the last."""
        return [*{r["epoch"]: r for r in self.records() if r["event"] == "epoch"}.values()]

    def _parse(self, number: int, line: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(line)
            if not isinstance(record, dict) or not isinstance(record.get("event"), str):
                raise ValueError("no event")
        except ValueError as error:
            raise RunError(
                f"{self.path} is damaged in line {number} ({error})",
                "one JSON object per line",
                "Remove the line, or train again into another run folder.",
            ) from error
        return record
