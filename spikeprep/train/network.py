"""Layers in order on a backend, and one training step through them: forward, error, backward, update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import (
    Array,
    ArraySpec,
    Backend,
    DeviceLayer,
    FusedOutput,
    LinearMap,
    OptimiserStep,
    ParameterState,
    Pass,
    Spikes,
)
from ..composition import checked, device_layer, trained_arrays
from ..data import PackedBatch
from ..distributed.ranks import Ranks
from ..errors import broken_plugin
from ..random import generator
from .dropout import check_dropout, kept_inputs, states_without_dropout
from .layers import LayerKind
from .layers.per_layer import at_layer
from .optimiser import OptimiserSettings
from .output_error import weighted_output_error
from .rules import LearningRule

States = Sequence[dict[str, ParameterState]]
"""Each layer's trained arrays by name, input side first."""


class StepResult:
    """What a step measured; the device may still be busy with it, and reading a value waits for it.

    Parameters
    ----------
    fetch
        Gives, host float64: each sample's loss, each layer's mean spikes per neuron, each sample's output counts.
    samples, layers
        How many of them.
    """

    def __init__(self, fetch: Callable[[], NDArray[Any]], samples: int, layers: int) -> None:
        self._fetch, self._samples, self._layers = fetch, samples, layers

    @cached_property
    def _values(self) -> NDArray[np.float64]:
        return self._fetch()

    @property
    def loss(self) -> NDArray[np.float64]:
        """Each sample's loss (sample,)."""
        return self._values[: self._samples]

    @property
    def rates(self) -> tuple[float, ...]:
        """Each layer's mean spikes per neuron and sample."""
        return tuple(self._values[self._samples : self._samples + self._layers].tolist())

    @property
    def counts(self) -> NDArray[np.int64]:
        """Output counts (sample, class)."""
        counts = self._values[self._samples + self._layers :].astype(np.int64)
        return counts.reshape(self._samples, -1) if self._samples else counts.reshape(0, 1)


@dataclass(frozen=True)
class Network:
    """Spiking layers on a backend, under a learning rule whose settings are complete.

    Attributes
    ----------
    backend, rule
        What computes it, and how it learns.
    layers
        The layers' descriptions, input side first.
    devices
        The same layers on the device.
    fused
        Whether the backend's fused layers and outputs are used.
    dropout
        Share of each layer's inputs that training silences: one value, or one by layer.
    """

    backend: Backend
    rule: LearningRule
    layers: tuple[LinearMap, ...]
    devices: tuple[DeviceLayer, ...]
    fused: bool = True
    dropout: float | Sequence[float] = 0.0

    @property
    def units(self) -> int:
        """Number of input units."""
        return prod(self.layers[0].in_shape)

    def _constants(self, layer: int) -> Any:
        return self.rule.constants(layer, len(self.layers))

    def forward(self, batch: PackedBatch) -> list[Spikes]:
        """Return the spikes of the input and of every layer."""
        spikes = [self.backend.upload(batch)]
        for n, layer in enumerate(self.devices):
            spikes.append(layer.forward(spikes[-1], self._constants(n)))
        return spikes

    def counts(self, batch: PackedBatch) -> NDArray[np.int64]:
        """Return the output's spike counts (sample, class), host."""
        return self.start_counts(batch)()

    def start_counts(self, batch: PackedBatch) -> Callable[[], NDArray[np.int64]]:
        """Give the device a batch; return what waits for the output's spike counts (sample, class), host."""
        spikes = self.backend.upload(batch)
        for n, layer in enumerate(self.devices):
            spikes = layer.forward(spikes, self._constants(n))
        return self.backend.fetch(self.backend.counts(spikes))

    def backward(
        self, spikes: Sequence[Spikes], labels: NDArray[Any], sample_weight: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Add every layer's gradient of the batch whose `forward` gave `spikes`; return the loss (sample,), host."""
        kept: list[Array | None] = [None] * len(self.layers)
        return self.backend.to_host(self._backward(spikes[:-1], spikes[1:], kept, labels, sample_weight))

    def _backward(
        self,
        inputs: Sequence[Spikes],
        outputs: Sequence[Spikes],
        kept: Sequence[Array | None],
        labels: Array,
        sample_weight: Array | None,
    ) -> Array:
        """Go backward from each layer's inputs, of which some are `kept` (None: all), and its outputs."""
        last = len(self.layers) - 1
        arguments = self.backend, outputs[-1], labels, sample_weight, self._constants(last)
        if self._fused_output is not None:
            output = self._fused_output(*arguments)
        else:
            output = weighted_output_error(self.rule, *arguments)
        trains, signal = [*outputs[:-1], output.spikes], output.signal
        for n in range(last, -1, -1):
            error = self.devices[n].backward(inputs[n], trains[n], signal, self._constants(n), send=n > 0)
            if n:
                mask = kept[n]
                signal = type(signal)(error if mask is None else self.backend.masked_error(error, mask))
        return output.loss

    def train_step(
        self,
        batch: PackedBatch,
        optimiser: OptimiserSettings,
        step: int,
        rate: float,
        *,
        sample_weight: NDArray[Any] | None = None,
        dropout_keys: NDArray[np.uint64] | None = None,
        ranks: Ranks | None = None,
    ) -> StepResult:
        """Take optimiser step number `step` (from 1) on the mean gradient of a batch, over all ranks.

        With dropout each sample has a key, (sample,), of which inputs are kept (`spikeprep.train.dropout`).
        A rank may have no samples of a batch; it takes the step all the same.
        """
        if len(batch):
            measured = self.measure(batch, sample_weight, dropout_keys)
        else:
            measured = self.backend.xp.zeros(len(self.layers))
        if ranks is not None and ranks.size > 1:
            ranks.all_reduce([p.gradient_sum() for layer in self.devices for p in layer.parameters.values()])
        samples = len(batch) if batch.batch_index is None else len(batch.batch_index)
        self.update(samples, optimiser, step, rate)
        return StepResult(self.backend.fetch(measured), len(batch), len(self.layers))

    def measure(
        self,
        batch: PackedBatch,
        sample_weight: NDArray[Any] | None = None,
        dropout_keys: NDArray[np.uint64] | None = None,
    ) -> Array:
        """Add every layer's gradient of a batch; return `Backend.step_values`. Arguments as of `train_step`."""
        return self._pass(self.backend.upload(batch), batch.labels, sample_weight, dropout_keys)

    def update(self, samples: int, optimiser: OptimiserSettings, step: int, rate: float) -> None:
        """Take an optimiser step on the mean of the gradients that `samples` samples have added."""
        for n, layer in enumerate(self.devices):
            plain = optimiser.step(step, n, rate)
            for name, parameter in layer.parameters.items():
                own = self.rule.step(self.layers[n], name, plain)
                if not isinstance(own, OptimiserStep):
                    got = f"step of the rule {self.rule.name} returned {own!r} for {name!r}"
                    raise broken_plugin(type(self.rule), got, "an OptimiserStep")
                parameter.update(samples, own)

    @cached_property
    def _fused_output(self) -> FusedOutput | None:
        return self.backend.fused_outputs.get(self.rule.name) if self.fused else None

    @cached_property
    def _pass(self) -> Pass:
        replayable = self._fused_output is not None and all(layer.replayable for layer in self.devices)
        return self.backend.replayed(self._compute_pass) if replayable else self._compute_pass

    def _compute_pass(
        self, pre: Spikes, labels: Array, sample_weight: Array | None, keys: Array | None
    ) -> Array:
        """Compute a batch forward and backward, adding to the gradients; return `Backend.step_values`."""
        kept: Sequence[Array | None] = [None] * len(self.layers)
        if keys is not None:
            kept = kept_inputs(self.backend, self.layers, self.dropout, keys)
        inputs: list[Spikes] = []
        outputs: list[Spikes] = []
        for n, layer in enumerate(self.devices):
            arriving, mask = outputs[-1] if n else pre, kept[n]
            inputs.append(arriving if mask is None else self.backend.masked(arriving, mask))
            outputs.append(layer.forward(inputs[-1], self._constants(n)))
        loss = self._backward(inputs, outputs, kept, labels, sample_weight)
        return self.backend.step_values(loss, outputs)

    @property
    def drops(self) -> bool:
        """Whether training silences any inputs."""
        return any(at_layer(self.dropout, n) for n in range(len(self.layers)))

    def without_dropout(self, states: States) -> Network:
        """Return the network to evaluate and to keep: itself, or with dropout one whose weights are scaled."""
        if not self.drops:
            return self
        scaled = states_without_dropout(states, self.dropout)
        return build_network(self.backend, self.rule, self.layers, scaled, fused=self.fused)

    def states(self) -> list[dict[str, ParameterState]]:
        """Return each layer's trained arrays by name, host."""
        return [{name: p.state() for name, p in layer.parameters.items()} for layer in self.devices]


def initial_states(
    rule: LearningRule,
    layers: Sequence[LayerKind],
    init: float | Sequence[float],
    seed: int,
    dtype: np.dtype[Any],
) -> list[dict[str, ParameterState]]:
    """Return each layer's new arrays by name; weights are drawn by `seed`, `init` is one value, or one by layer."""
    states = []
    for n, layer in enumerate(layers):
        drawn = layer.initial(generator(seed, "weights", n), at_layer(init, n))
        arrays = initial_arrays(rule, layer, n, drawn)
        states.append({name: ParameterState.fresh(array.astype(dtype)) for name, array in arrays.items()})
    return states


def initial_arrays(
    rule: LearningRule, layer: LinearMap, number: int, drawn: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Return the new arrays of layer `number` by name: what the rule returns, and of the rest the `drawn` ones.

    Raises
    ------
    PluginError
        The rule or the layer kind returned no mapping, or lacks an array, or it has another shape than `specs` says.
    """
    trained, kind = trained_arrays(rule, layer), f"initial of the layer kind {layer.name}"
    _check_arrays(drawn, layer.specs(), kind, layer)
    what, given = f"initial of the rule {rule.name}", rule.initial(layer, number, drawn)
    arrays = {**drawn, **given} if isinstance(given, Mapping) else given
    _check_arrays(arrays, trained, what, rule)
    return {name: arrays[name] for name in trained}


def _check_arrays(
    arrays: Any, specs: Mapping[str, ArraySpec], what: str, plugin: LearningRule | LinearMap
) -> None:
    if not isinstance(arrays, Mapping):
        raise broken_plugin(type(plugin), f"{what} returned {arrays!r}", "arrays by name")
    for name, spec in specs.items():
        checked(arrays.get(name), spec.shape, f"{what} returned for {name!r}", plugin)


def build_network(
    backend: Backend,
    rule: LearningRule,
    layers: Sequence[LinearMap],
    states: States,
    *,
    fused: bool = True,
    dropout: float | Sequence[float] = 0.0,
) -> Network:
    """Return a network of layers with given arrays; `fused=False` computes every layer by composition."""
    check_dropout(layers, dropout)
    devices = (
        device_layer(backend, rule, layer, state, fused=fused)
        for layer, state in zip(layers, states, strict=True)
    )
    return Network(backend, rule, tuple(layers), tuple(devices), fused, dropout)
