"""Lee, Delbruck & Pfeiffer 2016: backpropagation through the low-pass filtered membrane (docs/lee2016.md).

"Training Deep Spiking Neural Networks Using Backpropagation", Front. Neurosci. 10:508 (arXiv 1608.08782). The membrane
is the differentiable signal and spikes are noise on it: V ≈ W x − V_th a, x and a the traces of the trains before and
behind a connection, so a = W x / V_th, and the gradient needs nothing but these traces at the end of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...backend import (
    Array,
    ArraySpec,
    Backend,
    ErrorSignal,
    LinearMap,
    OptimiserStep,
    OutputError,
    Spikes,
)
from ...composition import Connection, synapses
from ...config import Meta
from ...data import Lee2016Constants, SoftResetParams
from ...trace_gradient import THRESHOLD, effective_thresholds, trace_backward
from ..layers.per_layer import PerLayer, PerLayerOrZero, at_layer, check_layers
from .base import LearningRule

_LEAST_ALPHA = 1.0  # trained thresholds below √(3/M) are used as √(3/M)


@dataclass(frozen=True)
class Lee2016(LearningRule):
    """Backpropagation through filtered membranes, with trained thresholds.

    Attributes
    ----------
    tau
        Time constant of the membrane, and of the traces that the gradient is made of, in steps.
    refractory
        Steps after a spike within which an arriving weight counts (steps since the spike / refractory)².
    alpha
        α: thresholds start at α √(3/M), M the synapses of a neuron; one value, or one by layer.
    inhibition
        κ: a spike takes this share of their own thresholds from the other neurons of its layer; one value, or one by
        layer.
    efficacy
        σ: how much of that inhibition the gradient of the thresholds counts.
    threshold_rate
        Learning rate of the thresholds, as a share of that of the weights.
    target
        Spikes that the label neuron needs at least to be without error: counts are divided by the largest one, or by
        this if it is more. 1: the published error, which is 0 as soon as the label neuron is the only one that fires.
    balance
        ρ: strength of the regularisation of thresholds: of neurons that fire in a sample they rise, of silent ones they
        fall, in all by nothing.
    """

    name: ClassVar[str] = "lee2016"
    runaway: ClassVar[str] = "optim.rate, init or inhibition"
    defaults: ClassVar[Mapping[str, Any]] = {
        "optim.rate": 0.001,
        "optim.regularisation.strength": 0.01,
        "optim.regularisation.steepness": 10.0,
        "optim.regularisation.scale": 1.0,
    }

    tau: Annotated[float, Meta(gt=0, le=1e6)] = 200.0
    refractory: Annotated[float, Meta(ge=0, le=1000)] = 1.0
    alpha: PerLayer = 10.0
    inhibition: PerLayerOrZero = 0.0
    efficacy: Annotated[float, Meta(ge=0, le=1)] = 1.0
    threshold_rate: Annotated[float, Meta(ge=0, le=100)] = 0.1
    target: Annotated[int, Meta(ge=1, le=2**31)] = 40
    balance: Annotated[float, Meta(ge=0, le=1e3)] = 0.0

    # ------------------------------------------------------------ settings and layers

    def check_layers(self, layers: int) -> None:
        """See `LearningRule.check_layers`."""
        check_layers("alpha", self.alpha, layers)
        check_layers("inhibition", self.inhibition, layers)

    def specs(self, layer: LinearMap) -> Mapping[str, ArraySpec]:
        """See `LearningRule.specs`: a threshold for each neuron behind trained weights."""
        trained = bool(layer.specs())
        return {THRESHOLD: ArraySpec(layer.out_shape, len(layer.out_shape))} if trained else {}

    def initial(
        self, layer: LinearMap, number: int, arrays: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """See `LearningRule.initial`: weights within ± init √(3/M), thresholds α √(3/M)."""
        if not arrays:
            return {}
        size = sqrt(3 / synapses(layer))
        initial = {name: array * array.dtype.type(size) for name, array in arrays.items()}
        for name, spec in self.specs(layer).items():
            initial[name] = np.full(spec.shape, at_layer(self.alpha, number) * size, np.float32)
        return initial

    def constants(self, layer: int, layers: int) -> Lee2016Constants:
        """See `LearningRule.constants`."""
        neuron = SoftResetParams(self.tau, self.refractory, at_layer(self.inhibition, layer))
        return Lee2016Constants(neuron, layer == layers - 1, self.efficacy, self.balance)

    def step(self, layer: LinearMap, array: str, step: OptimiserStep) -> OptimiserStep:
        """See `LearningRule.step`: thresholds a rate of their own; weights ½ λ s² Σ_i e^{β (Σ_j (w_ij/s)² − 1)}."""
        if array == THRESHOLD:
            return replace(step, rate=self.threshold_rate * step.rate, strength=0.0)
        unit = step.scale / sqrt(synapses(layer))  # a sum over the fan-in, where the optimiser has a mean
        return replace(step, strength=step.strength * unit, scale=unit)

    def silent_hint(self, layers: Sequence[LinearMap], layer: int, calibrated: bool) -> str:
        """See `LearningRule.silent_hint`: a pool has no threshold of its own to lower."""
        trained = max((n for n in range(layer + 1) if layers[n].specs()), default=None)
        if trained is None:
            return "It has no weights and fires as its inputs do: encode more spikes, or leave it out."
        whose = (
            "its threshold" if trained == layer else "the thresholds of the layer with weights ahead of it"
        )
        alpha = at_layer(self.alpha, trained)
        if alpha <= _LEAST_ALPHA:
            return "Raise balance, or encode more spikes."
        lower = max(_LEAST_ALPHA, alpha / 5)  # 10 to 2: docs/lee2016.md
        by_layer = () if isinstance(self.alpha, float | int) else self.alpha
        values = [lower if n == trained else value for n, value in enumerate(by_layer)] or f"{lower:g}"
        return f"Lower {whose}, for example alpha={values} (docs/lee2016.md), or raise balance."

    def chance_hint(self, calibrated: bool) -> str:
        """See `LearningRule.chance_hint`."""
        return "Lower optim.rate or inhibition."

    # ------------------------------------------------------------ forward and backward

    def forward(
        self, backend: Backend, connection: Connection, pre: Spikes, constants: Lee2016Constants
    ) -> Spikes:
        """See `LearningRule.forward`: a spike arrives in its own step."""
        thresholds = effective_thresholds(backend, connection)
        return backend.simulate_soft_reset(connection.drive(pre), pre.steps, thresholds, constants.neuron)

    def output_error(
        self,
        backend: Backend,
        output: Spikes,
        labels: NDArray[Any],
        constants: Lee2016Constants,
    ) -> OutputError:
        """See `LearningRule.output_error`: counts as a share of the largest one, less 1 for the label."""
        xp, counts = backend.xp, backend.counts(output)
        error = counts.astype(backend.dtype) / xp.maximum(counts.max(axis=1, keepdims=True), self.target)
        error[xp.arange(len(labels)), xp.asarray(labels)] -= 1
        loss = 0.5 * (error**2).sum(axis=1)
        return OutputError(loss, output, ErrorSignal(error))

    def backward(
        self,
        backend: Backend,
        connection: Connection,
        pre: Spikes,
        post: Spikes,
        signal: ErrorSignal,
        constants: Lee2016Constants,
        send: bool,
    ) -> Array | None:
        """See `LearningRule.backward`."""
        return trace_backward(backend, connection, pre, post, signal, constants, send)
