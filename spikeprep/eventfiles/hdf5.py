"""HDF5 files of events, in the known layouts, or in any other whose names are given.

| layout | columns | also read |
| --- | --- | --- |
| DSEC, EDS | ``events/{x, y, t, p}`` | ``t_offset``: the zero of t; with ``ms_to_idx``: a sensor of 640 × 480 |
| RVT | ``events/{x, y, t, p}`` | ``events/{width, height}`` |
| event_utils, e2vid | ``events/{xs, ys, ts, ps}`` | attribute ``sensor_resolution`` (height, width) |
| Prophesee | ``CD/events``, a compound data set | attribute ``geometry``; a camera's clock |
| v2e | ``events``, uint32 (event, 4): t, x, y, p | |
| MVSEC | ``davis/{left, right}/events``, (event, 4): x, y, t in s, p of ±1 | 346 × 260; a camera's clock |
| others | one group, or compound data set, with such names | attributes ``width``, ``height`` |
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..array_files.hdf5 import SIGNATURE, damaged, open_hdf5
from ..array_files.hdf5_checks import Chunk, check_chunks, check_data, with_cache
from ..array_files.slices import row_slices
from ..errors import DataError, SpikeprepError
from ..input_files import InputFile
from ..time_units import unit_named
from .base import Decoder
from .columns import ColumnDecoder, ColumnFormat, Columns, check_row, stated_by_name
from .hdf5_writer import Hdf5Writer
from .units import Unit
from .writer import EventWriter

_MVSEC = ("/davis/left/events", "/davis/right/events")


class _Decoder(ColumnDecoder):
    def __init__(
        self,
        file: InputFile,
        form: ColumnFormat,
        hdf5: Any,
        columns: Mapping[str, Any],
        unit: tuple[Unit, str] = ("", ""),
    ) -> None:
        self._hdf5 = hdf5
        self._checked: set[Chunk] = set()  # chunks
        self._columns = dict(columns)  # column → data set, and its field or column number
        self._count = min(len(data) for data, _ in self._columns.values())
        chunks = {data.chunks[0] if data.chunks else 1 for data, _ in self._columns.values()}
        self._rows_multiple = max(chunks) if max(chunks) <= 1 << 20 else 1
        self._row_bytes = sum({data.name: _row_bytes(data) for data, _ in self._columns.values()}.values())
        check_row(file.path, self._row_bytes)
        super().__init__(file, form, *unit)

    def _length(self) -> int:
        return self._count

    def _read(self, rows: slice) -> Columns:
        arrays: dict[str, Any] = {}  # a data set of several columns is read once
        columns = {}
        for name, (data, key) in self._columns.items():
            try:
                if data.name not in arrays:
                    check_chunks(self.path, data, rows, self._checked)
                    arrays[data.name] = data[rows]
            except DataError:
                raise
            except Exception as error:  # h5py's errors have no common class
                raise self.file.stream.error or DataError(
                    f"{self.path}: events {rows.start} to {rows.stop} of {data.name} cannot be read ({error})",
                    "",
                    "The file is damaged there: fetch it again.",
                ) from error
            array = arrays[data.name]
            if key is None:
                columns[name] = array.reshape(len(array))  # also of (event, 1)
            else:
                columns[name] = array[key] if isinstance(key, str) else array[:, key]
        return columns

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        return map(self._read, row_slices(self._count, self._rows_multiple, self._row_bytes, first))

    def _row(self, index: int) -> Columns:
        return self._read(slice(index, index + 1))

    def close(self) -> None:
        self._hdf5.close()
        super().close()


@dataclass(frozen=True)
class Hdf5(ColumnFormat):
    """HDF5 (.h5, .hdf5, .hdf) of events in columns; `x`, `y`, `t`, `p` name columns with unusual names.

    Parameters
    ----------
    group
        Group, or data set of several columns, that holds the events; detected where it is the only one.
    """

    name: ClassVar[str] = "hdf5"
    title: ClassVar[str] = "HDF5"
    writer: ClassVar[type[EventWriter] | None] = Hdf5Writer
    extensions: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".hdf")
    begins: ClassVar[tuple[bytes, ...]] = (SIGNATURE,)

    group: str = ""

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins with HDF5's signature."""
        return head.startswith(SIGNATURE)

    def decoder(self, file: InputFile) -> Decoder:
        """Find the columns; see `EventFormat.decoder`."""
        path = file.path
        hdf5 = open_hdf5(file)
        try:
            parent, columns = self._find(path, hdf5)
            columns = {
                name: (with_cache(check_data(file, data)), key) for name, (data, key) in columns.items()
            }
            lengths = {data.name: len(data) for data, _ in columns.values()}
            promised = sum(
                {data.name: data.size * data.dtype.itemsize for data, _ in columns.values()}.values()
            )
            file.limits.check_ratio(f"{path}", promised, file.length())
            if len(set(lengths.values())) > 1:
                raise DataError(
                    f"{path} has columns of different lengths: {lengths}",
                    "as many values in each",
                    "Fetch it again.",
                )
            form, camera_clock = self, None
            if parent.rstrip("/") == "/CD/events":
                camera_clock = True
            elif parent in _MVSEC and not self.columns:
                form, camera_clock = replace(self, off=-1 if self.off == "" else self.off), True
            unit: tuple[Unit, str] = ("", "") if self.unit else _unit(path, hdf5, parent, columns["t"])
            decoder = _Decoder(file, form, hdf5, columns, unit)
            decoder.camera_clock = camera_clock
            decoder.size = (346, 260) if parent in _MVSEC else _size(hdf5, parent)
            decoder.offset_of_start = _offset(path, hdf5, parent)
        except BaseException as error:
            hdf5.close()
            if isinstance(error, SpikeprepError) or not isinstance(error, Exception):
                raise
            raise damaged(file, error, "an undamaged HDF5 file") from error
        return decoder

    def _find(self, path: Path, hdf5: Any) -> tuple[str, dict[str, Any]]:
        """Return the name of the events' group or data set, and column → (data set, field or column number)."""
        import h5py

        if self.group and self.group not in hdf5:
            raise DataError(
                f"{path} has no {self.group!r}", f"one of {_listing(hdf5)}", "Name another group."
            )
        if all(isinstance(hdf5.get(getattr(self, c) or "/"), h5py.Dataset) for c in "xytp"):
            columns = {c: (hdf5[getattr(self, c)], None) for c in "xytp"}  # four full paths
            return columns["t"][0].parent.name, columns
        names_of: dict[str, Any] = {}  # name of the group or data set → the names of what it holds
        candidates: dict[str, dict[str, Any]] = {}  # name of the group or data set → its columns

        def add(node: Any) -> None:
            if isinstance(node, h5py.Group):
                arrays = {k: node.get(k) for k in node if isinstance(node.get(k), h5py.Dataset)}
                arrays = {k: v for k, v in arrays.items() if v.ndim == 1 or (v.ndim == 2 and v.shape[1] == 1)}
                if names := self.find(arrays):
                    candidates[node.name] = {c: (arrays[name], None) for c, name in names.items()}
                    length = len(arrays[names["x"]])
                    names_of[node.name] = [k for k, v in arrays.items() if len(v) == length]
            elif node.dtype.names and node.ndim == 1:
                if names := self.find(node.dtype.names):
                    candidates[node.name] = {c: (node, name) for c, name in names.items()}
                    names_of[node.name] = node.dtype.names
            elif node.ndim == 2 and node.shape[1] == 4 and (order := self.columns or _order(node)):
                candidates[node.name] = {c: (node, order.index(c)) for c in "xytp"}

        if self.group:
            add(hdf5[self.group])
        else:
            add(hdf5)
            hdf5.visititems(lambda _, node: add(node))
        if len(candidates) != 1:
            raise _not_found(path, hdf5, sorted(candidates))
        parent, found = next(iter(candidates.items()))
        self.check_one_meaning(path, names_of.get(parent, ()))
        return parent, found


def _order(data: Any) -> str:
    """Return the order of the columns of a data set (event, 4) of a known layout, else an empty text."""
    if data.name in _MVSEC and data.dtype.kind == "f":
        return "xytp"
    return "txyp" if data.name == "/events" and data.dtype == np.uint32 else ""


def _not_found(path: Path, hdf5: Any, candidates: list[str]) -> DataError:
    """Return the error for a file with several data sets of events, or none."""
    import h5py

    tables: list[str] = []

    def look(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim == 2 and 4 in node.shape:
            tables.append(f"{name} {node.dtype} {node.shape}")

    hdf5.visititems(look)
    expected = "one group or data set with x, y, t and p"
    if candidates:
        which = " or ".join(f"group={name!r}" for name in candidates[:4])
        return DataError(f"{path} has events in each of {candidates}", expected, f"Pass {which}.")
    if "spikes/times" in hdf5 and "spikes/units" in hdf5:
        fix = "Read it with the recipe shd or ssc, or with the recipe spikes."
        return DataError(f"{path} has the spikes of many samples, as SHD and SSC have them", expected, fix)
    if tables:
        got = f"{path} has data sets of four columns without names: {'; '.join(tables[:4])}"
        fix = "Pass the order of their columns as columns='xytp' or columns='txyp', and group=NAME of one of several."
        return DataError(got, expected, fix)
    got = f"{path} has no columns of events among {_listing(hdf5)}"
    return DataError(got, expected, "Pass the names of the columns as x=…, y=…, t=…, p=….")


def _row_bytes(data: Any) -> int:
    return int(math.prod(data.shape[1:])) * int(data.dtype.itemsize)


def _listing(hdf5: Any) -> list[str]:
    names: list[str] = []
    hdf5.visit(names.append)
    return names[:20]


def _ancestors(hdf5: Any, parent: str) -> Iterator[Any]:
    """Yield the group or data set that holds the events, then its parents up to the root."""
    node = hdf5[parent]
    while True:
        yield node
        if node.name == "/":
            return
        node = node.parent


def _number(fact: Any) -> int | None:
    """Return the whole number that an attribute or a data set holds, as a number or as text, else None."""
    stored = hasattr(fact, "file")  # in a data set, which may be of any size
    if (fact.size if stored else np.size(fact)) != 1:
        return None
    value = np.asarray(fact[()] if stored else fact)
    number: Any = value.reshape(())[()]
    try:
        number = float(number.decode() if isinstance(number, bytes) else number)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() and abs(number) < 1 << 62 else None


_UNIT_NAMES = ("unit", "units", "time_unit", "time_units", "t_unit", "t_units")


def _unit(path: Path, hdf5: Any, parent: str, t: tuple[Any, Any]) -> tuple[Unit, str]:
    """Return the unit of t that the file states, or its layout has, and the words for what states it."""
    data, field = t
    for node in (data, *_ancestors(hdf5, parent)):
        # `units` of several columns, or of a group, may be those of anything
        names = _UNIT_NAMES if node == data and field is None else _UNIT_NAMES[2:]
        for name, value in node.attrs.items():
            if name.lower() in names and (text := _text(value)):
                if not (unit := unit_named(text)):
                    raise DataError(
                        f"{path}: the attribute {name} of {node.name} is {text!r}, which is no known unit of time",
                        "s, ms, us or ns",
                        "Give the unit of t: unit='s', unit='ms', unit='us' or unit='ns'.",
                    )
                return unit, f"the attribute {name} of {node.name} says"  # type: ignore[return-value]
    if parent in _MVSEC and data.dtype.kind == "f":
        return "s", ""
    if parent.rstrip("/") == "/CD/events" or "ms_to_idx" in hdf5 or (isinstance(field, int) and _order(data)):
        return "us", ""
    return stated_by_name(field if isinstance(field, str) else data.name.rpartition("/")[2])


def _text(value: Any) -> str:
    """Return the text that an attribute holds, alone or as an array of one; empty where it is something else."""
    value = np.asarray(value).reshape(-1)[0] if np.size(value) == 1 else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _size(hdf5: Any, parent: str) -> tuple[int, int] | None:
    """Return (width, height) where the file states it."""
    for node in _ancestors(hdf5, parent):
        for facts in (node.attrs, node if hasattr(node, "keys") else {}):
            if "width" in facts and "height" in facts:
                width, height = _number(facts["width"]), _number(facts["height"])
                return (width, height) if width is not None and height is not None else None
        geometry = node.attrs.get("geometry", "")
        geometry = geometry.decode() if isinstance(geometry, bytes) else str(geometry)
        columns, _, rows = geometry.partition("x")
        if columns.isdecimal() and rows.isdecimal():
            return int(columns), int(rows)
        resolution = np.asarray(node.attrs.get("sensor_resolution", ()))
        if resolution.size == 2:
            height, width = (_number(value) for value in resolution.reshape(2))
            return (width, height) if width is not None and height is not None else None
    return (640, 480) if "ms_to_idx" in hdf5 and "t_offset" in hdf5 else None


def _offset(path: Path, hdf5: Any, parent: str) -> int:
    """Return the time that t counts from, in µs, where the file states it, else 0."""
    for node in _ancestors(hdf5, parent):
        for facts in (node if hasattr(node, "keys") else {}, node.attrs):
            if "t_offset" in facts:
                offset = _number(facts["t_offset"])
                if offset is None:
                    got = f"{path} has no number as t_offset of {node.name}"
                    raise DataError(
                        got, "a whole number of µs", "Repair the file, or remove t_offset from it."
                    )
                return offset
    return 0
