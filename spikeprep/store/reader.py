"""Read a spike store: splits, small arrays, and packed spikes by the fast path."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Bits, PackedBatch
from ..errors import StoreError, UsageError, near_miss
from ..packing import unpack
from . import layout as form
from .layout import SplitLayout
from .objects import Objects, open_objects
from .shards import Compression, DamageError, index_bytes, is_absent, parse_index

_MEND = "Run `spikeprep verify` for all of the damage, then encode again with --overwrite."


class DamagedSamples(StoreError):
    """Samples of a store that cannot be read; `what` says which part of it is missing or damaged."""

    def __init__(self, where: str, what: str) -> None:
        self.what = what
        super().__init__(f"{where} cannot be read: {what}", "", _MEND)


class SpikeStore(Mapping[str, "SplitReader"]):
    """A spike store, opened for reading: a mapping of split name → `SplitReader`.

    Attributes
    ----------
    path
        Where it is: a path or an fsspec URL.
    attributes
        The ``"spikeprep"`` attributes (see `spikeprep.store.layout`).
    """

    def __init__(self, objects: Objects, attributes: dict[str, Any]) -> None:
        self.path, self.attributes, self._objects = objects.path, attributes, objects
        self._readers: dict[str, SplitReader] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, incomplete: bool = False) -> SpikeStore:
        """Open a store; `incomplete` admits one whose encoding has not finished.

        Raises
        ------
        StoreError
            There is no store, it is foreign, of a newer format, or not complete.
        """
        objects = open_objects(path)
        attributes = form.parse_attributes(objects.path, objects.get("zarr.json"))
        if not (attributes["complete"] or incomplete):
            raise StoreError(
                f"{objects.path} is not complete",
                "a finished store",
                "Give its `spikeprep encode` command again.",
            )
        return cls(objects, attributes)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in the order of the source."""
        return tuple(self.attributes["samples"])

    @property
    def complete(self) -> bool:
        """Whether the encoding has finished."""
        return bool(self.attributes["complete"])

    def __getitem__(self, split: str) -> SplitReader:
        if split not in self.splits:
            raise UsageError(f"{self.path} has no split {split!r}", "", near_miss(split, self.splits))
        if split not in self._readers:
            self._readers[split] = SplitReader(self._objects, split, tuple(self.attributes["unit_shape"]))
        return self._readers[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    def fingerprint(self) -> str:
        """Return a sha256 that two stores share if they were made from the same data in the same way."""
        return form.fingerprint(self.attributes)

    def stored_bytes(self, split: str | None = None) -> int:
        """Return the bytes that the store, or one split of it, takes where it lies."""
        inside = f"{split}/" if split else ""
        return sum(self._objects.size(key) for key in self._objects.names() if key.startswith(inside))


class SplitReader:
    """The samples of one split. Thread-safe.

    Attributes
    ----------
    split
        Its name.
    units, unit_shape
        Number of units of a sample, and the shape they form in C order.
    max_steps
        Steps of the longest sample; every train has ceil(max_steps / 8) bytes.
    chunk_samples, shard_samples
        Samples that are decompressed together, and samples in one object.
    train_bytes, chunk_bytes
        Packed bytes of a sample, and of a chunk.
    requests
        Chunks that are worth reading at a time where nothing else keeps the processor busy.
    """

    def __init__(self, objects: Objects, split: str, unit_shape: tuple[int, ...]) -> None:
        self._objects, self.split, self.unit_shape = objects, split, unit_shape
        meta = objects.get(f"{split}/{form.SPIKES}/zarr.json")
        self.layout: SplitLayout
        self._compression: Compression
        self.layout, self._compression = form.parse_split(objects.path, split, meta)
        self.units, self.max_steps = self.layout.units, self.layout.max_steps
        self.chunk_samples, self.shard_samples = self.layout.chunk_samples, self.layout.shard_samples
        self.train_bytes = self.units * self.layout.width
        self.chunk_bytes = self.chunk_samples * self.train_bytes
        self.requests = objects.requests
        self._indexes: dict[int, NDArray[np.uint64]] = {}
        self._scratch = threading.local()

    def __len__(self) -> int:
        return self.layout.samples

    @cached_property
    def steps(self) -> NDArray[np.uint32]:
        """Each sample's own length in steps, uint32 (sample,)."""
        return np.array(self._small("steps"), np.uint32)

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """Each sample's class, int32 (sample,)."""
        return np.array(self._small("labels"), np.int32)

    @cached_property
    def counts(self) -> NDArray[np.uint32]:
        """Each sample's number of spikes, uint32 (sample,)."""
        return np.array(self._small("counts"), np.uint32)

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """Where each sample came from, str (sample,)."""
        return np.array(self._small("ids"), np.str_)

    def _small(self, array: str) -> list[Any]:
        return [value for shard in range(self.layout.shards) for value in self.small_chunk(array, shard)]

    def small_chunk(self, array: str, shard: int) -> list[Any]:
        """Return a small array's values for one shard's samples.

        Raises
        ------
        StoreError
            They are missing or damaged.
        """
        start, stop = self.layout.span(shard)
        data = self._objects.get(form.small_key(self.split, array, shard))
        if data is None:
            raise self._damage(start, stop, f"the {array} of shard {shard} are missing")
        try:
            return form.decode_small(array, data, stop - start, self._compression)
        except DamageError as error:
            raise self._damage(start, stop, f"the chunk of {array} of shard {shard} {error}") from error

    def __getitem__(self, sample: int) -> NDArray[np.bool_]:
        """Return the spikes of one sample, bool (time, unit), of its own length."""
        n = len(self)
        if not -n <= sample < n:
            raise IndexError(f"got sample {sample} of {n}")
        batch = self.packed(np.array([sample % n]))
        return unpack(batch.bits[0], int(batch.steps[0]))

    def packed(self, index: slice | NDArray[np.integer[Any]], *, out: Bits | None = None) -> PackedBatch:
        """Return samples as stored: packed, contiguous, in the order of `index`.

        Parameters
        ----------
        index
            A slice, or sample numbers (sample,), which may repeat.
        out
            uint8 (sample, unit, byte) to fill and hand out instead of a new array.

        Raises
        ------
        StoreError
            A shard is missing or a chunk damaged; the message names the samples.

        Notes ----- A chunk that lies wholly inside a slice is decompressed straight into its place. Any other
        is decompressed once a call and its samples copied out, so many numbers in one call are cheaper than
        one at a time.
        """
        if isinstance(index, slice):
            wanted = np.arange(*index.indices(len(self)))
        else:
            wanted = np.asarray(index, np.int64)
            if wanted.size and not (wanted.min() >= 0 and wanted.max() < len(self)):
                raise IndexError(f"got samples {wanted.min()} to {wanted.max()} of {len(self)}")
        return PackedBatch(self.bits(wanted, out=out), self.steps[wanted], self.labels[wanted], wanted)

    def bits(
        self,
        wanted: NDArray[np.int64],
        *,
        out: Bits | None = None,
        each: Callable[..., Iterable[None]] = map,
    ) -> Bits:
        """Return the spikes alone, uint8 (sample, unit, byte), of samples given by number; see `packed`.

        `each` maps a function over chunks: one at a time, or an executor's `map`.
        """
        shape = (len(wanted), self.units, self.layout.width)
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise UsageError(f"got out {out.dtype} {out.shape}", f"contiguous uint8 {shape}")
        chunk_of = wanted // self.chunk_samples
        order = np.argsort(chunk_of, kind="stable")

        def bring(run: tuple[int, NDArray[np.intp]]) -> None:
            chunk, places = run
            inside = wanted[places] - chunk * self.chunk_samples
            whole = len(places) == self.chunk_samples and bool((np.diff(places) == 1).all())
            if whole and inside[0] == 0 and bool((np.diff(inside) == 1).all()):
                self.chunk(chunk, out[places[0] : places[0] + self.chunk_samples])
            else:
                block = self._block()
                self.chunk(chunk, block)
                out[places] = block[inside]

        for _ in each(bring, _runs(chunk_of, order)):
            pass
        return out

    def _block(self) -> Bits:
        # kept between calls: the pages of a new array cost more than the decompression
        block: Bits | None = getattr(self._scratch, "block", None)
        if block is None:
            block = self._scratch.block = np.empty(
                (self.chunk_samples, self.units, self.layout.width), np.uint8
            )
        return block

    def chunk(self, chunk: int, out: Bits) -> None:
        """Decompress a chunk into `out`, contiguous uint8 (chunk_samples, unit, byte); the last one ends in zeros.

        Raises
        ------
        StoreError
            The shard is missing or the chunk damaged; the message names the samples.
        """
        if self.layout.parts == 1:
            self._read(chunk, 0, out)
            return
        cut = self.layout.chunk[1]
        for n, part in enumerate(self.parts(chunk)):
            out[:, n * cut : n * cut + part.shape[1]] = part

    def parts(self, chunk: int) -> Iterator[Bits]:
        """Yield a chunk's samples by runs of units, uint8 (sample, unit, byte), so that large ones need not be held.

        Raises
        ------
        StoreError
            The shard is missing or the chunk damaged; the message names the samples.
        """
        cut = self.layout.chunk[1]
        for n in range(self.layout.parts):
            part = np.empty(self.layout.chunk, np.uint8)
            self._read(chunk, n, part)
            yield part[:, : self.units - n * cut]

    def runs(self, sample: int) -> Iterator[Bits]:
        """Yield one sample's spikes by runs of units, uint8 (unit, byte), so that a large one need not be held."""
        chunk, place = divmod(sample, self.chunk_samples)
        for part in self.parts(chunk):
            yield part[place]

    def _read(self, chunk: int, part: int, out: Bits) -> None:
        shard, place = divmod(chunk * self.layout.parts + part, self.layout.places)
        start = chunk * self.chunk_samples
        stop = min(start + self.chunk_samples, len(self))
        entry = self.shard_index(shard)[place]
        if is_absent(entry):
            raise self._damage(start, stop, f"chunk {place} of shard {shard} is missing")
        first, length = int(entry[0]), int(entry[1])
        data = self._objects.get(form.shard_key(self.split, shard), first, first + length)
        try:
            if data is None or len(data) != length:
                raise DamageError("is cut short")
            self._compression.decode_into(data, out)
        except DamageError as error:
            raise self._damage(start, stop, f"chunk {place} of shard {shard} {error}") from error

    def shard_index(self, shard: int) -> NDArray[np.uint64]:
        """Return (offset, length) of each of a shard's chunks, uint64 (chunk, 2).

        Raises
        ------
        StoreError
            The shard is missing or its index damaged.
        """
        if shard not in self._indexes:
            start, stop = self.layout.span(shard)
            tail = self._objects.get(form.shard_key(self.split, shard), -index_bytes(self.layout.places))
            if tail is None:
                raise self._damage(start, stop, f"shard {shard} is missing")
            try:
                self._indexes[shard] = parse_index(tail, self.layout.places)
            except DamageError as error:
                raise self._damage(start, stop, f"shard {shard} {error}") from error
        return self._indexes[shard]

    def _damage(self, start: int, stop: int, what: str) -> DamagedSamples:
        return DamagedSamples(f"{self._objects.path}: {self.split} samples {start} to {stop - 1}", what)


def _runs(
    chunk_of: NDArray[np.integer[Any]], order: NDArray[np.intp]
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each chunk with the positions that want samples of it."""
    if order.size:
        cuts = np.flatnonzero(np.diff(chunk_of[order])) + 1
        for places in np.split(order, cuts):
            yield int(chunk_of[places[0]]), places
