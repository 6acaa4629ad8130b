"""Layers in order, and one training step through them: forward, error, backward, update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import PackedBatch, PspParams
from ..ops import Ops, Spikes, UpdateRule
from ..ranks import Ranks
from .hm2bp import LossParams, count_error, filled_output, lateral_factor
from .layers import Dense


@dataclass(frozen=True)
class StepResult:
    """What a step saw, host: output `counts` (sample, class), `loss` (sample,), each layer's mean spikes a neuron."""

    counts: NDArray[np.int64]
    loss: NDArray[Any]
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Network:
    """Fully connected spiking layers on a backend."""

    ops: Ops
    layers: tuple[Dense, ...]
    loss: LossParams
    psp: PspParams

    def forward(self, batch: PackedBatch) -> list[Spikes]:
        """Return the spikes of the input and of every layer."""
        spikes = [self.ops.upload(batch)]
        for layer in self.layers:
            spikes.append(layer.forward(self.ops, spikes[-1]))
        return spikes

    def counts(self, batch: PackedBatch) -> NDArray[np.int64]:
        """Return the output's spike counts (sample, class), host."""
        ops = self.ops
        spikes = ops.upload(batch)
        for layer in self.layers:
            spikes = layer.forward(ops, spikes)
        return ops.to_host(ops.counts(spikes))

    def backward(
        self, spikes: Sequence[Spikes], labels: NDArray[Any], sample_weight: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Add every layer's gradient of the batch whose `forward` gave `spikes`; return the loss (sample,), host."""
        ops, output = self.ops, self.layers[-1]
        error, loss = count_error(ops, ops.counts(spikes[-1]), labels, self.loss)
        if sample_weight is not None:
            error = error * ops.xp.asarray(sample_weight, ops.dtype)[:, None]
        gamma = lateral_factor(ops, spikes[-1], labels, output.lateral, output.neuron, self.psp, self.loss)
        trains = [*spikes[:-1], filled_output(ops, spikes[-1], labels, self.loss)]
        for n in reversed(range(len(self.layers))):
            error = self.layers[n].backward(ops, trains[n], trains[n + 1], error, gamma, self.psp, send=n > 0)
            gamma = None
        return ops.to_host(loss)

    def train_step(
        self,
        batch: PackedBatch,
        rule: UpdateRule,
        sample_weight: NDArray[Any] | None = None,
        ranks: Ranks | None = None,
        samples: int | None = None,
    ) -> StepResult:
        """Take one optimiser step on the mean gradient of a batch: this one, or `samples` of which it is a rank's part.

        A rank may have no part in a batch; it takes the step all the same.
        """
        ops = self.ops
        spikes: list[Spikes] = []
        loss: NDArray[Any] = np.zeros(0, ops.dtype)
        if len(batch):
            spikes = self.forward(batch)
            loss = self.backward(spikes, batch.labels, sample_weight)
        if ranks is not None and ranks.size > 1:
            ranks.all_reduce([ops.gradient_sum(layer.weights) for layer in self.layers])
        for layer in self.layers:
            ops.update(layer.weights, len(batch) if samples is None else samples, rule)
        if not len(batch):
            none = np.zeros((0, self.layers[-1].weights.shape[0]), np.int64)
            return StepResult(none, loss, (0.0,) * len(self.layers))
        counts = [ops.to_host(ops.counts(s)) for s in spikes[1:]]
        return StepResult(counts[-1], loss, tuple(float(c.mean()) for c in counts))
