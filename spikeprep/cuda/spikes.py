"""A batch of spike trains on a GPU, in the forms that its readers want; each is made when it is first asked for.

Layouts: spikeprep/cuda/common.cuh. The order by unit is that of a store; a layer's forward pass writes both orders, and
the events, which are long where spikes are many, are made for as many samples at a time as a workspace holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array
from .runtime import Runtime

WARPS = 8
"""Warps a block, in kernels whose warps have nothing to do with each other."""

_BLOCKS = 16
"""Blocks a multiprocessor, at most, in kernels that stride over their work."""


@dataclass(frozen=True)
class Events:
    """The set bits of rows of words: `counts` int32 [row], `lists` [row, stride] of uint16 or uint32."""

    counts: Array
    lists: Array

    @property
    def stride(self) -> np.int32:
        """Ids from one list to the next."""
        return np.int32(self.lists.shape[1])

    @property
    def bits(self) -> int:
        """Bits of an id."""
        return 8 * int(self.lists.dtype.itemsize)


def id_bits(most: int) -> int:
    """Return the bits of an id below `most`."""
    return 16 if most <= 1 << 16 else 32


def event_bytes(row_bits: int) -> int:
    """Return the bytes that a row of events takes in the worst case: every bit set."""
    bits = id_bits(row_bits)
    return -(-row_bits * bits // 128) * 16 + 4


class CudaSpikes:
    """Spikes of a batch.

    Attributes
    ----------
    units
        Number of units.
    steps
        Host int64 (sample,), each sample's own length.
    own
        The same on the device, int32.
    longest
        The longest sample's steps.
    by_unit
        uint32 [sample, unit, word of 32 steps].
    """

    def __init__(
        self,
        runtime: Runtime,
        units: int,
        steps: NDArray[np.int64],
        own: Array,
        by_unit: Array,
        by_step: Array | None = None,
        counts: Array | None = None,
    ) -> None:
        self.units, self.steps, self.own, self.by_unit = units, steps, own, by_unit
        self.longest = int(steps.max(initial=0))
        self._runtime, self._by_step, self._counts = runtime, by_step, counts
        self._totals: Array | None = None

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def words(self) -> int:
        """Words of a unit's train."""
        return -(-self.longest // 32)

    def by_step(self) -> Array:
        """Return uint32 [sample, step, word of 32 units]."""
        if self._by_step is None:
            columns = -(-self.units // 32)
            self._by_step = self._runtime.xp.empty((len(self), self.longest, columns), np.uint32)
            if self._by_step.size:
                blocks = len(self) * -(-columns // 32)
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

    def totals(self) -> Array:
        """Return int64 [sample, unit], as the contract has counts."""
        if self._totals is None:
            self._totals = self.counts().astype(np.int64)
        return self._totals

    def events_by_step(self, samples: slice) -> Events:
        """Return the events of [sample · step] rows: units."""
        return self._events(self.by_step()[samples], self.units)

    def events_by_unit(self, samples: slice) -> Events:
        """Return the events of [sample · unit] rows: steps."""
        return self._events(self.by_unit[samples], self.longest)

    def _events(self, words: Array, row_bits: int) -> Events:
        bits = id_bits(row_bits)
        xp, rows = self._runtime.xp, words.shape[0] * words.shape[1]
        made = Events(
            xp.empty(rows, np.int32),
            xp.empty((rows, (event_bytes(row_bits) - 4) * 8 // bits), np.uint16 if bits == 16 else np.uint32),
        )
        if rows:
            self._module(bits).launch(
                "events", blocks(self._runtime, rows, WARPS), 32 * WARPS, words, made.counts, made.lists,
                np.int64(rows), np.int32(words.shape[2]), made.stride,
            )  # fmt: skip
        return made

    def _module(self, bits: int = 16) -> Any:
        return self._runtime.module("spikes.cu", ID_BITS=bits)


def blocks(runtime: Runtime, items: int, each: int) -> int:
    """Return how many blocks of `each` pieces of work to launch for `items`, in a kernel that strides over them."""
    return min(-(-items // each), runtime.processors * _BLOCKS)
