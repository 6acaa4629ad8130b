"""One series in a text file: a line per step, a column per channel."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, near_miss, printable
from ..text import listed
from ..time_units import UNITS, split_unit, unit_named, words_of
from .list_files import decode_text
from .series_data import Series, SeriesFile

DELIMITERS = ";\t,"
"""Separators of columns, a semicolon first: numbers may then have decimal commas."""

ABSENT = ("", "?", "nan", "na", "n/a", "null", "none", "-")
"""Missing values, in lower case."""

TIMES = ("t", "time", "times", "timestamp", "timestamps", "elapsed", "seconds")
"""Names of columns of times."""

TIME_NUMBERS = "a time as a number, in seconds or in a unit that the column's name ends in"
ISO_DATES = "or dates and times of ISO 8601, such as 2020-01-31 12:00:00.25"
"""What a column of times may have, for messages."""

_INDICES = ("", "index", "id", "step", "sample", "frame", "unnamed 0")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_EPOCH = (10**9, 3 * 10**9)  # Unix time in seconds, from 2001 to 2065
_JITTER = 0.1  # of a step, that a time may be early or late
_SHOWN = 40  # characters of a field in a message


def read_csv(path: Path, content: bytes, columns: Mapping[str, Any] | None = None) -> SeriesFile:
    """Read the bytes of a text file of numbers, separated by commas, semicolons, tabs or spaces.

    A first line may name the columns. A column of time (``t``, ``time_ms``, …; where no unit is named seconds, or what
    Unix time tells) gives the rate, and one that counts the lines is left out. Empty fields, ``?``, ``nan``, ``NA`` and
    ``null`` are missing values. `columns` says what a column means where its name does not: ``"time"``, ``"channel"``
    or ``"ignore"``.

    Raises
    ------
    DataError
        A field is no number, lines differ in their number of fields, times are not equally far apart, or a column that
        is said to be a time or a channel is missing.
    """
    text, _ = decode_text(path, content, "a CSV file", else_="cp1252")
    numbered = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith(("#", "%"))
    ]
    if not numbered:
        raise DataError(f"{path} has no lines", "a line per step, a column per channel", "Leave it out.")
    delimiter = next((d for d in DELIMITERS if d in numbered[0][1]), None)
    head = split_fields(numbered[0][1], delimiter)
    decimal = delimiter == ";" and any("," in line for _, line in numbered[1:2])
    named = not all(is_number(field, decimal) for field in head)
    lines = numbered[1:] if named else numbered
    if not lines:
        raise DataError(f"{path} has names of columns and no values", "a line per step", "Leave it out.")
    values = _table(path, lines, delimiter, decimal, head if named else ())
    if not named:
        return SeriesFile([Series(values)])
    columns = columns or {}
    for name, meaning in columns.items():
        if meaning in ("time", "channel") and name not in head:
            got = f"{path} has no column {name!r}, which source.columns names"
            raise DataError(got, listed([*map(repr, head)]), near_miss(name, head))
    keep, rate, note = list(range(len(head))), 0.0, ""
    for n, name in enumerate(head):
        _, unit = split_unit(name)
        given = columns.get(name)
        if given == "ignore":
            keep.remove(n)
        elif given == "channel":
            continue
        elif given == "time" or is_time(name):
            named_unit = unit or unit_named(name)
            rate = rate_of_times(path, values[:, n], named_unit, name)
            note = note_on_rate(values[:, n], named_unit, name, rate)
            keep.remove(n)
        elif " ".join(words_of(name)) in _INDICES and counts(values[:, n]):
            keep.remove(n)
    if not keep:
        raise DataError(f"{path} has times and no channels", "at least one column of values", "Leave it out.")
    names = tuple(printable(head[n]) for n in keep)
    series = [Series(np.ascontiguousarray(values[:, keep]))]
    return SeriesFile(series, rate, channels=names, rate_note=note)


def is_time(name: str) -> bool:
    """Whether a column has times, by its name."""
    return split_unit(name)[0] in TIMES or bool(unit_named(name))


def split_fields(line: str, delimiter: str | None) -> list[str]:
    """Return the fields of a line, without spaces around them; a delimiter of None: spaces."""
    if delimiter is None:
        return line.split()
    if '"' in line:
        with contextlib.suppress(csv.Error):  # such as of a field of more than 128 kB
            return [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]
    return [field.strip() for field in line.split(delimiter)]


def value_of(field: str, decimal: bool) -> float:
    """Return a field's value, NaN where it is missing; raises `ValueError` where it is no number."""
    if field.lower() in ABSENT:
        return float("nan")
    return float(field.replace(",", ".") if decimal else field)


def is_number(field: str, decimal: bool) -> bool:
    """Whether a field has a number, or a missing one; with a comma in it where `decimal` says so."""
    try:
        value_of(field, decimal or "," in field)
    except ValueError:
        return False
    return True


def _table(
    path: Path, lines: Sequence[tuple[int, str]], delimiter: str | None, decimal: bool, head: Sequence[str]
) -> NDArray[np.float64]:
    """Return float64 (line, field)."""
    if not decimal:
        try:
            text = io.StringIO("\n".join(line for _, line in lines))
            values = np.loadtxt(text, np.float64, delimiter=delimiter, comments=None, ndmin=2)
            if not head or values.shape[1] == len(head):
                return values
        except ValueError:
            pass  # a field is missing or wrong: the other way names it
    rows = []
    width = len(head) or len(split_fields(lines[0][1], delimiter))
    for number, line in lines:
        fields = split_fields(line, delimiter)
        if len(fields) != width:
            raise DataError(
                f"{path} line {number} has {len(fields)} fields",
                f"{width}, as the first line",
                "Correct the line.",
            )
        row = []
        for n, field in enumerate(fields):
            try:
                row.append(value_of(field, decimal))
            except ValueError as error:
                column = f"column {printable(head[n][:_SHOWN])}" if head else f"column {n + 1}"
                got = f"{path} line {number} has {printable(field[:_SHOWN])!r} in {column}"
                if head and is_time(head[n]):
                    expected = (
                        f"{TIME_NUMBERS}; in a table with a row per step, source.table=long, {ISO_DATES}"
                    )
                    raise DataError(got, expected, "Correct it, or remove the column.") from error
                fix = "Correct it, or remove columns that are no channels."
                raise DataError(got, "a number", fix) from error
        rows.append(row)
    return np.array(rows, np.float64)


def rate_of_times(path: Path, times: NDArray[np.float64], unit: str, name: str) -> float:
    """Return the steps per second of a column of times; 0 of a single step.

    Of an empty unit, times are in that of `unit_of_times`.
    """
    if len(times) < 2:
        return 0.0
    first, last = float(times[0]), float(times[-1])
    step = (last - first) / (len(times) - 1)
    uneven = np.abs(times - (first + step * np.arange(len(times)))) if step > 0 else np.array([np.inf])
    if not (uneven <= _JITTER * step).all():
        line = int(np.argmax(~(uneven <= _JITTER * step)))
        raise DataError(
            f"{path}: the times in column {printable(name[:_SHOWN])} are not equally far apart (step {line})",
            "rising times at a constant rate",
            f"Resample the series, or remove the column. Units of time are {', '.join(UNITS)}.",
        )
    # 9 digits: times are written with few, and files of one rate should state one
    return float(f"{1 / (step * _SECONDS[unit or unit_of_times(times)]):.9g}")


def unit_of_times(times: NDArray[np.float64]) -> str:
    """Return the unit of times whose column names none: ms, µs or ns where it makes them Unix time, else seconds."""
    first = float(times[0]) if len(times) else 0.0
    return next((unit for unit in ("ms", "us", "ns") if _EPOCH[0] <= first * _SECONDS[unit] < _EPOCH[1]), "s")


def note_on_rate(times: NDArray[np.float64], unit: str, name: str, rate: float) -> str:
    """Return what a rate was taken from, for the user's attention; empty where the column names its unit."""
    if unit or not rate:
        return ""
    found = unit_of_times(times)
    what = "s" if found == "s" else f"{found}, as it has Unix time"
    return f"column {printable(name[:_SHOWN])} names no unit and is taken in {what}: {rate:g} Hz"


def counts(column: NDArray[np.float64]) -> bool:
    """Whether a column numbers the lines, from 0 or 1."""
    return bool(column[0] in (0, 1) and (np.diff(column) == 1).all())
