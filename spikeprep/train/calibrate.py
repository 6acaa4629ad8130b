"""Thresholds for a store nobody has tuned for: each layer is set to fire about as often as the published ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..backend import Backend, Spikes, Weights
from ..data import PackedBatch
from ..errors import DataError
from .settings import NeuronRules

HIDDEN_RATE, OUTPUT_RATE = 0.012, 0.0075
"""Spikes a neuron and step of the published MNIST network (ν = 20, 8) before training; see benchmarks/RESULTS.md."""

_LEAST = 1.0  # spikes a neuron and sample: a short sample must still let its layers speak
_ROUNDS = 14


def calibrate(
    ops: Backend, weights: Sequence[Weights], batch: PackedBatch, neuron: NeuronRules, lateral: float
) -> tuple[float, ...]:
    """Return a threshold for each layer, input side first: three digits, found by bisection on one batch.

    Raises
    ------
    DataError
        The batch has no spikes to calibrate on.
    """
    spikes: Spikes = ops.upload(batch)
    steps = float(batch.steps.mean())
    if not float(ops.to_host(ops.counts(spikes)).sum()):
        raise DataError(
            "the first samples of the store have no spikes",
            "spikes",
            "Check the encoding with `spikeprep plot`.",
        )
    thresholds = []
    for n, layer in enumerate(weights):
        output = n == len(weights) - 1
        wanted = max(_LEAST, steps * (OUTPUT_RATE if output else HIDDEN_RATE))
        w0 = lateral if output else 0.0
        # firing falls as the threshold rises; γ wants an output threshold that keeps the inhibition's loop gain low
        low, high = max(1e-3, w0 * math.sqrt(2 * layer.shape[0])), 1e4
        for _ in range(_ROUNDS):
            middle = math.sqrt(low * high)
            fired = ops.counts(ops.dense_forward(layer, spikes, neuron.at(middle), w0))
            low, high = (middle, high) if float(ops.to_host(fired).mean()) > wanted else (low, middle)
        thresholds.append(float(f"{math.sqrt(low * high):.3g}"))
        spikes = ops.dense_forward(layer, spikes, neuron.at(thresholds[-1]), w0)
    return tuple(thresholds)
