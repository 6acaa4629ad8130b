"""Which arrays of a NumPy file, or which of their fields or columns, are those of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import DataError
from ..time_units import split_unit
from .columns import NAMES, ColumnFormat

Keys = dict[str, Any]
"""Column → its array, field, or column number; or its array and its column number there."""

BY_POLARITY = ("pos", "neg")
"""Names of the arrays of ON and OFF events, (event, 3) of x, y and t each."""

_PLACES = "xy"
"""Name of an array (event, 2) of x and y."""


def key_parts(key: Any) -> tuple[str, int | None]:
    """Return an array's name, and the column number in it, None where it is all one column."""
    return key if isinstance(key, tuple) else (key, None)


class Array(Protocol):
    """What an array's header states."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type."""


def is_by_polarity(arrays: Mapping[str, Array]) -> bool:
    """Return whether arrays are those of `BY_POLARITY`, of one type of numbers."""
    pair = [arrays[name] for name in BY_POLARITY if name in arrays]
    return len(pair) == 2 and all(
        len(a.shape) == 2 and a.shape[1] == 3 and a.dtype == pair[0].dtype and a.dtype.kind in "iuf"
        for a in pair
    )


def turned(shape: tuple[int, ...], columns: int) -> bool:
    """Return whether an array has a row per column, not per event."""
    return len(shape) == 2 and shape[0] == columns != shape[1]


def event_columns(
    path: Path, form: ColumnFormat, group: str, arrays: Mapping[str, Array], objects: Sequence[str] = ()
) -> tuple[list[str], Keys]:
    """Return the names of the arrays to read, and column → array, field or column number.

    Parameters
    ----------
    path
        The file, for errors.
    form
        Names and order of columns, where they are given.
    group
        The array to read, where it is given.
    arrays
        Name → array.
    objects
        Names of arrays of Python objects, which are not read.

    Raises
    ------
    DataError
        There are no events among them, or several tables or columns of events.
    """
    if group and group not in arrays:
        raise DataError(
            f"{path} has no array {group!r}", f"one of {', '.join(arrays)}", "Name another group."
        )
    tables = [name for name, array in arrays.items() if len(array.shape) == 2 and 4 in array.shape]
    candidates: dict[str, tuple[list[str], Keys]] = {}
    if (columns := _single_columns(path, form, arrays)) and not group:
        found = sorted({key_parts(key)[0] for key in columns.values()})
        if all(getattr(form, column) for column in "xytp"):
            return found, columns
        candidates[f"the arrays {', '.join(key_parts(key)[0] for key in columns.values())}"] = found, columns
    for name, array in arrays.items():
        if group and name != group:
            continue
        fields = array.dtype.names or ()
        if fields and len(array.shape) == 1 and (columns := form.find(fields)):
            candidates[name] = [name], columns
        elif name in tables and form.columns:
            candidates[name] = [name], {column: form.columns.index(column) for column in "xytp"}
    if not candidates:
        raise _no_events(path, arrays, objects, bool(tables))
    if len(candidates) > 1:
        which = " or ".join(f"group={name!r}" for name in candidates if name in arrays)
        raise DataError(
            f"{path} has events in each of {', '.join(candidates)}", "one table of events", f"Pass {which}."
        )
    names, keys = next(iter(candidates.values()))
    if len(names) == 1 and (fields := arrays[names[0]].dtype.names or ()):
        form.check_one_meaning(path, fields)
    return names, keys


def _single_columns(path: Path, form: ColumnFormat, arrays: Mapping[str, Array]) -> Keys | None:
    """Return column → its array of one axis; None where one is missing."""
    lengths = {n: a.shape[0] for n, a in arrays.items() if len(a.shape) == 1 and not a.dtype.names}
    matches = form.matching(lengths)
    places = arrays.get(_PLACES)
    if (
        places is not None
        and len(places.shape) == 2
        and places.shape[1] == 2
        and not (matches["x"] or matches["y"])
    ):
        lengths[_PLACES] = places.shape[0]
        matches |= {"x": [_PLACES], "y": [_PLACES]}
    if not all(matches.values()):
        return None
    # others may be of something else: the times of frames
    sure = {lengths[names[0]] for names in matches.values() if len(names) == 1}
    if len(sure) == 1:
        lengths = {name: n for name, n in lengths.items() if n in sure or [name] in matches.values()}
    form.check_one_meaning(path, lengths)
    columns = form.find(lengths)
    if columns is None:
        columns = {column: names[0] for column, names in matches.items()}
    if len({lengths[name] for name in columns.values()}) > 1:
        shown = {name: lengths[name] for name in columns.values()}
        raise DataError(
            f"{path} has columns of different lengths: {shown}", "as many values in each", "Save it again."
        )
    return {c: (name, _PLACES.index(c)) if name == _PLACES else name for c, name in columns.items()}


def _no_events(path: Path, arrays: Mapping[str, Array], objects: Sequence[str], tables: bool) -> DataError:
    listed = [f"{name} {array.dtype} {array.shape}".strip() for name, array in arrays.items()]
    shown = "; ".join([*listed, *(f"{name} with Python objects" for name in objects)])
    hint = (
        "Pass the order of the columns, such as columns='xytp' or columns='txyp'."
        if tables
        else "Pass their names as x=…, y=…, t=…, p=…, or columns='xytp' for an array (event, column)."
    )
    if any(len(array.shape) > 2 for array in arrays.values()):
        hint = "Arrays of three axes or more are frames, not events: give the recordings that they were made from."
    if any(all(names & set(NAMES[column]) for column in "xyt") for names in _tables(arrays)):
        hint = (
            "p is missing: save it too, 0 (OFF) or 1 (ON) for each event, or 1 for all where it is not known."
        )
    if path.suffix.lower() == ".npy" and (hint_of_parts := _hint_of_parts(path)):
        hint = hint_of_parts
    return DataError(
        f"{path} has {shown or 'no arrays'}", "x, y, t and p as fields of one array, or as four arrays", hint
    )


def _tables(arrays: Mapping[str, Array]) -> list[set[str]]:
    """Return the names, in lower case, of what may be columns of one table: arrays, or fields of an array."""
    fields = [set(map(str.lower, array.dtype.names or ())) for array in arrays.values()]
    return [{split_unit(name)[0] for name in names} for names in ({n.lower() for n in arrays}, *fields)]


def part_files(path: Path) -> dict[str, Path]:
    """Return column → file beside ``…_t.npy`` that has it, of a recording in several files; none where one is missing.

    They are ``…_p.npy``, and ``…_xy.npy`` or ``…_x.npy`` and ``…_y.npy``.
    """
    stem = path.stem.removesuffix("_t")
    if stem == path.stem or path.suffix.lower() != ".npy":
        return {}
    for columns in (("xy", "p"), ("x", "y", "p")):
        files = {column: path.with_name(f"{stem}_{column}{path.suffix}") for column in columns}
        if all(file.is_file() for file in files.values()):
            return files
    return {}


def _hint_of_parts(path: Path) -> str:
    """Return what to do about one file of a recording in several; empty where it is not one."""
    stem, _, column = path.stem.rpartition("_")
    if column not in ("t", "x", "y", "xy", "p"):
        return ""
    first = path.with_name(f"{stem}_t{path.suffix}")
    if path != first and part_files(first):
        return f"It is one of several files of a recording: give {first.name}, which stands for all of them."
    beside = [
        name
        for c in ("t", "x", "y", "xy", "p")
        if path.with_name(name := f"{stem}_{c}{path.suffix}").is_file()
    ]
    if len(beside) < 2:
        return ""
    return (
        f"It may be one of several files of a recording, of which there are {', '.join(beside)}: put {stem}_t, "
        f"{stem}_xy (event, 2) and {stem}_p beside each other, or save the arrays t, x, y and p as one .npz."
    )
