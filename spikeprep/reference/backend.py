"""The reference backend: the equations as written, in NumPy float64. Slow, readable, the truth for the others.

Jin, Zhang & Li, NeurIPS 2018 (arXiv 1805.07866). Spikes are dense bool arrays (sample, time, unit) and every e_{i|j} is
the double sum over pairs of spikes. Symbols: S spikes, o counts, e spike-train PSP, ν threshold, i post, j pre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..backend import Backend, LifTrace, UpdateRule, WeightState
from ..data import NeuronParams, PackedBatch, PspParams
from ..packing import unpack

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DenseSpikes:
    """Spikes S, bool (sample, time, unit); nothing fires at or past a sample's own `steps`."""

    dense: NDArray[np.bool_]
    steps: NDArray[np.int64]

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.dense.shape[2])


@dataclass
class DenseWeights:
    """Weights, moments and gradient sum, all (post, pre)."""

    weight: Floats
    moment: Floats
    variance: Floats
    gradient: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """(post, pre)."""
        return self.weight.shape


def lif(drive: Floats, neuron: NeuronParams, lateral: float = 0.0) -> LifTrace:
    """Simulate neurons, (time, unit), by Euler steps of eq. 2 to 4; at t = 0 nothing happens.

    `drive[t]` is Σ_j w_ij S_j[t]; it arrives at t + 1. With `lateral` w0, every spike at t − 1 adds −w0 to the drive
    of all others.
    """
    steps, units = drive.shape
    spikes = np.zeros((steps, units), bool)
    membranes, currents = np.zeros((steps, units)), np.zeros((steps, units))
    v, p, held = np.zeros(units), np.zeros(units), np.zeros(units, int)
    for t in range(1, steps):
        fired = spikes[t - 1]
        v = v * (1 - 1 / neuron.tau_m)
        p = p * (1 - 1 / neuron.tau_s) + drive[t - 1] - lateral * (fired.sum() - fired)
        v = v + p / neuron.tau_s
        v = np.where(held > 0, 0.0, v)
        held = np.maximum(held - 1, 0)
        membranes[t], currents[t] = v, p
        spikes[t] = v > neuron.threshold - neuron.slack
        v = np.where(spikes[t], 0.0, v)
        held = np.where(spikes[t], neuron.refractory, held)
    return LifTrace(spikes, membranes, currents)


def alpha(x: Floats, neuron: NeuronParams) -> Floats:
    """Return α(x): the normalised PSP kernel, exact exponentials; 0 for x < 0 (eq. 7)."""
    y = np.maximum(x, 0)
    rise = np.exp(-y / neuron.tau_m) - np.exp(-y / neuron.tau_s)
    return np.where(x < 0, 0.0, rise / (1 - neuron.tau_s / neuron.tau_m))


def pair(f: Floats, s: Floats, t: Floats, neuron: NeuronParams, window: int | None) -> Floats:
    """Return what a pre spike at t gives a firing at f whose membrane was last reset s steps before (eq. 9)."""
    x = f - t - neuron.refractory
    tail = np.exp(-np.maximum(x - s, 0) / neuron.tau_s) * alpha(np.minimum(s, x), neuron)
    counts = (x >= 0) & (t >= 1)
    if window is not None:
        counts &= f - t <= window
    return np.where(counts, tail, 0.0)


def firings(train: NDArray[np.bool_], neuron: NeuronParams) -> tuple[Floats, Floats]:
    """Return firing times f_k of a train (time,) and s_k = f_k − l_k, l_1 = 1, l_k = f_{k−1} + R."""
    f = np.flatnonzero(train).astype(float)
    origin = np.concatenate([[1.0], f[:-1] + neuron.refractory])[: len(f)]
    return f, f - origin


def spike_train_psp(
    post: NDArray[np.bool_], pre: NDArray[np.bool_], neuron: NeuronParams, psp: PspParams
) -> Floats:
    """Return e_{i|j} (post, pre) of one sample's trains (time, unit): the sum over all pairs of spikes, eq. 9."""
    e = np.zeros((post.shape[1], pre.shape[1]))
    for i in range(post.shape[1]):
        f, s = firings(post[:, i], neuron)
        for j in range(pre.shape[1]):
            t = np.flatnonzero(pre[:, j]).astype(float)
            if len(t) and not len(f):
                e[i, j] = psp.silent_psp
            else:
                e[i, j] = pair(f[:, None], s[:, None], t[None, :], neuron, psp.window).sum()
    return e


class ReferenceBackend(Backend):
    """HM2-BP as the paper writes it; for tests and for reading, a thousand times slower than the compiled backend."""

    name: ClassVar[str] = "reference"
    xp = np
    dtype = np.dtype(np.float64)

    def upload(self, batch: PackedBatch) -> DenseSpikes:
        """See `Backend.upload`."""
        longest = int(batch.steps.max(initial=0))
        return DenseSpikes(unpack(batch.bits, longest), batch.steps.astype(np.int64))

    def unpack(self, spikes: DenseSpikes) -> NDArray[np.bool_]:  # type: ignore[override]
        """See `Backend.unpack`."""
        return spikes.dense

    def counts(self, spikes: DenseSpikes) -> NDArray[np.int64]:  # type: ignore[override]
        """See `Backend.counts`."""
        counts: NDArray[np.int64] = spikes.dense.sum(axis=1, dtype=np.int64)
        return counts

    def lif(self, drive: NDArray[Any], neuron: NeuronParams) -> LifTrace:
        """See `Backend.lif`."""
        return lif(np.asarray(drive, float), neuron)

    def gate(self, post: DenseSpikes, neuron: NeuronParams, psp: PspParams) -> Floats:  # type: ignore[override]
        """See `Backend.gate`: each step's share by its definition, not by the scan of section 8."""
        gates = np.zeros(post.dense.shape)
        times = np.arange(post.dense.shape[1], dtype=float)
        for b, i in np.ndindex(post.dense.shape[0], post.units):
            f, s = firings(post.dense[b, :, i], neuron)
            gates[b, :, i] = pair(f[:, None], s[:, None], times[None, :], neuron, psp.window).sum(axis=0)
        return gates

    def psp(self, pre: DenseSpikes, post: DenseSpikes, neuron: NeuronParams, psp: PspParams) -> Floats:  # type: ignore[override]
        """See `Backend.psp`."""
        pairs = zip(post.dense, pre.dense, strict=True)
        return np.stack([spike_train_psp(i, j, neuron, psp) for i, j in pairs])

    def regular_trains(  # type: ignore[override]
        self, spikes: DenseSpikes, unit: NDArray[Any], period: NDArray[Any]
    ) -> DenseSpikes:
        """See `Backend.regular_trains`."""
        dense = spikes.dense.copy()
        for b in np.flatnonzero(period):
            dense[b, :, unit[b]] = False
            dense[b, period[b] : spikes.steps[b] : period[b], unit[b]] = True
        return DenseSpikes(dense, spikes.steps)

    def dense_weights(self, state: WeightState) -> DenseWeights:
        """See `Backend.dense_weights`."""
        weight, moment, variance = (np.array(a, float) for a in (state.weight, state.moment, state.variance))
        return DenseWeights(weight, moment, variance, np.zeros_like(weight))

    def dense_forward(  # type: ignore[override]
        self, weights: DenseWeights, pre: DenseSpikes, neuron: NeuronParams, lateral: float = 0.0
    ) -> DenseSpikes:
        """See `Backend.dense_forward`."""
        dense = np.zeros((*pre.dense.shape[:2], weights.shape[0]), bool)
        for b, steps in enumerate(pre.steps):
            drive = pre.dense[b, :steps] @ weights.weight.T
            dense[b, :steps] = lif(drive, neuron, lateral).spikes
        return DenseSpikes(dense, pre.steps)

    def dense_backward(  # type: ignore[override]
        self,
        weights: DenseWeights,
        pre: DenseSpikes,
        post: DenseSpikes,
        delta: Floats,
        scale: Floats | None,
        neuron: NeuronParams,
        psp: PspParams,
        incoming: bool,
    ) -> Floats | None:
        """See `Backend.dense_backward`: eq. 17 and 22 to 24, sample by sample."""
        w = weights.weight
        sent = np.zeros((len(pre.steps), pre.units))
        for b in range(len(pre.steps)):
            e = spike_train_psp(post.dense[b], pre.dense[b], neuron, psp)
            o_post, o_pre = post.dense[b].sum(axis=0)[:, None], pre.dense[b].sum(axis=0)[None, :]
            share = np.where(o_post > 0, e / np.maximum(o_post, 1), psp.silent_share)
            sigma = (w * share).sum(axis=1) / neuron.threshold
            gamma = np.ones(len(sigma)) if scale is None else scale[b]
            weights.gradient += (delta[b] * gamma * (1 + sigma))[:, None] * e
            ratio = np.where((o_pre == 0) | (o_post == 0), psp.silent_ratio, e / np.maximum(o_pre, 1))
            sent[b] = delta[b] @ (w * ratio)
        return sent if incoming else None

    def gradient(self, weights: DenseWeights) -> Floats:  # type: ignore[override]
        """See `Backend.gradient`."""
        return weights.gradient.copy()

    def gradient_sum(self, weights: DenseWeights) -> Floats:  # type: ignore[override]
        """See `Backend.gradient_sum`."""
        return weights.gradient

    def update(self, weights: DenseWeights, samples: int, rule: UpdateRule) -> None:  # type: ignore[override]
        """See `Backend.update`."""
        scaled = weights.weight / rule.scale
        mean_square = (scaled**2).mean(axis=1, keepdims=True)
        pull = rule.strength * rule.steepness * scaled * np.exp(rule.steepness * (mean_square - 1))
        slope = weights.gradient / samples + pull
        weights.gradient[:] = 0
        if rule.kind == "sgd":
            weights.moment = rule.beta1 * weights.moment + slope
            weights.weight -= rule.rate * weights.moment
            return
        weights.moment = rule.beta1 * weights.moment + (1 - rule.beta1) * slope
        weights.variance = rule.beta2 * weights.variance + (1 - rule.beta2) * slope**2
        first = weights.moment / (1 - rule.beta1**rule.step)
        second = weights.variance / (1 - rule.beta2**rule.step)
        weights.weight -= rule.rate * first / (np.sqrt(second) + rule.epsilon)

    def state(self, weights: DenseWeights) -> WeightState:  # type: ignore[override]
        """See `Backend.state`."""
        return WeightState(weights.weight.copy(), weights.moment.copy(), weights.variance.copy())

    def to_host(self, array: Floats) -> Floats:
        """See `Backend.to_host`."""
        return array
