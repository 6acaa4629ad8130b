"""A batch of spike trains on a GPU: words by unit, words by step, counts and events, each computed at first use.

Layouts: spikeprep/cuda/common.cuh. A store has the order by unit; a layer's forward pass writes both orders. Events
need much memory where spikes are many, so they are computed for a slice of the samples at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array
from .runtime import Runtime

WARPS = 8
"""Warps per block in kernels whose warps are independent."""

_BLOCKS = 16
"""Blocks per multiprocessor, at most, in kernels that stride over their work."""


@dataclass(frozen=True)
class Events:
    """The set bits of rows of words: `counts` int32 [row], `lists` [row, stride] of uint16 or uint32."""

    counts: Array
    lists: Array

    @property
    def stride(self) -> np.int32:
        """Ids between the starts of two lists."""
        return np.int32(self.lists.shape[1])

    @property
    def id_bits(self) -> int:
        """Bits of an id, 16 or 32."""
        return 8 * int(self.lists.dtype.itemsize)


def bits_of_ids(count: int) -> int:
    """Return the bits of ids below `count`, 16 or 32."""
    return 16 if count <= 1 << 16 else 32


def event_bytes(row_bits: int) -> int:
    """Return the most bytes that the events of a row of bits need: every bit set."""
    bits = bits_of_ids(row_bits)
    return -(-row_bits * bits // 128) * 16 + 4


class CudaSpikes:
    """Spikes of a batch.

    Attributes
    ----------
    units
        Number of units.
    steps
        Host int64 (sample,), each sample's length in steps.
    lengths
        The same on the device, int32.
    longest
        Steps of the longest sample.
    by_unit
        uint32 [sample, unit, word of 32 steps].
    """

    def __init__(
        self,
        runtime: Runtime,
        units: int,
        steps: NDArray[np.int64],
        lengths: Array,
        by_unit: Array,
        by_step: Array | None = None,
        counts: Array | None = None,
    ) -> None:
        self.units, self.steps, self.lengths, self.by_unit = units, steps, lengths, by_unit
        self.longest = int(steps.max(initial=0))
        self._runtime, self._by_step, self._counts = runtime, by_step, counts
        self._counts_int64: Array | None = None

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def words(self) -> int:
        """Words of a train."""
        return -(-self.longest // 32)

    def by_step(self) -> Array:
        """Return uint32 [sample, step, word of 32 units]."""
        if self._by_step is None:
            columns = -(-self.units // 32)
            self._by_step = self._runtime.xp.empty((len(self), self.longest, columns), np.uint32)
            if self._by_step.size:
                blocks = len(self) * -(-columns // 32) * -(-self.words // 8)
                self._module().launch(
                    "transpose", blocks, 32 * min(32, columns), self.by_unit, self._by_step, np.int32(len(self)),
                    np.int32(self.units), np.int32(self.longest), np.int32(self.words), np.int32(columns),
                )  # fmt: skip
        return self._by_step

    def counts(self) -> Array:
        """Return int32 [sample, unit]."""
        if self._counts is None:
            self._counts = self._runtime.xp.empty((len(self), self.units), np.int32)
            if self._counts.size:
                self._module().launch(
                    "counts", blocks(self._runtime, self._counts.size, 256), 256, self.by_unit, self._counts,
                    np.int64(self._counts.size), np.int32(self.words),
                )  # fmt: skip
        return self._counts

    def counts_int64(self) -> Array:
        """Return int64 [sample, unit]: the type of `Backend.counts`."""
        if self._counts_int64 is None:
            self._counts_int64 = self.counts().astype(np.int64)
        return self._counts_int64

    def events_by_step(self, samples: slice) -> Events:
        """Return the events of some samples, rows [sample · step]: units."""
        return self._events(self.by_step()[samples], self.units)

    def events_by_unit(self, samples: slice) -> Events:
        """Return the events of some samples, rows [sample · unit]: steps."""
        return self._events(self.by_unit[samples], self.longest)

    def order(self, samples: slice, counts: Array) -> tuple[Array, Array]:
        """Order the units of some samples by their spikes, `counts`, those with most first.

        Returns
        -------
        Units int32 [sample, unit], and the number of those that fire, int32 [sample].
        """
        xp, count = self._runtime.xp, samples.stop - samples.start
        order, active = xp.empty((count, self.units), np.int32), xp.zeros(count, np.int32)
        if order.size:
            self._module().launch(
                "order_units", count, 32, counts, order, active, np.int32(count), np.int32(self.units),
                np.int32(self.longest),
            )  # fmt: skip
        return order, active

    def _events(self, words: Array, row_bits: int) -> Events:
        bits = bits_of_ids(row_bits)
        xp, rows = self._runtime.xp, words.shape[0] * words.shape[1]
        events = Events(
            xp.empty(rows, np.int32),
            xp.empty((rows, (event_bytes(row_bits) - 4) * 8 // bits), np.uint16 if bits == 16 else np.uint32),
        )
        if rows:
            self._module(bits).launch(
                "events", blocks(self._runtime, rows, WARPS), 32 * WARPS, words, events.counts, events.lists,
                np.int64(rows), np.int32(words.shape[2]), events.stride,
            )  # fmt: skip
        return events

    def _module(self, id_bits: int = 16) -> Any:
        return self._runtime.module("spikes.cu", ID_BITS=id_bits)


def blocks(runtime: Runtime, items: int, block_items: int) -> int:
    """Return the blocks to launch for `items` in a kernel whose blocks stride over them, `block_items` at a time."""
    return min(-(-items // block_items), runtime.processors * _BLOCKS)
