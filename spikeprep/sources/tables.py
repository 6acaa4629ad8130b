"""Tables that list files and their labels: CSV files."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from ..errors import DataError, printable
from ..input_files import Limits, read_input
from .labelled_files import BadFile, Entry
from .split_names import KNOWN_NAMES, split_named

_TABLE_EXPANDS = 16  # times its bytes in memory: a mapping and a path for each line


def read_table(table: Path, outside: bool, limits: Limits) -> tuple[list[Entry], list[BadFile]]:
    """Return the files that a CSV file lists, and its lines that cannot be used.

    It has the columns ``path`` (or ``file``; relative to its own folder), ``label`` and, where the data have a split,
    ``split``.

    Parameters
    ----------
    table
        The CSV file.
    outside
        Whether it may name files that are not below its own folder.
    limits
        What reading it may take.

    Raises
    ------
    DataError
        It is no CSV file, or has other columns.
    """
    content = read_input(table, limits).data
    limits.check_bytes(f"the table {table}", _TABLE_EXPANDS * len(content))
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        fix = "Give the folder of the recordings, or a table of them."
        raise DataError(f"{table} is not a CSV file ({error})", "lines of path,label[,split]", fix) from error
    columns = set(rows[0]) if rows else set()
    path = "path" if "path" in columns else "file"
    if not {path, "label"} <= columns:
        raise DataError(
            f"{table} has {f'the columns {sorted(map(str, columns))}' if rows else 'no rows'}",
            "a first line path,label or path,label,split, and a line per file",
            "Add the first line.",
        )
    entries: dict[Path, Entry] = {}
    bad = []
    inside = _Inside(table.parent)
    for line, row in enumerate(rows, 2):
        id_, label, split = (row.get(key) or "" for key in (path, "label", "split"))
        file = table.parent / id_
        id_, label = printable(id_), printable(label)
        named = split_named(split)
        if not id_ or not label or ("split" in columns and named is None):
            fix = f"name path, label, and a split ({KNOWN_NAMES})"
            bad.append(BadFile(f"{table.name} line {line}", f"has {row}", fix))
        elif "\0" in str(file):
            bad.append(
                BadFile(f"{table.name} line {line}", f"names {id_}, which no file can have", "correct it")
            )
        elif file in entries:
            bad.append(BadFile(f"{table.name} line {line}", f"names {id_} again", "keep one of the lines"))
        elif not outside and not inside(file):
            fix = "list files below the table's folder, or allow others: use source.outside=true"
            bad.append(
                BadFile(f"{table.name} line {line}", f"names {id_}, which is not below {table.parent}", fix)
            )
        else:
            entries[file] = Entry(named or "", file, label, id_)
    return list(entries.values()), bad


class _Inside:
    """Tells whether files are below a folder, links resolved; folders are resolved once."""

    def __init__(self, folder: Path) -> None:
        self._top, self._folders = os.path.realpath(folder), dict[str, bool]()

    def __call__(self, file: Path) -> bool:
        try:
            if file.name == ".." or file.is_symlink():
                return self._holds(os.path.realpath(file))
            folder = os.path.dirname(file)
            if folder not in self._folders:
                self._folders[folder] = self._holds(os.path.realpath(folder))
            return self._folders[folder]
        except (OSError, ValueError):  # a name with a NUL, or one that is too long: reading it reports that
            return True

    def _holds(self, path: str) -> bool:
        return os.path.commonpath([self._top, path]) == self._top
