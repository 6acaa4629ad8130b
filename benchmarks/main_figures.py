"""The main figures of one version of spikeprep, all of them times, on inputs made here: see `benchmarks.compare`.

    python -m benchmarks.main_figures --inputs FOLDER --scratch FOLDER

prints where spikeprep was imported from, and then, for every name of a figure on standard input, a line of JSON:
``value`` or, where this version of spikeprep has no such function, ``missing`` with the reason. Modules of spikeprep
are imported within a figure alone, and only functions that the documentation shows are called: the file runs with
older and newer versions.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Clock = Callable[[], float]

SIZE = (640, 480)  # pixels
EVENTS = 400_000
RECORDINGS = ("aedat4", "evt3", "text")
ENDINGS = {"aedat4": ".aedat4", "evt3": ".raw", "text": ".csv"}


@dataclass(frozen=True)
class Place:
    """A folder of inputs, which both versions read, and one of this version alone, which all its processes share."""

    inputs: Path
    scratch: Path


@dataclass(frozen=True)
class Figure:
    """A time: what it is of, its unit, and how it is measured; processor time unless `wall` is set."""

    name: str
    unit: str
    measure: Callable[[Place], float]
    wall: bool = False


def best(call: Callable[[], object], repeats: int, clock: Clock = time.process_time) -> float:
    """Return the seconds of the fastest of some calls after a first one, which compiles and is not counted."""
    call()
    seconds = []
    for _ in range(repeats):
        began = clock()
        call()
        seconds.append(clock() - began)
    return min(seconds)


def prepare(inputs: Path) -> None:
    """Write the recordings that both versions read."""
    from benchmarks.decoding import scattered
    from spikeprep.data import Events
    from spikeprep.eventfiles import write

    events = Events.of(scattered(EVENTS, SIZE), SIZE)
    for name in RECORDINGS:
        write(inputs / f"events{ENDINGS[name]}", events, format=name)


def poisson(place: Place) -> float:
    """Microseconds per image of 28 × 28 pixels, a fifth of them lit, 400 steps."""
    from spikeprep.encoders import Poisson
    from spikeprep.random import SampleKey

    rng = np.random.default_rng(0)
    shape = (256, 28, 28)
    images = list(np.where(rng.random(shape) < 0.2, rng.integers(1, 256, shape), 0).astype(np.uint8))
    keys = [SampleKey(0, "train", n) for n in range(len(images))]
    encoder = Poisson(steps=400)
    trains = np.zeros((len(images), 784, 50), np.uint8)
    return best(lambda: encoder.encode_into(images, trains, rngs=keys), 10) / len(images) * 1e6


def speech(place: Place) -> float:
    """Milliseconds per second of sound at 12.5 kHz: Lyon's ear, then BSA."""
    from spikeprep.data import Audio
    from spikeprep.encoders import BSA, Chain
    from spikeprep.transforms import Lyon

    rng = np.random.default_rng(0)
    t = np.arange(12500) / 12500
    tones = sum(np.sin(2 * np.pi * pitch * t) for pitch in (220, 660, 1500, 3100))
    sound = Audio((0.1 * tones + 0.02 * rng.standard_normal(t.size)).astype(np.float32), 12500)
    chain = Chain((Lyon(decimation=200),), BSA())
    return best(lambda: chain.encode(sound), 50) * 1e3


def binning(place: Place) -> float:
    """Nanoseconds per event: 100 bins of 10 ms, 640 × 480 pixels."""
    from spikeprep.data import EVENT, Events
    from spikeprep.encoders import DVS

    rng = np.random.default_rng(0)
    array = np.zeros(EVENTS, EVENT)
    for field, most in zip("xyp", (*SIZE, 2), strict=True):
        array[field] = rng.integers(0, most, EVENTS)
    array["t"] = np.sort(rng.integers(0, 1_000_000, EVENTS))
    events = Events((array,), SIZE, duration=1_000_000)
    return best(lambda: DVS(bin_us=10_000).encode(events), 10) / EVENTS * 1e9


def decoding(name: str, place: Place) -> float:
    """Nanoseconds per event of a file that is read whole."""
    from spikeprep.eventfiles import read

    path = place.inputs / f"events{ENDINGS[name]}"
    arguments: dict[str, Any] = {"size": SIZE} if name == "text" else {}
    return best(lambda: read(path, **arguments), 10) / EVENTS * 1e9


def spikes(samples: int, steps: int, units: tuple[int, ...], density: float) -> Any:
    """Return random spikes, bool (sample, time, unit…), the same for the same arguments."""
    drawn = np.random.default_rng(0).random((samples, steps, *units), dtype=np.float32)
    return drawn < density


def write(path: Path, samples: Any) -> None:
    """Write spikes with ten classes into a store at `path`."""
    from spikeprep import write_store

    labels = np.arange(len(samples)) % 10
    write_store(path, samples, labels, dt=0.001, classes=[str(n) for n in range(10)], overwrite=True)


def writing(place: Place) -> float:
    """Microseconds per sample of 784 units and 400 steps, from spikes in memory."""
    samples = spikes(256, 400, (784,), 0.021)
    return best(lambda: write(place.scratch / "written.zarr", samples), 3, time.perf_counter) / 256 * 1e6


def reading(place: Place) -> float:
    """Microseconds per sample of 784 units and 400 steps, into packed bits."""
    from spikeprep import open_store

    path = place.scratch / "read.zarr"
    if not path.exists():
        write(path, spikes(256, 400, (784,), 0.021))
    reader = open_store(path)["train"]
    return best(lambda: reader.packed(slice(256)), 20, time.perf_counter) / 256 * 1e6


@dataclass(frozen=True)
class Network:
    """A network and its input: spikes of a density, with thresholds at which each layer fires."""

    arch: str
    units: tuple[int, ...]
    steps: int
    density: float
    samples: int
    thresholds: tuple[float, ...]

    def store(self, place: Place) -> Path:
        """Return a store of such samples, which the first process writes."""
        path = place.scratch / f"{self.arch}-{'-'.join(map(str, self.units))}.zarr"
        if not path.exists():
            write(path, spikes(self.samples, self.steps, self.units, self.density))
        return path

    def train(self, place: Place, epochs: int = 4) -> Any:
        """Train afresh; return the result, whose run folder is `run`."""
        import spikeprep

        run = place.scratch / f"run-{self.arch}-{self.samples}"
        shutil.rmtree(run, ignore_errors=True)
        chosen = {"validation": 0.0, "thresholds": list(self.thresholds), "batch": 32}
        return spikeprep.train(
            self.store(place),
            arch=self.arch,
            epochs=epochs,
            run=run,
            device="cpu",
            settings=chosen,
            progress=False,
        )

    def training(self, place: Place) -> float:
        """Milliseconds per sample in the fastest epoch after the first."""
        return min(1e3 / float(record["samples_per_second"]) for record in self.train(place).history[1:])

    def inference(self, place: Place) -> float:
        """Milliseconds per sample of `evaluate`, which opens run and store."""
        import spikeprep

        run = self.train(place, 1).run
        measured = partial(
            spikeprep.evaluate, run, self.store(place), split="train", device="cpu", progress=False
        )
        return best(measured, 5, time.perf_counter) / self.samples * 1e3


MNIST = Network("800", (784,), 400, 0.021, 256, (20, 8))
NMNIST = Network("800", (2312,), 540, 0.0033, 160, (15, 15))
CNN = Network("8C5-P2-60", (1, 28, 28), 400, 0.021, 64, (5, 2, 10, 8))

COMMAND = "import sys; from spikeprep_cli.main import main; sys.argv[0] = 'spikeprep'; sys.exit(main())"


def command(*arguments: str | Path, cache: Path | None = None) -> None:
    """Run the command line of this installation in a new process; with `cache`, its kernels are kept there."""
    added = {} if cache is None else {"SPIKEPREP_CACHE_DIR": str(cache), "NUMBA_CACHE_DIR": str(cache)}
    subprocess.run(
        [sys.executable, "-P", "-c", COMMAND, *map(str, arguments)],
        env=os.environ | added,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def start(place: Place) -> float:
    """Milliseconds of ``spikeprep --version``."""
    return best(lambda: command("--version"), 5, time.perf_counter) * 1e3


def first_time(place: Place, arguments: Callable[[Path], Sequence[str | Path]]) -> float:
    """Seconds of a command with an empty cache of kernels; its argument is a path for what it writes."""
    out = place.scratch / "first"
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    command(*arguments(out), cache=out / "kernels")
    return time.perf_counter() - began


def first_encode(place: Place) -> float:
    """Seconds of ``spikeprep encode digits``, kernels compiled."""
    return first_time(place, lambda out: ("encode", "digits", "--out", out / "digits.zarr"))


def first_train(place: Place) -> float:
    """Seconds of one epoch of 64 samples of MNIST's shape, kernels compiled."""
    store = MNIST.store(place)
    return first_time(
        place,
        lambda out: (
            "train", store, "--arch", "800", "--epochs", "1", "--limit", "64", "--device", "cpu", "--run", out / "run"
        ),
    )  # fmt: skip


FIGURES = (
    Figure("encode: Poisson, 28 × 28, 400 steps", "µs per image", poisson),
    Figure("encode: Lyon and BSA", "ms per s of sound", speech),
    Figure("encode: DVS, 640 × 480, 10 ms", "ns per event", binning),
    *(Figure(f"read {name}", "ns per event", partial(decoding, name)) for name in RECORDINGS),
    Figure("store: write 784 × 400", "µs per sample", writing, wall=True),
    Figure("store: read 784 × 400", "µs per sample", reading, wall=True),
    *(
        Figure(f"{label}: {what}", "ms per sample", measure, wall=True)
        for label, network in (
            ("784-800-10, T 400", MNIST),
            ("2312-800-10, T 540", NMNIST),
            (f"1×28×28-{CNN.arch}-10, T 400", CNN),
        )
        for what, measure in (("train", network.training), ("evaluate", network.inference))
    ),
    Figure("`spikeprep --version`", "ms", start, wall=True),
)
COMPILATION = (
    Figure("`encode digits`, no kernels yet", "s", first_encode, wall=True),
    Figure("`train`, 1 epoch, no kernels yet", "s", first_train, wall=True),
)


def measured(figure: Figure, place: Place) -> dict[str, Any]:
    """Return ``value`` or, where the figure cannot be measured with this version, ``missing``: why."""
    try:
        return {"value": figure.measure(place)}
    except Exception as error:
        lines = str(error).splitlines() or [""]
        return {"missing": f"{type(error).__name__}: {lines[0]}"}


def chosen(only: Sequence[str] = (), compilation: bool = False) -> tuple[Figure, ...]:
    """Return the figures whose names have one of the words; all without words."""
    figures = FIGURES + (COMPILATION if compilation else ())
    return tuple(f for f in figures if not only or any(word.lower() in f.name.lower() for word in only))


def main() -> None:
    """Answer on standard output; what a figure prints goes to standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=Path, required=True, help="made by `prepare`")
    parser.add_argument("--scratch", type=Path, required=True, help="of this version of spikeprep alone")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    modules = {name: importlib.import_module(name) for name in ("spikeprep", "spikeprep_cli.main")}
    print(
        json.dumps({name.split(".")[0]: module.__file__ for name, module in modules.items()}),
        file=answers,
        flush=True,
    )
    figures = {figure.name: figure for figure in chosen(compilation=True)}
    place = Place(options.inputs, options.scratch)
    for line in sys.stdin:
        print(json.dumps(measured(figures[line.rstrip("\n")], place)), file=answers, flush=True)


if __name__ == "__main__":
    main()
