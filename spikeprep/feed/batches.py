"""Batches out of a store, prefetched and resumable from any batch, in the order of `feed.order`.

`BatchStream.batches` brings them through the host's memory: the next window of chunks is read while the current one
trains. A backend may bring them in a way of its own (`Backend.feed`), with `draws`, `hand_out` and `finish_epoch`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Bits, PackedBatch
from ..distributed.ranks import rank_range
from ..errors import RunError
from ..store import SplitReader
from .order import SampleOrder

WINDOW_BYTES = 96 << 20
"""Packed bytes of a shuffling window; two are in memory, one that trains and one that is read."""


@dataclass(frozen=True)
class Tier:
    """How a stream's samples reach the device, and what that takes.

    Attributes
    ----------
    name
        "resident": all of the split that is used lies packed in device memory; "pinned": it lies in page-locked host
        memory, and windows of it in device memory; "streamed": windows are read from the store, anew in every epoch.
    device_bytes, host_bytes
        Memory held for it, at most.
    """

    name: str
    device_bytes: int
    host_bytes: int


class BatchStream:
    """Yields the batches of epoch after epoch.

    Parameters
    ----------
    reader
        A split of a store.
    batch
        Samples a batch; the last one of an epoch may be smaller.
    seed
        Decides the order, together with the epoch.
    samples
        The samples to use, int64, ascending; default all.
    shuffle
        False keeps the order of the store.
    window_bytes
        Packed bytes in a shuffling window; it has whole chunks, and one at least.
    share
        (rank, size): of every batch only this rank's consecutive part, `span`, is handed out.
    epochs
        How many epochs will be drawn: what reads ahead past the end of an epoch stops there. None: nothing does.

    Attributes
    ----------
    epoch, position
        Where the stream is: the next batch starts at sample `position` of `epoch`'s order.
    waited
        Seconds spent waiting for data since the last batch: by the consumer, or, behind an asynchronous device, by the
        device itself. Each batch takes them with it.
    tier
        How the samples travel; right once the first batch has been handed out.
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
        self.share, self.epochs = share, epochs
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

    def __len__(self) -> int:
        """Batches an epoch."""
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
        """Go where `get_state` was; the next `batches` goes on from there.

        Raises
        ------
        RunError
            The state is of a stream of other samples or another batch size.
        """
        here = self.get_state()
        if any(state.get(key) != here[key] for key in ("samples", "batch")):
            raise RunError(
                f"got the stream state {state}",
                f"one of {here['samples']} samples in batches of {here['batch']}",
                "Resume with the run's own store and settings.",
            )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def windows(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the epoch's order of samples, in the windows that are read together; see `feed.order`."""
        return self._order.windows(epoch)

    def draws(self) -> list[tuple[int, int]]:
        """Return what is left of the current epoch: where in the order each batch begins, and where it has ended."""
        total = len(self.samples)
        return [(at, min(at + self.batch, total)) for at in range(self.position, total, self.batch)]

    def own(self, size: int) -> slice:
        """Return which samples of a batch of `size` are this rank's."""
        return slice(*rank_range(size, *self.share))

    def hand_out(self, drawn: NDArray[np.int64], bits: Any) -> PackedBatch:
        """Return this rank's share of the batch `drawn`, whose `bits` may be on a device, and move past the batch."""
        share = drawn[self.own(len(drawn))]
        batch = PackedBatch(
            bits, self.reader.steps[share], self.reader.labels[share], share,
            epoch=self.epoch, position=self.position, batch_index=drawn, waited=self.waited,
        )  # fmt: skip
        self.position += len(drawn)
        self.waited = 0.0
        return batch

    def finish_epoch(self) -> None:
        """Go to the start of the next epoch."""
        self.epoch += 1
        self.position = 0

    def batches(self) -> Iterator[PackedBatch]:
        """Yield what is left of the current epoch; afterwards the stream stands at the next one.

        A batch's bits are overwritten some time after the next batch is asked for. `position` moves when a batch is
        handed out, so a state that is taken while one is in use already counts it. A reader's error is raised here,
        at the batch that needed the data.
        """
        done = self.position
        spare = np.empty(
            0, np.int64
        )  # samples at a window's end that fill no batch: they lead the next window
        spare_bits: Bits | None = None
        for window, buffer in self._read(self.windows(self.epoch), done):
            index = np.concatenate([spare, window])
            first = self.batch - len(spare)  # the buffer keeps room for a batch ahead of its window
            if spare_bits is not None:
                buffer[first : self.batch] = spare_bits
            last = done + len(index) == len(self.samples)
            full = len(index) if last else len(index) - len(index) % self.batch
            for at in range(0, full, self.batch):
                stop = min(at + self.batch, full)
                done += stop - at
                bits = buffer[first + at : first + stop]
                yield self.hand_out(index[at:stop], bits[self.own(stop - at)])
            # copied: the buffer is read into again while the next window trains
            spare, spare_bits = index[full:], buffer[first + full : first + len(index)].copy()
        self.finish_epoch()

    def _read(self, windows: list[NDArray[np.int64]], skip: int) -> Iterator[tuple[NDArray[np.int64], Bits]]:
        """Yield windows, less their first `skip` samples, with the buffers that hold them, reading one ahead."""
        kept = []
        for window in windows:
            if skip < len(window):
                kept.append(window[skip:])
            skip = max(0, skip - len(window))
        size = max((len(window) for window in windows), default=0)
        with (
            ThreadPoolExecutor(1, "spikeprep-prefetch") as pool,
            ThreadPoolExecutor(self.reader.requests, "spikeprep-read") as readers,
        ):
            # from an object store many chunks at a time; from a disk the prefetching thread alone keeps up
            each = readers.map if self.reader.requests > 1 else map
            coming = pool.submit(self._fill, kept[0], 0, size, each) if kept else None
            for n, window in enumerate(kept):
                assert coming is not None
                started = time.perf_counter()
                buffer = coming.result()
                self.waited += time.perf_counter() - started
                if n + 1 < len(kept):
                    coming = pool.submit(self._fill, kept[n + 1], (n + 1) % 2, size, each)
                yield window, buffer

    def _fill(
        self, window: NDArray[np.int64], which: int, size: int, each: Callable[..., Iterable[None]]
    ) -> Bits:
        """Read a window into buffer `which`, behind room for one batch.

        Buffers are kept: the pages of a new one would cost more than the reading.
        """
        buffer = self._buffers.get(which)
        if buffer is None or len(buffer) < self.batch + size:
            shape = (self.batch + size, self.reader.units, self.reader.layout.unit_bytes)
            buffer = self._buffers[which] = np.empty(shape, np.uint8)
        self.reader.bits(window, out=buffer[self.batch : self.batch + len(window)], each=each)
        return buffer
