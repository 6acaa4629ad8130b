"""Hypothesis shapes: small networks and spike batches, degenerate ones among them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from spikeprep.data import NeuronParams, PackedBatch
from spikeprep.packing import pack


@dataclass(frozen=True)
class Case:
    """A batch of one length-ragged input and dyadic weights (post, pre) for each layer."""

    batch: PackedBatch
    weights: tuple[np.ndarray, ...]
    neurons: tuple[NeuronParams, ...]


@st.composite
def cases(draw: st.DrawFn, layers: int = 2, most_steps: int = 150) -> Case:
    """Draw a case.

    Weights are multiples of 1/8 and decays dyadic, so that the order of additions cannot move a spike.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = [draw(st.sampled_from([1, 3, 20, 33, 70])) for _ in range(layers)] + [draw(st.integers(2, 12))]
    samples, steps = draw(st.integers(1, 4)), draw(st.integers(36, most_steps))
    density = draw(st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0]))
    own = rng.integers(max(1, steps // 2), steps + 1, samples)
    own[0] = steps
    spikes = rng.random((samples, steps, sizes[0])) < density
    spikes[:, :, rng.random(sizes[0]) < 0.3] = False  # silent inputs
    for b, length in enumerate(own):
        spikes[b, length:] = False
    labels = rng.integers(0, sizes[-1], samples).astype(np.int32)
    batch = PackedBatch(pack(spikes), own.astype(np.uint32), labels, np.arange(samples))
    spread = draw(st.sampled_from([4, 8, 24]))
    weights = tuple(
        (rng.integers(-spread, spread + 1, (post, pre)) / 8 + draw(st.sampled_from([0.0, 0.5]))).astype(
            np.float32
        )
        for pre, post in itertools.pairwise(sizes)
    )
    refractory = draw(st.integers(1, 3))
    neurons = tuple(
        NeuronParams(draw(st.sampled_from([1.0, 3.0, 8.0])), refractory=refractory) for _ in weights
    )
    return Case(batch, weights, neurons)
