"""CSV files of results: written under a temporary name, then renamed; a file of another kind stays as it is."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from .errors import UsageError
from .output_files import write_file
from .store.outputs import check_output
from .urls import redacted

_ENDINGS = (".csv", ".tsv")
_ROWS = 4096  # that are written at a time
_HEAD_BYTES = 1 << 20  # of a file that is there: its head is longer only with very many classes
_OPTIONAL = "group"  # a column of stores with groups
OUTPUT_COLUMNS = "spikes_"
"""What the names of the columns begin with that a table has for each class or layer."""


def check_csv(
    path: str | os.PathLike[str], columns: Sequence[str], *, overwrite: bool | None = False
) -> None:
    """Raise `UsageError` where a CSV file cannot be written, so that it shows before the work.

    Its name must end in .csv or .tsv, it must not be inside a store, and its folder must exist. A file of that name is
    replaced if it is a table with the same `columns`, those of `OUTPUT_COLUMNS` and of groups aside, if it is empty, or
    with `overwrite`; None: the caller has no such argument.
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
    if not overwrite and os.path.lexists(file) and not _is_table(file, columns):
        raise UsageError(
            f"{file} is there already and has other columns",
            f"a new file, or one that begins with {','.join(columns)}",
            "Choose another name, or " + ("remove the file." if overwrite is None else "use overwrite=True."),
        )


def write_csv(
    path: str | os.PathLike[str],
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    overwrite: bool = False,
) -> None:
    """Write a head and rows, with commas, or tabs where the name ends in .tsv; UTF-8, lines end in a line feed.

    Raises
    ------
    UsageError
        See `check_csv`.
    CapabilityError
        The disk is full, or a permission is missing. A file that was there before is then unchanged.
    """
    check_csv(path, _fixed(head), overwrite=overwrite)
    file = check_output(path)
    assert file is not None

    def write(opened: IO[bytes]) -> None:
        for text in _lines(head, rows, _delimiter(file)):
            opened.write(text.encode())

    write_file(Path(os.path.realpath(file)), write, overwrite=True)  # a link stays one


def _delimiter(file: Path) -> str:
    return "\t" if file.suffix.lower() == ".tsv" else ","


def _fixed(head: Sequence[str]) -> list[str]:
    """Return the columns that do not depend on the classes or the groups."""
    return [name for name in head if not name.startswith(OUTPUT_COLUMNS) and name != _OPTIONAL]


def _is_table(file: Path, columns: Sequence[str]) -> bool:
    """Whether a file is empty, or has a head with these columns."""
    if not file.is_file():  # a link to no file, a pipe
        return False
    try:
        with file.open("rb") as opened:
            start = opened.read(_HEAD_BYTES)
        # the cut may be within a character
        lines = io.StringIO(
            start.decode(errors="strict" if len(start) < _HEAD_BYTES else "ignore"), newline=""
        )
        return not start or _fixed(next(csv.reader(lines, delimiter=_delimiter(file)))) == list(columns)
    except (OSError, ValueError, csv.Error):
        return False


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
