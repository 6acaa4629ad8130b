"""Neurons, gates and spike-train PSPs as the paper's equations have them, in NumPy float64.

Jin, Zhang & Li, NeurIPS 2018 (arXiv 1805.07866). Every e_{i|j} is the double sum over pairs of spikes. Symbols: S
spikes, o counts, e spike-train PSP, ν threshold, i post, j pre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..backend import NeuronTrace
from ..data import NeuronParams, PspParams

Floats = NDArray[np.float64]


def simulate(drive: Floats, neuron: NeuronParams, lateral: float = 0.0) -> NeuronTrace:
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
    return NeuronTrace(spikes, membranes, currents)


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


def gate(post: NDArray[np.bool_], neuron: NeuronParams, psp: PspParams) -> Floats:
    """Return the gates G (time, post) of one sample's trains (time, post): each step's sum over the firings.

    By the definition, not by the scan of docs/hm2bp.md section 8.
    """
    gates = np.zeros(post.shape)
    times = np.arange(post.shape[0], dtype=float)
    for i in range(post.shape[1]):
        f, s = firings(post[:, i], neuron)
        gates[:, i] = pair(f[:, None], s[:, None], times[None, :], neuron, psp.window).sum(axis=0)
    return gates


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
