"""Events as text: a line per event with its four numbers, separated by spaces, tabs, commas or semicolons.

| layout | columns | t | sensor |
| --- | --- | --- | --- |
| Event Camera Dataset, e2vid, v2e | t x y p | in s | e2vid: a first line of width and height |
| Metavision | x,y,p,t | in µs | a first line ``%geometry:WIDTH,HEIGHT`` |
| AEStream, faery | t,x,y,p | in µs | faery: a first line ``t,x,y,on`` |
| others | named by a first line such as ``x,y,p,t``, or by `columns` | with fractions in s, else in µs | |

The file may be gzipped, or the one file in a ZIP archive.

Lines at the beginning that begin with ``#`` or ``%`` are comments, and ``sep=;``, as spreadsheets have it, is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from ..errors import DataError, printable
from ..file_kinds import is_text
from ..input_files import InputFile
from ..time_units import split_unit
from .base import Decoder, as_words
from .chunks import Chunk
from .columns import NAMES, ColumnDecoder, ColumnFormat, Columns
from .polarities import Polarities
from .text_kernel import (
    AHEAD,
    LEAST_LINE,
    PADDING,
    Pattern,
    is_narrow,
    join,
    parse_lines,
    parse_regular,
)
from .text_streams import TextStream, unpacked_head
from .text_writer import TextWriter
from .units import microseconds
from .writer import EventWriter

_LINES = 1000  # of which the first event is one, or there are none
_HEAD = 1 << 16  # bytes of the lines that are no events, and of those that tell the order
_SLICE = 1 << 20  # bytes that are read at a time
_SEPARATOR = re.compile(r"[\s,;]+")
_OF_NAMES = re.compile(r"\s*[,;\t]\s*")  # names may have blanks in them, such as time [us]
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
    def __init__(
        self, file: InputFile, form: ColumnFormat, stream: TextStream, layout: _Layout, order: str
    ) -> None:
        self._layout, self._order, self._stream = layout, order, stream
        # stamps in whole µs can have more digits than a float64
        stamp = np.float64 if layout.seconds else np.int64
        self._dtype = np.dtype([(column, stamp if column == "t" else np.float64) for column in order])
        self._fields = tuple("xypt".index(column) for column in order)
        self._buffer = bytearray(AHEAD + _HEAD + _SLICE + PADDING)
        most = len(self._buffer) // LEAST_LINE + 1
        self._values = np.empty((3, most), np.int32)  # x, y, p
        self._stamps = np.empty(0 if layout.seconds else most, np.int64)
        self._fractions = np.empty(most if layout.seconds else 0, np.float64)
        where = "the name of its column says" if layout.unit else ""
        super().__init__(file, form, layout.unit, where)  # type: ignore[arg-type]
        self.size = layout.size

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        buffer, index, number, end = self._buffer, 0, 0, AHEAD
        self._stream.restart(self._layout.begin)
        while True:
            count = self._stream.readinto(memoryview(buffer)[end : end + _SLICE])
            end += count
            if not count:  # the last line may have no end
                buffer[end : end + 1] = b"\n"
            stop = buffer.rfind(b"\n", AHEAD - 1, end + (not count)) + 1 or AHEAD
            columns = self._parse(stop, index)
            if len(columns["t"]):
                if number >= first:  # how long lines are, only reading tells
                    yield columns
                index, number = index + len(columns["t"]), number + 1
            if not count:
                return
            kept = end - stop
            if kept > _HEAD:
                raise self._error(index, f"a line of more than {_HEAD:,} bytes")
            buffer[AHEAD : AHEAD + kept] = buffer[stop:end]
            end = AHEAD + kept

    def _parse(self, stop: int, index: int) -> Columns:
        """Return the columns of the lines in the buffer up to `stop`; lines that are not plain take longer."""
        layout, fields = self._layout, self._fields
        t = self._fractions if layout.seconds else self._stamps
        raw, out = np.frombuffer(self._buffer, np.uint8), (self._values, self._stamps, self._fractions)
        count, at, commas = 0, AHEAD, layout.separator is not None
        if pattern := Pattern.of(self._some_line(stop), commas, fields, layout.seconds):
            count, at = parse_regular(raw, at, stop, pattern, *out)
        count, plain = parse_lines(raw, at, stop, count, commas, fields, layout.seconds, *out)
        if plain:
            return {"t": t[:count]} | {c: self._values[n, :count] for n, c in enumerate("xyp")}
        rows = self._parse_others(bytes(self._buffer[AHEAD:stop]), index)
        return {column: rows[column] for column in "xytp"}

    def _some_line(self, stop: int) -> bytes:
        """Return a line from the middle of the buffer, whose first one may be special: t is 0 without a fraction."""
        begin = self._buffer.rfind(b"\n", AHEAD, (AHEAD + stop) // 2) + 1 or AHEAD
        return bytes(self._buffer[begin : self._buffer.find(b"\n", begin, stop) + 1])

    def _parse_others(self, lines: bytes, index: int) -> NDArray[np.void]:
        """Return the rows of lines with exponents, numbers that are not finite and the like."""
        text = lines.decode("latin-1").replace(";", ",").splitlines()
        try:
            return np.loadtxt(text, self._dtype, comments=None, delimiter=self._layout.separator, ndmin=1)
        except ValueError as error:
            bad = next((n for n, line in enumerate(text) if line.strip() and not _is_event(line)), 0)
            before = index + sum(1 for line in text[:bad] if line.strip())
            raise self._error(before, f"the line {text[bad][:_SHOWN]!r}") from error

    def _chunk_of(self, columns: Columns, index: int, polarities: Polarities) -> Chunk:
        values, t, count = self._values, columns["t"], len(columns["t"])
        if columns["x"].base is not values or not is_narrow(values, count):
            return super()._chunk_of(columns, index, polarities)
        self._decide(t)
        events = np.empty(count, EVENT)
        p = polarities.decode(columns["p"], index)
        if p is not columns["p"]:
            return super()._chunk_of(columns, index, polarities)
        whole = not self._known and self._unit == "us"
        stamps = microseconds(self.path, t, self._unit, index, whole, self._base)
        join(values, stamps, as_words(events))
        return Chunk(events)

    def _error(self, index: int, what: str) -> DataError:
        return DataError(
            f"{self.path} has after {index:,} events {what}",
            f"lines of {' '.join(self._order)}",
            "Remove the lines that are no events, or cut the file off before this one.",
        )

    def _length(self) -> int:
        return self._stream.length or 0

    def max_events(self) -> int | None:  # type: ignore[override]
        """Return an upper bound, by the shortest line; None for a gzipped file."""
        length = self._stream.length
        return None if length is None else max((length - self._layout.begin + 1) // LEAST_LINE, 1)

    def close(self) -> None:
        self._remaining = iter(())  # nothing reads on
        self._stream.close()
        super().close()

    def _row(self, index: int) -> None:
        return None

    def last_event(self) -> None:
        """Return None: how long a line is, only reading tells."""


@dataclass(frozen=True)
class TextFile(ColumnFormat):
    """Text with four columns (.txt, .csv, also .gz, .zip); has to be named in a folder, as other files are text too."""

    name: ClassVar[str] = "text"
    title: ClassVar[str] = "text of four columns"
    writer: ClassVar[type[EventWriter] | None] = TextWriter
    extensions: ClassVar[tuple[str, ...]] = tuple(
        f"{ending}{packed}" for packed in ("", ".gz", ".zip") for ending in (".txt", ".csv")
    )
    common_endings: ClassVar[bool] = True
    other_text: ClassVar[str] = (
        "Save a line for each event with its x, y, t and p alone, fractions with a point, separated by spaces, tabs, "
        "commas or semicolons, under a first line that names them, such as x,y,t,p"
    )

    @classmethod
    def matches(cls, head: bytes) -> bool | None:
        """Return None for text with a line of four numbers or of the columns' names, True if packed, else False."""
        text = unpacked_head(head)
        if not (text and is_text(text) and (_layout(text) or _wrong_value(text))):
            return False
        return None if text is head else True

    def decoder(self, file: InputFile) -> Decoder:
        """Find the columns; see `EventFormat.decoder`."""
        path, stream = file.path, TextStream(file)
        head = stream.head(_HEAD)
        layout = _layout(head)
        if layout is None and (wrong := _wrong_value(head)):
            number, name, field = wrong
            raise DataError(
                f"{path}: line {number} has {printable(field[:_SHOWN])!r} in column {printable(name)}",
                "a decimal number",
                "Save p as 0 (OFF) and 1 (ON), and x, y and t as numbers.",
            )
        if layout is None:
            raise DataError(f"{path} has no line of four numbers at its beginning", "a line per event")
        order = self.columns or layout.order
        if not order:
            raise DataError(
                f"{path} has lines such as {layout.first[:_SHOWN]!r}, which do not tell their columns",
                "t x y p with t in s, or x,y,p,t with t in µs, or names in the first line",
                "Pass the order of the columns as columns='txyp' or columns='xypt'.",
            )
        return _Decoder(file, self, stream, layout, order)


@lru_cache(8)
def _layout(head: bytes) -> _Layout | None:
    """Return what the first lines tell; None where no line has four numbers, nor the columns' names without events."""
    at, order, size, unit = 0, "", None, ""
    lines = head.split(b"\n")
    for number, raw in enumerate(lines[: _LINES if len(head) < _HEAD else -1]):
        line = raw.decode("utf-8-sig", "replace").strip()
        words, names = _SEPARATOR.split(line.lstrip("#%/ ")), _names_in(line)
        if line.startswith("%geometry:") and len(words) == 2:
            size = _size([words[0].rpartition(":")[2], words[1]])
        elif named := _order_of(names):
            order, unit = named, split_unit(names[named.index("t")])[1]
        elif not line or line.startswith(("#", "%", "//")) or line.lower().startswith("sep="):
            pass
        elif len(words) == 2 and size is None and _size(words):
            size = _size(words)
        elif len(words) == 4 and all(map(_is_number, words)):
            separator = "," if "," in line or ";" in line else None
            rows = [_SEPARATOR.split(r.decode("latin-1").strip()) for r in lines[number : number + 1000]]
            rows = [row for row in rows if len(row) == 4 and all(map(_is_number, row))]
            values = np.array(rows, float)
            order = order or _order_in(values[np.isfinite(values).all(1)], words, separator == ",")
            # a stamp such as 0 in a file of seconds has no fraction
            column = order.index("t") if order else 0
            seconds = any("." in row[column] or "e" in row[column].lower() for row in rows)
            return _Layout(at, order, separator, seconds, size, line, unit)
        else:
            return None
        at += len(raw) + 1
    # the columns' names and no events
    whole = len(head) < _HEAD and len(lines) <= _LINES
    return _Layout(len(head), order, ",", False, size, "", unit) if order and whole else None


def _names_in(line: str) -> list[str]:
    """Return the names of four columns in a line; empty where it has another number."""
    bare = line.lstrip("#%/ ")
    for separator in (_OF_NAMES, _SEPARATOR):
        if len(names := separator.split(bare)) == 4:
            return names
    return []


def _wrong_value(head: bytes) -> tuple[int, str, str] | None:
    """Return line, column and field of the first field that is no number below a line of the columns' names."""
    names: list[str] = []
    for number, raw in enumerate(head.split(b"\n")[:1000], 1):
        line = raw.decode("utf-8-sig", "replace").strip()
        if _order_of(_names_in(line)):
            names = _names_in(line)
        elif names and line and not line.startswith(("#", "%", "//")):
            fields = _OF_NAMES.split(line) if _OF_NAMES.search(line) else line.split()
            wrong = [n for n, field in enumerate(fields) if not _is_number(field)]
            if len(fields) != 4 or not wrong:
                return None
            return number, names[wrong[0]], fields[wrong[0]]
    return None


def _order_of(names: list[str]) -> str:
    """Return the order of columns by their usual names, empty where they are others."""
    columns = {usual: column for column, names_of in NAMES.items() for usual in names_of}
    plain = [name.lower().strip("\"'") for name in names]
    plain = [split_unit(name)[0] if split_unit(name)[0] in NAMES["t"] else name for name in plain]
    order = "".join(columns.get(name, "") for name in plain)
    return order if sorted(order) == sorted("xytp") else ""


def _order_in(rows: NDArray[np.float64], first: list[str], commas: bool) -> str:
    """Return the order of columns without names in a usual layout, else an empty text."""

    def is_layout(t: int, p: int) -> bool:
        others = [n for n in range(4) if n not in (t, p)]
        whole = bool((rows[:, others] == np.rint(rows[:, others])).all())
        return (
            whole and bool((np.diff(rows[:, t]) >= 0).all()) and bool(np.isin(rows[:, p], (-1, 0, 1)).all())
        )

    if "." in first[0] and is_layout(0, 3):
        return "txyp"
    t_last, t_first = is_layout(3, 2), is_layout(0, 3)
    if t_last == t_first:
        return ""
    column = 3 if t_last else 0
    t = rows[:, column]
    if not (t == np.rint(t)).all() or t[-1] <= t[0]:
        return ""
    return "xypt" if t_last else "txyp" if commas else ""


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
