"""Encoders of single values against those of other libraries, on one batch of MNIST images, in one thread.

    python -m benchmarks.value_encoders --source MNIST

Each line: the fastest of several repetitions, and the median, in µs per image; in turns, so that a busy machine slows
all alike. spikeprep writes packed bits, of images of bytes and of the same images as float32; the others write the
dense spikes that they define, float32 or int8.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from spikeprep.encoders import Burst, Encoder, GaussianReceptiveFields, Latency, Phase, RankOrder
from spikeprep.random import SampleKey

Function = Callable[[], Any]
STEPS = 100


def ours(encoder: Encoder, images: NDArray[Any]) -> Function:
    """Return a call that encodes all images into packed bits."""
    keys = [SampleKey(0, "train", n) for n in range(len(images))]
    description = encoder.describe(images[0])
    shape = (len(images), description.units, -(-description.steps // 8))
    return lambda: encoder.encode_into(images, np.zeros(shape, np.uint8), rngs=keys)


def spikify(module: str) -> Any:
    """Import a module of spikify; the others are in `make bench-peers`, this one is not."""
    return importlib.import_module(f"spikify.encoders.temporal.{module}")


def without_missing(name: str, calls: dict[str, Function]) -> dict[str, Function]:
    """Return the calls of libraries that are installed; print the others."""
    found = {}
    for who, call in calls.items():
        try:
            call()
            found[who] = call
        except ImportError as error:
            print(f"{who} is not installed ({error}): {name} is not compared with it")
    return found


def peers(images: NDArray[np.uint8]) -> dict[str, tuple[Encoder, dict[str, Function]]]:
    """Return name → (our encoder, the calls of other libraries that encode the same images alike)."""
    import torch
    from snntorch import spikegen
    from spikingjelly.activation_based import encoding

    torch.set_num_threads(1)
    x = torch.from_numpy(images.reshape(len(images), -1)).float() / 255
    below_one = x.clamp(max=1 - 2**-8)
    series = np.repeat(x.numpy().reshape(1, -1), 44, axis=0)  # spikify: each value is held for its window
    long_series = np.repeat(x.numpy().reshape(1, -1), STEPS, axis=0)
    fields = {code: GaussianReceptiveFields(STEPS, code=code) for code in ("regular", "random")}
    ends = (float(fields["regular"].centres[0]), float(fields["regular"].centres[-1]))
    shape = (x.shape[1], 8, STEPS, ends, fields["regular"].sigma)
    regular = encoding.PopSpikeEncoderDeterministic(*shape)
    random = encoding.PopSpikeEncoderRandom(*shape)

    def population(module: Any) -> Function:
        def call() -> Any:
            if hasattr(module, "neurons"):
                module.neurons.reset()
            with torch.no_grad():
                return module(x)

        return call

    def snn(**options: Any) -> Function:
        return lambda: spikegen.latency(x, num_steps=STEPS, clip=True, bypass=True, **options)

    return {
        "latency, linear": (
            Latency(STEPS),
            {
                "SpikingJelly": lambda: encoding.LatencyEncoder(STEPS).single_step_encode(x),
                "snnTorch": snn(linear=True, normalize=True),
            },
        ),
        "latency, log": (
            Latency(60, "log", tau=1),
            {
                "SpikingJelly": lambda: encoding.LatencyEncoder(60, "log").single_step_encode(x),
                "spikify": lambda: spikify("global_referenced").time_to_first_spike(long_series, STEPS),
            },
        ),
        "latency, lif": (Latency(STEPS, "lif", 0.2, tau=20), {"snnTorch": snn(threshold=0.2, tau=20)}),
        "weighted phase": (
            Phase(8, 8),
            {
                "SpikingJelly": lambda: (
                    encoding.WeightedPhaseEncoder(8).single_step_encode(below_one).repeat(8, 1, 1)
                )
            },
        ),
        "burst": (Burst(44), {"spikify": lambda: spikify("latency").burst_coding(series, 5, 2, 20, 44)}),
        "rank order": (RankOrder(STEPS), {}),
        "fields, latency": (GaussianReceptiveFields(STEPS), {}),
        "fields, regular": (fields["regular"], {"SpikingJelly": population(regular)}),
        "fields, random": (fields["random"], {"SpikingJelly": population(random)}),
    }


def main() -> None:
    """Print one line per encoder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True, help="folder of MNIST's files")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    (file,) = options.source.rglob("t10k-images*.gz")
    pixels = np.frombuffer(bytearray(gzip.decompress(file.read_bytes())), np.uint8, offset=16)
    images = pixels.reshape(-1, 28, 28)[: options.images]
    floats = images.astype(np.float32) / np.float32(255)
    for name, (encoder, others) in peers(images).items():
        others = without_missing(name, others)
        calls = {"bytes": ours(encoder, images), "float32": ours(encoder, floats), **others}
        seconds: dict[str, list[float]] = {who: [] for who in calls}
        for n in range(options.repeat + 1):
            for who, call in calls.items():
                start = time.perf_counter()
                call()
                if n:  # the first compiles
                    seconds[who].append(time.perf_counter() - start)
        us = {who: [1e6 * f(s) / len(images) for f in (min, statistics.median)] for who, s in seconds.items()}
        print(f"{name:16}", *(f"{who} {best:.1f} ({usual:.1f})" for who, (best, usual) in us.items()), end="")
        fastest = min((us[who][0] for who in others), default=None)
        if fastest:
            print(f"  ratio {fastest / us['bytes'][0]:.0f}, {fastest / us['float32'][0]:.0f} x", end="")
        print(flush=True)


if __name__ == "__main__":
    main()
