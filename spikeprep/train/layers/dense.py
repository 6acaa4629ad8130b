"""Layers: a handle to weights on the device, the neuron behind them, and the two directions through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...backend import Array, Backend, Spikes, Weights, WeightState
from ...data import NeuronParams, PspParams


@dataclass(frozen=True)
class Dense:
    """A fully connected layer, with lateral inhibition of strength `lateral` among its neurons (0: none)."""

    weights: Weights
    neuron: NeuronParams
    lateral: float = 0.0

    def forward(self, ops: Backend, pre: Spikes) -> Spikes:
        """Return the layer's spikes."""
        return ops.dense_forward(self.weights, pre, self.neuron, self.lateral)

    def backward(
        self,
        ops: Backend,
        pre: Spikes,
        post: Spikes,
        incoming: Array,
        scale: Array | None,
        psp: PspParams,
        send: bool,
    ) -> Array | None:
        """Add to the gradient from the error that arrives (sample, post); return what arrives at `pre` if `send`."""
        delta = incoming / ops.dtype.type(self.neuron.threshold)
        return ops.dense_backward(self.weights, pre, post, delta, scale, self.neuron, psp, send)


def initial_state(
    post: int, pre: int, spread: float, rng: np.random.Generator, dtype: np.dtype[np.generic]
) -> WeightState:
    """Return weights U[−spread, spread] (post, pre) and zero moments.

    The weights are drawn in float32, so that both precisions start alike.
    """
    weight: NDArray[np.generic] = rng.uniform(-spread, spread, (post, pre)).astype(np.float32).astype(dtype)
    return WeightState(weight, np.zeros_like(weight), np.zeros_like(weight))
