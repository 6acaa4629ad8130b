"""CSV files of results: written under a temporary name, then renamed."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence

from .errors import UsageError
from .store.local_storage import LocalStorage
from .store.outputs import check_output
from .urls import redacted

_ENDINGS = (".csv", ".tsv")
_ROWS = 4096  # that are written at a time


def check_csv(path: str | os.PathLike[str]) -> None:
    """Raise `UsageError` where a CSV file cannot be written, so that it shows before the work.

    Its name must end in .csv or .tsv, it must not be inside a store, and its folder must exist. A file of that name is
    replaced.
    """
    file = check_output(path)
    if file is None or file.suffix.lower() not in _ENDINGS:
        raise UsageError(
            f"got the file {redacted(path)!r}",
            f"a path that ends in {' or '.join(_ENDINGS)}",
            "Use another name.",
        )
    if file.is_dir() or not file.parent.is_dir():
        what = "is a folder" if file.is_dir() else "is in a folder that does not exist"
        raise UsageError(f"{file} {what}", "a file in a folder that exists", "Use another name.")


def write_csv(path: str | os.PathLike[str], head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a head and rows, with commas, or tabs where the name ends in .tsv; UTF-8, lines end in a line feed.

    Raises
    ------
    UsageError
        See `check_csv`.
    CapabilityError
        The disk is full, or a permission is missing. A file that was there before is then unchanged.
    StoreError
        The disk is failing.
    """
    check_csv(path)
    file = check_output(path)
    assert file is not None
    with LocalStorage(file.parent).writing(file.name) as write:
        for text in _lines(head, rows, "\t" if file.suffix.lower() == ".tsv" else ","):
            write(text.encode())


def _lines(head: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str) -> Iterable[str]:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(head)
    for number, row in enumerate(rows, 1):
        writer.writerow(row)
        if number % _ROWS == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()
