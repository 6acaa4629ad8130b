"""HDF5 files of events, in the known layouts, or in any other whose names are given.

| layout | columns | also read |
| --- | --- | --- |
| DSEC, EDS | ``events/{x, y, t, p}`` | ``t_offset``: the zero of t; with ``ms_to_idx``: a sensor of 640 × 480 |
| RVT | ``events/{x, y, t, p}`` | ``events/{width, height}`` |
| event_utils, e2vid | ``events/{xs, ys, ts, ps}`` | attribute ``sensor_resolution`` (height, width) |
| Prophesee | ``CD/events``, a compound data set | attribute ``geometry``; a camera's clock |
| others | one group, or compound data set, with such names | attributes ``width``, ``height`` |
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import CapabilityError, DataError, SpikeprepError
from ..input_files import InputFile
from .base import Decoder
from .columns import ColumnDecoder, ColumnFormat, Columns, check_row, row_slices
from .hdf5_checks import check_chunks, check_contents, check_data, with_cache

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class _Decoder(ColumnDecoder):
    def __init__(self, file: InputFile, form: ColumnFormat, hdf5: Any, columns: Mapping[str, Any]) -> None:
        self._hdf5 = hdf5
        self._checked: set[tuple[str, int]] = set()  # chunks
        self._columns = dict(columns)  # column → data set, and its field or column number
        self._count = min(len(data) for data, _ in self._columns.values())
        chunks = {data.chunks[0] if data.chunks else 1 for data, _ in self._columns.values()}
        self._rows_multiple = max(chunks) if max(chunks) <= 1 << 20 else 1
        self._row_bytes = sum({data.name: _row_bytes(data) for data, _ in self._columns.values()}.values())
        check_row(file.path, self._row_bytes)
        super().__init__(file, form)

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
            columns[name] = array if key is None else array[key] if isinstance(key, str) else array[:, key]
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
    extensions: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".hdf")

    group: str = ""

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins with HDF5's signature."""
        return head.startswith(_SIGNATURE)

    def decoder(self, file: InputFile) -> Decoder:
        """Find the columns; see `EventFormat.decoder`."""
        path = file.path
        try:
            import h5py
        except ImportError as error:
            raise CapabilityError(
                f"{path} is HDF5, and h5py is not installed", "", "Install spikeprep[events]."
            ) from error
        try:
            hdf5 = h5py.File(file.stream, "r")  # the stream, so that bytes are checked as they are read
        except Exception as error:  # the stream's own error may hide in h5py's
            raise _damaged(file, error, "an HDF5 file") from error
        try:
            check_contents(path, hdf5)
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
            prophesee = parent.rstrip("/") == "/CD/events"
            decoder = _Decoder(file, self, hdf5, columns)
            decoder.camera_clock = True if prophesee else None
            decoder.size = _size(path, hdf5, parent)
            decoder.offset_of_start = _offset(path, hdf5, parent)
        except BaseException as error:
            hdf5.close()
            if isinstance(error, SpikeprepError) or not isinstance(error, Exception):
                raise
            raise _damaged(file, error, "an undamaged HDF5 file") from error
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
        candidates: dict[str, dict[str, Any]] = {}  # name of the group or data set → its columns

        def add(node: Any) -> None:
            if isinstance(node, h5py.Group):
                arrays = {k: node.get(k) for k in node if isinstance(node.get(k), h5py.Dataset)}
                if names := self.find(k for k, v in arrays.items() if v.ndim == 1):
                    candidates[node.name] = {c: (arrays[name], None) for c, name in names.items()}
            elif node.dtype.names and node.ndim == 1:
                if names := self.find(node.dtype.names):
                    candidates[node.name] = {c: (node, name) for c, name in names.items()}
            elif self.columns and node.ndim == 2 and node.shape[1] == len(self.columns):
                candidates[node.name] = {c: (node, self.columns.index(c)) for c in "xytp"}

        if self.group:
            add(hdf5[self.group])
        else:
            add(hdf5)
            hdf5.visititems(lambda _, node: add(node))
        if len(candidates) != 1:
            what = (
                f"events in each of {sorted(candidates)}"
                if candidates
                else f"no columns of events among {_listing(hdf5)}"
            )
            raise DataError(
                f"{path} has {what}",
                "one group or data set with x, y, t and p",
                "Pass group=NAME." if candidates else "Pass the names of the columns as x=…, y=…, t=…, p=….",
            )
        return next(iter(candidates.items()))


def _row_bytes(data: Any) -> int:
    return int(math.prod(data.shape[1:])) * int(data.dtype.itemsize)


def _listing(hdf5: Any) -> list[str]:
    names: list[str] = []
    hdf5.visit(names.append)
    return names[:20]


def _damaged(file: InputFile, error: Exception, expected: str) -> DataError:
    return file.stream.error or DataError(
        f"{file.path} cannot be read ({error})", expected, "Fetch it again."
    )


def _ancestors(hdf5: Any, parent: str) -> Iterator[Any]:
    """Yield the group or data set that holds the events, then its parents up to the root."""
    node = hdf5[parent]
    while True:
        yield node
        if node.name == "/":
            return
        node = node.parent


def _number(path: Path, fact: Any) -> int:
    """Return the whole number that an attribute or a data set holds."""
    if fact.size != 1 or fact.dtype.kind not in "iuf":
        raise DataError(
            f"{path} has {fact.dtype} {fact.shape} where a number is expected", "", "Fetch it again."
        )
    value = float(fact[()] if fact.shape == () else fact[:].flat[0])
    if not value.is_integer() or abs(value) >= 1 << 62:
        raise DataError(f"{path} has {value} where a whole number is expected", "", "Fetch it again.")
    return int(value)


def _size(path: Path, hdf5: Any, parent: str) -> tuple[int, int] | None:
    """Return (width, height) where the file states it."""
    for node in _ancestors(hdf5, parent):
        attributes = {
            key: np.asarray(value) for key, value in node.attrs.items() if key in ("width", "height")
        }
        for facts in (attributes, node if hasattr(node, "keys") else {}):
            if "width" in facts and "height" in facts:
                return _number(path, facts["width"]), _number(path, facts["height"])
        geometry = node.attrs.get("geometry", "")
        geometry = geometry.decode() if isinstance(geometry, bytes) else str(geometry)
        width, _, height = geometry.partition("x")
        if width.isdecimal() and height.isdecimal():
            return int(width), int(height)
        if np.size(resolution := np.asarray(node.attrs.get("sensor_resolution", ()))) == 2:
            rows, columns = (_number(path, value) for value in resolution.reshape(2))
            return columns, rows
    return (640, 480) if "ms_to_idx" in hdf5 and "t_offset" in hdf5 else None


def _offset(path: Path, hdf5: Any, parent: str) -> int:
    """Return the time that t counts from, in µs, where the file states it, else 0."""
    for node in _ancestors(hdf5, parent):
        if hasattr(node, "keys") and "t_offset" in node:
            return _number(path, node["t_offset"])
    return 0
