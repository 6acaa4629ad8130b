"""Batches on the device: the choice of a tier for each split, and windows that are loaded ahead of the batches.

A window of chunks, the unit that `BatchStream` shuffles in, is loaded to the device while batches of the window before
it train; a batch is then one gather of rows on the device. The order of samples is the stream's own, so results do not
depend on the tier.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..backend import Array
from ..data import PackedBatch
from ..errors import CapabilityError
from ..store import SplitReader
from ..system import available_memory
from .batches import BatchStream, Tier
from .copies import CopyDevice, Event
from .device_memory import HostCache, Loader, ResidentSplit, SampleRows, WindowBuffers

TierName = Literal["auto", "resident", "pinned", "streamed"]
TIERS: tuple[str, ...] = get_args(TierName)

RESIDENT_SHARE = 0.5
"""A split is resident if it needs at most this share of the free device memory; the rest is for the network."""

PINNED_SHARE = 0.25
"""A split is pinned if it needs at most this share of the host's available memory, which no other process can use."""

_WINDOWS = 2  # on the device: batches are gathered from one while the next is loaded


def streamed_bound(stream: BatchStream) -> int:
    """Return the most bytes of device memory that feeding needs for a split that is not resident.

    Two windows of whole chunks, the row numbers of as many samples, and a batch.
    """
    reader = stream.reader
    chunks = min(stream.window_chunks, -(-len(reader) // reader.chunk_samples))
    rows = 2 * chunks * reader.chunk_samples
    return rows * (reader.sample_bytes + 8) + stream.batch * reader.sample_bytes


@dataclass
class Window:
    """A window that is on the device or being loaded.

    Attributes
    ----------
    epoch, start, stop
        Its samples are at [start, stop) of the epoch's order.
    rows
        int64 (sample,) on the device: the row of each sample.
    loads
        Copies to wait for before the rows are valid; empty once that has been done.
    """

    epoch: int
    start: int
    stop: int
    rows: Array
    loads: list[Future[Event]]


class Feeder:
    """Feeds streams to one device, each split by a tier that fits.

    Parameters
    ----------
    runtime
        The device.
    tier
        The tier to use; "auto": the first of resident, pinned and streamed that fits.
    threads
        Threads that read and decompress; default: by the machine and the store.
    """

    def __init__(self, runtime: CopyDevice, tier: TierName = "auto", threads: int | None = None) -> None:
        self._runtime, self._tier = runtime, tier
        self._loader = Loader(runtime, threads)
        self._prefetchers: weakref.WeakKeyDictionary[BatchStream, Prefetcher] = weakref.WeakKeyDictionary()
        self._caches: weakref.WeakKeyDictionary[SplitReader, ResidentSplit | HostCache | None]
        self._caches = weakref.WeakKeyDictionary()

    def feed(self, stream: BatchStream) -> Iterator[PackedBatch]:
        """See `Backend.feed`."""
        prefetcher = self._prefetchers.get(stream)
        if prefetcher is None:
            prefetcher = self._prefetchers[stream] = self._prefetcher(stream)
        stream.tier = prefetcher.tier
        return prefetcher.batches(stream)

    def _prefetcher(self, stream: BatchStream) -> Prefetcher:
        reader = stream.reader
        last = int(stream.samples[-1]) if len(stream.samples) else 0
        chunks = last // reader.chunk_samples + 1
        slot_bytes = self._loader.prepare(reader)
        cache = self._cache(reader, chunks)
        batch = SampleRows(self._runtime, reader, stream.batch)
        if isinstance(cache, ResidentSplit):
            # streams of the same split share its rows, which are counted for each of them
            tier = Tier("resident", cache.rows.nbytes + batch.nbytes, slot_bytes)
            return Prefetcher(self._runtime, cache, batch, tier)
        buffers = WindowBuffers(self._loader, reader, min(stream.window_chunks, chunks), cache)
        weakref.finalize(stream, buffers.drain).atexit = False
        tier = (
            Tier("streamed", streamed_bound(stream), slot_bytes)
            if cache is None
            else Tier("pinned", streamed_bound(stream), cache.host_bytes)
        )
        assert buffers.rows.nbytes + batch.nbytes <= tier.device_bytes
        return Prefetcher(self._runtime, buffers, batch, tier)

    def _cache(self, reader: SplitReader, chunks: int) -> ResidentSplit | HostCache | None:
        """Return what holds a split's first chunks from epoch to epoch; None for the tier "streamed"."""
        cache = self._caches.get(reader)
        if reader in self._caches and (cache is None or cache.chunks >= chunks):
            return cache
        self._caches[reader] = None  # frees one that is too small
        tier = self._choose(chunks * reader.chunk_bytes)
        if tier == "resident":
            self._caches[reader] = ResidentSplit(self._loader, reader, chunks)
        elif tier == "pinned":
            self._caches[reader] = HostCache(self._runtime, reader, chunks)
        return self._caches[reader]

    def _choose(self, size: int) -> str:
        """Return the tier for a split of `size` bytes."""
        free, _ = self._runtime.memory()
        if self._tier == "auto":
            if size <= RESIDENT_SHARE * free:
                return "resident"
            return "pinned" if size <= PINNED_SHARE * available_memory() else "streamed"
        limit = {"resident": free, "pinned": available_memory()}.get(self._tier, size)
        if size > limit:
            raise CapabilityError(
                f"got feed = {self._tier} for {size / 1e9:.1f} GB of packed samples, with {limit / 1e9:.1f} GB free",
                "a split that fits",
                "Use feed=auto.",
            )
        return self._tier


class Prefetcher:
    """The windows of one stream, loaded ahead of its batches.

    Parameters
    ----------
    runtime
        The device.
    storage
        Where windows are loaded to.
    batch
        Where batches are gathered.
    tier
        For the stream's records.
    """

    def __init__(
        self, runtime: CopyDevice, storage: ResidentSplit | WindowBuffers, batch: SampleRows, tier: Tier
    ) -> None:
        self.tier = tier
        self._runtime, self._storage, self._batch = runtime, storage, batch
        self._windows: deque[Window] = deque()
        self._released: deque[Event] = deque()  # one for each window buffer that may be written again
        self._loaded = 0  # windows so far
        self._next = (0, 0)  # epoch and number of the window to load next
        self._position = (0, 0)  # epoch, and position in its order, of the next batch
        self._orders: dict[int, list[NDArray[np.int64]]] = {}
        self._stalls: deque[tuple[Event, Event]] = deque()

    def batches(self, stream: BatchStream) -> Iterator[PackedBatch]:
        """Yield the rest of the stream's epoch."""
        if self._position != (stream.epoch, stream.position):
            self._stop()  # the windows are of another position
        if not self._windows:
            self._position = (stream.epoch, stream.position)
            ends = np.cumsum([len(window) for window in self._order(stream, stream.epoch)])
            self._next = (stream.epoch, int(np.searchsorted(ends, stream.position, side="right")))
        order = np.concatenate([*self._order(stream, stream.epoch), np.empty(0, np.int64)])
        finished = False
        try:
            self._load_ahead(stream)
            for start, stop in stream.batch_ranges():
                share = stream.rank_slice(stop - start)
                bits = self._gather(stream, start + share.start, start + share.stop, stop)
                # all waits of an epoch belong to its batches: settle what is left with the last one
                self._settle(stream, wait=stop == len(stream.samples))
                self._position = (stream.epoch, stop)
                yield stream.next_batch(order[start:stop], bits)
            finished = True
        finally:
            if not finished:
                self._stop()
        del self._orders[stream.epoch]
        stream.finish_epoch()
        self._position = (stream.epoch, 0)

    # ------------------------------------------------------------ windows

    def _order(self, stream: BatchStream, epoch: int) -> list[NDArray[np.int64]]:
        if epoch not in self._orders:
            self._orders[epoch] = stream.windows(epoch)
        return self._orders[epoch]

    def _load_ahead(self, stream: BatchStream) -> None:
        """Start loading windows until there are `_WINDOWS`, over the end of an epoch but not past the last one."""
        while len(self._windows) < _WINDOWS:
            epoch, number = self._next
            windows = self._order(stream, epoch)
            if number == len(windows):
                if stream.epochs is None or epoch + 1 >= stream.epochs:
                    return
                self._next = (epoch + 1, 0)
                continue
            start = sum(map(len, windows[:number]))
            skip = max(0, self._position[1] - start) if epoch == self._position[0] else 0
            index, size = windows[number][skip:], stream.reader.chunk_samples
            chunks, chunk_of = np.unique(index // size, return_inverse=True)
            after = self._released.popleft() if self._released else None
            places, loads = self._storage.load(stream.reader, self._loaded, chunks, after)
            rows = self._runtime.xp.asarray(places[chunk_of] * size + index % size)
            self._windows.append(Window(epoch, start + skip, start + skip + len(index), rows, loads))
            self._loaded += 1
            self._next = (epoch, number + 1)

    def _gather(self, stream: BatchStream, first: int, last: int, stop: int) -> Array:
        """Return the bits at [first, last) of the epoch's order, and release windows that end by `stop`."""
        at = first
        while True:
            window = self._windows[0]
            count = min(last, window.stop) - at
            if count > 0:
                self._wait_for(window)
                rows = window.rows[at - window.start : at - window.start + count]
                self._storage.rows.gather(rows, self._batch, at - first)
                at += count
            if stop < window.stop:
                break
            self._wait_for(window)  # its copies must end before the next window is copied to its buffer
            self._released.append(self._runtime.current().record())
            self._windows.popleft()
            self._load_ahead(stream)
            if stop == window.stop:
                break
        return self._batch.bits(0, last - first)

    def _wait_for(self, window: Window) -> None:
        """Let the device wait for a window, between two events that measure the wait.

        The first event is recorded before the host waits for the readers: it is done when the device has finished all
        work given to it, the second when the data has arrived. The time between them is time without data.
        """
        if window.loads:
            computing = self._runtime.current()
            idle = computing.record(timed=True)
            for load in window.loads:
                computing.wait(load.result())
            window.loads = []
            self._stalls.append((idle, computing.record(timed=True)))

    def _settle(self, stream: BatchStream, wait: bool = False) -> None:
        """Add the waits that are over to the stream's; with `wait`, wait on the host until all are."""
        while self._stalls:
            idle, ready = self._stalls[0]
            if wait:
                ready.synchronize()
            if not ready.done():
                return
            stream.waited += ready.seconds_since(idle)
            self._stalls.popleft()

    def _stop(self) -> None:
        """Drop all windows, loaded or not, and waits that no batch will carry."""
        self._storage.drain()
        self._windows.clear()
        self._stalls.clear()
        self._released.clear()
        if self._loaded:
            now = (
                self._runtime.current().record()
            )  # both buffers may be written again after all gathers so far
            self._released.extend([now] * _WINDOWS)
        self._orders.clear()
        self._position = (-1, 0)
