"""Events as columns of numbers, as HDF5 and NumPy files have them, under names that differ from tool to tool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..array_files.dtypes import fix_of_type
from ..data import EVENT
from ..errors import DataError, UsageError
from ..input_files import InputFile
from ..time_units import split_unit
from .base import EventFormat
from .chunks import Chunk, ChunkDecoder
from .polarities import Off, On, Polarities
from .units import Unit, base_of, check_rate, coarse, microseconds, recognised

NAMES = {
    "x": ("x", "xs", "x_pos", "col"),
    "y": ("y", "ys", "y_pos", "row"),
    "t": ("t", "ts", "timestamp", "timestamps", "time", "times"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
"""Usual names of each column of an event, in lower case."""

_LARGEST = 65535
_OFF = {"x": _LARGEST, "y": _LARGEST, "p": 255}  # replace, in EVENT, values that do not fit: off any sensor
_MAX_ROW = 4096  # bytes of an event: x, y, t, p, and what else a tool adds

_UNIT_WORDS: Mapping[Unit, str] = {"s": "seconds", "ms": "ms", "us": "µs", "ns": "ns"}

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ColumnFormat(EventFormat):
    """A format of named columns; usual names are recognised.

    Parameters
    ----------
    x, y, t, p
        Names of the columns.
    columns
        Order of the columns of an array (event, column) without names, e.g. ``"xytp"``.
    unit
        Unit of t: ``"us"``, ``"ms"``, ``"s"`` or ``"ns"``. Fractions of a µs are rounded, integers in ns rounded down.
        Where empty, it is what the file states, as an attribute or in the column's name; otherwise whole numbers are
        µs, and fractions seconds; what is unclear is refused.
    off
        The value of p that means OFF. Where empty, 0 or −1: the one of the two that a file has.
    on
        The value of p that means ON. Where empty, 1.
    """

    x: str = ""
    y: str = ""
    t: str = ""
    p: str = ""
    columns: str = ""
    unit: Unit = ""
    off: Off = ""
    on: On = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.columns and any(self.columns.count(column) != 1 for column in "xytp"):
            raise UsageError(
                f"got {self.name}.columns = {self.columns!r}",
                "x, y, t and p once each, in their order: 'xytp'",
            )

    def find(self, known: Iterable[str]) -> dict[str, str] | None:
        """Return column → its name among the names `known`, None where one is missing; the first of several."""
        matches = self.matching(known)
        return {column: names[0] for column, names in matches.items()} if all(matches.values()) else None

    def matching(self, known: Iterable[str]) -> dict[str, list[str]]:
        """Return column → names among `known` that mean it: the one that is given, or all usual ones."""
        names = list(known)
        matches = {}
        for column, usual in NAMES.items():
            if configured := getattr(self, column):
                matches[column] = [configured] if configured in names else []
            else:
                plain = {name: split_unit(name)[0] if column == "t" else name.lower() for name in names}
                matches[column] = [name for word in usual for name in names if plain[name] == word]
        return matches

    def check_one_meaning(self, path: Path, known: Iterable[str]) -> None:
        """Raise `DataError` where several of the names `known`, all of one length, mean the same column."""
        for column, names in self.matching(known).items():
            if len(names) > 1:
                raise DataError(
                    f"{path} has {len(names)} columns of {column}: {', '.join(names)}",
                    "one of each",
                    f"Name the one to read: pass {' or '.join(f'{column}={name!r}' for name in names)}.",
                )


class ColumnDecoder(ChunkDecoder):
    """A decoder of columns; subclasses implement `_length`, `_slices` and `_row`.

    `first_row` is the first row's byte offset in the file, −1 where there is none, and `stride` the bytes of a row.
    """

    first_row = -1
    stride = 0
    late_hint = "If t is a clock's give origin='first', if it is in ns give unit='ns'"
    _unit: Unit = ""  # as it is given, or recognised from the first rows
    _known = False  # whether it is given, or the file states it
    _in_steps = False  # whether recognised seconds are multiples of a ms
    _base = 0  # what is subtracted from integers that are too large
    _decided = False

    def __init__(self, file: InputFile, form: ColumnFormat, unit: Unit = "", where: str = "") -> None:
        """`unit` is the one of t that the file states, in the words `where`."""
        self.file, self.path, self.form = file, file.path, form
        self._unit = form.unit or unit
        self._known = bool(self._unit)
        if where and not form.unit and unit != "us":  # µs is what numbers are in without a word about it
            self.notes = (f"t is in {_UNIT_WORDS[unit]}, as {where}",)
        super().__init__()

    @abstractmethod
    def _slices(self, first: int = 0) -> Iterator[Columns]:
        """Yield the columns, some rows at a time, from the slice number `first` on."""

    @abstractmethod
    def _row(self, index: int) -> Columns | None:
        """Return the columns of one row, None where it cannot be read alone."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows as events."""
        return self.chunks_from((0, 0))

    def chunks_from(self, place: tuple[int, int]) -> Iterator[Chunk]:
        """Yield the rows as events; a place is the number of the slice and of its first row."""
        first, index = place
        self._polarities = Polarities(self.path, self.form.off, self.form.on)
        if first and not self._decided:
            self._decide(next(self._slices(0))["t"])
        for number, columns in enumerate(self._slices(first), first):
            yield replace(self._chunk_of(columns, index, self._polarities), place=(number, index))
            index += len(columns["t"])

    def _chunk_of(self, columns: Columns, index: int, polarities: Polarities) -> Chunk:
        events = np.zeros(len(columns["t"]), EVENT)
        wide = {}
        for name, largest in (("x", _LARGEST), ("y", _LARGEST), ("p", 1)):
            values = self._integers(name, columns[name], index)
            if name == "p":
                values = polarities.decode(values, index)
            if len(values) and (values.min() < 0 or values.max() > largest):
                wide[name] = values
                values = np.where((values < 0) | (values > largest), _OFF[name], values)
            events[name] = values
        if columns["t"].dtype.kind not in "iuf":
            raise self._not_numbers("t", columns["t"])
        self._decide(columns["t"])
        whole = not self._known and self._unit == "us"
        events["t"] = microseconds(self.path, columns["t"], self._unit, index, whole, self._base)
        at = self.first_row + self.stride * index if self.first_row >= 0 else -1
        return Chunk(events, at, self.stride, wide)

    def _decide(self, stamps: NDArray[Any]) -> None:
        """Decide from the first stamps, once, what they mean."""
        if self._decided or not len(stamps):
            return
        if not self._unit:
            self._unit, why = recognised(self.path, stamps)
            self._in_steps = self._unit == "s" and coarse(stamps)
            self.notes += (f"t is in {_UNIT_WORDS[self._unit]}, {why}",) if why else ()
        if self.form.origin != "stored" and (base := base_of(stamps, self._unit)):
            self._base, self.camera_clock = base, True
            self.offset_of_start += base if self._unit == "us" else base // 1000
        self._decided = True

    def check_times(self, events: int, duration: int, pixels: int) -> None:
        """Raise `DataError` where the unit is not given, and can hardly be meant, or polarities are unclear."""
        self._polarities.finish()
        if not self._known and self._unit in ("us", "s"):
            finding = check_rate(self.path, events, duration, pixels, self._unit, self._in_steps)
            self.findings += (finding,) if finding else ()

    def _integers(self, name: str, values: NDArray[Any], index: int) -> NDArray[Any]:
        """Return a column as integers; raises `DataError` where a value is not a whole number."""
        if values.dtype.kind == "b":
            return values.view(np.uint8)
        if values.dtype.kind in "iu":
            return values if values.dtype.itemsize < 8 else values.astype(np.int64)
        if values.dtype.kind != "f":
            raise self._not_numbers(name, values)
        with np.errstate(invalid="ignore"):
            integers = values.astype(np.int64)
        wrong = integers != values
        if wrong.any():
            n = int(wrong.argmax())
            raise DataError(
                f"{self.path}: event {index + n} has {name} {values[n]}",
                "a whole number",
                f"Check that this is the column of {name}."
                if np.isfinite(values[n])
                else "Remove such events from the file.",
            )
        return integers

    @property
    def polarity_hint(self) -> str:  # type: ignore[override]
        """What may be done about a polarity that is neither OFF nor ON."""
        pairs = (
            "off=-1 and on=0 if these are the values of OFF and ON"
            if self.form.off == -1
            else "off=1 and on=2 if these are the values of OFF and ON, off=0 and on=255 likewise"
        )
        return f"Pass {pairs}; else save p as 0 (OFF) and 1 (ON)"

    def _not_numbers(self, name: str, values: NDArray[Any]) -> DataError:
        what = f"{self.path}: {name} is {values.dtype} {values.shape}"
        return DataError(what, "numbers (event,)", fix_of_type(name, values.dtype))

    @abstractmethod
    def _length(self) -> int:
        """Return the number of rows."""

    def max_events(self) -> int:
        """Return the number of rows."""
        return self._length()

    def incomplete_end(self) -> str:
        """Return an empty text: columns that are shorter than the file states are refused while they are read."""
        return ""

    def last_event(self) -> NDArray[np.void] | None:
        """Return the last row alone."""
        columns = self._row(self._length() - 1) if self._length() else None
        if columns is None:
            return None
        if not self._decided:
            self._decide(next(self._slices(0))["t"])
        events = self._chunk_of(
            columns, self._length() - 1, Polarities(self.path, self.form.off, self.form.on)
        ).events
        events["t"] -= self.origin
        return events


def stated_by_name(name: Any) -> tuple[Unit, str]:
    """Return the unit that the name of the column of t states, and the words for it; empty where it states none."""
    unit = split_unit(name)[1] if isinstance(name, str) else ""
    return (unit, f"the name {name} says") if unit else ("", "")  # type: ignore[return-value]


def check_row(path: Path, size: int) -> None:
    """Raise `DataError` where an event has more bytes than events have."""
    if size > _MAX_ROW:
        raise DataError(
            f"{path} has {size:,} bytes per event", f"at most {_MAX_ROW:,}", "Save the events alone."
        )
