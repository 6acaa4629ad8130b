"""Speed of encoding images into a store, size of the store, and speed of reading it.

python -m benchmarks.encode --source FOLDER_OF_MNIST [--workers N] [--limit N]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spikeprep.encoders import Poisson
from spikeprep.encoding.run import encode
from spikeprep.random import SampleKey
from spikeprep.recipes import load_recipe
from spikeprep.store import SpikeStore


def best(call: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of the fastest of some calls; `time.thread_time` counts this thread's own work alone."""
    times = []
    for _ in range(repeats):
        began = clock()
        call()
        times.append(clock() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="folder of MNIST's IDX files")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    recipe = load_recipe("mnist")
    figures: dict[str, float] = {}

    source = recipe.build_source(options.source)
    images = [source.read("train", n).signal for n in range(512)]
    keys = [SampleKey(0, "train", n) for n in range(512)]
    poisson = Poisson()
    trains = np.zeros((512, 784, 50), np.uint8)
    poisson.encode_into(images, trains, rngs=keys)  # compiled before it is timed
    seconds = best(lambda: poisson.encode_into(images, np.zeros_like(trains), rngs=keys), 20)
    drawn = sum(int(np.count_nonzero(image)) for image in images) * poisson.steps
    figures["encoder_us_per_image_one_core"] = seconds / len(images) * 1e6
    figures["encoder_draws_per_second_one_core_nonzero_pixels"] = drawn / seconds
    figures["encoder_draws_per_second_one_core_all_pixels"] = len(images) * 784 * poisson.steps / seconds

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "mnist.zarr"
        summary = encode(
            recipe, out, source_path=options.source, workers=options.workers, limit=options.limit
        )
        figures["samples"] = summary.encoded
        figures["store_seconds"] = summary.seconds
        figures["store_images_per_second"] = summary.encoded / summary.seconds
        figures["store_bytes_per_sample"] = summary.bytes_per_sample
        reader = SpikeStore.open(out)["train"]
        size = min(1024, len(reader))
        bits = np.zeros((size, reader.units, reader.layout.unit_bytes), np.uint8)
        seconds = best(lambda: reader.packed(slice(size), out=bits), 20)
        figures["read_gigabytes_per_second_one_core"] = bits.nbytes / seconds / 1e9
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
