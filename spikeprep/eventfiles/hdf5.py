"""HDF5 files of events, in the layouts that are in use, or any other whose names are given.

| layout | where the columns are | what else is read |
| --- | --- | --- |
| DSEC, EDS | ``events/{x, y, t, p}`` | ``t_offset``: what t counts from; with ``ms_to_idx``: a sensor of 640 × 480 |
| RVT | ``events/{x, y, t, p}`` | ``events/{width, height}`` |
| event_utils, e2vid | ``events/{xs, ys, ts, ps}`` | attribute ``sensor_resolution`` (height, width) |
| Prophesee | ``CD/events``, a compound data set | attribute ``geometry``; a camera's clock |
| others | any one group, or compound data set, with such names | attributes ``width``, ``height`` |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import CapabilityError, DataError, SpikeprepError
from .base import Decoder
from .columns import ColumnDecoder, ColumnFormat, Columns, rows

_MARK = b"\x89HDF\r\n\x1a\n"
_ECF = 0x8ECF  # Prophesee's codec of events


class _Decoder(ColumnDecoder):
    def __init__(self, path: Path, form: ColumnFormat, file: Any, columns: Mapping[str, Any]) -> None:
        self._file = file
        self._columns = dict(columns)  # column → data set, and the field or column of it
        self._count = min(len(data) for data, _ in self._columns.values())
        chunks = {data.chunks[0] if data.chunks else 1 for data, _ in self._columns.values()}
        self._least = max(chunks) if max(chunks) <= 1 << 20 else 1
        super().__init__(path, form)

    def _length(self) -> int:
        return self._count

    def _read(self, part: slice) -> Columns:
        read: dict[str, Any] = {}  # a data set of several columns is read once
        found = {}
        for name, (data, key) in self._columns.items():
            try:
                whole = read.setdefault(data.name, None)
                if whole is None:
                    whole = read[data.name] = data[part]
            except Exception as error:  # h5py's own have no common class
                raise DataError(
                    f"{self.path}: events {part.start} to {part.stop} of {data.name} cannot be read ({error})",
                    "",
                    "The file is damaged there: fetch it again.",
                ) from error
            found[name] = whole if key is None else whole[key] if isinstance(key, str) else whole[:, key]
        return found

    def _slices(self) -> Iterator[Columns]:
        return map(self._read, rows(self._count, self._least))

    def _row(self, index: int) -> Columns:
        return self._read(slice(index, index + 1))

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Hdf5(ColumnFormat):
    """HDF5 (.h5, .hdf5); see `ColumnFormat` for names that are not found.

    Parameters
    ----------
    group
        Group, or data set of several columns, that holds the events; found where it is the only one.
    """

    name: ClassVar[str] = "hdf5"
    title: ClassVar[str] = "HDF5"
    extensions: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".hdf")

    group: str = ""

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins as HDF5 does."""
        return head.startswith(_MARK)

    def open(self, path: Path) -> Decoder:
        """Find the columns; see `EventFormat.open`."""
        try:
            import h5py
        except ImportError as error:
            raise CapabilityError(
                f"{path} is HDF5, and h5py is not installed", "", "Install spikeprep[events]."
            ) from error
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error})", "an HDF5 file", "Fetch it again.") from error
        try:
            home, columns = self._find(path, file)
            for data in {data.name: data for data, _ in columns.values()}.values():
                _check_filters(path, data)
            lengths = {f"{data.name}": len(data) for data, _ in columns.values()}
            if len(set(lengths.values())) > 1:
                raise DataError(
                    f"{path} has columns of different lengths: {lengths}",
                    "as many values in each",
                    "Fetch it again.",
                )
            prophesee = home.rstrip("/") == "/CD/events"
            form = replace(self, origin=self.origin or ("first" if prophesee else "stored"))
            decoder = _Decoder(path, form, file, columns)
            decoder.size = _size(file, home)
            decoder.offset_of_start = _offset(file, home)
        except BaseException as error:
            file.close()
            if isinstance(error, SpikeprepError) or not isinstance(error, Exception):
                raise
            raise DataError(
                f"{path} cannot be read ({error})", "a sound HDF5 file", "Fetch it again."
            ) from error
        return decoder

    def _find(self, path: Path, file: Any) -> tuple[str, dict[str, Any]]:
        """Return the path of what holds the events, and column → (data set, field or number of a column)."""
        import h5py

        if self.group and self.group not in file:
            raise DataError(
                f"{path} has no {self.group!r}", f"one of {_listing(file)}", "Name another group."
            )
        if all(isinstance(file.get(getattr(self, c) or "/"), h5py.Dataset) for c in "xytp"):
            columns = {c: (file[getattr(self, c)], None) for c in "xytp"}  # four whole paths
            return columns["t"][0].parent.name, columns
        homes: dict[str, dict[str, Any]] = {}

        def look(home: Any) -> None:
            if isinstance(home, h5py.Group):
                arrays = {k: home.get(k) for k in home if isinstance(home.get(k), h5py.Dataset)}
                if found := self.find(k for k, v in arrays.items() if v.ndim == 1):
                    homes[home.name] = {c: (arrays[name], None) for c, name in found.items()}
            elif home.dtype.names and home.ndim == 1:
                if found := self.find(home.dtype.names):
                    homes[home.name] = {c: (home, name) for c, name in found.items()}
            elif self.columns and home.ndim == 2 and home.shape[1] == len(self.columns):
                homes[home.name] = {c: (home, self.columns.index(c)) for c in "xytp"}

        if self.group:
            look(file[self.group])
        else:
            look(file)
            file.visititems(lambda _, home: look(home))
        if len(homes) != 1:
            what = (
                f"events in each of {sorted(homes)}"
                if homes
                else f"no events that are known among {_listing(file)}"
            )
            raise DataError(
                f"{path} has {what}",
                "one group or data set with x, y, t and p",
                "Pass group=NAME." if homes else "Pass the names of the columns as x=…, y=…, t=…, p=….",
            )
        return next(iter(homes.items()))


def _listing(file: Any) -> list[str]:
    names: list[str] = []
    file.visit(names.append)
    return names[:20]


def _check_filters(path: Path, data: Any) -> None:
    """Raise `CapabilityError` where a data set is compressed with what this installation has not."""
    import h5py

    properties = _properties(data)
    for n in range(properties.get_nfilters()):
        number, _, _, name = properties.get_filter(n)
        if h5py.h5z.filter_avail(number):
            continue
        with suppress(ImportError):
            import hdf5plugin  # noqa: F401  # its import makes Blosc, Zstandard, LZ4 … known
        if not h5py.h5z.filter_avail(number):
            hint = "Install hdf5plugin."
            if number == _ECF:
                hint = "Convert it to .raw or .dat, or without compression, with Metavision's tools."
            raise CapabilityError(
                f"{path}: {data.name} is compressed with filter {number} ({name.decode() or 'no name'})",
                "one that HDF5 has here",
                hint,
            )


def _properties(data: Any) -> Any:
    return data.id.get_create_plist()


def _homes(file: Any, home: str) -> Iterator[Any]:
    """Yield what holds the events, then what holds that, up to the file."""
    at = file[home]
    while True:
        yield at
        if at.name == "/":
            return
        at = at.parent


def _size(file: Any, home: str) -> tuple[int, int] | None:
    """Return (width, height) where the file tells it."""
    for place in _homes(file, home):
        for told in (place.attrs, place if hasattr(place, "keys") else {}):
            if "width" in told and "height" in told:
                return int(np.asarray(told["width"])[()]), int(np.asarray(told["height"])[()])
        geometry = place.attrs.get("geometry", "")
        geometry = geometry.decode() if isinstance(geometry, bytes) else str(geometry)
        wide, cross, high = geometry.partition("x")
        if cross and wide.isdigit() and high.isdigit():
            return int(wide), int(high)
        if np.size(resolution := place.attrs.get("sensor_resolution", ())) == 2:
            return int(resolution[1]), int(resolution[0])
    return (640, 480) if "ms_to_idx" in file and "t_offset" in file else None


def _offset(file: Any, home: str) -> int:
    """Return what t counts from, in µs, where the file tells it."""
    for place in _homes(file, home):
        if hasattr(place, "keys") and "t_offset" in place:
            return int(place["t_offset"][()])
    return 0
