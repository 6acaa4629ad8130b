"""Where the spikes of recordings are in a file, with the labels and groups of recordings where the file has them.

SHD and SSC (Cramer et al. 2020, IEEE TNNLS 33:2744)
    ``spikes/times`` and ``spikes/units``, an array of each per recording; ``labels``, ``extra/keys`` (names of the
    classes) and ``extra/speaker``.
One array for all recordings
    ``times`` and ``units`` of all spikes, and ``index``: where each recording ends; ``labels`` and the like.
NWB (Rübel et al. 2022, eLife 11:e78362)
    ``units/spike_times`` of all units, one after the other, and ``units/spike_times_index``: where each ends. The
    recordings are the trials, ``intervals/trials/start_time`` and ``stop_time``, with a column of labels.
One recording
    ``times`` and ``units``, or ``spike_times`` and ``spike_times_index`` without trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..array_files.arrays import Array, MemoryArray
from ..errors import DataError, printable
from ..input_files import InputFile
from ..text import listed
from ..time_units import split_unit, unit_named
from .spike_arrays import open_spike_arrays

_NAMES = {
    "times": ("times", "time", "t", "spike_times", "timestamps"),
    "units": ("units", "unit", "neurons", "neuron", "channels", "channel", "spike_units"),
    "index": ("index", "indptr", "offsets", "ends", "times_index", "time_index", "spike_times_index"),
    "labels": ("labels", "label", "targets", "target"),
    "classes": ("keys", "classes", "class_names"),
    "groups": ("speaker", "speakers", "groups", "group", "subject", "subjects"),
    "start": ("start_time", "start_times", "start"),
    "stop": ("stop_time", "stop_times", "stop"),
}
_NWB = "units/spike_times"
_TRIALS = "intervals/trials/"
_UNIT_ATTRIBUTES = ("unit", "units", "time_unit", "time_units")


class RawSpikes(NamedTuple):
    """The spikes of one recording as the file has them.

    `units` are numbers of units, `times` are in the file's unit; `start` is the time that they count from, and
    `length` how long the recording lasts, both in the same unit; 0 and None where the file does not say.
    """

    times: NDArray[Any]
    units: NDArray[Any]
    start: float = 0.0
    length: float | None = None


@dataclass(frozen=True)
class TimeUnit:
    """The unit of a file's times, empty where nothing tells it, and what tells it."""

    unit: str
    why: str = ""


class SpikeFile:
    """An open file of spikes; recordings are read one by one, from any thread.

    Parameters
    ----------
    file
        The file.
    label, group
        Names of the arrays of labels and groups, where they have no usual name.

    Raises
    ------
    DataError
        Its arrays are none of the known layouts, or do not fit together.

    Attributes
    ----------
    count
        Number of recordings.
    labels
        Name of each recording's class; None where the file has no labels.
    classes
        The names of the classes in their order, where the file has them.
    groups
        Each recording's group, empty where it has none.
    units
        Number of units, 0 where the file does not state it.
    time_unit
        Of the times.
    note
        What was decided from the data; may be empty.
    """

    def __init__(self, file: InputFile, label: str = "", group: str = "") -> None:
        self.file, self._lock = file, Lock()
        self.units = 0
        opened = open_spike_arrays(file)
        self._close, self.note = opened.close, opened.note
        try:
            self._read_layout(_Roles(file, opened.by_name, label, group))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._close()
        self.file.close()

    def _read_layout(self, roles: _Roles) -> None:
        times, units, index = roles.one("times"), roles.one("units"), roles.one("index")
        if times is None:
            raise roles.unknown()
        self.time_unit = _time_unit(roles.names["times"], times)
        for array in (times, units, index):
            if array is not None:
                array.check()
        self._start: NDArray[Any] | None = None
        self._times: Array
        self._units: Array
        self._ends: NDArray[np.int64] | None
        if units is not None and times.ragged != units.ragged:
            raise roles.error("times and units of different kinds", "an array of each per recording")
        labels = roles.one("labels")
        if units is not None:
            if len(units) != len(times):
                raise roles.error(f"{len(times):,} times and {len(units):,} units", "as many of each")
            self._times, self._units = times, units
            if times.ragged:
                self.count = len(times)
                self._ends = None
            else:
                ends = np.array([len(times)]) if index is None else index.all()
                number = len(labels) if index is not None and labels is not None else None
                self._ends = self._checked_ends(roles, ends, len(times), number)
                self.count = len(self._ends) - 1
        elif index is not None:
            self._read_units(roles, times, index)
        else:
            raise roles.unknown()
        self._read_labels(roles, labels)

    def _checked_ends(
        self, roles: _Roles, ends: NDArray[Any], total: int, number: int | None
    ) -> NDArray[np.int64]:
        """Return where each recording, or unit, begins and ends: int64 (number + 1,)."""
        if ends.dtype.kind not in "iu":
            raise roles.error(f"{roles.names['index']} of {ends.dtype}", "whole numbers")
        ends = ends.astype(np.int64)
        has_zero = bool(len(ends)) and not ends[0]
        if number is None:
            csr = has_zero and not roles.names.get("index", "").endswith("_index")
        else:
            csr = has_zero and len(ends) == number + 1
        ends = ends if csr else np.concatenate([[0], ends])
        if (np.diff(ends) < 0).any() or ends[-1] != total or (number is not None and len(ends) != number + 1):
            wanted = f"{total:,} as the last one, never decreasing" + (
                f", and one for each of {number:,} labels" if number is not None else ""
            )
            got = f"{len(ends) - 1:,} ends in {roles.names['index']}, the last one {ends[-1]:,}"
            raise roles.error(got, wanted)
        return ends

    def _read_units(self, roles: _Roles, times: Array, index: Array) -> None:
        """Read the times of units one after the other, as NWB has them, and the trials."""
        ends = self._checked_ends(roles, index.all(), len(times), None)
        self.units = len(ends) - 1
        values = times.all()
        if values.dtype.kind not in "iuf":
            raise roles.error(f"times of {values.dtype}", "numbers")
        order = np.argsort(values, kind="stable")
        numbers = np.repeat(np.arange(self.units), np.diff(ends))[order]
        self._sorted = values[order], numbers
        start, stop = roles.one("start"), roles.one("stop")
        if start is None or stop is None:
            self.count, self._ends = 1, np.array([0, len(values)])
            self._times, self._units = map(MemoryArray, self._sorted)
            return
        begins, stops = start.all().astype(np.float64), stop.all().astype(np.float64)
        wrong = ~(stops > begins)  # NaN too
        if len(begins) != len(stops) or wrong.any():
            n = int(wrong.argmax()) if len(begins) == len(stops) else min(len(begins), len(stops))
            raise roles.error(f"trial {n} without an end after its start", "start_time < stop_time in s")
        self.count, self._start, self._length = len(begins), begins, stops - begins

    def _read_labels(self, roles: _Roles, labels: Array | None) -> None:
        self.labels: list[str] | None = None
        self.classes: tuple[str, ...] = ()
        self.groups = [""] * self.count
        if labels is not None:
            values = roles.values("labels", labels, self.count)
            keys = roles.one("classes")
            if keys is not None and not labels.is_text:
                keys.check()
                self.classes = tuple(printable(str(name)) for name in keys.all())
                if len(set(self.classes)) < len(self.classes):
                    raise roles.error(f"the classes {listed(self.classes)}", "different names")
                for n, value in enumerate(values):
                    if not (value.isdecimal() and int(value) < len(self.classes)):
                        got = f"the label {value} of recording {n:,}"
                        raise roles.error(got, f"0 to {len(self.classes) - 1}, as there are names")
                values = [self.classes[int(value)] for value in values]
            self.labels = values
        elif self._start is not None:
            raise roles.no_labels()
        if (groups := roles.one("groups")) is not None:
            name = roles.names["groups"].rpartition("/")[2]
            values = roles.values("groups", groups, self.count)
            self.groups = ["" if value in ("", "-1") else f"{name} {value}" for value in values]

    def read(self, number: int) -> RawSpikes:
        """Return one recording; raises `DataError` where the file is damaged there."""
        if self._start is not None:
            start = float(self._start[number])
            length = float(self._length[number])
            times, units = self._sorted
            low, high = np.searchsorted(times, [start, start + length])
            return RawSpikes(times[low:high], units[low:high], start, length)
        with self._lock:
            key: Any = number if self._ends is None else slice(*self._ends[number : number + 2].tolist())
            times, units = np.asarray(self._times[key]), np.asarray(self._units[key])
        if len(times) != len(units):
            raise DataError(
                f"{self.file.path}: recording {number:,} has {len(times):,} times and {len(units):,} units",
                "as many of each",
                "Fetch the file again.",
            )
        return RawSpikes(times, units)

    def sha256(self) -> str:
        """Return the sha256 of the file in hexadecimal."""
        with self._lock:
            return self.file.sha256()


class _Roles:
    """Which arrays of a file are what, by their names."""

    def __init__(self, file: InputFile, arrays: Mapping[str, Array], label: str, group: str) -> None:
        if _NWB in arrays:  # NWB has times of much else
            arrays = {n: a for n, a in arrays.items() if n.startswith(("units/", _TRIALS))}
        self._path, self._arrays, self._given = file.path, arrays, {"labels": label, "groups": group}
        self.names: dict[str, str] = {}

    def one(self, role: str) -> Array | None:
        """Return the array of a role, None where there is none; raises `DataError` where there are several."""
        given = self._given.get(role, "")
        usual = (given,) if given else _NAMES[role]
        matches = [name for name in self._arrays if name == given or _base(name, role) in usual]
        if given and not matches:
            setting = "label_array" if role == "labels" else "group_array"
            fix = f"Name another one as source.{setting}=NAME."
            raise self.error(f"no array {given!r}", f"one of {listed(list(self._arrays))}", fix)
        if len(matches) > 1:
            raise self.error(
                f"several arrays of {role}: {listed(matches)}", "one", "Keep one of them in the file."
            )
        if not matches:
            return None
        self.names[role] = matches[0]
        return self._arrays[matches[0]]

    def values(self, role: str, array: Array, count: int) -> list[str]:
        """Return one text for each recording."""
        if len(array) != count:
            raise self.error(f"{len(array):,} {role} and {count:,} recordings", "as many of each")
        array.check()
        values = array.all()
        if values.dtype.kind == "f" and (np.rint(values) == values).all():
            values = values.astype(np.int64)
        return [printable(str(value)) for value in values.tolist()]

    def error(self, got: str, expected: str, fix: str = "Save the file again.") -> DataError:
        """Return the error for a file that has `got`."""
        return DataError(f"{self._path} has {got}", expected, fix)

    def no_labels(self) -> DataError:
        """Return the error for a file of recordings whose labels have no usual name."""
        others = [n for n in self._arrays if n.startswith(_TRIALS) and not n.endswith(("_time", "/id"))]
        fix = (
            f"Name their column as source.label_array=NAME: {listed(others)}."
            if others
            else "Add an array labels."
        )
        return DataError(f"{self._path} has no labels of its recordings", "an array such as labels", fix)

    def unknown(self) -> DataError:
        """Return the error for arrays that are no spikes."""
        return DataError(
            f"{self._path} has no spikes among {listed(list(self._arrays)) or 'its arrays'}",
            "times and units, as SHD has them, or with an index; or spike_times and spike_times_index, as NWB has them",
            "Rename the arrays, such as times and units.",
        )


def _base(name: str, role: str) -> str:
    base = name.rpartition("/")[2]
    return split_unit(base)[0] if role in ("times", "start", "stop") else base.lower()


def _time_unit(name: str, times: Array) -> TimeUnit:
    if name == _NWB:
        return TimeUnit("s")
    if unit := split_unit(name.rpartition("/")[2])[1]:
        return TimeUnit(unit, f"the name {name} says")
    for key in _UNIT_ATTRIBUTES:
        text = times.attributes.get(key, "")
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        if isinstance(text, str) and (unit := unit_named(text)):
            return TimeUnit(unit, f"the attribute {key} of {name} says")
    return TimeUnit("s", "as they are floating-point numbers") if times.dtype.kind == "f" else TimeUnit("")


def joined(files: Sequence[SpikeFile]) -> tuple[str, ...]:
    """Return the classes that files state in their order, the same in all; empty where none states them."""
    stated = {file.classes: file for file in files if file.classes}
    if len(stated) > 1:
        (one, first), (other, second) = list(stated.items())[:2]
        raise DataError(
            f"{first.file.path} has the classes {listed(one)}, and {second.file.path.name} {listed(other)}",
            "the same in all files",
            "Give the files of one data set as source=FOLDER.",
        )
    return next(iter(stated), ())
