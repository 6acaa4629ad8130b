"""Dense networks with given weights, on any backend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikeprep.backend import Backend, OptimiserStep, ParameterState
from spikeprep.data import Hm2bpConstants, PackedBatch
from spikeprep.reference.neurons import spike_train_psp
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


def assert_alike(want: Network, got: Network, batch: PackedBatch, allowed: float) -> None:
    """Check a network against the reference: equal spikes, near losses, gradients within a share of the largest."""
    spikes = want.forward(batch), got.forward(batch)
    for a, b in zip(*spikes, strict=True):
        np.testing.assert_array_equal(want.backend.unpack(a), got.backend.unpack(b))
        np.testing.assert_array_equal(want.backend.counts(a), got.backend.to_host(got.backend.counts(b)))
    weight = np.linspace(1, 2, len(batch))
    losses = [n.backward(s, batch.labels, weight) for n, s in zip((want, got), spikes, strict=True)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5, atol=1e-5)
    for exact, gradient in zip(gradients(want), gradients(got), strict=True):
        # errors of classes can cancel to nothing: what is left then is the rounding of their terms, of order 1
        off = np.abs(gradient - exact).max(initial=0)
        assert off <= allowed * max(np.abs(exact).max(initial=0), 1e-2)


def pair_terms(
    w: np.ndarray, constants: Hm2bpConstants, pre: np.ndarray, post: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return e (post, pre), 1 + σ (post,) and ρ (post, pre) of one sample, pair by pair (eq. 9, 17 and 22 to 24)."""
    psp = constants.psp
    e = spike_train_psp(post, pre, constants.neuron, psp)
    o_post, o_pre = post.sum(axis=0)[:, None], pre.sum(axis=0)[None, :]
    share = np.where(o_post > 0, e / np.maximum(o_post, 1), psp.silent_share)
    gain = 1 + (w * share).sum(axis=1) / constants.neuron.threshold
    if constants.gain_floor is not None:
        gain = np.maximum(gain, constants.gain_floor)
    ratio = np.where((o_pre == 0) | (o_post == 0), psp.silent_ratio, e / np.maximum(o_pre, 1))
    return e, gain, ratio


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
