"""Drawn settings, networks, batches, checkpoints and stores through the kernels of the CPU.

``NUMBA_BOUNDSCHECK=1 python -m tests.fuzz.kernels COUNT [SEED]`` prints how many ended in a result, how many in an
error of ours, and fails with the first one that ended otherwise: an access out of bounds is an `IndexError` then.
Case n of a seed depends on both alone.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from spikeprep.backend import ParameterState
from spikeprep.cpu.backend import CpuBackend
from spikeprep.data import PackedBatch
from spikeprep.encoding.run import encode
from spikeprep.errors import SpikeprepError
from spikeprep.recipes import load_recipe
from spikeprep.store import SpikeStore
from spikeprep.train.checkpoint import load_checkpoint, save_checkpoint
from spikeprep.train.layers import build_layers
from spikeprep.train.network import Network, build_network
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.settings import TrainSettings
from spikeprep.train.trainer import Trainer, load_network

from ..store.stores import unbind

_SIZES = (1, 2, 5, 31, 32, 33, 40, 65)
_STEPS = (1, 2, 3, 7, 8, 9, 31, 63, 64, 65, 100, 300)
_BACKENDS = {name: CpuBackend(name, threads=1) for name in ("float32", "float64")}


def _number(rng: np.random.Generator) -> Any:
    """Return a number of any size, an integer every other time."""
    value = 10 ** rng.uniform(-9, 7) * rng.choice([1, 1, 1, 1, -1])
    return int(value) if rng.random() < 0.5 else float(value)


def _settings(rng: np.random.Generator) -> TrainSettings:
    """Return settings of which some are drawn from what the parser would pass on."""
    draws: dict[str, Callable[[], Any]] = {
        "thresholds": lambda: rng.choice([1e-3, 0.1, 1, 8, 1e6]) if rng.random() < 0.9 else _number(rng),
        "lateral": lambda: float(rng.choice([0, 0, 1e-6, 0.5, 1, 100, 1e6])),
        "gain_floor": lambda: ["auto", "none", 0.5][rng.integers(3)],
        "neuron.tau_m": lambda: float(rng.choice([1.1, 2, 64, 1e6])),
        "neuron.tau_s": lambda: float(rng.choice([1.001, 1.5, 8, 63])),
        "neuron.refractory": lambda: int(rng.choice([1, 1, 2, 2, 3, 20, 1000])),
        "neuron.slack": lambda: float(rng.choice([0, 1e-6, 1e-4])),
        "psp.window": lambda: rng.choice([4, 10, 63, 64, 65, 300, 1100, 2**31 - 1]).item(),
        "psp.silent_psp": lambda: float(rng.choice([0, 0.1, 1000])),
        "loss.loss": lambda: str(rng.choice(["rate", "softmax"])),
        "loss.fill": lambda: bool(rng.random() < 0.7),
        "loss.target": lambda: int(rng.choice([1, 2, 20, 10**6])),
        "loss.lateral_limit": lambda: rng.choice([1, 10, 1e6]).item(),
        "optim.kind": lambda: str(rng.choice(["adam", "sgd"])),
        "optim.rate": lambda: rng.choice([1e-6, 0.01, 10]) if rng.random() < 0.8 else _number(rng),
        "optim.beta1": lambda: float(rng.choice([0, 0.9, 0.999999])),
        "optim.regularisation.strength": lambda: float(rng.choice([0, 0.2, 1e6])),
        "optim.regularisation.steepness": lambda: float(rng.choice([0, 0.04, 100])),
        "precision": lambda: str(rng.choice(["float32", "float64"])),
    }
    arch = "-".join(str(n) for n in rng.choice(_SIZES, rng.integers(1, 4)))
    changes: dict[str, Any] = {"arch": arch, "thresholds": 1.0}
    changes |= {"loss.target": 1, "loss.off_target": 0, "loss.margin": 0}
    changes |= {name: draw() for name, draw in draws.items() if rng.random() < 0.25}
    return TrainSettings().override(
        {name: value.item() if isinstance(value, np.generic) else value for name, value in changes.items()}
    )


def _batch(rng: np.random.Generator, units: int, classes: int) -> PackedBatch:
    """Return a batch of samples of different lengths, with set bits past them."""
    samples, longest = int(rng.integers(0, 6)), int(rng.choice(_STEPS))
    steps = rng.integers(0, longest + 1, samples).astype(np.uint32)
    width = -(-longest // 8) + int(rng.random() < 0.2)
    density = rng.choice([0, 0.02, 0.5, 1])
    bits = np.packbits(rng.random((samples, units, 8 * width)) < density, axis=-1, bitorder="little")
    labels = rng.integers(0, classes, samples).astype(np.int32)
    return PackedBatch(bits, steps, labels, np.arange(samples))


def _network(rng: np.random.Generator, settings: TrainSettings, units: int, classes: int) -> Network:
    """Return a network whose weights are of any size, some of them not finite."""
    layers, backend = build_layers(settings.arch, (units,), classes), _BACKENDS[settings.precision]
    states = []
    for layer in layers:
        weight = rng.uniform(-1, 1, layer.specs()["weight"].shape) * rng.choice([1e-30, 0.5, 5, 1e37])
        if rng.random() < 0.1:
            weight.flat[rng.integers(weight.size)] = rng.choice([np.nan, np.inf, -np.inf])
        states.append({"weight": ParameterState.fresh(weight.astype(backend.dtype))})
    return build_network(backend, settings.rule, layers, states, fused=bool(rng.random() < 0.9))


def _train(rng: np.random.Generator) -> None:
    settings, units, classes = _settings(rng), int(rng.choice(_SIZES)), int(rng.choice(_SIZES))
    network = _network(rng, settings, units, classes)
    for step in (1, 2):
        batch = _batch(rng, units, classes)
        if not len(batch):
            continue
        weight = rng.random(len(batch)) if rng.random() < 0.5 else None
        result = network.train_step(batch, settings.optim, step, settings.optim.rate, sample_weight=weight)
        assert result.counts.shape == (len(batch), classes)
        assert (result.counts >= 0).all()
        assert (result.counts <= batch.steps[:, None]).all()
        assert (network.counts(batch) <= batch.steps[:, None]).all()


class _Files:
    """A store of 20 + 20 digits of 24 steps, and a run of one epoch on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.run = folder, folder / "digits.zarr", folder / "run"
        encode(load_recipe("digits").override({"poisson.steps": "24"}), str(self.store), limit=20)
        small = {"arch": "6", "epochs": 1, "loss.target": 6, "loss.off_target": 1, "loss.margin": 1}
        self.settings = TrainSettings().override(small)
        self._trainer(self.store, self.run).run()

    def _trainer(self, store: Path, run: Path) -> Trainer:
        return Trainer(SpikeStore.open(store), RunFolder(run), self.settings, _BACKENDS["float32"])

    def checkpoint(self, rng: np.random.Generator) -> None:
        """Predict with a checkpoint that has other arrays, under right checksums."""
        arrays, record = load_checkpoint(self.run / "best.npz")
        name = str(rng.choice(list(arrays)))
        array = arrays[name]
        kind = rng.integers(4)
        if kind == 0:
            array = array.T
        elif kind == 1:
            array = np.zeros(rng.integers(0, 70, int(rng.integers(1, 4))), array.dtype)
        elif kind == 2:
            array = array.astype(rng.choice(["f2", "f8", "i4", "u1", ">f4"]))
        else:
            array = array.view(np.uint32) ^ rng.integers(0, 2**32, array.shape, np.uint32)
            array = array.view(np.float32)
        place = self.folder / "changed"
        shutil.copytree(self.run, place)
        try:
            save_checkpoint(place / "best.npz", arrays | {name: array}, record)
            network = load_network(RunFolder(place), _BACKENDS["float32"])
            network.counts(SpikeStore.open(self.store)["test"].packed(slice(0, 4)))
        finally:
            shutil.rmtree(place)

    def changed_store(self, rng: np.random.Generator) -> None:
        """Train on a store in which one array has other values, under right checksums."""
        store, run = self.folder / "changed.zarr", self.folder / "changed"
        shutil.copytree(self.store, store)
        try:
            array = zarr.open_array(
                str(store), path=f"train/{rng.choice(['steps', 'labels', 'spikes'])}", mode="r+"
            )
            values = np.array(array[:])
            info = np.iinfo(values.dtype)
            where = rng.random(values.shape) < 0.3
            wild = rng.integers(info.min, info.max, values.shape, values.dtype, endpoint=True)
            values[where] = (wild % 30 if rng.random() < 0.5 else wild)[where]
            array[:] = values
            unbind(store)
            self._trainer(store, run).run()
        finally:
            shutil.rmtree(store)
            shutil.rmtree(run, ignore_errors=True)


def fuzz(count: int, seed: int = 0) -> Counter[str]:
    """Run `count` cases; return how many ended in a result and how many in an error of ours, by kind."""
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        files = _Files(Path(folder))
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            share = rng.random()
            kind = (
                ("settings", _train)
                if share < 0.7
                else ("checkpoint", files.checkpoint)
                if share < 0.9
                else ("store", files.changed_store)
            )
            try:
                kind[1](rng)
                ends[f"{kind[0]}: computed"] += 1
            except SpikeprepError:
                ends[f"{kind[0]}: refused"] += 1
            except BaseException as error:
                raise AssertionError(f"case {number} of seed {seed}, {kind[0]}: {error!r}") from error
    return ends


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    for end, times in sorted(fuzz(*numbers).items()):
        print(f"{end} {times:,}")
