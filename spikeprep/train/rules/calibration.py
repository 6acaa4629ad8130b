"""Thresholds where none are given: each layer is set to fire about as often as the published network does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ...backend import Backend, DeviceLayer, Spikes
from ...data import Hm2bpConstants, PackedBatch
from ...errors import DataError, UsageError

HIDDEN_RATE, OUTPUT_RATE = 0.012, 0.0075
"""Spikes per neuron and step of the published MNIST network (ν = 20, 8) before training; see benchmarks/RESULTS.md."""

_LEAST = 1.0  # spikes per neuron and sample: a layer must fire in short samples too
_ROUNDS = 14
_LOWEST, _HIGHEST = 1e-3, 1e4  # thresholds that are tried


def calibrate(
    backend: Backend,
    layers: Sequence[DeviceLayer],
    units: Sequence[int],
    batch: PackedBatch,
    constants: Callable[[int, float], Hm2bpConstants],
) -> tuple[float, ...]:
    """Return a threshold for each layer, input side first: three digits, by bisection on one batch.

    Parameters
    ----------
    backend, layers, units
        The network, and each layer's number of neurons.
    batch
        The samples to calibrate on.
    constants
        (layer, threshold) → what the layer is simulated with.

    Raises
    ------
    UsageError
        The lateral inhibition needs a threshold that is too high to fire at.
    DataError
        The batch has no spikes to calibrate on.
    """
    spikes: Spikes = backend.upload(batch)
    steps = float(batch.steps.mean())
    if not float(backend.to_host(backend.counts(spikes)).sum()):
        raise DataError(
            "the first samples of the store have no spikes",
            "spikes to calibrate thresholds on",
            "Check the encoding with `spikeprep plot`, or give thresholds.",
        )
    thresholds = []
    for n, layer in enumerate(layers):
        rate = OUTPUT_RATE if n == len(layers) - 1 else HIDDEN_RATE
        target = max(_LEAST, steps * rate)
        w0 = constants(n, 1.0).lateral
        # firing falls as the threshold rises; γ needs an output threshold that keeps the inhibition's loop gain low
        low, high = max(_LOWEST, w0 * math.sqrt(2 * units[n])), _HIGHEST
        if low >= high:
            raise UsageError(
                f"got lateral = {w0:g}, with which {units[n]} neurons need a threshold of {low:,.0f} or more",
                f"lateral of at most {high / math.sqrt(2 * units[n]):,.0f}",
                "Lower lateral, or give thresholds.",
            )
        for _ in range(_ROUNDS):
            middle = math.sqrt(low * high)
            counts = backend.counts(layer.forward(spikes, constants(n, middle)))
            low, high = (middle, high) if float(backend.to_host(counts).mean()) > target else (low, middle)
        thresholds.append(float(f"{math.sqrt(low * high):.3g}"))
        spikes = layer.forward(spikes, constants(n, thresholds[-1]))
    return tuple(thresholds)
