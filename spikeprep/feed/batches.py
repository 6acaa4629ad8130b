"""Batches of a store, prefetched and resumable from any batch, in the order of `feed.order`.

`HostStream.batches` reads them into host memory: the next window of chunks is read while the current one trains. A
backend may transfer those of a `BatchStream` its own way (`Backend.feed`), with `batch_ranges`, `next_batch` and
`finish_epoch`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compilation import working_time
from ..data import Bits, PackedBatch
from ..distributed.ranks import rank_range
from ..errors import RunError
from ..store import SplitReader
from .order import SampleOrder

WINDOW_BYTES = 96 << 20
"""Packed bytes of a shuffling window; two are in memory, one that trains and one that is read."""


@dataclass(frozen=True)
class Tier:
    """How a stream's samples reach the device, and the memory that takes.

    Attributes
    ----------
    name
        "resident": the samples are in device memory, packed; "pinned": they are in page-locked host memory, and windows
        of them in device memory; "streamed": windows are read from the store, in every epoch again; "encoded": windows
        are encoded from the source, in every epoch anew.
    device_bytes, host_bytes
        Memory used for it, at most.
    """

    name: str
    device_bytes: int
    host_bytes: int


class HostStream(ABC):
    """The batches of epoch after epoch, prefetched into host memory; a subclass has `fill`.

    Parameters
    ----------
    reader
        A split of a store.
    batch
        Samples per batch; the last one of an epoch may be smaller.
    seed
        Decides the order, together with the epoch.
    samples
        The samples to use, int64, ascending; default all.
    shuffle
        False keeps the order of the store.
    window_bytes
        Packed bytes of a shuffling window, which has at least one chunk.
    share
        (rank, size): of every batch only this rank's slice, `rank_range`, is returned.
    epochs
        How many epochs will be read: prefetching stops after the last one. None: it stops at the end of each epoch.

    Attributes
    ----------
    epoch, position
        Where the stream is: the next batch starts at sample `position` of `epoch`'s order.
    waited
        Seconds spent waiting for data since the last batch: by the consumer, or, behind an asynchronous device, by the
        device itself. Each batch takes them with it.
    tier
        How the samples reach the device; final once the first batch has been returned.
    requests
        Threads that `fill` may use.
    window_chunks
        Chunks in a window, at most.
    """

    def __init__(
        self,
        reader: SplitReader,
        batch: int,
        *,
        seed: int = 0,
        samples: NDArray[np.int64] | None = None,
        shuffle: bool = True,
        window_bytes: int = WINDOW_BYTES,
        share: tuple[int, int] = (0, 1),
        epochs: int | None = None,
    ) -> None:
        self.reader, self.batch, self.seed, self.shuffle = reader, batch, seed, shuffle
        self.share, self.epochs, self.requests = share, epochs, reader.requests
        self.samples = np.arange(len(reader)) if samples is None else np.asarray(samples, np.int64)
        self.epoch = self.position = 0
        self.waited = 0.0
        self.window_chunks = max(1, window_bytes // max(1, reader.chunk_bytes))
        self._order = SampleOrder(
            self.samples, reader.steps, reader.chunk_samples, self.window_chunks, batch, seed, shuffle
        )
        self._buffers: dict[int, Bits] = {}
        windows = 2 * min(self.window_chunks * reader.chunk_bytes, len(self.samples) * reader.sample_bytes)
        self.tier = Tier("streamed", 0, windows + 2 * batch * reader.sample_bytes)

    @abstractmethod
    def fill(
        self, samples: NDArray[np.int64], position: int, out: Bits, each: Callable[..., Iterable[None]]
    ) -> None:
        """Write the spikes of samples, int64 (sample,), to `out`, uint8 (sample, unit, byte).

        They are those from `position` on in the order of the current epoch. `each` is `map`, or an executor's.
        """

    def __len__(self) -> int:
        """Batches per epoch."""
        return -(-len(self.samples) // self.batch)

    def get_state(self) -> dict[str, int]:
        """Return where the stream is, JSON-ready."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "samples": len(self.samples),
            "batch": self.batch,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Move to a state that `get_state` returned; the next `batches` continues from there.

        Raises
        ------
        RunError
            The state is of a stream of other samples or another batch size.
        """
        own = self.get_state()
        if any(state.get(key) != own[key] for key in ("samples", "batch")):
            raise RunError(
                f"got the stream state {state}",
                f"one of {own['samples']} samples in batches of {own['batch']}",
                "Resume with the run's own store and settings.",
            )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def windows(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the epoch's order of samples, in the windows that are read together; see `feed.order`."""
        return self._order.windows(epoch)

    def batch_ranges(self) -> list[tuple[int, int]]:
        """Return the rest of the current epoch: the range [start, stop) of each batch in the epoch's order."""
        total = len(self.samples)
        return [(at, min(at + self.batch, total)) for at in range(self.position, total, self.batch)]

    def rank_slice(self, size: int) -> slice:
        """Return which samples of a batch of `size` are this rank's."""
        return slice(*rank_range(size, *self.share))

    def next_batch(self, index: NDArray[np.int64], bits: Any) -> PackedBatch:
        """Return this rank's slice of a batch, whose `bits` may be on a device, and move past the batch.

        `index` is int64 (sample,): positions of the batch's samples in the split, over all ranks.
        """
        own = index[self.rank_slice(len(index))]
        batch = PackedBatch(
            bits, self.reader.steps[own], self.reader.labels[own], own,
            epoch=self.epoch, position=self.position, batch_index=index, waited=self.waited,
        )  # fmt: skip
        self.position += len(index)
        self.waited = 0.0
        return batch

    def finish_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch += 1
        self.position = 0

    def batches(self) -> Iterator[PackedBatch]:
        """Yield the rest of the current epoch; afterwards the stream is at the start of the next one.

        A batch's bits are overwritten some time after the next batch is requested. `position` moves when a batch is
        returned, so a state that is saved while one is in use already counts it. A reader's error is raised here, at
        the batch that needs the data.
        """
        done = self.position
        rest = np.empty(
            0, np.int64
        )  # samples at a window's end that fill no batch: they lead the next window
        rest_bits: Bits | None = None
        for window, buffer in self._read(self.windows(self.epoch), done):
            index = np.concatenate([rest, window])
            first = self.batch - len(rest)  # a buffer has room for a batch ahead of its window
            if rest_bits is not None:
                buffer[first : self.batch] = rest_bits
            last = done + len(index) == len(self.samples)
            full = len(index) if last else len(index) - len(index) % self.batch
            for at in range(0, full, self.batch):
                stop = min(at + self.batch, full)
                done += stop - at
                bits = buffer[first + at : first + stop]
                yield self.next_batch(index[at:stop], bits[self.rank_slice(stop - at)])
            # a copy: the buffer is overwritten while the next window trains
            rest, rest_bits = index[full:], buffer[first + full : first + len(index)].copy()
        self.finish_epoch()

    def _read(self, windows: list[NDArray[np.int64]], skip: int) -> Iterator[tuple[NDArray[np.int64], Bits]]:
        """Yield windows without their first `skip` samples, with the buffers that hold them, reading one ahead."""
        rest, position = [], skip
        for window in windows:
            if skip < len(window):
                rest.append(window[skip:])
            skip = max(0, skip - len(window))
        size = max((len(window) for window in windows), default=0)
        with (
            ThreadPoolExecutor(1, "spikeprep-prefetch") as pool,
            ThreadPoolExecutor(self.requests, "spikeprep-read") as readers,
        ):
            # an object store needs many chunks at a time; for a disk the prefetching thread alone is enough
            each = readers.map if self.requests > 1 else map
            pending = pool.submit(self._fill, rest[0], position, 0, size, each) if rest else None
            for n, window in enumerate(rest):
                assert pending is not None
                started = working_time()
                buffer = pending.result()
                self.waited += working_time() - started
                position += len(window)
                if n + 1 < len(rest):
                    pending = pool.submit(self._fill, rest[n + 1], position, (n + 1) % 2, size, each)
                yield window, buffer

    def _fill(
        self,
        window: NDArray[np.int64],
        position: int,
        which: int,
        size: int,
        each: Callable[..., Iterable[None]],
    ) -> Bits:
        """Read a window into buffer number `which`, behind room for one batch.

        Buffers are reused: the pages of a new one would cost more than the reading.
        """
        buffer = self._buffers.get(which)
        if buffer is None or len(buffer) < self.batch + size:
            shape = (self.batch + size, self.reader.units, self.reader.layout.unit_bytes)
            buffer = self._buffers[which] = np.empty(shape, np.uint8)
        self.fill(window, position, buffer[self.batch : self.batch + len(window)], each)
        return buffer


class BatchStream(HostStream):
    """The batches of epoch after epoch, read from a store; see `HostStream`."""

    def fill(
        self, samples: NDArray[np.int64], position: int, out: Bits, each: Callable[..., Iterable[None]]
    ) -> None:
        """Read samples of the store."""
        self.reader.bits(samples, out=out, each=each)
