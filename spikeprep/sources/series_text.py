"""Numbers and texts in columns of text files, read in blocks of lines: the memory is that of the values."""

from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, printable
from .list_files import decode_text
from .series_csv import (
    ABSENT,
    DELIMITERS,
    ISO_DATES,
    TIME_NUMBERS,
    is_number,
    is_time,
    split_fields,
    value_of,
)
from .series_number_kernel import parse_numbers

_BLOCK = 4096  # lines that are converted at a time
_CHUNK = 1 << 20  # characters that are split at a time
_SHOWN = 40  # characters of a field in a message


@dataclass(frozen=True)
class TextColumns:
    """A text file of columns: its separator, its names of columns, and its other lines.

    Attributes
    ----------
    path
        The file, for messages.
    text
        Its content.
    delimiter
        The separator; None: spaces.
    decimal
        Whether numbers have decimal commas.
    header
        The names of the columns; empty where the first line has values.
    first
        The fields of the first line of values; empty where there is none.
    begin
        Number of that line, from 0.
    """

    path: Path
    text: str
    delimiter: str | None
    decimal: bool
    header: tuple[str, ...]
    first: tuple[str, ...]
    begin: int

    @classmethod
    def of(cls, path: Path, content: bytes) -> TextColumns:
        """Return the columns of a file's bytes; comments (``#``, ``%``) may be ahead of the first line.

        Raises
        ------
        DataError
            It is no text, or has no lines.
        """
        text, _ = decode_text(path, content, "a CSV file", else_="cp1252")
        return cls.of_text(path, text)

    @classmethod
    def of_text(cls, path: Path, text: str) -> TextColumns:
        """Return the columns of a text, see `of`."""
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = (
            (n, line.strip())
            for n, line in enumerate(_lines(text))
            if line.strip() and not line.lstrip().startswith(("#", "%"))
        )
        head = list(islice(lines, 2))
        if not head:
            raise DataError(f"{path} has no lines", "columns of values", "Leave it out.")
        delimiter = next((d for d in DELIMITERS if d in head[0][1]), None)
        fields = tuple(split_fields(head[0][1], delimiter))
        second = tuple(split_fields(head[1][1], delimiter)) if len(head) > 1 else ()
        decimal = delimiter == ";" and "," in head[-1][1]
        named = bool(second) and _is_header(fields, second, decimal)
        if named and len(second) != len(fields):
            raise DataError(
                f"{path} line {head[1][0] + 1} has {len(second)} fields",
                f"{len(fields)}, as the first line",
                "Correct the line.",
            )
        return cls(
            path,
            text,
            delimiter,
            decimal,
            fields if named else (),
            second if named else fields,
            head[1][0] if named else head[0][0],
        )

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.first)

    def _blocks(self) -> Iterator[tuple[list[int], list[str]]]:
        """Yield lines that are not empty, with their numbers, from 1; raises `DataError` where a width differs."""
        stream = islice(enumerate(_lines(self.text), 1), self.begin, None)
        while chunk := list(islice(stream, _BLOCK)):
            kept = [(n, line) for n, line in chunk if line and not line.isspace()]
            if kept:
                yield [n for n, _ in kept], [line for _, line in kept]

    def _check_widths(self, numbers: Sequence[int], lines: Sequence[str]) -> None:
        for n, line in zip(numbers, lines, strict=True):
            if self.delimiter is None:
                width = len(line.split())
            elif '"' in line:
                width = len(split_fields(line, self.delimiter))
            else:
                width = line.count(self.delimiter) + 1
            if width != self.width:
                raise DataError(
                    f"{self.path} line {n} has {width} fields",
                    f"{self.width}, as the first line",
                    "Correct the line.",
                )

    def read(
        self, numeric: Sequence[int], texts: Sequence[int]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.str_]]]:
        """Return columns by their numbers: float64 (line, column), NaN where a value is missing; and texts, stripped.

        Raises
        ------
        DataError
            Lines differ in their number of fields, or a field of a numeric column is no number.
        """
        numbers, words = [], []
        for lines, block in self._blocks():
            values = self._exact(block, numeric)
            if values is None:
                self._check_widths(lines, block)
                values = self._numeric(lines, block, numeric)
            numbers.append(values)
            words.append(self._words(block, texts))
        result = np.concatenate(numbers) if numbers else np.empty((0, len(numeric)))
        return result, [
            np.concatenate([part[:, n] for part in words]) if words else np.empty(0, np.str_)
            for n in range(len(texts))
        ]

    def _exact(self, lines: Sequence[str], columns: Sequence[int]) -> NDArray[np.float64] | None:
        """Return the numbers of lines as `parse_numbers` converts them; None where it does not take all of them."""
        if not columns or self.decimal or any('"' in line for line in lines):
            return None
        raw = np.frombuffer(("\n".join(lines) + "\n\0").encode(), np.uint8)
        places = np.full(self.width, -1)
        places[list(columns)] = np.arange(len(columns))
        values = np.empty((len(lines), len(columns)))
        done = parse_numbers(raw, ord(self.delimiter or "\0"), places, values)
        return values if done == len(lines) else None

    def _numeric(
        self, numbers: Sequence[int], lines: Sequence[str], columns: Sequence[int]
    ) -> NDArray[np.float64]:
        if not columns:
            return np.empty((len(lines), 0))
        if not self.decimal:
            try:
                return np.loadtxt(
                    lines, np.float64, delimiter=self.delimiter, usecols=columns, comments=None,
                    quotechar='"', ndmin=2,
                )  # fmt: skip
            except ValueError:
                pass  # a field is missing or wrong: what follows names it
        words = np.char.lower(self._words(lines, columns))
        words = np.where(np.isin(words, ABSENT), "nan", words)  # wider than the words may be
        if self.decimal:
            words = np.char.replace(words, ",", ".")
        try:
            return words.astype(np.float64)
        except ValueError:
            row, column = next(place for place in np.ndindex(words.shape) if not _reads(str(words[place])))
            field = str(self._words(lines[row : row + 1], columns)[0, column])
            name = printable(self.header[columns[column]]) if self.header else "NAME"
            timed = bool(self.header) and is_time(self.header[columns[column]])
            raise DataError(
                f"{self.path} line {numbers[row]} has {printable(field[:_SHOWN])!r} in {self.name_of(columns[column])}",
                f"{TIME_NUMBERS}, as in the first row, {ISO_DATES}, in all" if timed else "a number",
                f"Correct it, or say what the column means: use source.columns.{name}=label, group, split or ignore.",
            ) from None

    def _words(self, lines: Sequence[str], columns: Sequence[int]) -> NDArray[np.str_]:
        if not columns:
            return np.empty((len(lines), 0), np.str_)
        if self.delimiter is not None and any('"' in line for line in lines):
            rows = [split_fields(line, self.delimiter) for line in lines]
            picked = [[row[n] for row in rows] for n in columns]
        else:
            picked = [self._column(lines, n) for n in columns]
        return np.char.strip(np.array(picked, np.str_).T)

    def _column(self, lines: Sequence[str], column: int) -> list[str]:
        """Return a column of lines without quotes: they are split no further than it is from the nearer end."""
        behind = self.width - 1 - column
        if column <= behind:
            return [line.split(self.delimiter, column + 1)[column] for line in lines]
        return [line.rsplit(self.delimiter, behind + 1)[-1 - behind] for line in lines]

    def spaced(self, column: int) -> list[str]:
        """Return the texts of a column, sorted, that spaces around them alone tell apart: `read` takes them for one."""
        mark = self.delimiter
        if mark is None or not any(s in self.text for s in (f" {mark}", f"{mark} ", " \n", '" ', ' "')):
            return []
        texts = set()
        for _, lines in self._blocks():
            for line in lines:
                fields = line.split(mark)
                if '"' in line:
                    with contextlib.suppress(csv.Error):
                        fields = next(csv.reader([line], delimiter=mark))
                if len(fields) == self.width:
                    texts.add(fields[column])
        names = Counter(text.strip() for text in texts)
        return sorted(text for text in texts if names[text.strip()] > 1)

    def name_of(self, column: int) -> str:
        """Return a column's name, or its number, from 1, for messages."""
        if self.header:
            return f"column {printable(self.header[column][:_SHOWN])}"
        return f"column {column + 1}"


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text without their ends (LF), some at a time."""
    begin = 0
    while begin < len(text):
        end = text.rfind("\n", begin, begin + _CHUNK)
        if end < 0:  # a line that is longer
            end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        yield from text[begin:end].split("\n")
        begin = end + 1


def _is_header(fields: Sequence[str], second: Sequence[str], decimal: bool) -> bool:
    """Whether a first line names columns: one of its fields is no number, where the line below has one.

    A class that is a text, first or last in every line, makes no header; numbers of the columns, ``0,1,2,…``, do.
    """
    if len(fields) > 2 and any([*fields] == [str(n) for n in range(k, k + len(fields))] for k in (0, 1)):
        return True
    if len(fields) != len(second):
        return not any(is_number(field, decimal) for field in fields)
    texts = [not is_number(field, decimal) for field in fields]
    below = [not is_number(field, decimal) for field in second]
    return any(text and not other for text, other in zip(texts, below, strict=True)) or (
        all(texts) and len(fields) > 1
    )


def _reads(word: str) -> bool:
    try:
        value_of(word, False)
    except ValueError:
        return False
    return True
