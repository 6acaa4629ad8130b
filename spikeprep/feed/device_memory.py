"""Where packed samples lie on their way to a device: page-locked slots on the host, chunks of the store on the device.

Chunks arrive as they are stored, whole and in any order: no host thread ever gathers, permutes or unpacks samples. The
rules that keep what is still in use from being overwritten are all here:

- a slot is written again only after the copy out of it is done (its event, waited for by the thread that writes);
- a window of the ring is written again only after the last gather that read it (an event of the computing stream,
  waited for by the copying stream, not by the host).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array
from ..data import Bits
from ..store import SplitReader
from ..system import cores
from .copies import CopyDevice, Event

_MOST_THREADS = 8
_SLOTS = 2  # a thread: one being written, one being copied from


class Slot:
    """Page-locked memory for one chunk, and the copy out of it that was begun last."""

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self.copied: Event | None = None


class Loader:
    """Threads that read and decompress chunks, slots that they do it into, and the stream that copies them.

    Parameters
    ----------
    runtime
        The device.
    threads
        How many; default the cores up to eight, more for an object store.
    """

    def __init__(self, runtime: CopyDevice, threads: int | None = None) -> None:
        self.runtime = runtime
        self._threads = threads
        self._stream = runtime.stream()
        self._copying = threading.Lock()  # a stream's context is no business of two threads at a time
        self._pool: ThreadPoolExecutor | None = None
        self._slots: dict[tuple[int, ...], SimpleQueue[Slot]] = {}

    def prepare(self, reader: SplitReader) -> int:
        """Make threads, and slots for a reader's chunks; return the bytes of those slots."""
        threads = self._threads or max(min(cores(), _MOST_THREADS), reader.requests)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(threads, "spikeprep-feed")
        shape = chunk_shape(reader)
        if shape not in self._slots:
            self._slots[shape] = SimpleQueue()
            for _ in range(_SLOTS * threads):
                self._slots[shape].put(Slot(self.runtime.pinned(shape, np.uint8)))
        return _SLOTS * threads * reader.chunk_bytes

    def load(self, reader: SplitReader, chunk: int, target: Array, after: Event) -> Future[Event]:
        """Bring a chunk into `target`, of its shape, once `after` is done; return the future event of the copy."""
        assert self._pool is not None
        return self._pool.submit(self._read_and_copy, reader, chunk, target, after)

    def copy(
        self, cache: HostCache, reader: SplitReader, chunk: int, target: Array, after: Event
    ) -> Future[Event]:
        """Bring a chunk from page-locked memory, where it is read to if it is not there yet."""
        assert self._pool is not None
        return self._pool.submit(lambda: self._copy(cache.chunk(reader, chunk), target, after))

    def _read_and_copy(self, reader: SplitReader, chunk: int, target: Array, after: Event) -> Event:
        slots = self._slots[chunk_shape(reader)]
        slot = slots.get()
        try:
            if slot.copied is not None:
                slot.copied.synchronize()
            reader.read_chunk(chunk, slot.bits)
            slot.copied = self._copy(slot.bits, target, after)
            return slot.copied
        finally:
            slots.put(slot)

    def _copy(self, bits: Bits, target: Array, after: Event) -> Event:
        with self._copying, self._stream:
            self._stream.wait(after)
            self.runtime.copy_in(bits, target)
            return self._stream.record()


class HostCache:
    """The first chunks of a split in page-locked memory, each read when it is first asked for."""

    def __init__(self, runtime: CopyDevice, reader: SplitReader, chunks: int) -> None:
        self.chunks = chunks
        self._bits = runtime.pinned((chunks, *chunk_shape(reader)), np.uint8)
        self._there = [False] * chunks
        self._locks = [threading.Lock() for _ in range(chunks)]
        self.host_bytes = self._bits.nbytes

    def chunk(self, reader: SplitReader, chunk: int) -> Bits:
        """Return a chunk of the reader's, uint8 (sample, unit, byte)."""
        with self._locks[chunk]:
            if not self._there[chunk]:
                reader.read_chunk(chunk, self._bits[chunk])
                self._there[chunk] = True
        bits: Bits = self._bits[chunk]
        return bits


class Rows:
    """Samples on a device as rows of words: a gather moves words, as wide as a sample's bytes divide into."""

    def __init__(self, runtime: CopyDevice, reader: SplitReader, samples: int) -> None:
        word = next(w for w in (8, 4, 2, 1) if reader.sample_bytes % w == 0)
        self._shape = (reader.units, reader.layout.unit_bytes)
        self.words = runtime.xp.empty((samples, reader.sample_bytes // word), f"u{word}")
        self._xp = runtime.xp

    @property
    def nbytes(self) -> int:
        """Device memory taken."""
        return int(self.words.nbytes)

    def bits(self, first: int, last: int) -> Array:
        """Return a view of rows, uint8 (sample, unit, byte)."""
        return self.words[first:last].view(np.uint8).reshape(last - first, *self._shape)

    def gather(self, index: Array, out: Rows, first: int) -> None:
        """Write the rows `index` to `out`, from row `first` on."""
        self._xp.take(self.words, index, axis=0, out=out.words[first : first + len(index)])


class Resident:
    """The first chunks of a split on the device for good, each brought there when it is first asked for."""

    def __init__(self, loader: Loader, reader: SplitReader, chunks: int) -> None:
        self.chunks = chunks
        self.rows = Rows(loader.runtime, reader, chunks * reader.chunk_samples)
        # what still works on this memory from an earlier use of it comes first
        self._ready = loader.runtime.current().record()
        self._loader = loader
        self._loads: dict[int, Future[Event]] = {}
        self._all_there = False

    def bring(
        self, reader: SplitReader, window: int, chunks: NDArray[np.int64], after: Event | None
    ) -> tuple[NDArray[np.int64], list[Future[Event]]]:
        """Start loading chunks; return each one's place, and what has to be waited for."""
        if self._all_there:
            return chunks, []
        size = reader.chunk_samples
        for chunk in map(int, chunks):
            if chunk not in self._loads:
                target = self.rows.bits(chunk * size, (chunk + 1) * size)
                self._loads[chunk] = self._loader.load(reader, chunk, target, self._ready)
        waiting = [load for chunk in map(int, chunks) if not _there(load := self._loads[chunk])]
        self._all_there = (
            not waiting and len(self._loads) == self.chunks and all(map(_there, self._loads.values()))
        )
        return chunks, waiting

    def drain(self) -> None:
        """Do nothing: what is on its way stays wanted."""


class Ring:
    """Room on the device for two windows of chunks: one that batches are drawn from, one on its way.

    Parameters
    ----------
    loader, reader
        Where chunks come from.
    chunks
        Chunks a window, at most.
    cache
        Page-locked memory that they come from, if there is one.
    """

    def __init__(self, loader: Loader, reader: SplitReader, chunks: int, cache: HostCache | None) -> None:
        self.rows = Rows(loader.runtime, reader, 2 * chunks * reader.chunk_samples)
        self._ready = loader.runtime.current().record()
        self._loader, self._chunks, self._cache = loader, chunks, cache
        self._under_way: list[Future[Event]] = []

    def bring(
        self, reader: SplitReader, window: int, chunks: NDArray[np.int64], after: Event | None
    ) -> tuple[NDArray[np.int64], list[Future[Event]]]:
        """Start loading a window, once `after` (None: at once) is done; return as `Resident.bring`."""
        assert len(chunks) <= self._chunks
        size = reader.chunk_samples
        places = window % 2 * self._chunks + np.arange(len(chunks))
        loads = []
        for chunk, place in zip(map(int, chunks), map(int, places), strict=True):
            target = self.rows.bits(place * size, (place + 1) * size)
            begin = after or self._ready
            if self._cache is None:
                loads.append(self._loader.load(reader, chunk, target, begin))
            else:
                loads.append(self._loader.copy(self._cache, reader, chunk, target, begin))
        self._under_way = [load for load in self._under_way if not _there(load)] + loads
        return places, loads

    def drain(self) -> None:
        """Give up what is on its way, and wait until nothing writes to the ring any more."""
        _finish(self._under_way)
        self._under_way = []


def chunk_shape(reader: SplitReader) -> tuple[int, int, int]:
    """Return (sample, unit, byte) of a reader's chunks."""
    return reader.chunk_samples, reader.units, reader.layout.unit_bytes


def _there(load: Future[Event]) -> bool:
    return load.done() and not load.cancelled() and load.exception() is None and load.result().done()


def _finish(loads: Sequence[Future[Any]]) -> None:
    for load in loads:
        load.cancel()
    for load in loads:
        # an error belongs to whoever wanted the data; nobody does any more
        with suppress(Exception, CancelledError):
            load.result().synchronize()
