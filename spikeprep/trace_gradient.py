"""The gradient of Lee, Delbruck & Pfeiffer 2016: static, from the traces of a sample's trains at its end.

The rule and fused layers share it; they differ in how a connection computes its products. docs/lee2016.md has the
equations and where they come from.
"""

from __future__ import annotations

from .backend import Array, Backend, ErrorSignal, Spikes
from .composition import Connection
from .data import Lee2016Constants

THRESHOLD = "threshold"
"""Name of the trained array."""


def effective_thresholds(backend: Backend, connection: Connection) -> Array:
    """Return the thresholds (post,) that neurons are simulated with: trained ones are at least √(3/M).

    Behind a connection without trained weights, a pool, they are as many spikes as it has synapses: a neuron fires as
    often as its inputs do in the mean.
    """
    if not connection.is_trained:
        return connection.fan_in()
    trained = connection.rule_parameters[THRESHOLD].value.reshape(-1)
    return backend.xp.maximum(trained, backend.dtype.type((3 / connection.synapses) ** 0.5))


def trace_backward(
    backend: Backend,
    connection: Connection,
    pre: Spikes,
    post: Spikes,
    signal: ErrorSignal,
    constants: Lee2016Constants,
    send: bool,
) -> Array | None:
    """Add to the gradients of weights and thresholds; return the error at `pre` (sample, pre) if `send`."""
    xp, real = backend.xp, backend.dtype
    neuron, thresholds = constants.neuron, effective_thresholds(backend, connection)
    units = thresholds.size
    fired = (backend.counts(post) > 0).astype(real)
    active = xp.maximum(fired.sum(axis=1, keepdims=True), 1)
    delta = signal.error
    if not constants.output:
        gain = fired / thresholds
        delta = delta * gain / xp.sqrt((gain**2).sum(axis=1, keepdims=True) / active + _TINY)
        delta = delta * xp.sqrt(units / active)
    if connection.is_trained:
        # √(N / m), m the active synapses of a neuron: their share of all is that of the pre units
        share = (backend.counts(pre) > 0).astype(real).mean(axis=1, keepdims=True)
        scale = xp.sqrt(units / xp.maximum(share * connection.synapses, 1))
        connection.correlate(scale * delta, backend.trace(pre, neuron.tau))
        a = backend.trace(post, neuron.tau)
        others = a.sum(axis=1, keepdims=True) - a
        slope = -a - real.type(constants.efficacy * neuron.lateral) * others
        scale = scale / real.type(connection.synapses) ** 0.5
        gradient = (scale * delta * slope).sum(axis=0)
        if constants.balance:
            gradient = gradient - real.type(constants.balance) * (fired - active / units).sum(axis=0)
        parameter = connection.rule_parameters[THRESHOLD]
        parameter.add_gradient(gradient.reshape(parameter.shape))
    return connection.transpose(delta) if send else None


_TINY = 1e-30  # keeps 0 / 0 from a sample in which no neuron fires
