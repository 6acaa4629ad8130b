"""Rows of arrays or of tuples → samples with a split, number, label, id and group, checked as they come."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from ..data import Audio, Frames, SpikeTrain
from ..errors import DataError, UsageError, near_miss
from ..sources.class_names import check_spellings, sorted_classes
from ..store import SplitLayout
from ..store.attributes import SPLIT_NAMES, is_split_name
from .sample_packing import PackedSample, Row

_MOST_CLASSES = 1 << 16  # without `classes`; a larger label number is a mistake
_INT32 = 1 << 31


def read_rows(
    samples: Any, labels: Any, split: Any, ids: Any, groups: Any, table: SampleTable
) -> Iterator[Row]:
    """Yield the samples that `write_store` was given, arguments as there.

    Raises
    ------
    UsageError
        The arguments do not fit together.
    DataError
        A label, split, id or group is not what it should be; see `SampleTable.row`.
    """
    if labels is None:
        if ids is not None or groups is not None or not isinstance(split, str):
            raise UsageError(
                "got ids, groups or an array of splits without labels",
                "samples and labels as arrays, or tuples (sample, label, split, id, group)",
            )
        yield from _rows_of_tuples(samples, split, table)
        return
    columns: dict[str, Sequence[Any]] = {"labels": _column(labels, "labels")}
    if not isinstance(split, str):
        columns["split"] = _column(split, "split")
    for name, values in (("ids", ids), ("groups", groups)):
        if values is not None:
            columns[name] = _column(values, name)
    try:
        count = len(samples)
    except TypeError as error:
        raise UsageError(
            f"got labels and samples of type {type(samples).__name__}",
            "samples with a length",
            "Give an iterable as tuples (sample, label), without labels.",
        ) from error
    for name, column in columns.items():
        if len(column) != count:
            raise UsageError(f"got {count} samples and {len(column)} {name}", "one of them per sample")
    taken = 0
    for sample, *values in zip(samples, *columns.values(), strict=False):
        row = dict(zip(columns, values, strict=True))
        yield table.row(sample, row["labels"], row.get("split", split), row.get("ids"), row.get("groups"))
        taken += 1
    if taken != count:
        raise UsageError(f"got samples of length {count} that yield {taken}", "as many as its length")


def _column(values: Any, name: str) -> Sequence[Any]:
    """Return the values of an argument with one value per sample."""
    column = values if isinstance(values, list | tuple) else np.asarray(values)
    if isinstance(column, np.ndarray):
        if column.ndim != 1:
            raise UsageError(f"got {name} of shape {column.shape}", "one value per sample: shape (sample,)")
        column = column.tolist()
    return column


def _rows_of_tuples(samples: Any, split: str, table: SampleTable) -> Iterator[Row]:
    shape = "tuples (sample, label[, split[, id[, group]]])"
    hint = "Give labels as well, or an iterable of tuples."
    if isinstance(samples, np.ndarray | str | bytes | Mapping) or not isinstance(samples, Iterable):
        raise UsageError(f"got samples of type {type(samples).__name__} without labels", shape, hint)
    for n, item in enumerate(samples):
        if not isinstance(item, tuple | list) or not 2 <= len(item) <= 5:
            what = f"{len(item)} values" if isinstance(item, tuple | list) else f"a {type(item).__name__}"
            raise UsageError(f"got {what} as item {n} of samples", shape, hint)
        sample, label, *rest = item
        own_split, own_id, group = (*rest, None, None, None)[:3]
        yield table.row(sample, label, split if own_split is None else own_split, own_id, group)


@dataclass
class SplitColumns:
    """Columns of one split: position in the spool, label, length in steps, group and id of each sample."""

    grouped: bool
    positions: array[int] = field(default_factory=lambda: array("q"))
    labels: Any = field(default_factory=lambda: array("q"))
    steps: array[int] = field(default_factory=lambda: array("q"))
    groups: array[int] = field(default_factory=lambda: array("q"))
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SampleData:
    """What is known of the samples once the last one has been read.

    Attributes
    ----------
    splits
        Name → columns, in the order of the splits' first samples.
    classes
        Name of each class.
    unit_shape, max_steps, dt
        Shape of the units, time steps of the longest sample, and seconds of a step.
    sha256
        Of the samples' spikes, labels, ids and groups.
    """

    splits: dict[str, SplitColumns]
    classes: list[str]
    unit_shape: tuple[int, ...]
    max_steps: int
    dt: float
    sha256: str

    def layouts(self) -> dict[str, SplitLayout]:
        """Return each split's layout."""
        units = prod(self.unit_shape)
        return {
            name: SplitLayout.fit(len(columns.labels), units, self.max_steps, groups=columns.grouped)
            for name, columns in self.splits.items()
        }


class SampleTable:
    """Checks labels, splits, ids and groups as they come, and collects them; the spikes go to the spool."""

    def __init__(self, names: list[str] | None) -> None:
        self._names = names
        self._indexes = {name: n for n, name in enumerate(names or ())}
        self._text: bool | None = None  # whether labels are names, where no classes are given
        self._counts: dict[str, int] = {}
        self._splits: dict[str, SplitColumns] = {}
        self._first: PackedSample | None = None
        self._hash, self._samples, self._max_steps = hashlib.sha256(), 0, 0

    def row(self, sample: Any, label: Any, split: Any, id: Any, group: Any) -> Row:
        """Return a sample's row, numbered in its split; raises `DataError` for what does not fit."""
        if isinstance(split, np.str_):
            split = str(split)
        if not isinstance(split, str):
            raise DataError(f"got the split {split!r}", "the name of a split")
        if split not in self._counts and not is_split_name(split):
            raise DataError(f"got the split {split!r}", SPLIT_NAMES)
        number = self._counts[split] = self._counts.get(split, -1) + 1
        text = self._id(split, number, id)
        where = Row(None, 0, split, number, text, None)
        return replace(
            where, sample=_copied(sample, where), label=self._label(label, where), group=_group(group, where)
        )

    @staticmethod
    def _id(split: str, number: int, id: Any) -> str:
        if id is None:
            return str(number)
        if not isinstance(id, str | int | np.integer):
            raise DataError(f"sample {number} of {split} has the id {id!r}", "text")
        try:
            str(id).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"sample {number} of {split} has the id {id!r}", "valid Unicode text") from error
        return str(id)

    def _label(self, label: Any, where: Row) -> int:
        """Return a label as an index: into the classes, or into the names in the order in which they came."""
        value = label.item() if isinstance(label, np.generic | np.ndarray) and label.size == 1 else label
        if not isinstance(value, int | str) or value == "":
            raise DataError(f"{where} has the label {label!r}", "a class index or the name of a class")
        if self._names is None:
            if self._text is None:
                self._text = isinstance(value, str)
            if self._text != isinstance(value, str):
                raise DataError(
                    f"{where} has the label {value!r} after labels of the other kind",
                    "class indices or names of classes, not both",
                    "Give classes to use both.",
                )
        if isinstance(value, str):
            if self._names is not None and value not in self._indexes:
                raise DataError(
                    f"{where} has the label {value!r}", "one of the classes", near_miss(value, self._names)
                )
            return self._indexes.setdefault(value, len(self._indexes))
        most = _MOST_CLASSES if self._names is None else len(self._names)
        if not 0 <= value < most:
            fix = "" if self._names else "Give classes if there are more."
            raise DataError(f"{where} has the label {value}", f"0 to {most - 1}", fix)
        return int(value)

    def add(self, row: Row, packed: PackedSample) -> None:
        """Keep what is known of a packed sample; raises `DataError` where it differs from the first one."""
        first = self._first = self._first or packed
        if packed.unit_shape != first.unit_shape:
            raise DataError(
                f"{row} has units {packed.unit_shape}", f"{first.unit_shape}, like the first sample"
            )
        if packed.dt != first.dt:
            raise DataError(f"{row} has steps of {packed.dt:g} s", f"{first.dt:g} s, like the first sample")
        columns = self._splits.setdefault(row.split, SplitColumns(row.group is not None))
        if columns.grouped != (row.group is not None):
            raise DataError(
                f"{row} has {'no' if row.group is None else 'a'} group, unlike the split's first sample",
                "a group for all samples of a split or for none",
            )
        columns.positions.append(self._samples)
        columns.labels.append(row.label)
        columns.steps.append(packed.steps)
        columns.ids.append(row.id)
        if row.group is not None:
            columns.groups.append(row.group)
        self._samples += 1
        self._max_steps = max(self._max_steps, packed.steps)
        self._hash.update(json.dumps([row.split, row.id, row.label, row.group]).encode() + packed.digest)

    def finish(self) -> SampleData:
        """Return what is known of the samples; raises `DataError` where there are none."""
        if self._first is None:
            raise DataError("got no samples", "at least one")
        if self._names is not None:
            classes = self._names
        elif self._text:
            check_spellings(self._indexes, "the array of labels", "classes")
            classes = list(sorted_classes(self._indexes))
            new = np.empty(len(classes), np.int64)
            new[[self._indexes[name] for name in classes]] = np.arange(len(classes))
            for columns in self._splits.values():
                columns.labels = new[columns.labels]
        else:
            classes = [
                str(n) for n in range(1 + max(max(columns.labels) for columns in self._splits.values()))
            ]
        self._hash.update(json.dumps(classes).encode())
        first = self._first
        return SampleData(
            self._splits, classes, first.unit_shape, self._max_steps, first.dt, self._hash.hexdigest()
        )


def _group(group: Any, where: Row) -> int | None:
    value = group.item() if isinstance(group, np.generic) else group
    if value is not None and (not isinstance(value, int) or not -_INT32 <= value < _INT32):
        raise DataError(f"{where} has the group {group!r}", "a whole number of 32 bits")
    return value


def _copied(sample: Any, where: Row) -> Any:
    """Return a sample that stays as it is when its iterable fills the same array again for the next one."""
    match sample:
        case Audio():
            return replace(sample, samples=np.array(sample.samples))
        case Frames():
            return replace(sample, values=np.array(sample.values))
        case SpikeTrain():
            return replace(sample, bits=sample.bits.copy())
    if isinstance(sample, list | tuple) or hasattr(sample, "__array__"):
        try:
            return np.array(sample)
        except (ValueError, TypeError) as error:
            raise DataError(f"{where} is no array ({error})", "an array") from error
    return sample
