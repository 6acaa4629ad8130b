"""What HDF5 and NumPy files have in common: events as columns of numbers, under names that differ from tool to tool."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from ..errors import DataError, UsageError, near_miss
from .base import EventFormat
from .chunks import Chunk, ChunkDecoder

NAMES = {
    "x": ("x", "xs", "x_pos", "col"),
    "y": ("y", "ys", "y_pos", "row"),
    "t": ("t", "ts", "timestamp", "timestamps", "time", "times"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
"""What each of an event's columns is called, in lower case."""

_PER_US: Mapping[str, tuple[int, int]] = {
    "s": (1_000_000, 1),
    "ms": (1000, 1),
    "us": (1, 1),
    "ns": (1, 1000),
}
_LARGEST = 65535  # what stands in EVENT for a coordinate that does not fit: off any sensor
_ROWS = 1 << 16

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ColumnFormat(EventFormat):
    """A format of named columns; the names are found where they are usual ones.

    Parameters
    ----------
    x, y, t, p
        Names of the columns.
    columns
        Order of the columns of an array (event, column) without names, e.g. ``"xytp"``.
    unit
        What t is in: ``"us"``, ``"ms"``, ``"s"`` or ``"ns"``. Fractions of a µs are rounded, those of ``"ns"`` cut off.
    off
        What stands for OFF in p: 0, or −1 in some files.
    origin
        ``"stored"``: t counts from the recording's start already; ``"first"``: it is a camera's clock, and the first
        event's is subtracted. Where empty, ``"first"`` for Prophesee's HDF5 files, else ``"stored"``.
    """

    x: str = ""
    y: str = ""
    t: str = ""
    p: str = ""
    columns: str = ""
    unit: str = "us"
    off: int = 0
    origin: Literal["", "stored", "first"] = ""

    def __post_init__(self) -> None:
        if self.unit not in _PER_US:
            raise UsageError(f"{self.name}: got unit {self.unit!r}", "", near_miss(self.unit, _PER_US))
        if self.off not in (0, -1):
            raise UsageError(f"{self.name}: got off {self.off!r}", "0 or -1")
        if self.origin not in ("", "stored", "first"):
            raise UsageError(f"{self.name}: got origin {self.origin!r}", "stored or first")
        if self.columns and not set("xytp") <= set(self.columns):
            raise UsageError(
                f"{self.name}: got columns {self.columns!r}", "x, y, t and p in their order, e.g. 'xytp'"
            )

    def find(self, known: Iterable[str]) -> dict[str, str] | None:
        """Return column → its name among `known`, None where one is missing."""
        names = list(known)
        lower = {name.lower(): name for name in names}
        found = {}
        for column, usual in NAMES.items():
            if own := getattr(self, column):
                if own not in names:
                    return None
                found[column] = own
            else:
                match = next((lower[name] for name in usual if name in lower), None)
                if match is None:
                    return None
                found[column] = match
        return found


class ColumnDecoder(ChunkDecoder):
    """A decoder of columns; subclasses implement `_length`, `_slices` and `_row`.

    `place` is the first row's byte offset in the file, −1 where there is none, and `stride` the bytes of a row.
    """

    place = -1
    stride = 0

    def __init__(self, path: Path, form: ColumnFormat) -> None:
        self.path, self.form = path, form
        self.camera_clock = form.origin == "first"
        super().__init__()

    @abstractmethod
    def _slices(self) -> Iterator[Columns]:
        """Yield the columns, some rows at a time."""

    @abstractmethod
    def _row(self, index: int) -> Columns | None:
        """Return the columns of one row, None where it cannot be had alone."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows as events."""
        index = 0
        for columns in self._slices():
            yield self._chunk_of(columns, index)
            index += len(columns["t"])

    def _chunk_of(self, columns: Columns, index: int) -> Chunk:
        events = np.zeros(len(columns["t"]), EVENT)
        wide = {name: self._whole(name, columns[name], index) for name in "xyp"}
        if self.form.off == -1:
            # 0 is no polarity of such a file: it must not pass for OFF
            wide["p"] = np.select([wide["p"] == -1, wide["p"] == 0], [0, -1], wide["p"])
        for name in "xy":
            values = wide[name]
            events[name] = np.where((values < 0) | (values > _LARGEST), _LARGEST, values)
        events["p"] = np.where((wide["p"] < 0) | (wide["p"] > 1), 255, wide["p"])
        events["t"] = self._microseconds(columns["t"], index)
        return Chunk(events, self.place + self.stride * index if self.place >= 0 else -1, self.stride, wide)

    def _whole(self, name: str, values: NDArray[Any], index: int) -> NDArray[np.int64]:
        """Return a column as int64; raises `DataError` where it has a value that is no whole number."""
        if values.dtype.kind in "iub":
            return values.astype(np.int64)
        if values.dtype.kind != "f":
            raise self._no_number(name, values)
        with np.errstate(invalid="ignore"):
            whole = values.astype(np.int64)
        wrong = whole != values
        if wrong.any():
            n = int(wrong.argmax())
            raise DataError(
                f"{self.path}: event {index + n} has {name} {values[n]}",
                "a whole number",
                f"Check that this is the column of {name}.",
            )
        return whole

    def _no_number(self, name: str, values: NDArray[Any]) -> DataError:
        return DataError(
            f"{self.path}: {name} is {values.dtype} {values.shape}", "numbers (event,)", "Name the columns."
        )

    def _microseconds(self, values: NDArray[Any], index: int) -> NDArray[np.int64]:
        times, over = _PER_US[self.form.unit]
        if values.dtype.kind in "iu":
            return values.astype(np.int64) * times // over
        if values.dtype.kind != "f":
            raise self._no_number("t", values)
        stamps = np.rint(values.astype(np.float64) * times / over)
        wrong = ~(np.abs(stamps) < 2.0**62)
        if wrong.any():
            n = int(wrong.argmax())
            raise DataError(
                f"{self.path}: event {index + n} has t {values[n]}",
                "a number of µs below 2⁶²",
                "Repair the file.",
            )
        return stamps.astype(np.int64)

    @abstractmethod
    def _length(self) -> int:
        """Return how many rows there are."""

    def most(self) -> int:
        """Return how many rows there are."""
        return self._length()

    def last(self) -> NDArray[np.void] | None:
        """Return the last row alone."""
        columns = self._row(self._length() - 1) if self._length() else None
        if columns is None:
            return None
        events = self._chunk_of(columns, self._length() - 1).events
        events["t"] -= self.origin
        return events


def rows(length: int, least: int = 1) -> Iterator[slice]:
    """Yield slices that cover `length` rows, some tens of thousands at a time and whole multiples of `least`."""
    step = max(_ROWS // least, 1) * least
    return (slice(start, min(start + step, length)) for start in range(0, length, step))
