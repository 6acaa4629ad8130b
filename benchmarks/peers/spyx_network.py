"""Spyx on JAX: the network, compiled, and what trains and infers.

`spyx.nn.run` scans over time, as its documentation recommends. Both ways to use it were measured on the CPU, and each
work is done in the faster one: inference scans the whole network once; training scans layer by layer, which gives a
connection all steps at once (MNIST, ms per sample: training 10 against 11 to 15, inference 4.2 against 4.6).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from spikeprep.train.layers.dense import Dense

from .task import TAU, Task, Works

WARM = 4
"""Calls before training is timed: the types of weights and moments settle, and the step is compiled, in three."""


def works(task: Task) -> Works:
    """Return the network with a batch of input; dense layers only."""
    import jax
    import jax.numpy as jnp
    import optax
    import spyx.axn
    import spyx.nn as snn
    from flax import nnx

    if not all(isinstance(layer, Dense) for layer in task.layers):
        raise SystemExit("Spyx is compared on dense layers only")
    sizes = [task.units, *(layer.units for layer in task.layers)]
    keys = nnx.Rngs(task.seed)
    stages: list[Any] = []
    for n, (pre, post) in enumerate(pairwise(sizes)):
        neuron = snn.RLIF if task.recurrent and n < len(task.layers) - 1 else snn.LIF
        beta = 1 - 1 / TAU
        stages.append(nnx.Linear(pre, post, use_bias=False, rngs=keys))
        stages.append(neuron((post,), beta=beta, activation=spyx.axn.arctan(), rngs=keys))
    structure, weights, rest = nnx.split(snn.Sequential(*stages), nnx.Param, ...)
    optimiser = optax.adam(1e-3)
    spikes, labels = jnp.asarray(task.spikes().astype(np.float32)), jnp.asarray(task.labels())

    def by_layer(weights: Any, spikes: Any) -> Any:
        stages = nnx.merge(structure, weights, rest).layers
        for connection, neuron in zip(stages[::2], stages[1::2], strict=True):
            spikes, _ = snn.run(neuron, connection(spikes))
        return spikes.sum(0)

    @jax.jit
    def step(weights: Any, moments: Any, spikes: Any, labels: Any) -> Any:
        def loss(weights: Any) -> Any:
            counts = by_layer(weights, spikes)
            return optax.softmax_cross_entropy_with_integer_labels(counts, labels).mean()

        updates, moments = optimiser.update(jax.grad(loss)(weights), moments, weights)
        return optax.apply_updates(weights, updates), moments

    @jax.jit
    def counts(weights: Any, spikes: Any) -> Any:
        return snn.run(nnx.merge(structure, weights, rest), spikes)[0].sum(0)

    state = (weights, optimiser.init(weights))

    def train() -> None:
        nonlocal state
        state = jax.block_until_ready(step(*state, spikes, labels))

    return Works(train, lambda: jax.block_until_ready(counts(state[0], spikes)), WARM)
