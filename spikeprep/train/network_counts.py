"""What a network does and holds, by layer, as NeuroBench defines it (Yik et al. 2025, arXiv 2304.04640).

Counted from the packed spikes: a spike of a unit costs one accumulation (AC) for every weight behind it that is not 0.
There are no multiply-accumulates (MACs), since all activations are spikes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import LinearMap, Spikes
from .network import Network


@dataclass(frozen=True)
class LayerCounts:
    """The counts of one layer, of a connection and the neurons behind it.

    Attributes
    ----------
    layer, kind
        Its notation in `arch`, and the name of its kind.
    neurons
        Number of neurons.
    weights, zero_weights
        Number of trained weights of the connection, and of those that are 0; weights that are shared count once.
    footprint_bytes
        Size of all that is trained, at the network's precision.
    effective_acs
        Synaptic operations: mean per sample of the accumulations that spikes cause, by weights that are not 0.
    dense_operations
        Mean per sample of the operations if every unit fired in every step, and no weight were 0.
    spikes
        Mean number of spikes per sample, of all neurons.
    activation_sparsity
        Share of the neurons' time steps without a spike, padding left aside.
    """

    layer: str
    kind: str
    neurons: int
    weights: int
    zero_weights: int
    footprint_bytes: int
    effective_acs: float
    dense_operations: float
    spikes: float
    activation_sparsity: float

    @property
    def connection_sparsity(self) -> float | None:
        """Share of the weights that are 0; None for a layer without weights, such as a pool."""
        return self.zero_weights / self.weights if self.weights else None

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return own | {"connection_sparsity": self.connection_sparsity}


@dataclass(frozen=True)
class NetworkCounts:
    """The counts of a network over the samples of an evaluation, layer by layer, input side first."""

    layers: tuple[LayerCounts, ...]
    activation_sparsity: float

    def total(self, name: str) -> float:
        """Return the sum of a number over all layers."""
        total: float = sum(getattr(layer, name) for layer in self.layers)
        return total

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready: NeuroBench's names and values for the network, and every layer's counts."""
        weights = self.total("weights")
        return {
            "synaptic_operations": {
                "Effective_MACs": 0.0,
                "Effective_ACs": self.total("effective_acs"),
                "Dense": self.total("dense_operations"),
            },
            "activation_sparsity": self.activation_sparsity,
            "connection_sparsity": self.total("zero_weights") / weights if weights else None,
            "footprint": self.total("footprint_bytes"),
            "layers": [layer.to_json() for layer in self.layers],
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return them as rows of text: a head, each layer, and the network."""
        head = ("layer", "ACs per sample", "dense", "spikes", "silent", "weights 0", "bytes")
        body = [
            (
                f"{layer.layer} ({layer.kind})",
                f"{layer.effective_acs:,.0f}",
                f"{layer.dense_operations:,.0f}",
                f"{layer.spikes:,.1f}",
                f"{layer.activation_sparsity:.2%}",
                "" if layer.connection_sparsity is None else f"{layer.connection_sparsity:.2%}",
                f"{layer.footprint_bytes:,}",
            )
            for layer in self.layers
        ]
        whole = self.to_json()
        operations, zero = whole["synaptic_operations"], whole["connection_sparsity"]
        network = (
            "network",
            f"{operations['Effective_ACs']:,.0f}",
            f"{operations['Dense']:,.0f}",
            f"{self.total('spikes'):,.1f}",
            f"{self.activation_sparsity:.2%}",
            "" if zero is None else f"{zero:.2%}",
            f"{whole['footprint']:,}",
        )
        return [head, *body, network]


class CountMeter:
    """Adds up what a network's layers do, batch by batch.

    Parameters
    ----------
    network
        The network.
    names
        Notation of each layer.
    """

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        self._network, self._names = network, names
        self._states = [{name: state.value for name, state in s.items()} for s in network.states()]
        pairs = list(zip(network.layers, self._states, strict=True))
        self._fan_out = [_fan_out(layer, _nonzero(layer, arrays)) for layer, arrays in pairs]
        self._all = [_fan_out(layer, _ones(layer)) for layer, _ in pairs]
        self._acs, self._spikes = np.zeros(len(pairs)), np.zeros(len(pairs))
        self._samples, self._steps = 0, 0

    def add(self, spikes: Sequence[Spikes]) -> None:
        """Add a batch: the spikes of the input and of every layer, as `Network.forward` returns them."""
        backend = self._network.backend
        counts = [np.asarray(backend.to_host(backend.counts(train)), np.float64) for train in spikes]
        for n, fan_out in enumerate(self._fan_out):
            self._acs[n] += float((counts[n] @ fan_out).sum())
            self._spikes[n] += float(counts[n + 1].sum())
        self._samples += len(counts[0])
        self._steps += int(np.asarray(spikes[0].steps, np.int64).sum())

    def result(self) -> NetworkCounts:
        """Return the counts over all batches so far."""
        samples, steps = max(self._samples, 1), max(self._steps, 1)
        layers = []
        for n, layer in enumerate(self._network.layers):
            weights = [self._states[n][name] for name in layer.specs()]
            neurons = prod(layer.out_shape)
            layers.append(
                LayerCounts(
                    self._names[n],
                    layer.name,
                    neurons,
                    sum(array.size for array in weights),
                    sum(int((array == 0).sum()) for array in weights),
                    sum(array.nbytes for array in self._states[n].values()),
                    float(self._acs[n]) / samples,
                    float(self._all[n].sum()) * self._steps / samples,
                    float(self._spikes[n]) / samples,
                    1 - float(self._spikes[n]) / (neurons * steps),
                )
            )
        slots = sum(layer.neurons for layer in layers) * steps
        return NetworkCounts(tuple(layers), 1 - float(self._spikes.sum()) / slots)


def _fan_out(layer: LinearMap, arrays: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the sum of the weights behind each pre unit (pre,); 0 for a connection without trained weights."""
    if not arrays:
        return np.zeros(prod(layer.in_shape))
    fan_out: NDArray[np.float64] = layer.transpose(np, arrays, np.ones((1, prod(layer.out_shape))))[0]
    return fan_out


def _nonzero(layer: LinearMap, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    return {name: (arrays[name] != 0).astype(np.float64) for name in layer.specs()}


def _ones(layer: LinearMap) -> dict[str, NDArray[np.float64]]:
    return {name: np.ones(spec.shape) for name, spec in layer.specs().items()}
