"""A network of HM2-BP step by step in NumPy, with or without what an exported one lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import TrainedLayer, TrainedNetwork

_DRIVE_BYTES = 1 << 26  # of one layer, for the samples that are computed together

Spikes = NDArray[np.bool_]


def simulate(network: TrainedNetwork, spikes: Spikes, *, complete: bool) -> Spikes:
    """Return the output spikes bool (sample, time, class) for input spikes bool (sample, time, unit).

    Parameters
    ----------
    network
        A network of the rule hm2bp.
    spikes
        The input.
    complete
        As trained; False: without refractory time and lateral inhibition.

    Notes
    -----
    docs/hm2bp.md section 1, in the run's precision: a spike arrives one step later, and t = 0 is silent.
    """
    samples, steps = spikes.shape[:2]
    real = np.dtype(network.config.settings.precision)
    widest = max(layer.kind.units for layer in network.layers)
    group = max(1, _DRIVE_BYTES // (steps * widest * real.itemsize))
    parts = []
    for first in range(0, samples, group):
        part = spikes[first : first + group]
        for layer in network.layers:
            part = _layer(layer, part, real, complete)
        parts.append(part)
    return np.concatenate(parts)


def _layer(layer: TrainedLayer, pre: Spikes, real: np.dtype[Any], complete: bool) -> Spikes:
    constants, refractory = layer.neuron, int(layer.neuron["refractory"]) if complete else 0
    keep_m, keep_s = real.type(1 - 1 / constants["tau_m"]), real.type(1 - 1 / constants["tau_s"])
    gain, threshold = (
        real.type(1 / constants["tau_s"]),
        real.type(constants["threshold"] - constants["slack"]),
    )
    lateral = real.type(layer.lateral if complete else 0)
    drive = np.ascontiguousarray(layer.kind.apply(np, layer.arrays, pre.astype(real)).transpose(1, 0, 2))
    steps, samples, units = drive.shape
    spikes = np.zeros((steps, samples, units), bool)
    membrane, current = np.zeros((samples, units), real), np.zeros((samples, units), real)
    held = np.zeros((samples, units), np.int32)
    for t in range(1, steps):
        current = current * keep_s + drive[t - 1]
        if lateral:
            fired = spikes[t - 1]
            current -= lateral * (fired.sum(axis=1, keepdims=True) - fired).astype(real)
        membrane = membrane * keep_m + current * gain
        if refractory:
            membrane[held > 0] = 0
            held -= held > 0
        fired = np.greater(membrane, threshold, out=spikes[t])
        membrane[fired] = 0
        if refractory:
            held[fired] = refractory
    return spikes.transpose(1, 0, 2)
