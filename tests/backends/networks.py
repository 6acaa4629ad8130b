"""Dense networks with given weights, on any backend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikeprep.backend import Backend, OptimiserStep, ParameterState
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network, build_network
from spikeprep.train.optimiser import OptimiserSettings, RegularisationSettings
from spikeprep.train.rules import LearningRule


def dense_network(
    backend: Backend, weights: Sequence[np.ndarray], rule: LearningRule, *, fused: bool = True
) -> Network:
    """Return fully connected layers with weights (post, pre)."""
    layers = [Dense((w.shape[1],), w.shape[0]) for w in weights]
    states = [{"weight": ParameterState.fresh(w)} for w in weights]
    return build_network(backend, rule, layers, states, fused=fused)


def gradients(network: Network) -> list[np.ndarray]:
    """Return the gradient sum of each layer that has weights."""
    return [p.gradient() for layer in network.devices for p in layer.parameters.values()]


def values(network: Network) -> list[np.ndarray]:
    """Return the weights of each layer that has some."""
    return [state["weight"].value for state in network.states() if state]


def step_all(network: Network, samples: int, step: OptimiserStep) -> None:
    """Take one optimiser step on every layer."""
    for layer in network.devices:
        for parameter in layer.parameters.values():
            parameter.update(samples, step)


def optimiser(step: OptimiserStep) -> OptimiserSettings:
    """Return the settings that give `step` at a constant rate."""
    regularisation = RegularisationSettings(step.strength, step.steepness, step.scale)
    return OptimiserSettings(
        step.kind, step.rate, "constant", step.beta1, step.beta2, step.epsilon, regularisation
    )
