"""Batches of variants: every epoch encodes its samples anew, with the bits that a stored copy of them would have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..distributed.ranks import rank_range
from .batches import HostStream, Tier

_PART_BYTES = 1 << 20  # of spikes that a thread encodes at a time
_AHEAD_BYTES = 8 << 20  # that are encoded ahead of training, unless a batch has more


class VariantEncoder(Protocol):
    """Encodes variants of a split's samples, from any number of threads at the same time."""

    @property
    def source_path(self) -> str | None:
        """Where the raw data are; None where the source needs no path."""

    def encode(self, samples: NDArray[np.int64], copy: int, steps: NDArray[np.uint32], out: Bits) -> None:
        """Write copy `copy` of samples, int64 (sample,), to `out`, uint8 (sample, unit, byte).

        `steps` are the samples' lengths, (sample,), which their variants must have.
        """


class VariantStream(HostStream):
    """The batches of epoch after epoch, where epoch e consists of copy e of each sample.

    Order, batches and state are those of a `BatchStream` of the same arguments. Of several ranks each encodes its own
    samples alone.

    Parameters
    ----------
    reader, batch, more
        See `HostStream`.
    variants
        What encodes the samples.
    threads
        How many threads encode.
    """

    def __init__(
        self, reader: Any, batch: int, variants: VariantEncoder, *, threads: int = 1, **more: Any
    ) -> None:
        super().__init__(reader, batch, **more)
        self._variants, self.requests = variants, threads
        self._ahead = max(batch, _AHEAD_BYTES // max(reader.sample_bytes, 1))
        ahead = min(self._ahead, len(self.samples)) + batch
        self.tier = Tier("encoded", 0, 2 * ahead * reader.sample_bytes)

    def windows(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the order of a stream from the store, in smaller parts: encoding needs no whole chunks."""
        order = np.concatenate(super().windows(epoch))
        return np.split(order, range(self._ahead, len(order), self._ahead))

    def fill(
        self, samples: NDArray[np.int64], position: int, out: Bits, each: Callable[..., Iterable[None]]
    ) -> None:
        """Encode this rank's samples; the rows of the others stay as they are."""
        own = np.flatnonzero(self._is_own(np.arange(position, position + len(samples))))
        rows = max(_PART_BYTES // max(self.reader.sample_bytes, 1), 1)
        steps, copy = self.reader.steps, self.epoch

        def encode(part: NDArray[np.int64]) -> None:
            spikes = np.zeros((len(part), *out.shape[1:]), np.uint8)
            self._variants.encode(samples[part], copy, steps[samples[part]], spikes)
            out[part] = spikes

        for _ in each(encode, [own[at : at + rows] for at in range(0, len(own), rows)]):
            pass

    def _is_own(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether this rank trains on the samples at positions of an epoch."""
        batches, inside = np.divmod(positions, self.batch)
        own = np.zeros(len(positions), bool)
        for last in (False, True):
            size = len(self.samples) - (len(self) - 1) * self.batch if last else self.batch
            start, stop = rank_range(size, *self.share)
            own |= ((batches == len(self) - 1) == last) & (inside >= start) & (inside < stop)
        return own
