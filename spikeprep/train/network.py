"""Layers in order, and one training step through them: forward, error, backward, update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, Backend, Spikes, UpdateRule
from ..data import PackedBatch, PspParams
from ..distributed.ranks import Ranks
from .layers.dense import Dense
from .rules.hm2bp import LossParams, count_error, filled_output, lateral_factor


class StepResult:
    """What a step saw; the device may still be at it when this is made, and is waited for when it is looked at.

    Parameters
    ----------
    told
        Gives, host float64: each sample's loss, each layer's mean spikes a neuron, each sample's output counts.
    samples, layers
        How many of them.
    """

    def __init__(self, told: Callable[[], NDArray[Any]], samples: int, layers: int) -> None:
        self._fetch, self._samples, self._layers = told, samples, layers

    @cached_property
    def _told(self) -> NDArray[np.float64]:
        return self._fetch()

    @property
    def loss(self) -> NDArray[np.float64]:
        """Each sample's loss (sample,)."""
        return self._told[: self._samples]

    @property
    def rates(self) -> tuple[float, ...]:
        """Each layer's mean spikes a neuron and sample."""
        return tuple(self._told[self._samples : self._samples + self._layers].tolist())

    @property
    def counts(self) -> NDArray[np.int64]:
        """Output counts (sample, class)."""
        counts = self._told[self._samples + self._layers :].astype(np.int64)
        return counts.reshape(self._samples, -1) if self._samples else counts.reshape(0, 1)


@dataclass(frozen=True)
class Network:
    """Fully connected spiking layers on a backend."""

    ops: Backend
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
        return self.counting(batch)()

    def counting(self, batch: PackedBatch) -> Callable[[], NDArray[np.int64]]:
        """Give the device a batch; return what waits for the output's spike counts (sample, class), host."""
        ops = self.ops
        spikes = ops.upload(batch)
        for layer in self.layers:
            spikes = layer.forward(ops, spikes)
        return ops.fetch(ops.counts(spikes))

    def backward(
        self, spikes: Sequence[Spikes], labels: NDArray[Any], sample_weight: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Add every layer's gradient of the batch whose `forward` gave `spikes`; return the loss (sample,), host."""
        return self.ops.to_host(self._backward(spikes, labels, sample_weight))

    def _backward(
        self, spikes: Sequence[Spikes], labels: NDArray[Any], sample_weight: NDArray[Any] | None
    ) -> Array:
        ops, output = self.ops, self.layers[-1]
        error, loss = count_error(ops, ops.counts(spikes[-1]), labels, self.loss)
        if sample_weight is not None:
            error = error * ops.xp.asarray(sample_weight, ops.dtype)[:, None]
        gamma = lateral_factor(ops, spikes[-1], labels, output.lateral, output.neuron, self.psp, self.loss)
        trains = [*spikes[:-1], filled_output(ops, spikes[-1], labels, self.loss)]
        for n in reversed(range(len(self.layers))):
            error = self.layers[n].backward(ops, trains[n], trains[n + 1], error, gamma, self.psp, send=n > 0)
            gamma = None
        return loss

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
        ops, xp, layers = self.ops, self.ops.xp, len(self.layers)
        told: list[Array] = [xp.zeros(layers)]
        if len(batch):
            spikes = self.forward(batch)
            loss = self._backward(spikes, batch.labels, sample_weight)
            counts = [ops.counts(s) for s in spikes[1:]]
            rates = xp.stack([c.mean(dtype=np.float64) for c in counts])
            told = [loss.astype(np.float64), rates, counts[-1].reshape(-1).astype(np.float64)]
        if ranks is not None and ranks.size > 1:
            ranks.all_reduce([ops.gradient_sum(layer.weights) for layer in self.layers])
        for layer in self.layers:
            ops.update(layer.weights, len(batch) if samples is None else samples, rule)
        return StepResult(ops.fetch(xp.concatenate(told)), len(batch), layers)
