"""Lists and tables that lie in a folder of files with labels, and say what its folders do not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from ..errors import DataError
from ..input_files import open_input
from ..text import listed
from .labelled_files import Entry, files_in, has_ending, is_hidden
from .list_files import decode_text, files_by_name, plain_path
from .split_names import split_named
from .table_columns import role_of
from .table_rows import names_of_columns

_ENDINGS = (".txt", ".csv", ".tsv", ".lst", ".list")
_OF_COMMANDS = (
    "testing_list.txt",
    "validation_list.txt",
)  # of Speech Commands: they may list files that are not there
_HEAD = 64 << 10  # bytes of a file that are read
_LINES = 10  # that tell what a file lists
_SEPARATORS = re.compile(r"[,;\t| ]+")
_SHOWN = 5  # files in one text


def tables_in(folder: Path) -> list[Path]:
    """Return the files in a folder whose first line names a column of files and one of labels, splits or groups."""
    return [file for file, text in _texts_in(folder) if _is_table(text)]


def unused_lists(root: Path, entries: Sequence[Entry]) -> list[str]:
    """Return what a source does not use of the lists and tables in its folder, one text each.

    Parameters
    ----------
    root
        The folder, or the table that is the source.
    entries
        The files.
    """
    folder = root.parent if root.is_file() else root
    tables: list[str] = []
    lists: list[str] = []
    others: list[str] = []
    known: dict[str, str] = {}
    for file, text in _texts_in(folder):
        if _is_table(text):
            tables.append(file.name)
            continue
        known = known or files_by_name(entry.file_id for entry in entries)
        lines = _first_lines(text)
        if file.name in _OF_COMMANDS or _most(plain_path(line) in known for line in lines):
            lists.append(file.name)
        elif root == folder:
            names = {*known, *(entry.file.name for entry in entries)}
            if _most(any(plain_path(part) in names for part in _SEPARATORS.split(line)) for line in lines):
                others.append(file.name)
    found = []
    if lists:
        own = any(entry.split for entry in entries)
        why = ", as the files have splits of their own" if own else f"; {_use_of(lists)}"
        found.append(f"{listed(lists, _SHOWN)} in {folder.name}: not used{why}")
    if tables and root == folder:
        fix = f"to take labels from it, give it in place of the folder: source={folder / tables[0]}"
        found.append(f"{listed(tables, _SHOWN)} in {folder.name}: not used; {fix}")
    if others:
        fix = "to take labels or splits from it, make it a CSV file of path,label,split, and give that as source=FILE"
        found.append(f"{listed(others, _SHOWN)} in {folder.name}: not used; {fix}")
    return found


def _use_of(lists: Collection[str]) -> str:
    """Return how the splits are taken from lists, by their names."""
    splits = {split: name for name in lists if (split := split_named(PurePosixPath(name).stem))}
    settings = [f"source.{split}_list={splits[split]}" for split in ("validation", "test") if split in splits]
    if settings:
        return f"to take the splits from lists, use {' '.join(settings)}"
    return "to take the splits from lists, name those of test and validation files: use source.test_list=FILE"


def _texts_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files in a folder that may be lists or tables, with the beginning of their text."""
    for file in files_in(folder):
        if has_ending(file.name, _ENDINGS) and not is_hidden(file.name) and file.is_file():
            try:
                with open_input(file) as opened:
                    yield file, decode_text(file, opened.read(_HEAD) or b"", "", else_="cp1252")[0]
            except (DataError, OSError):  # it is none of them
                continue


def _is_table(text: str) -> bool:
    roles = {*map(role_of, names_of_columns(text))}
    return "path" in roles and not roles.isdisjoint(("label", "split", "group"))


def _first_lines(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [*islice((line for line in lines if line and not line.startswith("#")), _LINES)]


def _most(tests: Iterator[bool]) -> bool:
    results = [*tests]
    return 2 * sum(results) > len(results)
