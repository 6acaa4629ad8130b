"""The reference backend: every rule and layer by composition, in NumPy float64. Slow, readable, the definition.

It is for tests and for reading: about a thousand times slower than the compiled backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..backend import Backend, NeuronTrace
from ..data import NeuronParams, PackedBatch, PspParams
from ..packing import unpack
from . import neurons
from .neurons import Floats
from .spikes import DenseSpikes


class ReferenceBackend(Backend):
    """The equations as written, on dense arrays (sample, time, unit)."""

    name: ClassVar[str] = "reference"
    xp = np
    dtype = np.dtype(np.float64)

    def batch_bytes(self, units: Sequence[int], samples: int, steps: int) -> int:
        """See `Backend.batch_bytes`: spikes as bools, and one layer's as real numbers."""
        return samples * steps * (sum(units) + 8 * max(units))

    def upload(self, batch: PackedBatch) -> DenseSpikes:
        """See `Backend.upload`."""
        longest = int(batch.steps.max(initial=0))
        spikes = unpack(batch.bits, longest)
        spikes[np.arange(longest)[None, :] >= batch.steps[:, None]] = False
        return DenseSpikes(spikes, batch.steps.astype(np.int64))

    def unpack(self, spikes: DenseSpikes) -> NDArray[np.bool_]:  # type: ignore[override]
        """See `Backend.unpack`."""
        return spikes.dense

    def dense(self, spikes: DenseSpikes) -> Floats:  # type: ignore[override]
        """See `Backend.dense`."""
        return spikes.dense.astype(np.float64)

    def counts(self, spikes: DenseSpikes) -> NDArray[np.int64]:  # type: ignore[override]
        """See `Backend.counts`."""
        counts: NDArray[np.int64] = spikes.dense.sum(axis=1, dtype=np.int64)
        return counts

    def regular_trains(  # type: ignore[override]
        self, spikes: DenseSpikes, unit: NDArray[Any], period: NDArray[Any]
    ) -> DenseSpikes:
        """See `Backend.regular_trains`."""
        dense = spikes.dense.copy()
        for b in np.flatnonzero(period):
            dense[b, :, unit[b]] = False
            dense[b, period[b] : spikes.steps[b] : period[b], unit[b]] = True
        return DenseSpikes(dense, spikes.steps)

    def masked(self, spikes: DenseSpikes, kept: NDArray[Any]) -> DenseSpikes:  # type: ignore[override]
        """See `Backend.masked`."""
        return DenseSpikes(spikes.dense & kept[:, None, :], spikes.steps)

    def trace_neurons(self, drive: NDArray[Any], neuron: NeuronParams) -> NeuronTrace:
        """See `Backend.trace_neurons`."""
        return neurons.simulate(np.asarray(drive, float), neuron)

    def simulate(
        self, drive: Floats, steps: NDArray[np.int64], neuron: NeuronParams, lateral: float = 0.0
    ) -> DenseSpikes:
        """See `Backend.simulate`."""
        dense = np.zeros(drive.shape, bool)
        for b, length in enumerate(steps):
            dense[b, :length] = neurons.simulate(drive[b, :length], neuron, lateral).spikes
        return DenseSpikes(dense, np.asarray(steps, np.int64))

    def gate(self, post: DenseSpikes, neuron: NeuronParams, psp: PspParams) -> Floats:  # type: ignore[override]
        """See `Backend.gate`."""
        return np.stack([neurons.gate(train, neuron, psp) for train in post.dense])

    def psp(self, pre: DenseSpikes, post: DenseSpikes, neuron: NeuronParams, psp: PspParams) -> Floats:  # type: ignore[override]
        """See `Backend.psp`."""
        pairs = zip(post.dense, pre.dense, strict=True)
        return np.stack([neurons.spike_train_psp(i, j, neuron, psp) for i, j in pairs])

    def to_host(self, array: Floats) -> Floats:
        """See `Backend.to_host`."""
        return array
