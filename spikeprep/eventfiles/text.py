"""Events as text: a line per event with its four numbers, separated by spaces, tabs, commas or semicolons.

| layout | columns | t | sensor |
| --- | --- | --- | --- |
| Event Camera Dataset, e2vid, v2e | t x y p | in s | e2vid: a first line of width and height |
| Metavision | x,y,p,t | in µs | a first line ``%geometry:WIDTH,HEIGHT`` |
| others | named by a first line such as ``x,y,p,t``, or by `columns` | with fractions in s, else in µs | |

Lines at the beginning that begin with ``#`` or ``%`` are comments, and ``sep=;``, as spreadsheets have it, is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..file_kinds import is_text
from ..input_files import InputFile
from ..time_units import split_unit
from .base import Decoder
from .columns import NAMES, ColumnDecoder, ColumnFormat, Columns

_HEAD = 1 << 16  # bytes of the lines that are no events, and of those that tell the order
_SLICE = 1 << 20  # bytes that are read at a time
_SEPARATOR = re.compile(r"[\s,;]+")
_SHOWN = 40  # characters of a line in a message


@dataclass(frozen=True)
class _Layout:
    begin: int  # offset of the first event
    order: str  # of the columns, empty where unknown
    separator: str | None
    seconds: bool  # whether stamps have fractions
    size: tuple[int, int] | None
    first: str  # the first event's line
    unit: str = ""  # of t, where its column's name states it


class _Decoder(ColumnDecoder):
    def __init__(self, file: InputFile, form: ColumnFormat, layout: _Layout, order: str) -> None:
        self._layout, self._order = layout, order
        # stamps in whole µs can have more digits than a float64
        stamp = np.float64 if layout.seconds else np.int64
        self._dtype = np.dtype([(column, stamp if column == "t" else np.float64) for column in order])
        where = "the name of its column says" if layout.unit else ""
        super().__init__(file, form, layout.unit, where)  # type: ignore[arg-type]
        self.size = layout.size

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        stream, index, rest, number = self.file.stream, 0, b"", 0
        at = self._layout.begin
        while True:
            stream.seek(at)
            raw = stream.read(_SLICE)
            at += len(raw)
            lines, _, after = (rest + raw).rpartition(b"\n") if raw else (rest, b"", b"")
            rest = after
            if lines.strip():
                rows = self._parse(lines, index)
                if number >= first:  # how long lines are, only reading tells
                    yield {column: rows[column] for column in "xytp"}
                index, number = index + len(rows), number + 1
            if not raw:
                return
            if len(rest) > _HEAD:
                raise self._error(index, f"a line of more than {_HEAD:,} bytes")

    def _parse(self, lines: bytes, index: int) -> NDArray[np.void]:
        text = lines.decode("latin-1").replace(";", ",").splitlines()
        try:
            rows = np.loadtxt(text, self._dtype, comments=None, delimiter=self._layout.separator, ndmin=1)
        except ValueError as error:
            bad = next((n for n, line in enumerate(text) if line.strip() and not _is_event(line)), 0)
            before = index + sum(1 for line in text[:bad] if line.strip())
            raise self._error(before, f"the line {text[bad][:_SHOWN]!r}") from error
        return rows

    def _error(self, index: int, what: str) -> DataError:
        return DataError(
            f"{self.path} has after {index:,} events {what}",
            f"lines of {' '.join(self._order)}",
            "Remove the lines that are no events, or cut the file off before this one.",
        )

    def _length(self) -> int:
        return self.file.length()

    def max_events(self) -> int:
        """Return an upper bound: an event has four digits, three separators and the end of its line."""
        return max((self.file.length() - self._layout.begin + 1) // 8, 1)

    def _row(self, index: int) -> None:
        return None

    def last_event(self) -> None:
        """Return None: how long a line is, only reading tells."""


@dataclass(frozen=True)
class TextFile(ColumnFormat):
    """Text with four columns (.txt, .csv); has to be named in a folder of recordings, as other files are text too."""

    name: ClassVar[str] = "text"
    title: ClassVar[str] = "text of four columns"
    extensions: ClassVar[tuple[str, ...]] = (".txt", ".csv")
    common_endings: ClassVar[bool] = True
    other_text: ClassVar[str] = (
        "Save a line for each event with its x, y, t and p alone, fractions with a point, separated by spaces, tabs, "
        "commas or semicolons, under a first line that names them, such as x,y,t,p"
    )

    @classmethod
    def matches(cls, head: bytes) -> bool | None:
        """Return None for text that has a line of four numbers, else False."""
        return None if is_text(head) and _layout(head) else False

    def decoder(self, file: InputFile) -> Decoder:
        """Find the columns; see `EventFormat.decoder`."""
        path = file.path
        layout = _layout(file.head(_HEAD))
        if layout is None:
            raise DataError(f"{path} has no line of four numbers at its beginning", "a line per event")
        order = self.columns or layout.order
        if not order:
            raise DataError(
                f"{path} has lines such as {layout.first[:_SHOWN]!r}, which do not tell their columns",
                "t x y p with t in s, or x,y,p,t with t in µs, or names in the first line",
                "Pass the order of the columns as columns='txyp' or columns='xypt'.",
            )
        return _Decoder(file, self, layout, order)


def _layout(head: bytes) -> _Layout | None:
    """Return what the first lines tell; None where there is no line of four numbers among them."""
    at, order, size, unit = 0, "", None, ""
    lines = head.split(b"\n")
    for number, raw in enumerate(lines[: 1000 if len(head) < _HEAD else -1]):
        line = raw.decode("utf-8-sig", "replace").strip()
        words = _SEPARATOR.split(line.lstrip("#%/ "))
        if line.startswith("%geometry:") and len(words) == 2:
            size = _size([words[0].rpartition(":")[2], words[1]])
        elif len(words) == 4 and (named := _order_of(words)):
            order, unit = named, split_unit(words[named.index("t")])[1]
        elif not line or line.startswith(("#", "%", "//")) or line.lower().startswith("sep="):
            pass
        elif len(words) == 2 and size is None and _size(words):
            size = _size(words)
        elif len(words) == 4 and all(map(_is_number, words)):
            separator = "," if "," in line or ";" in line else None
            rows = [_SEPARATOR.split(r.decode("latin-1").strip()) for r in lines[number : number + 1000]]
            rows = [row for row in rows if len(row) == 4 and all(map(_is_number, row))]
            values = np.array(rows, float)
            order = order or _order_in(values[np.isfinite(values).all(1)], words)
            # a stamp such as 0 in a file of seconds has no fraction
            column = order.index("t") if order else 0
            seconds = any("." in row[column] or "e" in row[column].lower() for row in rows)
            return _Layout(at, order, separator, seconds, size, line, unit)
        else:
            return None
        at += len(raw) + 1
    return None


def _order_of(names: list[str]) -> str:
    """Return the order of columns by their usual names, empty where they are others."""
    columns = {usual: column for column, names_of in NAMES.items() for usual in names_of}
    plain = [name.lower().strip("\"'") for name in names]
    plain = [split_unit(name)[0] if split_unit(name)[0] in NAMES["t"] else name for name in plain]
    order = "".join(columns.get(name, "") for name in plain)
    return order if sorted(order) == sorted("xytp") else ""


def _order_in(rows: NDArray[np.float64], first: list[str]) -> str:
    """Return the order of columns without names in the two usual layouts, else an empty text."""

    def is_layout(t: int, p: int) -> bool:
        others = [n for n in range(4) if n not in (t, p)]
        whole = bool((rows[:, others] == np.rint(rows[:, others])).all())
        return (
            whole and bool((np.diff(rows[:, t]) >= 0).all()) and bool(np.isin(rows[:, p], (-1, 0, 1)).all())
        )

    if "." in first[0] and is_layout(0, 3):
        return "txyp"
    whole = bool((rows[:, 3] == np.rint(rows[:, 3])).all())
    return "xypt" if whole and is_layout(3, 2) and not is_layout(0, 3) and rows[-1, 3] > rows[0, 3] else ""


def _is_event(line: str) -> bool:
    """Return whether a line has four numbers."""
    words = _SEPARATOR.split(line.strip())
    return len(words) == 4 and all(map(_is_number, words))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _size(words: list[str]) -> tuple[int, int] | None:
    return (int(words[0]), int(words[1])) if all(word.isdecimal() for word in words) else None
