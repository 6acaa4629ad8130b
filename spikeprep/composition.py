"""Layers computed as a learning rule writes them: the composition, on any backend, of any rule and any layer kind.

The reference backend computes everything this way, which makes it the definition. On the other backends it is what runs
wherever their table of fused layers has no entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backend import (
    Array,
    ArraySpec,
    Backend,
    DeviceLayer,
    ErrorSignal,
    LayerRule,
    LinearMap,
    OptimiserStep,
    Parameter,
    ParameterState,
    Spikes,
)
from .errors import UsageError


class ArrayParameter(Parameter):
    """A trained array held in its own shape, stepped by operations of the array module.

    Parameters
    ----------
    backend
        Where it lies.
    spec
        Its shape, and which axes name the post neuron (regularisation averages over the others).
    state
        Its values and moments, host.
    """

    def __init__(self, backend: Backend, spec: ArraySpec, state: ParameterState) -> None:
        self._backend, self._spec, self.shape = backend, spec, spec.shape
        self.value, self._moment, self._variance = (
            backend.array(np.array(a, backend.dtype)) for a in (state.value, state.moment, state.variance)
        )
        self._gradient = backend.xp.zeros_like(self.value)

    def add_gradient(self, gradient: Array) -> None:
        """Add to the gradient sum, in the array's shape."""
        self._gradient += gradient

    def gradient(self) -> NDArray[Any]:
        """See `Parameter.gradient`."""
        return np.array(self._backend.to_host(self._gradient))

    def gradient_sum(self) -> Array:
        """See `Parameter.gradient_sum`."""
        return self._gradient

    def update(self, samples: int, step: OptimiserStep) -> None:
        """See `Parameter.update`: Adam (Kingma & Ba 2015, bias-corrected) or gradient descent with momentum."""
        xp = self._backend.xp
        slope = self._gradient / samples
        if step.strength:
            scaled = self.value / step.scale
            fan_in = tuple(range(self._spec.neuron_axes, scaled.ndim))
            size = (scaled**2).mean(axis=fan_in, keepdims=True)
            slope = slope + step.strength * step.steepness * scaled * xp.exp(step.steepness * (size - 1))
        self._gradient[...] = 0
        if step.kind == "sgd":
            self._moment = step.beta1 * self._moment + slope
            self.value -= step.rate * self._moment
            return
        self._moment = step.beta1 * self._moment + (1 - step.beta1) * slope
        self._variance = step.beta2 * self._variance + (1 - step.beta2) * slope**2
        first = self._moment / (1 - step.beta1**step.step)
        second = self._variance / (1 - step.beta2**step.step)
        self.value -= step.rate * first / (xp.sqrt(second) + step.epsilon)

    def state(self) -> ParameterState:
        """See `Parameter.state`."""
        arrays = (self.value, self._moment, self._variance)
        return ParameterState(*(np.array(self._backend.to_host(a)) for a in arrays))


class Connection:
    """A layer's linear map with its arrays on a backend, applied to spikes or to real arrays.

    Parameters
    ----------
    backend
        Where it is computed.
    linear_map
        The layer kind with its shapes.
    parameters
        Its trained arrays by name.
    """

    def __init__(
        self, backend: Backend, linear_map: LinearMap, parameters: Mapping[str, ArrayParameter]
    ) -> None:
        self._backend, self._map, self.parameters = backend, linear_map, parameters

    @property
    def is_trained(self) -> bool:
        """Whether the connection has anything to learn; a pooling connection has not."""
        return bool(self.parameters)

    @property
    def has_slack(self) -> bool:
        """See `LinearMap.has_slack`."""
        return self._map.has_slack

    @property
    def backward_weight(self) -> float:
        """See `LinearMap.backward_weight`."""
        return self._map.backward_weight

    @property
    def arrays(self) -> dict[str, Array]:
        """The trained arrays by name, in their own shapes."""
        return {name: parameter.value for name, parameter in self.parameters.items()}

    def drive(self, spikes: Spikes) -> Array:
        """Return W S: spikes of the pre units → (sample, time, post)."""
        drive = self._backend.drive(self._map, self.arrays, spikes)
        shape = (len(spikes.steps), int(spikes.steps.max(initial=0)), prod(self._map.out_shape))
        return _checked(drive, shape, f"apply of the layer kind {self._map.name}")

    def apply(self, x: Array) -> Array:
        """Return W x: real (…, pre) → (…, post)."""
        y = self._map.apply(self._backend.xp, self.arrays, x)
        return _checked(
            y, (*x.shape[:-1], prod(self._map.out_shape)), f"apply of the layer kind {self._map.name}"
        )

    def transpose(self, y: Array) -> Array:
        """Return Wᵀ y: real (…, post) → (…, pre)."""
        x = self._map.transpose(self._backend.xp, self.arrays, y)
        return _checked(
            x, (*y.shape[:-1], prod(self._map.in_shape)), f"transpose of the layer kind {self._map.name}"
        )

    def correlate(self, y: Array, x: Array) -> None:
        """Add Σ y xᵀ, over samples and, where there is one, the time axis, to the gradient sums."""
        gradients = self._map.correlate(self._backend.xp, self.arrays, y, x)
        if not isinstance(gradients, Mapping):
            gradients = {}
        for name, parameter in self.parameters.items():
            what = f"correlate of the layer kind {self._map.name}, {name}"
            parameter.add_gradient(_checked(gradients.get(name), parameter.shape, what))

    def fan_in(self) -> Array:
        """Return Σ_j w_ij (post,): the map applied to ones."""
        return self.apply(self._backend.xp.ones(prod(self._map.in_shape), self._backend.dtype))


class ComposedLayer(DeviceLayer):
    """A layer under a learning rule, computed by the rule's own composition."""

    def __init__(
        self, backend: Backend, rule: LayerRule, linear_map: LinearMap, states: Mapping[str, ParameterState]
    ) -> None:
        self._backend, self._rule = backend, rule
        parameters = {
            name: ArrayParameter(backend, spec, states[name]) for name, spec in linear_map.specs().items()
        }
        self.parameters = parameters
        self._connection = Connection(backend, linear_map, parameters)

    def forward(self, pre: Spikes, constants: Any) -> Spikes:
        """See `DeviceLayer.forward`."""
        return self._rule.forward(self._backend, self._connection, pre, constants)

    def backward(
        self, pre: Spikes, post: Spikes, signal: ErrorSignal, constants: Any, send: bool
    ) -> Array | None:
        """See `DeviceLayer.backward`."""
        error = self._rule.backward(self._backend, self._connection, pre, post, signal, constants, send)
        return (
            _checked(error, (len(pre.steps), pre.units), f"backward of the rule {self._rule.name}")
            if send
            else None
        )


def _checked(array: Array, shape: tuple[int, ...], what: str) -> Array:
    """Return what a plugin returned; raises `UsageError` where it is no array of the shape that its contract says."""
    if getattr(array, "shape", None) != shape:
        got = f"an array of shape {array.shape}" if hasattr(array, "shape") else repr(array)
        raise UsageError(f"{what} returned {got}", f"an array of shape {shape}", "Correct the plugin.")
    return array


def device_layer(
    backend: Backend,
    rule: LayerRule,
    linear_map: LinearMap,
    states: Mapping[str, ParameterState],
    *,
    fused: bool = True,
) -> DeviceLayer:
    """Return a layer on a device: from the backend's table of fused layers, or else the composition.

    `fused=False` asks for the composition even where the table has an entry: what a fused layer is tested against.
    """
    entry = backend.fused.get((rule.name, linear_map.name)) if fused else None
    if entry is not None:
        return entry(backend, linear_map, states)
    return ComposedLayer(backend, rule, linear_map, states)
