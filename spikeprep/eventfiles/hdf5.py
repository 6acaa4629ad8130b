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

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import CapabilityError, DataError, SpikeprepError
from .base import Decoder, InputFile
from .columns import ColumnDecoder, ColumnFormat, Columns, row_slices

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ECF = 0x8ECF  # filter number of Prophesee's event codec


class _Decoder(ColumnDecoder):
    def __init__(self, file: InputFile, form: ColumnFormat, hdf5: Any, columns: Mapping[str, Any]) -> None:
        self._hdf5 = hdf5
        self._columns = dict(columns)  # column → data set, and its field or column number
        self._count = min(len(data) for data, _ in self._columns.values())
        chunks = {data.chunks[0] if data.chunks else 1 for data, _ in self._columns.values()}
        self._rows_multiple = max(chunks) if max(chunks) <= 1 << 20 else 1
        super().__init__(file, form)

    def _length(self) -> int:
        return self._count

    def _read(self, rows: slice) -> Columns:
        arrays: dict[str, Any] = {}  # a data set of several columns is read once
        columns = {}
        for name, (data, key) in self._columns.items():
            try:
                if data.name not in arrays:
                    arrays[data.name] = data[rows]
            except Exception as error:  # h5py's errors have no common class
                raise DataError(
                    f"{self.path}: events {rows.start} to {rows.stop} of {data.name} cannot be read ({error})",
                    "",
                    "The file is damaged there: fetch it again.",
                ) from error
            array = arrays[data.name]
            columns[name] = array if key is None else array[key] if isinstance(key, str) else array[:, key]
        return columns

    def _slices(self) -> Iterator[Columns]:
        return map(self._read, row_slices(self._count, self._rows_multiple))

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
            hdf5 = h5py.File(path, "r")
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error})", "an HDF5 file", "Fetch it again.") from error
        try:
            parent, columns = self._find(path, hdf5)
            for data in {data.name: data for data, _ in columns.values()}.values():
                _check_filters(path, data)
            lengths = {f"{data.name}": len(data) for data, _ in columns.values()}
            if len(set(lengths.values())) > 1:
                raise DataError(
                    f"{path} has columns of different lengths: {lengths}",
                    "as many values in each",
                    "Fetch it again.",
                )
            prophesee = parent.rstrip("/") == "/CD/events"
            form = replace(self, origin=self.origin or ("first" if prophesee else "stored"))
            decoder = _Decoder(file, form, hdf5, columns)
            decoder.size = _size(hdf5, parent)
            decoder.offset_of_start = _offset(hdf5, parent)
        except BaseException as error:
            hdf5.close()
            if isinstance(error, SpikeprepError) or not isinstance(error, Exception):
                raise
            raise DataError(
                f"{path} cannot be read ({error})", "an undamaged HDF5 file", "Fetch it again."
            ) from error
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


def _listing(hdf5: Any) -> list[str]:
    names: list[str] = []
    hdf5.visit(names.append)
    return names[:20]


def _check_filters(path: Path, data: Any) -> None:
    """Raise `CapabilityError` where a data set is compressed with a filter that is not installed."""
    import h5py

    properties = _properties(data)
    for n in range(properties.get_nfilters()):
        number, _, _, name = properties.get_filter(n)
        if h5py.h5z.filter_avail(number):
            continue
        with suppress(ImportError):
            import hdf5plugin  # noqa: F401  # importing it registers Blosc, Zstandard, LZ4 …
        if not h5py.h5z.filter_avail(number):
            hint = "Install hdf5plugin."
            if number == _ECF:
                hint = "Convert it to .raw or .dat, or without compression, with Metavision's tools."
            raise CapabilityError(
                f"{path}: {data.name} is compressed with filter {number} ({name.decode() or 'no name'})",
                "a filter that is installed",
                hint,
            )


def _properties(data: Any) -> Any:
    return data.id.get_create_plist()


def _ancestors(hdf5: Any, parent: str) -> Iterator[Any]:
    """Yield the group or data set that holds the events, then its parents up to the root."""
    node = hdf5[parent]
    while True:
        yield node
        if node.name == "/":
            return
        node = node.parent


def _size(hdf5: Any, parent: str) -> tuple[int, int] | None:
    """Return (width, height) where the file states it."""
    for node in _ancestors(hdf5, parent):
        for facts in (node.attrs, node if hasattr(node, "keys") else {}):
            if "width" in facts and "height" in facts:
                return int(np.asarray(facts["width"])[()]), int(np.asarray(facts["height"])[()])
        geometry = node.attrs.get("geometry", "")
        geometry = geometry.decode() if isinstance(geometry, bytes) else str(geometry)
        width, _, height = geometry.partition("x")
        if width.isdigit() and height.isdigit():
            return int(width), int(height)
        if np.size(resolution := node.attrs.get("sensor_resolution", ())) == 2:
            return int(resolution[1]), int(resolution[0])
    return (640, 480) if "ms_to_idx" in hdf5 and "t_offset" in hdf5 else None


def _offset(hdf5: Any, parent: str) -> int:
    """Return the time that t counts from, in µs, where the file states it, else 0."""
    for node in _ancestors(hdf5, parent):
        if hasattr(node, "keys") and "t_offset" in node:
            return int(node["t_offset"][()])
    return 0
