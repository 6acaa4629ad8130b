"""Packed samples in page-locked host memory and in device memory, and the threads that move them.

Chunks are copied as they are stored, whole and in any order: no host thread gathers, permutes or unpacks samples. Two
rules keep data in use from being overwritten:

- a slot is written again only after the copy out of it is done (its event; the thread that writes waits for it);
- a window buffer is written again only after the last gather from it (an event of the computing stream; the copying
  stream waits for it, not the host).
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

_MAX_THREADS = 8
_SLOTS = 2  # per thread: one is written while the other is copied from


class Slot:
    """Page-locked memory for one chunk, and the event of the latest copy out of it."""

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self.copied: Event | None = None


class Loader:
    """Threads that read and decompress chunks into slots, and the stream that copies them to the device.

    Parameters
    ----------
    runtime
        The device.
    threads
        How many; default: the cores up to eight, or as many as an object store serves at a time.
    """

    def __init__(self, runtime: CopyDevice, threads: int | None = None) -> None:
        self.runtime = runtime
        self._threads = threads
        self._stream = runtime.stream()
        self._copying = threading.Lock()  # one thread at a time makes the stream its current one
        self._pool: ThreadPoolExecutor | None = None
        self._slots: dict[tuple[int, ...], SimpleQueue[Slot]] = {}

    def prepare(self, reader: SplitReader) -> int:
        """Create threads, and slots for a reader's chunks; return the bytes of those slots."""
        threads = self._threads or max(min(cores(), _MAX_THREADS), reader.requests)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(threads, "spikeprep-feed", self.runtime.adopt_thread)
        shape = chunk_shape(reader)
        if shape not in self._slots:
            self._slots[shape] = SimpleQueue()
            for _ in range(_SLOTS * threads):
                self._slots[shape].put(Slot(self.runtime.pinned(shape, np.uint8)))
        return _SLOTS * threads * reader.chunk_bytes

    def load(self, reader: SplitReader, chunk: int, target: Array, after: Event) -> Future[Event]:
        """Read a chunk and copy it to `target`, of its shape, once `after` is done; return the copy's event."""
        assert self._pool is not None
        return self._pool.submit(self._read_and_copy, reader, chunk, target, after)

    def copy(
        self, cache: HostCache, reader: SplitReader, chunk: int, target: Array, after: Event
    ) -> Future[Event]:
        """Copy a chunk from a cache, which reads it first if necessary; as `load`."""
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
    """The first chunks of a split in page-locked memory, each read at its first use."""

    def __init__(self, runtime: CopyDevice, reader: SplitReader, chunks: int) -> None:
        self.chunks = chunks
        self._bits = runtime.pinned((chunks, *chunk_shape(reader)), np.uint8)
        self._is_read = [False] * chunks
        self._locks = [threading.Lock() for _ in range(chunks)]
        self.host_bytes = self._bits.nbytes

    def chunk(self, reader: SplitReader, chunk: int) -> Bits:
        """Return a chunk of the reader's, uint8 (sample, unit, byte)."""
        with self._locks[chunk]:
            if not self._is_read[chunk]:
                reader.read_chunk(chunk, self._bits[chunk])
                self._is_read[chunk] = True
        bits: Bits = self._bits[chunk]
        return bits


class SampleRows:
    """Samples on a device as rows of words, of the largest word that a sample's bytes are a multiple of."""

    def __init__(self, runtime: CopyDevice, reader: SplitReader, samples: int) -> None:
        word = next(w for w in (8, 4, 2, 1) if reader.sample_bytes % w == 0)
        self._shape = (reader.units, reader.layout.unit_bytes)
        self.words = runtime.xp.empty((samples, reader.sample_bytes // word), f"u{word}")
        self._xp = runtime.xp

    @property
    def nbytes(self) -> int:
        """Bytes of device memory."""
        return int(self.words.nbytes)

    def bits(self, first: int, last: int) -> Array:
        """Return a view of rows, uint8 (sample, unit, byte)."""
        return self.words[first:last].view(np.uint8).reshape(last - first, *self._shape)

    def gather(self, index: Array, out: SampleRows, first: int) -> None:
        """Write the rows `index` to `out`, from row `first` on."""
        self._xp.take(self.words, index, axis=0, out=out.words[first : first + len(index)])


class ResidentSplit:
    """The first chunks of a split in device memory, each loaded at its first use."""

    def __init__(self, loader: Loader, reader: SplitReader, chunks: int) -> None:
        self.chunks = chunks
        self.rows = SampleRows(loader.runtime, reader, chunks * reader.chunk_samples)
        # the allocator may have reused this memory: copies wait for the work queued on it so far
        self._ready = loader.runtime.current().record()
        self._loader = loader
        self._loads: dict[int, Future[Event]] = {}
        self._complete = False

    def load(
        self, reader: SplitReader, window: int, chunks: NDArray[np.int64], after: Event | None
    ) -> tuple[NDArray[np.int64], list[Future[Event]]]:
        """Start loading the chunks of a window; return the place of each, and the copies to wait for."""
        if self._complete:
            return chunks, []
        size = reader.chunk_samples
        for chunk in map(int, chunks):
            if chunk not in self._loads:
                target = self.rows.bits(chunk * size, (chunk + 1) * size)
                self._loads[chunk] = self._loader.load(reader, chunk, target, self._ready)
        pending = [load for chunk in map(int, chunks) if not _is_done(load := self._loads[chunk])]
        self._complete = (
            not pending and len(self._loads) == self.chunks and all(map(_is_done, self._loads.values()))
        )
        return chunks, pending

    def drain(self) -> None:
        """Do nothing: chunks that are being loaded will be used."""


class WindowBuffers:
    """Device memory for two windows of chunks: batches are gathered from one while the other is loaded.

    Parameters
    ----------
    loader, reader
        Where chunks come from.
    chunks
        Most chunks of a window.
    cache
        Page-locked memory that chunks come from, if there is one.
    """

    def __init__(self, loader: Loader, reader: SplitReader, chunks: int, cache: HostCache | None) -> None:
        self.rows = SampleRows(loader.runtime, reader, 2 * chunks * reader.chunk_samples)
        self._ready = loader.runtime.current().record()
        self._loader, self._chunks, self._cache = loader, chunks, cache
        self._pending: list[Future[Event]] = []

    def load(
        self, reader: SplitReader, window: int, chunks: NDArray[np.int64], after: Event | None
    ) -> tuple[NDArray[np.int64], list[Future[Event]]]:
        """Start loading window number `window` once `after` (None: at once) is done; as `ResidentSplit.load`."""
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
        self._pending = [load for load in self._pending if not _is_done(load)] + loads
        return places, loads

    def drain(self) -> None:
        """Cancel loads that have not begun, and wait until nothing writes to the buffers."""
        for load in self._pending:
            load.cancel()
        _wait_for(self._pending)
        self._pending = []


def chunk_shape(reader: SplitReader) -> tuple[int, int, int]:
    """Return (sample, unit, byte) of a reader's chunks."""
    return reader.chunk_samples, reader.units, reader.layout.unit_bytes


def _is_done(load: Future[Event]) -> bool:
    return load.done() and not load.cancelled() and load.exception() is None and load.result().done()


def _wait_for(loads: Sequence[Future[Any]]) -> None:
    for load in loads:
        with suppress(Exception, CancelledError):  # the data is not needed, so neither is the error
            load.result().synchronize()
