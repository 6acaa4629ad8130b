"""Write a spike store from arrays in hand, or from an iterable of samples that may be larger than memory.

Lengths, split sizes and class names are known only once the last sample has come, so samples are first packed and
compressed into a temporary file next to the store. The store itself is written when every sample has passed every
check: an error in the input leaves the destination untouched.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..config import Count, Natural, Positive, fitted
from ..data import Audio, Bits, Frames, SpikeTrain
from ..encoders.base import Chain, Encoder, check_train
from ..errors import DataError, SpikeprepError, StoreError, UsageError, near_miss
from ..packing import overrun, pack
from ..random import SampleKey
from ..store import Compression, Shard, SpikeStore, SpikeWriter, SplitLayout
from ..store.attributes import SPLIT_NAMES, differences, is_split_name
from ..system import cores
from .run import EncodeSummary
from .samples import naming

_BATCH_BYTES = 4 << 20  # of signals or packed spikes that a thread takes at a time
_BATCH_SAMPLES = 256
_WRITE_BYTES = 256 << 20  # of packed spikes that all threads together hold while they write the store
_MOST_CLASSES = 1 << 16  # without `classes`; a larger label number is a mistake
_INT32 = 1 << 31
_SPOOL_COMPRESSION = Compression("zstd", 1)


def write_store(
    out: str | os.PathLike[str],
    samples: Any,
    labels: Any = None,
    *,
    split: Any = "train",
    ids: Any = None,
    groups: Any = None,
    classes: Sequence[str] | None = None,
    encoder: Encoder | Chain | None = None,
    dt: float | None = None,
    unit_shape: Sequence[int] | None = None,
    seed: int = 0,
    recipe: str = "arrays",
    title: str = "",
    citation: str = "",
    licence: str = "",
    overwrite: bool = False,
    workers: int | None = None,
    compression: Compression | None = None,
) -> EncodeSummary:
    """Write samples in hand into a complete spike store, encoding them first if an encoder is given.

    ::

        write_store("a.zarr", spikes, labels, dt=0.001)               # bool (sample, time, unit), int (sample,)
        write_store("b.zarr", images, labels, encoder=Poisson())      # uint8 (sample, row, column)
        write_store("c.zarr", ((sound, word, split) for …), encoder=Chain((Lyon(),), BSA()))

    The same input gives the same bytes, whatever `workers` is. Samples may differ in length: each keeps its own
    `steps`, and is padded with zeros to the longest.

    Parameters
    ----------
    out
        A path or an fsspec URL.
    samples
        With `labels`: an array or a sequence with one item per sample. Without: an iterable, perhaps a generator, of
        tuples (sample, label[, split[, id[, group]]]), where None stands for the default; it is walked once, and a
        few of its samples are in memory at a time.

        A sample is spikes of 0 and 1, bool or any number type, (time, unit…), or a `SpikeTrain`; with `encoder`, a
        signal that it takes: an image, `Audio`, `Frames` or `Events`.
    labels
        (sample,): class indices, or names of classes.
    split
        Name of the split of every sample, or (sample,) names. Splits are stored in the order of their first samples.
    ids
        (sample,) texts that say where each sample came from. Default: the sample's number in its split.
    groups
        (sample,) int32: speaker, subject, or source image, which a later split of the data must keep together.
    classes
        Name of each class. Default: the labels' own names, sorted, or "0", "1", … up to the largest label.
    encoder
        Encodes every signal, with the random numbers of `SampleKey(seed, split, number in the split)`.
    dt
        Length of a time step in seconds; needed where there is no encoder, which knows its own.
    unit_shape
        Shape that the units form, in C order. Default: the shape of a sample after its time axis, or what the encoder
        describes.
    seed
        Seed of the encoder's random numbers, 0 ≤ seed < 2⁶⁴.
    recipe, title, citation, licence
        Texts for the store's attributes. `recipe` names the data; the name of a recipe of spikeprep brings the training
        settings that it suggests.
    overwrite
        Whether to replace a spike store at `out`. It is kept until all samples have passed.
    workers
        Threads. Default: one per core.
    compression
        Default: zstd at level 1.

    Returns
    -------
    A summary: `path`, `samples` per split, `encoded`, `seconds`, `stored_bytes`.

    Raises
    ------
    UsageError
        Arguments do not fit together: arrays of unlike length, a missing `dt`, classes that are no distinct texts.
    DataError
        A sample is not what it should be: values other than 0 and 1, not a number, other units than the first sample, a
        label outside the classes; or there are no samples. The message names the sample.
    StoreError
        There is something at `out` already, or it cannot be written.
    PluginError
        The encoder or a transform raises an exception that is no error of spikeprep, or returns what it may not.

    An exception of the iterable comes through as it is. In all these cases `out` is as it was before, except where the
    disk fails while the store is written: the same call then resumes.
    """
    began = time.perf_counter()
    packer = _Packer.of(encoder, seed, dt, unit_shape)
    names = None if classes is None else _class_names(classes)
    threads = cores() if workers is None else fitted(workers, Count, "workers")
    texts = {"recipe": recipe, "title": title, "citation": citation, "licence": licence}
    for name, text in texts.items():
        fitted(text, str, name)
    about = {"recipe": recipe, "title": title, "citation": citation, **packer.attributes()}
    _refuse_existing(out, about if names is None else {**about, "classes": names}, overwrite)
    table = _Table(names)
    with _Spool(out) as spool:
        for row, packed in _pack_all(_rows(samples, labels, split, ids, groups, table), packer, threads):
            table.add(row, packed)
            spool.append(packed.data)
        data = table.finish()
        attributes = {
            "version": __version__,
            **about,
            "dt": data.dt,
            "unit_shape": list(data.unit_shape),
            "classes": data.classes,
            "source": {"reader": {"name": "arrays"}, "licence": licence, "sha256": data.sha256},
        }
        writer = SpikeWriter.open(
            out, attributes, data.layouts(), compression=compression, overwrite=overwrite
        )
        _write_shards(writer, data, spool, threads)
    return EncodeSummary(
        path=os.fspath(out),
        samples={name: len(part.labels) for name, part in data.splits.items()},
        encoded=sum(len(part.labels) for part in data.splits.values()),
        seconds=time.perf_counter() - began,
        stored_bytes=SpikeStore.open(out).stored_bytes(),
    )


def _class_names(classes: Sequence[str]) -> list[str]:
    if isinstance(classes, str) or not isinstance(classes, Sequence | np.ndarray):
        raise UsageError(f"got classes = {classes!r}", "a list with the name of each class")
    names = [str(name) if isinstance(name, np.str_) else name for name in classes]
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong or not names:
        raise UsageError(
            f"got the class {wrong[0]!r}" if wrong else "got no classes", "the name of each class as text"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"got the class {twice[0]!r} twice", "a different name for each class")
    return names


def _refuse_existing(out: str | os.PathLike[str], about: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse what could not be written over, before the first sample is asked for; raises `StoreError`."""
    stored = SpikeWriter.existing(out)
    if stored is None or overwrite:
        return
    hint = "Use overwrite=True to replace it, or choose another path."
    if stored["complete"]:
        raise StoreError(f"there is a store at {os.fspath(out)}", "a new path", hint)
    unlike = differences({key: stored.get(key) for key in about}, json.loads(json.dumps(about)))
    if unlike:
        raise StoreError(
            f"{os.fspath(out)} was begun with another configuration ({'; '.join(unlike[:5])})", "", hint
        )


# Samples one by one: from arrays or tuples, each with a number, a label and an id


@dataclass(frozen=True, slots=True)
class _Row:
    """A sample to be packed: `number` is its position in its split, `label` an index into the table's names."""

    sample: Any
    label: int
    split: str
    number: int
    id: str
    group: int | None

    @property
    def place(self) -> str:
        """The sample's number, split and id, for messages."""
        return f"{self.number} of {self.split}" + ("" if self.id == str(self.number) else f" ({self.id})")

    def __str__(self) -> str:
        return f"sample {self.place}"


def _rows(samples: Any, labels: Any, split: Any, ids: Any, groups: Any, table: _Table) -> Iterator[_Row]:
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


def _rows_of_tuples(samples: Any, split: str, table: _Table) -> Iterator[_Row]:
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
class _Split:
    """Columns of one split: position in the spool, label, length in steps, group and id of each sample."""

    grouped: bool
    positions: array[int] = field(default_factory=lambda: array("q"))
    labels: Any = field(default_factory=lambda: array("q"))
    steps: array[int] = field(default_factory=lambda: array("q"))
    groups: array[int] = field(default_factory=lambda: array("q"))
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Data:
    """Everything about the samples that is known when all have come."""

    splits: dict[str, _Split]
    classes: list[str]
    unit_shape: tuple[int, ...]
    max_steps: int
    dt: float
    sha256: str

    def layouts(self) -> dict[str, SplitLayout]:
        units = prod(self.unit_shape)
        return {
            name: SplitLayout.fit(len(part.labels), units, self.max_steps, groups=part.grouped)
            for name, part in self.splits.items()
        }


class _Table:
    """Checks labels, splits, ids and groups as they come, and collects them; the spikes go to the spool."""

    def __init__(self, names: list[str] | None) -> None:
        self._names = names
        self._indexes = {name: n for n, name in enumerate(names or ())}
        self._text: bool | None = None  # whether labels are names, where no classes are given
        self._counts: dict[str, int] = {}
        self._splits: dict[str, _Split] = {}
        self._first: _Packed | None = None
        self._hash, self._samples, self._max_steps = hashlib.sha256(), 0, 0

    def row(self, sample: Any, label: Any, split: Any, id: Any, group: Any) -> _Row:
        """Return a sample's row, numbered in its split; raises `DataError` for what does not fit."""
        if isinstance(split, np.str_):
            split = str(split)
        if not isinstance(split, str):
            raise DataError(f"got the split {split!r}", "the name of a split")
        if split not in self._counts and not is_split_name(split):
            raise DataError(f"got the split {split!r}", SPLIT_NAMES)
        number = self._counts[split] = self._counts.get(split, -1) + 1
        text = self._id(split, number, id)
        where = _Row(None, 0, split, number, text, None)
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

    def _label(self, label: Any, where: _Row) -> int:
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

    def add(self, row: _Row, packed: _Packed) -> None:
        """Keep what is known of a packed sample; raises `DataError` where it differs from the first one."""
        first = self._first = self._first or packed
        if packed.unit_shape != first.unit_shape:
            raise DataError(
                f"{row} has units {packed.unit_shape}", f"{first.unit_shape}, like the first sample"
            )
        if packed.dt != first.dt:
            raise DataError(f"{row} has steps of {packed.dt:g} s", f"{first.dt:g} s, like the first sample")
        part = self._splits.setdefault(row.split, _Split(row.group is not None))
        if part.grouped != (row.group is not None):
            raise DataError(
                f"{row} has {'no' if row.group is None else 'a'} group, unlike the split's first sample",
                "a group for all samples of a split or for none",
            )
        part.positions.append(self._samples)
        part.labels.append(row.label)
        part.steps.append(packed.steps)
        part.ids.append(row.id)
        if row.group is not None:
            part.groups.append(row.group)
        self._samples += 1
        self._max_steps = max(self._max_steps, packed.steps)
        self._hash.update(json.dumps([row.split, row.id, row.label, row.group]).encode() + packed.digest)

    def finish(self) -> _Data:
        """Return everything about the samples; raises `DataError` where there are none."""
        if self._first is None:
            raise DataError("got no samples", "at least one")
        if self._names is not None:
            classes = self._names
        elif self._text:
            classes = sorted(self._indexes)
            new = np.empty(len(classes), np.int64)
            new[[self._indexes[name] for name in classes]] = np.arange(len(classes))
            for part in self._splits.values():
                part.labels = new[part.labels]
        else:
            classes = [str(n) for n in range(1 + max(max(part.labels) for part in self._splits.values()))]
        self._hash.update(json.dumps(classes).encode())
        first = self._first
        return _Data(
            self._splits, classes, first.unit_shape, self._max_steps, first.dt, self._hash.hexdigest()
        )


def _group(group: Any, where: _Row) -> int | None:
    value = group.item() if isinstance(group, np.generic) else group
    if value is not None and (not isinstance(value, int) or not -_INT32 <= value < _INT32):
        raise DataError(f"{where} has the group {group!r}", "a whole number of 32 bits")
    return value


def _copied(sample: Any, where: _Row) -> Any:
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


# Samples to packed, compressed spikes, in threads and in order


@dataclass(frozen=True, slots=True)
class _Packed:
    """One sample's spikes, compressed; `digest` is the sha256 of its steps and bits, `size` their bytes unpacked."""

    data: bytes
    steps: int
    unit_shape: tuple[int, ...]
    dt: float
    digest: bytes
    size: int


@dataclass(frozen=True)
class _Packer:
    """What makes packed spikes of a sample: a chain, or the checks of spikes that need none."""

    chain: Chain | None
    seed: int
    dt: float | None
    unit_shape: tuple[int, ...] | None

    @classmethod
    def of(cls, encoder: Any, seed: Any, dt: Any, unit_shape: Any) -> _Packer:
        if not isinstance(encoder, Encoder | Chain | None):
            raise UsageError(
                f"got encoder = {encoder!r}",
                "an encoder with its settings, or a Chain",
                "Write e.g. encoder=Poisson(steps=400).",
            )
        chain = Chain((), encoder) if isinstance(encoder, Encoder) else encoder
        seed = fitted(seed, Natural, "seed")
        if seed >= 1 << 64:
            raise UsageError(f"got seed = {seed}", "a whole number below 2⁶⁴")
        if chain is None and dt is None:
            raise UsageError("got spikes without dt", "the seconds of a time step", "Give e.g. dt=0.001.")
        if chain is not None and dt is not None:
            raise UsageError(f"got an encoder and dt = {dt!r}", "the encoder's own dt", "Leave dt out.")
        shape = unit_shape.tolist() if isinstance(unit_shape, np.ndarray) else unit_shape
        return cls(
            chain,
            seed,
            None if dt is None else fitted(dt, Positive, "dt"),
            None if unit_shape is None else fitted(shape, tuple[Count, ...], "unit_shape"),
        )

    def attributes(self) -> dict[str, Any]:
        return {"chain": self.chain.to_config() if self.chain else [], "seed": self.seed}

    def pack(self, rows: Sequence[_Row]) -> list[_Packed]:
        """Return the packed spikes of some samples; an error names the sample."""
        if self.chain is None:
            return [self._check(row) for row in rows]
        try:
            return self._encode(self.chain, rows)
        except SpikeprepError:
            if len(rows) == 1:
                raise
        return [packed for row in rows for packed in self.pack([row])]  # one by one, to learn which it is

    def _encode(self, chain: Chain, rows: Sequence[_Row]) -> list[_Packed]:
        keys = [SampleKey(self.seed, row.split, row.number) for row in rows]
        signals = []
        for row, key in zip(rows, keys, strict=True):
            _check_finite(row)
            signal = row.sample
            for transform in chain.transforms:
                with naming(transform, row.place):
                    signal = transform(signal, rng=key)
            signals.append(signal)
        encoder, packed = chain.encoder, []
        with naming(encoder, rows[0].place):  # right where it matters: for one row, see `pack`
            trains = encoder.encode_batch(signals, rngs=keys)
            described = [encoder.describe(signal, key) for signal, key in zip(signals, keys, strict=True)]
            for row, train, description in zip(rows, trains, described, strict=True):
                check_train(encoder, train, description.units, description.steps)
                packed.append((row, train, description.unit_shape, description.dt))
        return [self._compress(*arguments) for arguments in packed]

    def _check(self, row: _Row) -> _Packed:
        assert self.dt is not None
        if isinstance(row.sample, SpikeTrain):
            return self._compress(row, row.sample, (len(row.sample.bits),), self.dt)
        spikes = _checked_spikes(row)
        train = SpikeTrain(pack(spikes.reshape(len(spikes), prod(spikes.shape[1:]))), len(spikes))
        return self._compress(row, train, spikes.shape[1:], self.dt)

    def _compress(self, row: _Row, train: SpikeTrain, unit_shape: tuple[int, ...], dt: float) -> _Packed:
        shape = self.unit_shape or unit_shape
        if prod(shape) != prod(unit_shape):
            raise DataError(f"{row} has units {unit_shape}", f"{prod(shape)} units, for unit_shape {shape}")
        if train.steps < 1 or not prod(shape):
            raise DataError(f"{row} has {train.steps} time steps and units {shape}", "at least one of each")
        if train.steps >= 1 << 32:
            raise DataError(f"{row} has {train.steps} time steps", "below 2³²")
        bits = np.ascontiguousarray(train.bits)
        if overrun(bits[None], np.array([train.steps])).any():
            raise DataError(f"{row} has spikes past its {train.steps} steps", "bits of 0 there")
        digest = hashlib.sha256(train.steps.to_bytes(4, "little"))
        digest.update(bits.data)
        data = _SPOOL_COMPRESSION.encode(bits)
        return _Packed(data, int(train.steps), shape, dt, digest.digest(), bits.nbytes)


def _check_finite(row: _Row) -> None:
    match row.sample:
        case Audio(samples=values) | Frames(values=values):
            pass
        case values:
            pass
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{row} has values that are not finite", "numbers", "Remove NaN and infinity.")


def _checked_spikes(row: _Row) -> NDArray[Any]:
    """Return a sample's spikes, (time, unit…) of 0 and 1."""
    spikes = row.sample
    if not isinstance(spikes, np.ndarray) or spikes.dtype.kind not in "biuf":
        what = f"dtype {spikes.dtype}" if isinstance(spikes, np.ndarray) else type(spikes).__name__
        raise DataError(
            f"{row} is of {what}", "spikes: an array of 0 and 1", "Give encoder= to encode signals."
        )
    if spikes.ndim < 2:
        raise DataError(f"{row} has the shape {spikes.shape}", "(time, unit…)")
    if spikes.dtype.kind != "b" and (wrong := (spikes != 0) & (spikes != 1)).any():
        place = tuple(int(n) for n in np.unravel_index(int(wrong.argmax()), wrong.shape))
        raise DataError(
            f"{row} has {spikes[place]} at step {place[0]}, unit {place[1:]}",
            "spikes of 0 or 1",
            "Give encoder= to encode signals.",
        )
    return spikes


def _pack_all(rows: Iterator[_Row], packer: _Packer, threads: int) -> Iterator[tuple[_Row, _Packed]]:
    """Yield every row with its packed spikes, in order; a few batches are in memory at a time."""
    waiting: deque[tuple[list[_Row], Future[list[_Packed]]]] = deque()
    size, pool = 1, ThreadPoolExecutor(threads, "spikeprep-pack")
    try:
        while True:
            if batch := list(islice(rows, size)):
                waiting.append((batch, pool.submit(packer.pack, batch)))
            while waiting and (not batch or len(waiting) > threads):
                done, future = waiting.popleft()
                results = future.result()
                largest = max(
                    max(packed.size, _signal_bytes(row.sample))
                    for row, packed in zip(done, results, strict=True)
                )
                size = max(min(_BATCH_BYTES // largest, _BATCH_SAMPLES), 1)
                yield from zip(done, results, strict=True)
            if not batch:
                return
    finally:
        pool.shutdown(cancel_futures=True)


def _signal_bytes(sample: Any) -> int:
    values = getattr(sample, "samples", getattr(sample, "values", getattr(sample, "bits", sample)))
    return int(values.nbytes) if isinstance(values, np.ndarray) else _BATCH_BYTES  # events: one at a time


class _Spool:
    """Compressed samples in a temporary file without a name, on the disk of the store to be; any thread may read."""

    def __init__(self, out: str | os.PathLike[str]) -> None:
        text = os.fspath(out)
        self._folder: str | None = None
        if "://" not in text:
            parents = Path(text).absolute().parents
            self._folder = str(next(folder for folder in parents if folder.is_dir()))
        self._ends, self._lock = array("q", [0]), threading.Lock()

    def __enter__(self) -> Self:
        with self._errors():
            self._file = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # a full disk was reported when the data were written
            self._file.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            folder = self._folder or tempfile.gettempdir()
            raise StoreError(
                f"cannot write a temporary file in {folder} ({error.strerror or error})",
                "",
                "Free some space, or check the folder's permissions.",
            ) from error

    def append(self, data: bytes) -> None:
        with self._errors():
            self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def flush(self) -> None:
        with self._errors():
            self._file.flush()

    def read(self, position: int) -> bytes:
        start, stop = self._ends[position], self._ends[position + 1]
        with self._lock:
            self._file.seek(start)
            return self._file.read(stop - start)


def _write_shards(writer: SpikeWriter, data: _Data, spool: _Spool, threads: int) -> None:
    """Write every shard that is missing, and mark the store as complete."""
    spool.flush()
    units = prod(data.unit_shape)

    def bits(part: _Split, layout: SplitLayout, start: int, stop: int) -> Bits:
        packed = np.zeros((stop - start, units, layout.unit_bytes), np.uint8)
        for row, n in zip(packed, range(start, stop), strict=True):
            content = _SPOOL_COMPRESSION.decode(spool.read(part.positions[n]))
            sample = np.frombuffer(content, np.uint8).reshape(units, -1)
            row[:, : sample.shape[1]] = sample
        return packed

    def write(shard: Shard) -> None:
        part, layout = data.splits[shard.split], writer.layouts[shard.split]
        labels, steps, groups = (np.asarray(column) for column in (part.labels, part.steps, part.groups))
        with writer.shard(shard) as out:
            for start in range(shard.start, shard.stop, layout.chunk_samples):
                rows = slice(start, min(start + layout.chunk_samples, shard.stop))
                out.append(
                    bits(part, layout, rows.start, rows.stop),
                    steps[rows],
                    labels[rows],
                    part.ids[rows],
                    groups[rows] if part.grouped else None,
                )

    largest = max(layout.chunk_samples * units * layout.unit_bytes for layout in writer.layouts.values())
    with ThreadPoolExecutor(max(min(threads, _WRITE_BYTES // largest), 1), "spikeprep-write") as pool:
        for _ in pool.map(write, writer.pending()):
            pass
    writer.complete()
