"""Batches on the device: which tier a stream's samples travel by, and how far ahead of the batches they are.

A window of chunks, the unit that `BatchStream` shuffles in, is brought to the device while the one before it trains; a
batch is then one gather of rows there. Only the way is chosen here: the order of samples is the stream's own, so
results do not depend on the tier.
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
from .device_memory import HostCache, Loader, Resident, Ring, Rows

TierName = Literal["auto", "resident", "pinned", "streamed"]
TIERS: tuple[str, ...] = get_args(TierName)

RESIDENT_SHARE = 0.5
"""A split is resident if it takes no more than this share of the free device memory: the network wants room too."""

PINNED_SHARE = 0.25
"""A split is pinned if it takes no more than this share of the host's available memory: nobody else can have it."""

_AHEAD = 2  # windows on the device: one drawn from, one on its way


def streamed_bound(stream: BatchStream) -> int:
    """Return the most bytes of device memory that feeding takes where the split is not resident.

    Two windows of whole chunks, and as many row numbers; a batch.
    """
    reader = stream.reader
    chunks = min(stream.window_chunks, -(-len(reader) // reader.chunk_samples))
    rows = 2 * chunks * reader.chunk_samples
    return rows * (reader.sample_bytes + 8) + stream.batch * reader.sample_bytes


@dataclass
class Window:
    """A window on the device or on its way there.

    Attributes
    ----------
    epoch, start, stop
        Its samples' places in the epoch's order: [start, stop).
    rows
        int64 (sample,) on the device: the row in which each of them lies.
    loads
        What has to be waited for before they do.
    """

    epoch: int
    start: int
    stop: int
    rows: Array
    loads: list[Future[Event]]


class Feeder:
    """Feeds streams to one device, each split by the tier that fits.

    Parameters
    ----------
    runtime
        The device.
    tier
        "auto": resident, else pinned, else streamed, by what fits; or the one to use.
    threads
        Threads that read and decompress; default by the machine and the store.
    """

    def __init__(self, runtime: CopyDevice, tier: TierName = "auto", threads: int | None = None) -> None:
        self._runtime, self._tier = runtime, tier
        self._loader = Loader(runtime, threads)
        self._flows: weakref.WeakKeyDictionary[BatchStream, Flow] = weakref.WeakKeyDictionary()
        self._kept: weakref.WeakKeyDictionary[SplitReader, Resident | HostCache | None]
        self._kept = weakref.WeakKeyDictionary()

    def feed(self, stream: BatchStream) -> Iterator[PackedBatch]:
        """See `Backend.feed`."""
        flow = self._flows.get(stream)
        if flow is None:
            flow = self._flows[stream] = self._flow(stream)
        stream.tier = flow.tier
        return flow.batches(stream)

    def _flow(self, stream: BatchStream) -> Flow:
        reader = stream.reader
        last = int(stream.samples[-1]) if len(stream.samples) else 0
        chunks = last // reader.chunk_samples + 1
        slots = self._loader.prepare(reader)
        kept = self._keep(reader, chunks)
        batch = Rows(self._runtime, reader, stream.batch)
        if isinstance(kept, Resident):
            # another stream of the same split shares the rows: they are counted with each
            tier = Tier("resident", kept.rows.nbytes + batch.nbytes, slots)
            return Flow(self._runtime, kept, batch, tier)
        ring = Ring(self._loader, reader, min(stream.window_chunks, chunks), kept)
        weakref.finalize(stream, ring.drain).atexit = False
        tier = (
            Tier("streamed", streamed_bound(stream), slots)
            if kept is None
            else Tier("pinned", streamed_bound(stream), kept.host_bytes)
        )
        assert ring.rows.nbytes + batch.nbytes <= tier.device_bytes
        return Flow(self._runtime, ring, batch, tier)

    def _keep(self, reader: SplitReader, chunks: int) -> Resident | HostCache | None:
        """Return what keeps a split's first chunks from epoch to epoch; None where nothing does."""
        kept = self._kept.get(reader)
        if reader in self._kept and (kept is None or kept.chunks >= chunks):
            return kept
        self._kept[reader] = None  # lets go of one that is too small
        tier = self._choose(chunks * reader.chunk_bytes)
        if tier == "resident":
            self._kept[reader] = Resident(self._loader, reader, chunks)
        elif tier == "pinned":
            self._kept[reader] = HostCache(self._runtime, reader, chunks)
        return self._kept[reader]

    def _choose(self, size: int) -> str:
        free, _ = self._runtime.memory()
        if self._tier == "auto":
            if size <= RESIDENT_SHARE * free:
                return "resident"
            return "pinned" if size <= PINNED_SHARE * available_memory() else "streamed"
        room = {"resident": free, "pinned": available_memory()}.get(self._tier, size)
        if size > room:
            raise CapabilityError(
                f"got --feed {self._tier} for {size / 1e9:.1f} GB of packed samples, with {room / 1e9:.1f} GB free",
                "a split that fits",
                "Use --feed auto.",
            )
        return self._tier


class Flow:
    """One stream's way to the device."""

    def __init__(self, runtime: CopyDevice, storage: Resident | Ring, batch: Rows, tier: Tier) -> None:
        self.tier = tier
        self._runtime, self._storage, self._batch = runtime, storage, batch
        self._windows: deque[Window] = deque()
        self._released: deque[Event] = deque()  # one for each half of the ring that is free again
        self._brought = 0  # windows so far
        self._next = (0, 0)  # epoch and number of the window to bring next
        self._stands = (0, 0)  # epoch and place in its order that batches have got to
        self._orders: dict[int, list[NDArray[np.int64]]] = {}
        self._stalls: deque[tuple[Event, Event]] = deque()

    def batches(self, stream: BatchStream) -> Iterator[PackedBatch]:
        """Yield what is left of the stream's epoch."""
        if self._stands != (stream.epoch, stream.position):
            self._stop()  # what was read ahead was for elsewhere
        if not self._windows:
            self._stands = (stream.epoch, stream.position)
            ends = np.cumsum([len(window) for window in self._order(stream, stream.epoch)])
            self._next = (stream.epoch, int(np.searchsorted(ends, stream.position, side="right")))
        order = np.concatenate([*self._order(stream, stream.epoch), np.empty(0, np.int64)])
        finished = False
        try:
            self._bring(stream)
            for start, stop in stream.draws():
                own = stream.own(stop - start)
                bits = self._gather(stream, start + own.start, start + own.stop, stop)
                self._settle(stream, wait=stop == len(stream.samples))
                self._stands = (stream.epoch, stop)
                yield stream.hand_out(order[start:stop], bits)
            finished = True
        finally:
            if not finished:
                self._stop()
        del self._orders[stream.epoch]
        stream.finish_epoch()
        self._stands = (stream.epoch, 0)

    # ------------------------------------------------------------ windows

    def _order(self, stream: BatchStream, epoch: int) -> list[NDArray[np.int64]]:
        if epoch not in self._orders:
            self._orders[epoch] = stream.windows(epoch)
        return self._orders[epoch]

    def _bring(self, stream: BatchStream) -> None:
        """Start bringing windows until as many are there or on their way as there is room for."""
        while len(self._windows) < _AHEAD:
            epoch, number = self._next
            windows = self._order(stream, epoch)
            if number == len(windows):
                if stream.epochs is None or epoch + 1 >= stream.epochs:
                    return
                self._next = (epoch + 1, 0)
                continue
            start = sum(map(len, windows[:number]))
            skip = max(0, self._stands[1] - start) if epoch == self._stands[0] else 0
            index, size = windows[number][skip:], stream.reader.chunk_samples
            chunks, which = np.unique(index // size, return_inverse=True)
            after = self._released.popleft() if self._released else None
            places, loads = self._storage.bring(stream.reader, self._brought, chunks, after)
            rows = self._runtime.xp.asarray(places[which] * size + index % size)
            self._windows.append(Window(epoch, start + skip, start + skip + len(index), rows, loads))
            self._brought += 1
            self._next = (epoch, number + 1)

    def _gather(self, stream: BatchStream, first: int, last: int, stop: int) -> Array:
        """Return the bits at places [first, last) of the epoch's order, and let go of windows that end by `stop`."""
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
            self._wait_for(window)  # nothing of it may arrive after the next window in its place
            self._released.append(self._runtime.current().record())
            self._windows.popleft()
            self._bring(stream)
            if stop == window.stop:
                break
        return self._batch.bits(0, last - first)

    def _wait_for(self, window: Window) -> None:
        """Let the device wait for a window, and note when it began to wait and when it could go on.

        The first event is recorded before the host waits for the readers: it is done when the device has finished
        all that it was given, the second when the data is there. What lies between is time without data.
        """
        if window.loads:
            computing = self._runtime.current()
            idle = computing.record(timed=True)
            for load in window.loads:
                computing.wait(load.result())
            window.loads = []
            self._stalls.append((idle, computing.record(timed=True)))

    def _settle(self, stream: BatchStream, wait: bool = False) -> None:
        """Add up the waits that are over."""
        while self._stalls:
            idle, ready = self._stalls[0]
            if wait:
                ready.synchronize()
            if not ready.done():
                return
            stream.waited += ready.seconds_since(idle)
            self._stalls.popleft()

    def _stop(self) -> None:
        """Forget every window that is here or on its way."""
        self._storage.drain()
        self._windows.clear()
        self._released.clear()
        if self._brought:
            now = self._runtime.current().record()  # both halves are free once all gathers so far are done
            self._released.extend([now] * _AHEAD)
        self._orders.clear()
        self._stands = (-1, 0)
