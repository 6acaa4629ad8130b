"""Packed samples by number, in any order: those of a store, whose chunks stay in memory for a while."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data import Bits, PackedBatch
from ..errors import UsageError
from ..store import SplitReader
from ..store.reader import sample_numbers

CACHE_BYTES = 256 << 20
"""Packed bytes that stay in memory: those of 6,700 samples of MNIST."""


class PackedSamples(Protocol):
    """Samples that are read by number, each the same at any time. They can be pickled."""

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Shape of a sample's units."""

    @property
    def max_steps(self) -> int:
        """Time steps of the longest sample."""

    def __len__(self) -> int: ...

    def packed(self, index: NDArray[np.int64]) -> PackedBatch:
        """Return samples by number, (sample,), in the order of `index`."""


def require_split(samples: object, *others: type) -> None:
    """Raise `UsageError` for anything but a split of a store, or one of `others`."""
    if not isinstance(samples, (SplitReader, *others)):
        names = " or ".join(["a split of a store", *(f"an {other.__name__}" for other in others)])
        hint = 'For example spikeprep.open_store("mnist.zarr")["train"].'
        raise UsageError(f"got {type(samples).__name__} for the samples", names, hint)


class CachedSplit:
    """A split of a store whose last used chunks stay in memory, packed: `PackedSamples`. Thread-safe.

    A pickled copy, as in another process, begins with no chunks.

    Parameters
    ----------
    split
        The samples.
    size
        Bytes that may stay in memory; one chunk does in any case.
    """

    def __init__(self, split: SplitReader, size: int = CACHE_BYTES) -> None:
        self._split, self._size = split, size
        self._chunks: OrderedDict[int, Bits] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> Any:
        return CachedSplit, (self._split, self._size)

    def __len__(self) -> int:
        return len(self._split)

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Shape of a sample's units."""
        return self._split.unit_shape

    @property
    def max_steps(self) -> int:
        """Time steps of the longest sample of the store."""
        return self._split.max_steps

    def packed(self, index: NDArray[np.int64]) -> PackedBatch:
        """Return samples by number, (sample,), in the order of `index`; raises as `SplitReader.packed`."""
        split = self._split
        index = sample_numbers(index, len(split))
        bits = np.empty((len(index), split.units, split.layout.unit_bytes), np.uint8)
        chunk_of, inside = np.divmod(index, split.chunk_samples)
        for chunk in np.unique(chunk_of):
            rows = np.flatnonzero(chunk_of == chunk)
            bits[rows] = self._chunk(int(chunk))[inside[rows]]
        return PackedBatch(bits, split.steps[index], split.labels[index], index)

    def _chunk(self, number: int) -> Bits:
        with self._lock:
            if (chunk := self._chunks.get(number)) is not None:
                self._chunks.move_to_end(number)
                return chunk
        split = self._split
        chunk = np.empty((split.chunk_samples, split.units, split.layout.unit_bytes), np.uint8)
        split.read_chunk(number, chunk)
        with self._lock:
            self._chunks[number] = chunk
            while len(self._chunks) > 1 and len(self._chunks) * split.chunk_bytes > self._size:
                self._chunks.popitem(last=False)
        return chunk
