"""The lines of CSV files: encodings, separators, quotes, and what programs write ahead of the names of columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, printable
from ..file_kinds import HEAD, TEXT, UTF16, is_text, kind_of
from ..input_files import Limits, read_input
from .list_files import decode_text
from .table_columns import role_of

_TABLE_EXPANDS = 16  # times its bytes in memory: a text and a path for each line
_DELIMITERS = ",;\t|"
_EXCEL = re.compile(r'"?sep=(.?)"?', re.IGNORECASE)  # its separator; a tab at the end was stripped
_TABLES = (".xlsx", ".xls", ".ods", ".parquet", ".arrow", ".feather", ".json", ".jsonl", ".xml")
_SHOWN = 60  # characters of a line in one message


class Row(NamedTuple):
    """A line of a table: its number, or that of its first one, and its fields without spaces around them."""

    line: int
    fields: Sequence[str]


def read_rows(
    table: Path, limits: Limits, columns: Mapping[str, str]
) -> tuple[list[str], list[Row], list[str]]:
    """Return a table's names of columns, its other lines, and findings.

    Fields are separated by ``,``, ``;``, tabs or ``|``. The text is UTF-8, UTF-16, or else Windows-1252, of which
    Latin-1 is a part. Comments and Excel's ``sep=;`` may be ahead of the names.

    Parameters
    ----------
    table
        The CSV file.
    limits
        What reading it may take.
    columns
        Column → its meaning, where names do not say so.

    Raises
    ------
    DataError
        It cannot be read, is no such table, or has no line of column names.
    """
    content = read_input(table, limits).data
    _check_kind(table, content)
    limits.check_bytes(f"the table {table}", _TABLE_EXPANDS * len(content))
    text, encoding = decode_text(table, content, "a CSV file", else_="cp1252")
    findings = []
    if encoding == "cp1252":
        findings.append(f"{table.name}: read as Windows-1252 (Latin-1), as it is not UTF-8")
    text, first, delimiter = _without_preamble(text)
    lines = _parse(table, text, delimiter)
    if not lines:
        raise DataError(f"{table} has no rows", "a first line path,label and a line per file", "Add them.")
    header = list(lines[0].fields)
    if not any(role_of(name) or name in columns for name in header if name):
        if sum(map(bool, map(role_of, first.split()))) > 1:
            fix = (
                f"Separate the columns by one of these, for example: tr -s ' ' ',' < {table.name} > NEW.csv."
            )
            raise DataError(
                f"{table} separates its columns by spaces: {first[:_SHOWN]}", "commas, ; tabs or |", fix
            )
        raise DataError(
            f"{table} has no line of column names that are known: its first line is "
            f"{printable(first[:_SHOWN])}",
            "a first line such as path,label or path,label,split",
            "Add the first line; or, if these are names, say what they mean: use source.columns.NAME=path and "
            "source.columns.OTHER=label.",
        )
    if len(lines) == 1:
        raise DataError(f"{table} has no rows", "a line per file below the names of the columns", "Add them.")
    return header, lines[1:], findings


def names_of_columns(text: str) -> list[str]:
    """Return the fields of a table's first line, behind comments."""
    _, first, delimiter = _without_preamble(text)
    return _split(first, delimiter)


def _without_preamble(text: str) -> tuple[str, str, str]:
    """Return a table's text, its line of column names, and its separator.

    Lines of comments and Excel's line ``sep=;`` ahead of the names become empty, so that lines keep their numbers. A
    comment that has the names of columns is their line.
    """
    lines = text.splitlines(keepends=True)
    named = ""
    for n, line in enumerate(lines):
        first = line.strip()
        if excel := _EXCEL.fullmatch(first):
            named = excel[1] or "\t"
        elif first.startswith("#"):
            delimiter = named or _delimiter(first[1:])
            names = _split(first.lstrip("# "), delimiter)
            if len(names) > 1 and all(map(role_of, filter(None, names))):
                lines[n] = line.replace("#", "", 1).lstrip("# ")
                return "".join(lines), lines[n].strip(), delimiter
        elif first:
            return "".join(lines), first, named or _delimiter(first)
        lines[n] = "\n"
    return "", "", ","


def _check_kind(table: Path, content: bytes) -> None:
    """Raise `DataError` where a file is no table but another kind: of a sample, or an archive."""
    head = content[:HEAD]
    kind = kind_of(head)
    if (
        not content or kind in (None, TEXT, UTF16) or (kind and kind.group and is_text(head))
    ):  # such as a column OggS
        return
    assert kind
    fix = kind.fix
    if kind.group:
        fix = "Give the folder that has the files of all classes: source=FOLDER"
    elif table.suffix.lower() in _TABLES:
        fix = "Save it as CSV: a line path,label or path,label,split, and one for each file"
    raise DataError(f"{table} is {kind.name}", "a folder, or a CSV file of path,label[,split]", f"{fix}.")


def _delimiter(first: str) -> str:
    """Return the separator with which most names of columns are known."""
    known = {d: sum(map(bool, map(role_of, _split(first, d)))) for d in _DELIMITERS if d in first}
    return max(known, key=known.__getitem__, default=_DELIMITERS[0])


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _parse(table: Path, text: str, delimiter: str) -> list[Row]:
    """Return the lines that are not empty; raises `DataError` where quotes are not those of a CSV file."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, line = [], 1
    try:
        for fields in reader:
            if any(fields):
                rows.append(Row(line, [*map(str.strip, fields)]))
            line = reader.line_num + 1
    except csv.Error as error:
        what = "opens a quote that nothing closes" if "unexpected end" in str(error) else f"is wrong: {error}"
        raise DataError(
            f"{table} is not a CSV file: line {line} {what}",
            'lines of path,label[,split], with "quotes" around whole fields',
            'Close the quote, remove it, or write it twice in a quoted field: "7"" disk".',
        ) from error
    return rows
