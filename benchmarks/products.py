"""From which density on matrix products beat sums over events: one layer's forward and gradient, timed both ways.

    python -m benchmarks.products [--device 0] [--pre 784] [--post 800] [--steps 400] [--batch 128]

The break-even is what `spikeprep.cuda.matrix.DENSITY` should be on this card. Times are medians of `--repeat` passes
after two that warm up, between events on the device's stream.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from spikeprep.cuda.matrix import DENSITY
from spikeprep.cuda.ops import CudaOps
from spikeprep.cuda.runtime import CupyRuntime, Runtime
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.ops import WeightState

DENSITIES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class Layer:
    """What is timed."""

    pre: int = 784
    post: int = 800
    steps: int = 400
    batch: int = 128


def input_of(layer: Layer, density: float) -> PackedBatch:
    """Return random input of a density, the same every time."""
    rng = np.random.default_rng(round(1000 * density))
    shape = layer.batch, layer.pre, -(-layer.steps // 8) * 8
    bits = np.packbits(rng.random(shape, np.float32) < density, axis=-1, bitorder="little")
    steps = np.full(layer.batch, layer.steps, np.uint32)
    return PackedBatch(bits, steps, np.zeros(layer.batch, np.int32), np.arange(layer.batch))


def seconds(
    runtime: Runtime, layer: Layer, density: float, products: Literal["events", "matrix"], repeat: int
) -> float:
    """Return the median time of a forward and a backward pass of the layer, events of its input included."""
    ops, neuron, psp = CudaOps(runtime, products=products), NeuronParams(20.0), PspParams()
    weight = np.random.default_rng(0).uniform(-1, 1, (layer.post, layer.pre)).astype(np.float32)
    weights = ops.dense_weights(WeightState(weight, np.zeros_like(weight), np.zeros_like(weight)))
    pre = ops.upload(input_of(layer, density))
    delta = ops.xp.ones((layer.batch, layer.post), np.float32)
    times = []
    for turn in range(repeat + 2):
        start = runtime.current().record(timed=True)
        post = ops.dense_forward(weights, pre, neuron)
        ops.dense_backward(weights, pre, post, delta, None, neuron, psp, False)
        end = runtime.current().record(timed=True)
        end.synchronize()
        if turn > 1:
            times.append(end.seconds_since(start))
    return statistics.median(times)


def break_even(times: dict[float, tuple[float, float]]) -> float | None:
    """Return the density at which both ways take the same, between the measured ones; None: it lies outside them."""
    points = sorted((density, events - matrix) for density, (events, matrix) in times.items())
    for (low, before), (high, after) in pairwise(points):
        if before < 0 <= after:
            return low + (high - low) * before / (before - after)
    return None


def measure(
    runtime: Runtime, layer: Layer, densities: tuple[float, ...], repeat: int
) -> dict[float, tuple[float, float]]:
    """Return density → seconds by events, by matrix products."""
    return {
        density: (
            seconds(runtime, layer, density, "events", repeat),
            seconds(runtime, layer, density, "matrix", repeat),
        )
        for density in densities
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    for name, default in vars(Layer()).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    runtime = CupyRuntime(args.device)
    layer = Layer(args.pre, args.post, args.steps, args.batch)
    times = measure(runtime, layer, DENSITIES, args.repeat)
    found = break_even(times)
    if args.json:
        rows = [{"density": d, "events_seconds": e, "matrix_seconds": m} for d, (e, m) in times.items()]
        print(
            json.dumps(
                {"layer": vars(layer), "times": rows, "break_even": found, "constant": DENSITY}, indent=1
            )
        )
        return
    print(f"{runtime.name}, {layer.pre}-{layer.post}, {layer.steps} steps, batch {layer.batch}: milliseconds")
    for density, (events, matrix) in times.items():
        print(f"  density {density:6.1%}: events {1e3 * events:8.3f}, matrix {1e3 * matrix:8.3f}")
    where = "outside the measured densities" if found is None else f"at {found:.1%}"
    print(f"  equal {where}; the backend changes over at {DENSITY:.1%}")


if __name__ == "__main__":
    main()
