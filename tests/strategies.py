"""Hypothesis shapes: small networks and spike batches, degenerate ones among them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from spikeprep.data import EVENT, Events, NeuronParams, PackedBatch
from spikeprep.packing import pack
from spikeprep.train.layers import LayerKind
from spikeprep.train.layers.conv import Conv
from spikeprep.train.layers.dense import Dense
from spikeprep.train.layers.pool import Pool


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


@dataclass(frozen=True)
class LayersCase:
    """A batch, layers of several kinds with their arrays, and each layer's threshold."""

    batch: PackedBatch
    layers: tuple[LayerKind, ...]
    arrays: tuple[dict[str, np.ndarray], ...]
    thresholds: tuple[float, ...]


def _window(draw: st.DrawFn, sizes: tuple[int, int]) -> tuple[int, int]:
    return draw(st.integers(1, min(4, sizes[0]))), draw(st.integers(1, min(4, sizes[1])))


@st.composite
def spatial_cases(draw: st.DrawFn, most_layers: int = 3, most_steps: int = 110) -> LayersCase:
    """Draw one to three convolutions and pools of any window, stride and padding, and an output layer.

    Weights are dyadic, as those of `cases`.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, columns, channels = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    last = draw(st.booleans())
    shape: tuple[int, ...] = (rows, columns, channels) if last else (channels, rows, columns)
    shape = (rows, columns) if channels == 1 and draw(st.booleans()) else shape
    layers: list[LayerKind] = []
    for _ in range(draw(st.integers(1, most_layers))):
        axis = "last" if last and not layers else "first"
        kind = draw(st.sampled_from([Conv, Pool]))
        plain = kind(in_shape=shape, channels=axis)
        kernel = _window(draw, plain.grid[1:])
        stride = draw(st.sampled_from([kernel, (1, 1), (2, 1), (1, 3)]))
        if kind is Pool:
            layers.append(Pool(shape, kernel, stride, channels=axis))
        else:
            padding = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
            channels_out = draw(st.sampled_from([1, 2, 5, 9, 17, 33]))
            layers.append(Conv(shape, kernel, stride, padding, axis, channels_out))
        shape = layers[-1].out_shape
    layers.append(Dense(shape, draw(st.integers(2, 12))))
    samples, steps = draw(st.integers(1, 3)), draw(st.integers(36, most_steps))
    own = rng.integers(max(1, steps // 2), steps + 1, samples)
    own[0] = steps
    units = rows * columns * channels
    spikes = rng.random((samples, steps, units)) < draw(st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0]))
    spikes[:, :, rng.random(units) < 0.3] = False
    for b, length in enumerate(own):
        spikes[b, length:] = False
    labels = rng.integers(0, layers[-1].units, samples).astype(np.int32)
    batch = PackedBatch(pack(spikes), own.astype(np.uint32), labels, np.arange(samples))
    spread, offset = draw(st.sampled_from([4, 8, 24])), draw(st.sampled_from([0.0, 0.5]))
    arrays = tuple(
        {
            name: (rng.integers(-spread, spread + 1, spec.shape) / 8 + offset).astype(np.float32)
            for name, spec in layer.specs().items()
        }
        for layer in layers
    )
    thresholds = tuple(draw(st.sampled_from([1.0, 2.0, 3.0, 8.0])) for _ in layers)
    return LayersCase(batch, tuple(layers), arrays, thresholds)


@st.composite
def recordings(draw: st.DrawFn, most: int = 60, longest: int = 40_000, polarities: int = 0) -> Events:
    """Draw a recording in memory: few pixels, so that they meet, and stamps that often repeat."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width, height = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    polarities = polarities or draw(st.integers(1, 2))
    events = np.zeros(draw(st.integers(0, most)), EVENT)
    apart = draw(st.sampled_from([1, 10, 1000, longest]))
    events["x"], events["y"] = rng.integers(0, width, len(events)), rng.integers(0, height, len(events))
    events["t"] = np.sort(rng.integers(0, max(longest // apart, 1), len(events)) * apart)
    events["p"] = rng.integers(0, polarities, len(events))
    return Events.of(events, (width, height), polarities)


@dataclass(frozen=True)
class Pieces:
    """Pieces that can be walked again, as those of a streamed recording; counts the walks."""

    pieces: tuple[np.ndarray, ...]
    walks: list[int]

    def __iter__(self) -> Iterator[np.ndarray]:
        self.walks.append(len(self.walks))
        yield from self.pieces


@st.composite
def streamed(draw: st.DrawFn, whole: Events) -> Events:
    """Cut a recording in memory into the pieces of a streamed one; some may be empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(whole.array)), max_size=4)))
    return replace(whole, pieces=Pieces(tuple(np.split(whole.array, cuts)), []))
