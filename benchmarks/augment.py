"""Speed of augmentation: elastic distortion and Poisson trains, per image on one core and per second on all.

python -m benchmarks.augment --source FOLDER_OF_MNIST [--images N]

Beside each figure stands what bounds it: multiplications, additions and random words, counted, and the speed of the
Poisson encoder alone on the same images.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.encode import best
from spikeprep.encoding.plan import open_encoder
from spikeprep.encoding.samples import Shape
from spikeprep.recipes import load_recipe
from spikeprep.system import cores
from spikeprep.transforms import Elastic
from spikeprep.transforms.images.elastic import kernel

_CHUNK = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="folder of MNIST's IDX files")
    parser.add_argument("--images", type=int, default=4096)
    options = parser.parse_args()
    settings = {"elastic.use": True, "elastic.rotation": 12, "elastic.scale": 0.12}
    recipe = load_recipe("mnist").override(settings)
    encoder = open_encoder(recipe, options.source, 0, None)
    elastic, poisson = encoder.chain.transforms[0], encoder.chain.encoder
    assert isinstance(elastic, Elastic)
    shape, first = Shape((28, 28), 784, 400, False), encoder.originals["train"]  # copy 1
    numbers = np.arange(first, first + options.images)
    bits = np.zeros((options.images, 784, 50), np.uint8)

    def encode(part: slice) -> None:
        bits[part] = 0
        steps = np.full(len(numbers[part]), 400, np.uint32)
        encoder.encode_into("train", numbers[part].tolist(), steps, shape, bits[part])

    parts = [slice(at, at + _CHUNK) for at in range(0, options.images, _CHUNK)]
    encode(parts[0])  # compiled before it is timed
    figures: dict[str, float] = {}
    clock = time.thread_time  # of one core: whatever else the machine does
    originals = [encoder.source.read("train", n).signal for n in range(512)]
    keys = [encoder.key("train", first + n) for n in range(512)]
    seconds = best(
        lambda: [elastic(image, rng=key) for image, key in zip(originals, keys, strict=True)], 10, clock
    )
    figures["elastic_us_per_image_one_core"] = seconds / 512 * 1e6
    varied = [elastic(image, rng=key) for image, key in zip(originals, keys, strict=True)]
    out = np.zeros((512, 784, 50), np.uint8)
    for name, images in (("originals", originals), ("distorted", varied)):
        seconds = best(functools.partial(poisson.encode_into, images, out * 0, rngs=keys), 10, clock)
        figures[f"poisson_us_per_image_one_core_{name}"] = seconds / 512 * 1e6
    figures["nonzero_pixels_distorted"] = float(np.mean([np.count_nonzero(image) for image in varied]))
    alone = min(best(functools.partial(encode, part), 5, time.thread_time) for part in parts[:16])
    figures["elastic_and_poisson_us_of_processor_per_image"] = alone / _CHUNK * 1e6
    with ThreadPoolExecutor(cores()) as pool:
        together = best(lambda: list(pool.map(encode, parts)), 5)
    figures[f"elastic_and_poisson_images_per_second_{cores()}_cores"] = options.images / together

    taps, rows, wide = kernel(elastic.sigma).size, 28, 28 + kernel(elastic.sigma).size - 1
    figures["floor_multiplications_and_additions_per_image"] = 2 * taps * rows * (wide + 28) + 8 * 784
    figures["floor_random_words_of_128_bits_per_image_elastic"] = -(-2 * wide * wide // 8)
    figures["bytes_written_per_image"] = 784 * 50
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
