"""Which data sets of an HDF5 file are the columns of events, and the decoder of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..array_files.hdf5 import damaged
from ..array_files.hdf5_checks import Chunk, check_chunks, check_data, with_cache
from ..array_files.slices import row_slices
from ..errors import DataError, SpikeprepError
from ..input_files import InputFile
from ..time_units import unit_named
from .columns import ColumnDecoder, ColumnFormat, Columns, check_row, stated_by_name
from .units import LARGEST, Unit

_MVSEC = ("/davis/left/events", "/davis/right/events")
_TIMES, _ADDRESSES = "times", "addrs"
_LOOKED_AT = 1 << 16  # rows that tell the order of addresses


class Column(NamedTuple):
    """A column of events in a data set.

    `key` is its field or its number, None where the data set is this column alone; `axis` that of the events.
    """

    data: Any
    key: Any = None
    axis: int = 0

    @property
    def length(self) -> int:
        """Number of events."""
        return int(self.data.shape[self.axis])

    @property
    def row_bytes(self) -> int:
        """Bytes of an event in the data set."""
        others = (side for axis, side in enumerate(self.data.shape) if axis != self.axis)
        return math.prod(map(int, others)) * int(self.data.dtype.itemsize)


class Hdf5Decoder(ColumnDecoder):
    """The events of one group or data set of an open file.

    `owned` is the open file where closing the decoder closes it; None: it stays open for others.
    """

    def __init__(
        self,
        file: InputFile,
        path: Path,
        form: ColumnFormat,
        owned: Any,
        columns: Mapping[str, Column],
        unit: tuple[Unit, str] = ("", ""),
    ) -> None:
        self._owned = owned
        self._checked: set[Chunk] = set()
        self._columns = dict(columns)
        self._count = min(column.length for column in self._columns.values())
        chunks = {c.data.chunks[c.axis] if c.data.chunks else 1 for c in self._columns.values()}
        self._rows_multiple = max(chunks) if max(chunks) <= 1 << 20 else 1
        self._row_bytes = sum({c.data.name: c.row_bytes for c in self._columns.values()}.values())
        check_row(path, self._row_bytes)
        super().__init__(file, form, *unit)
        self.path = path

    def _length(self) -> int:
        return self._count

    def _read(self, rows: slice) -> Columns:
        arrays: dict[str, Any] = {}  # a data set of several columns is read once
        columns = {}
        for name, (data, key, axis) in self._columns.items():
            try:
                if data.name not in arrays:
                    check_chunks(self.path, data, rows, self._checked, axis)
                    arrays[data.name] = data[:, rows].T if axis else data[rows]
            except DataError:
                raise
            except Exception as error:  # h5py's errors have no common class
                raise self.file.stream.error or DataError(
                    f"{self.path}: events {rows.start} to {rows.stop} of {data.name} cannot be read ({error})",
                    "",
                    "The file is damaged there: fetch it again.",
                ) from error
            array = arrays[data.name]
            columns[name] = array[:, key] if isinstance(key, int) else array if key is None else array[key]
        return columns

    def _slices(self, first: int = 0) -> Iterator[Columns]:
        return map(self._read, row_slices(self._count, self._rows_multiple, self._row_bytes, first))

    def _row(self, index: int) -> Columns:
        return self._read(slice(index, index + 1))

    def close(self) -> None:
        """Close the file, unless others use it too."""
        if self._owned is not None:
            self._owned.close()
            super().close()


def hdf5_decoder(
    file: InputFile, form: ColumnFormat, hdf5: Any, group: str, path: Path | None = None
) -> Hdf5Decoder:
    """Return the decoder of the events of an open file.

    Parameters
    ----------
    file
        The file.
    form
        Names and order of columns, where they are given, and what they mean.
    hdf5
        The file as h5py has it open.
    group
        Group, or data set of several columns, that holds the events; empty: the only one that does.
    path
        Names the events in messages, and the file stays open with its decoder; None: the decoder closes the file.

    Raises
    ------
    DataError
        There are no events, or several tables of them; or the file is damaged.
    CapabilityError
        A data set is compressed with a filter that is not installed.
    """
    what = path or file.path
    try:
        parent, columns = find_columns(what, hdf5, form, group)
        sets = {c.data.name: c.data for c in columns.values()}
        checked = {name: with_cache(check_data(file, data)) for name, data in sets.items()}
        columns = {name: c._replace(data=checked[c.data.name]) for name, c in columns.items()}
        lengths = {c.data.name: c.length for c in columns.values()}
        promised = sum(data.size * data.dtype.itemsize for data in checked.values())
        file.limits.check_ratio(f"{what}", promised, file.length())
        if len(set(lengths.values())) > 1:
            raise DataError(
                f"{what} has columns of different lengths: {lengths}",
                "as many values in each",
                "Fetch it again.",
            )
        camera_clock = None
        if parent.rstrip("/") == "/CD/events":
            camera_clock = True
        elif parent in _MVSEC and not form.columns:
            form, camera_clock = replace(form, off=-1 if form.off == "" else form.off), True
        around = list(_ancestors(hdf5, parent))
        unit: tuple[Unit, str] = ("", "") if form.unit else _unit(what, around, parent, columns["t"])
        decoder = Hdf5Decoder(file, what, form, None if path else hdf5, columns, unit)
        if note := _order_note(columns):
            decoder.notes += (note,)
        decoder.camera_clock = camera_clock
        decoder.size = (346, 260) if parent in _MVSEC else _size(around)
        decoder.offset_of_start = _offset(what, around)
    except Exception as error:  # h5py's errors have no common class
        if isinstance(error, SpikeprepError):
            raise
        raise damaged(file, error, "an undamaged HDF5 file") from error
    return decoder


def find_columns(path: Path, hdf5: Any, form: ColumnFormat, group: str = "") -> tuple[str, dict[str, Column]]:
    """Return the name of the events' group or data set, and column → where it is; raises like `hdf5_decoder`."""
    import h5py

    if group and group not in hdf5:
        raise DataError(f"{path} has no {group!r}", f"one of {_listing(hdf5)}", "Name another group.")
    if all(isinstance(hdf5.get(getattr(form, c) or "/"), h5py.Dataset) for c in "xytp"):
        columns = {c: _single(hdf5[getattr(form, c)]) for c in "xytp"}  # four full paths
        if all(columns.values()):
            return columns["t"].data.parent.name, columns  # type: ignore[union-attr,return-value]
    candidates: dict[str, Found] = {}  # name of the group or data set → its columns

    def add(node: Any) -> None:
        if found := columns_of(path, node, form):
            candidates[node.name] = found

    if group:
        add(hdf5[group])
    else:
        add(hdf5)
        hdf5.visititems(lambda _, node: add(node))
    if len(candidates) != 1:
        raise _not_found(path, hdf5, sorted(candidates))
    parent, found = next(iter(candidates.items()))
    form.check_one_meaning(path, found.names)
    return parent, dict(found.columns)


class Found(NamedTuple):
    """Column → where it is, and the names beside it, of fields or data sets of as many values."""

    columns: Mapping[str, Column]
    names: Sequence[str] = ()


def columns_of(path: Path, node: Any, form: ColumnFormat) -> Found | None:
    """Return the columns of events that a group or a data set has; None where it has none."""
    import h5py

    if isinstance(node, h5py.Group):
        arrays = _singles(node)
        if names := form.find(arrays):
            length = arrays[names["x"]].length
            beside = [name for name, column in arrays.items() if column.length == length]
            return Found({c: arrays[name] for c, name in names.items()}, beside)
        return _addressed(path, node, form, arrays)
    if not isinstance(node, h5py.Dataset) or node.shape is None:
        return None
    if node.dtype.names:
        fields = form.find(node.dtype.names) if node.ndim == 1 else None
        return (
            Found({c: Column(node, name) for c, name in fields.items()}, node.dtype.names) if fields else None
        )
    if node.ndim == 2 and 4 in node.shape and (order := form.columns or _order(node)):
        axis = 0 if node.shape[1] == 4 else 1
        return Found({c: Column(node, order.index(c), axis) for c in "xytp"})
    return None


def _single(data: Any) -> Column | None:
    """Return a data set of one column: (event,), (event, 1), or (1, event) as MATLAB writes it; else None."""
    if data.ndim == 1:
        return Column(data)
    if data.ndim == 2 and 1 in data.shape:
        return Column(data, 0, 0 if data.shape[1] == 1 else 1)
    return None


def _singles(group: Any) -> dict[str, Column]:
    """Return name → data set of one column of a group."""
    import h5py

    nodes = {name: group.get(name) for name in group}
    data = {name: node for name, node in nodes.items() if isinstance(node, h5py.Dataset) and node.shape}
    return {name: column for name, node in data.items() if (column := _single(node))}


def _addressed(path: Path, group: Any, form: ColumnFormat, arrays: Mapping[str, Column]) -> Found | None:
    """Return the columns of ``times`` and ``addrs`` (event, 3), as torchneuromorphic writes them; else None."""
    times, addresses = arrays.get(form.t or _TIMES), group.get(_ADDRESSES)
    if times is None or addresses is None or getattr(addresses, "ndim", 0) != 2 or 3 not in addresses.shape:
        return None
    order = form.columns.replace("t", "") or address_order(path, addresses)
    axis = 0 if addresses.shape[1] == 3 else 1
    return Found({"t": times} | {c: Column(addresses, order.index(c), axis) for c in "xyp"})


def _order_note(columns: Mapping[str, Column]) -> str:
    """Return what was decided of addresses; empty where there are none."""
    if columns["x"].data.name.rpartition("/")[2] != _ADDRESSES:
        return ""
    order = sorted("xyp", key=lambda column: columns[column].key)
    return f"the columns of {_ADDRESSES} are {', '.join(order)}"


def address_order(path: Path, addresses: Any) -> str:
    """Return the order of the columns of addresses: ``"pxy"`` of N-MNIST, ``"xyp"`` of DVS128 Gesture.

    Polarity is the one of the two outer columns that has 0 and 1 alone. Raises `DataError` where that is not one.
    """
    axis = 0 if addresses.shape[1] == 3 else 1
    first = slice(0, min(addresses.shape[axis], _LOOKED_AT))
    outer = []
    if addresses.dtype.kind in "iufb" and first.stop:
        check_chunks(path, addresses, first, set(), axis)
        rows = addresses[:, first].T if axis else addresses[first]
        outer = [order for order, at in (("pxy", 0), ("xyp", 2)) if np.isin(rows[:, at], (0, 1)).all()]
    if len(outer) != 1:
        raise DataError(
            f"{path}: {addresses.name} is {addresses.dtype} {addresses.shape}, and the column of polarity is not clear",
            "0 and 1 in the first column, or in the last one",
            "Pass the order of time and addresses as columns='tpxy' or columns='txyp'.",
        )
    return outer[0]


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
        number = number.decode() if isinstance(number, bytes) else number
        if isinstance(number, str):
            number = int(number) if number.strip().lstrip("+-").isdigit() else float(number)
        whole = number if isinstance(number, int | np.integer) else float(number)
        return int(whole) if whole == whole // 1 and abs(int(whole)) <= LARGEST else None
    except (TypeError, ValueError, OverflowError):
        return None


_UNIT_NAMES = ("unit", "units", "time_unit", "time_units", "t_unit", "t_units")


def _unit(path: Path, around: Sequence[Any], parent: str, t: Column) -> tuple[Unit, str]:
    """Return the unit of t that the file states, or its layout has, and the words for what states it."""
    data, field, _ = t
    field = None if isinstance(field, int) and 4 not in data.shape else field
    for node in (data, *around):
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
    if (
        parent.rstrip("/") == "/CD/events"
        or "ms_to_idx" in around[-1]
        or (isinstance(field, int) and _order(data))
    ):
        return "us", ""
    return stated_by_name(field if isinstance(field, str) else data.name.rpartition("/")[2])


def _text(value: Any) -> str:
    """Return the text that an attribute holds, alone or as an array of one; empty where it is something else."""
    value = np.asarray(value).reshape(-1)[0] if np.size(value) == 1 else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _size(around: Sequence[Any]) -> tuple[int, int] | None:
    """Return (width, height) where the file states it, in the group of the events or in one around it."""
    for node in around:
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
    return (640, 480) if "ms_to_idx" in around[-1] and "t_offset" in around[-1] else None


def _offset(path: Path, around: Sequence[Any]) -> int:
    """Return the time that t counts from, in µs, where the file states it, else 0."""
    for node in around:
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
