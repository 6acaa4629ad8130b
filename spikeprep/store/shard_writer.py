"""Write one shard chunk by chunk; its record comes last, which marks the shard as complete."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..errors import StoreError
from ..lease import LeaseToken
from ..packing import overrun, popcount
from .layout import SplitLayout, record_key, sample_array_key, shard_key
from .manifest import FileDigest, Files, ShardRecord
from .sample_arrays import encode_sample_array
from .shards import Compression, encode_index
from .storage_contract import Storage, Write


@dataclass(frozen=True)
class Shard:
    """The samples [start, stop) of a split, which one worker writes."""

    split: str
    number: int
    start: int
    stop: int


class ShardWriter:
    """Collects one shard chunk by chunk, compressed, and writes it as one file at the end.

    Where a sample has several chunks they go to the disk as they come.

    Attributes
    ----------
    files
        Key → digest of each file that is written.
    """

    def __init__(
        self,
        storage: Storage,
        lease: LeaseToken,
        shard: Shard,
        layout: SplitLayout,
        compression: Compression,
        expected: Files,
        done: Callable[[Files], None],
    ) -> None:
        self._storage, self._lease, self._shard = storage, lease, shard
        self._layout, self._compression, self._expected = layout, compression, expected
        self._done = done
        self.files: dict[str, FileDigest] = {}
        self._chunks: list[bytes] = []
        self._arrays: dict[str, list[Any]] = {name: [] for name in layout.sample_arrays}
        self._key = shard_key(shard.split, shard.number)
        self._write: Write | None = None
        self._context = ExitStack()
        self._lengths: list[int] = []
        self._size, self._hash = 0, hashlib.sha256()

    def __enter__(self) -> Self:
        if self._layout.unit_chunks > 1:
            self._write = self._context.enter_context(self._storage.writing(self._key))
        return self

    def append(
        self,
        bits: Bits,
        steps: NDArray[np.integer[Any]],
        labels: NDArray[np.integer[Any]],
        ids: Sequence[str],
        groups: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """Add the next `chunk_samples` samples (the last ones of a shard may be fewer).

        Parameters
        ----------
        bits
            uint8 (sample, unit, byte), bits at and past `steps` 0.
        steps, labels, ids
            (sample,) each.
        groups
            (sample,) where the split's layout has groups, else None.

        Raises
        ------
        ValueError
            An argument has another shape or dtype, or there are spikes at or past a sample's own steps.
        """
        self.append_by_units([bits], steps, labels, ids, groups)

    def append_by_units(
        self,
        ranges: Iterable[Bits],
        steps: NDArray[np.integer[Any]],
        labels: NDArray[np.integer[Any]],
        ids: Sequence[str],
        groups: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """Add the next samples one range of units at a time, so that a large sample need not be held.

        Parameters
        ----------
        ranges
            uint8 (sample, unit, byte), successive ranges of units; all but the last have a multiple of the layout's
            `chunk_units`.
        steps, labels, ids, groups
            As in `append`.

        Raises
        ------
        ValueError
            As `append`.
        """
        layout, done = self._layout, len(self._arrays["ids"])
        (chunk_samples, chunk_units, unit_bytes), steps = layout.chunk_shape, np.asarray(steps)
        count = min(chunk_samples, self._shard.stop - self._shard.start - done)
        if not len(steps) == len(labels) == len(ids) == count:
            raise ValueError(f"got {len(ids)} ids and {len(steps)} steps; expected {count} of each.")
        if (groups is not None) != layout.groups or (groups is not None and len(groups) != count):
            raise ValueError(
                f"got {'no' if groups is None else len(groups)} groups; "
                f"expected {count if layout.groups else 'no'} groups, as the layout says."
            )
        counts, units = np.zeros(count, np.int64), 0
        for bits in ranges:
            size = bits.shape[1] if bits.ndim == 3 else 0
            remaining = layout.units - units
            fits = 0 < size <= remaining and (size % chunk_units == 0 or size == remaining)
            if bits.shape != (count, size, unit_bytes) or bits.dtype != np.uint8 or not fits:
                raise ValueError(
                    f"got bits {bits.dtype} {bits.shape} at unit {units} for {count} ids; "
                    f"expected uint8 {(count, remaining, unit_bytes)}."
                )
            if overrun(bits, steps).any():
                raise ValueError(
                    "got spikes at or past a sample's own steps; expected every such bit to be 0."
                )
            counts += popcount(np.ascontiguousarray(bits).reshape(count, -1))
            for first in range(0, size, chunk_units):
                self._add(bits[:, first : first + chunk_units])
            units += size
        if units != layout.units:
            raise ValueError(f"got {units} units; expected {layout.units}.")
        values: dict[str, Any] = {
            "steps": steps,
            "labels": labels,
            "counts": counts,
            "groups": groups,
            "ids": ids,
        }
        for name, array in self._arrays.items():
            array.extend(values[name])

    def _add(self, bits: Bits) -> None:
        if bits.shape != (shape := self._layout.chunk_shape):  # Zarr stores full chunks
            padded = np.zeros(shape, np.uint8)
            padded[: bits.shape[0], : bits.shape[1]] = bits
            bits = padded
        data = self._compression.encode(np.ascontiguousarray(bits))
        self._lengths.append(len(data))
        self._emit(data)

    def _emit(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        (self._write or self._chunks.append)(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException:
            self._context.__exit__(*sys.exc_info())
            raise
        self._context.__exit__(kind, error, trace)
        if kind is None:  # last, because its presence marks the shard as complete
            record = ShardRecord(self._lease.token, self.files)
            self._storage.put(record_key(self._shard.split, self._shard.number), record.document())
            self._done(self.files)

    def _finish(self) -> None:
        if len(self._arrays["ids"]) != self._shard.stop - self._shard.start:
            raise ValueError(f"got {len(self._arrays['ids'])} samples; expected all of {self._shard}.")
        self._lease.check()
        arrays = {}
        for name, values in self._arrays.items():
            key = sample_array_key(self._shard.split, name, self._shard.number)
            arrays[key] = encode_sample_array(name, values, self._layout, self._compression)
            self._record(key, FileDigest.of([arrays[key]]))
        self._emit(encode_index(self._lengths, self._layout.chunks_per_shard))
        self._record(self._key, FileDigest(self._size, self._hash.hexdigest()))
        for key, data in arrays.items():
            self._storage.put(key, data)
        if not self._write:
            self._storage.put(self._key, b"".join(self._chunks))

    def _record(self, key: str, file: FileDigest) -> None:
        if self._expected.get(key, file) != file:
            raise StoreError(
                f"{self._storage.path}/{key}: encoding it again gives other bytes than were there",
                "the same bytes",
                "The source or the encoder has changed since: use overwrite=True to encode everything again.",
            )
        self.files[key] = file
