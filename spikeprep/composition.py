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
from .errors import broken_plugin


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
    rule_parameters
        What the learning rule trains beside them, by name.
    """

    def __init__(
        self,
        backend: Backend,
        linear_map: LinearMap,
        parameters: Mapping[str, ArrayParameter],
        rule_parameters: Mapping[str, ArrayParameter],
    ) -> None:
        self._backend, self._map, self.parameters = backend, linear_map, parameters
        self.rule_parameters = rule_parameters

    @property
    def is_trained(self) -> bool:
        """Whether the connection has anything to learn; a pooling connection has not."""
        return bool(self.parameters)

    @property
    def synapses(self) -> int:
        """See `synapses`."""
        return synapses(self._map)

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
        return checked(drive, shape, f"apply of the layer kind {self._map.name} returned", self._map)

    def apply(self, x: Array) -> Array:
        """Return W x: real (…, pre) → (…, post)."""
        self._check_operand("apply", "x", x, self._map.in_shape)
        y = self._map.apply(self._backend.xp, self.arrays, x)
        shape = (*x.shape[:-1], prod(self._map.out_shape))
        return checked(y, shape, f"apply of the layer kind {self._map.name} returned", self._map)

    def transpose(self, y: Array) -> Array:
        """Return Wᵀ y: real (…, post) → (…, pre)."""
        self._check_operand("transpose", "y", y, self._map.out_shape)
        x = self._map.transpose(self._backend.xp, self.arrays, y)
        shape = (*y.shape[:-1], prod(self._map.in_shape))
        return checked(x, shape, f"transpose of the layer kind {self._map.name} returned", self._map)

    def correlate(self, y: Array, x: Array) -> None:
        """Add Σ y xᵀ, over samples and, where there is one, the time axis, to the gradient sums."""
        self._check_operand("correlate", "y", y, self._map.out_shape)
        self._check_operand("correlate", "x", x, self._map.in_shape)
        if y.shape[:-1] != x.shape[:-1]:
            raise ValueError(
                f"correlate got y of shape {y.shape} and x of shape {x.shape}; expected equal axes but the last"
            )
        gradients = self._map.correlate(self._backend.xp, self.arrays, y, x)
        if not isinstance(gradients, Mapping):
            gradients = {}
        for name, parameter in self.parameters.items():
            what = f"correlate of the layer kind {self._map.name}, {name} returned"
            parameter.add_gradient(checked(gradients.get(name), parameter.shape, what, self._map))

    def _check_operand(self, method: str, name: str, array: Array, units: tuple[int, ...]) -> None:
        """Raise `ValueError` where a rule calls a method with no array (…, units)."""
        if getattr(array, "shape", ())[-1:] != (prod(units),):
            got = f"{name} of shape {array.shape}" if hasattr(array, "shape") else f"{name} = {array!r}"
            side = "pre" if name == "x" else "post"
            raise ValueError(f"{method} got {got}; expected (…, {prod(units)}), its {side} units")

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
            name: ArrayParameter(backend, spec, states[name])
            for name, spec in trained_arrays(rule, linear_map).items()
        }
        self.parameters = parameters
        names = linear_map.specs()
        own = {name: parameters[name] for name in names}
        added = {name: parameter for name, parameter in parameters.items() if name not in names}
        self._connection = Connection(backend, linear_map, own, added)

    def forward(self, pre: Spikes, constants: Any) -> Spikes:
        """See `DeviceLayer.forward`."""
        return self._rule.forward(self._backend, self._connection, pre, constants)

    def backward(
        self, pre: Spikes, post: Spikes, signal: ErrorSignal, constants: Any, send: bool
    ) -> Array | None:
        """See `DeviceLayer.backward`."""
        error = self._rule.backward(self._backend, self._connection, pre, post, signal, constants, send)
        if not send:
            return None
        shape = (len(pre.steps), pre.units)
        return checked(error, shape, f"backward of the rule {self._rule.name} returned", self._rule)


def checked(array: Array, shape: tuple[int, ...], what: str, plugin: object) -> Array:
    """Return what a plugin returned; raises `PluginError` where it is no array of the shape that its contract says."""
    if getattr(array, "shape", None) != shape:
        got = f"an array of shape {array.shape}" if hasattr(array, "shape") else repr(array)
        raise broken_plugin(type(plugin), f"{what} {got}", f"an array of shape {shape}")
    return array


def synapses(layer: LinearMap) -> int:
    """Return the number of trained synapses of one post neuron."""
    return sum(prod(spec.shape[spec.neuron_axes :]) for spec in layer.specs().values())


def trained_arrays(rule: LayerRule, layer: LinearMap) -> dict[str, ArraySpec]:
    """Return all that is trained of a layer under a rule, by name: the connection's arrays, then the rule's.

    Raises
    ------
    PluginError
        A plugin returns no mapping to `ArraySpec`, or both use one name.
    """
    added, specs = rule.specs(layer), layer.specs()
    owners = ((f"the layer kind {layer.name}", layer, specs), (f"the rule {rule.name}", rule, added))
    for owner, plugin, arrays in owners:
        if not isinstance(arrays, Mapping):
            raise broken_plugin(type(plugin), f"specs of {owner} returned {arrays!r}", "name → ArraySpec")
        for name, spec in arrays.items():
            if not isinstance(spec, ArraySpec):
                raise broken_plugin(
                    type(plugin), f"specs of {owner} has {spec!r} for {name!r}", "an ArraySpec"
                )
    if shared := sorted(set(specs) & set(added)):
        raise broken_plugin(
            type(rule),
            f"the layer kind {layer.name} and the rule {rule.name} both train an array called {shared[0]!r}",
            "arrays of different names",
        )
    return {**specs, **added}


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
