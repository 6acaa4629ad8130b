"""Mutated settings, recipes and files of a run: the configuration, the journal and both checkpoints."""

from __future__ import annotations

import atexit
import functools
import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spikeprep_cli.options import parse_settings

from spikeprep.api.training import run_settings
from spikeprep.config import leaves
from spikeprep.cpu.backend import CpuBackend
from spikeprep.encoding.run import encode
from spikeprep.recipes import load_recipe, parse_value
from spikeprep.results import Run, epoch_rows
from spikeprep.store import SpikeStore
from spikeprep.train.checkpoint import load_checkpoint, save_checkpoint
from spikeprep.train.other_stores import fit
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.settings import TrainSettings
from spikeprep.train.trainer import Trainer, load_network

from .fuzzing import LONG, Target, both_lengths, check

_SETTINGS = {"arch": "6", "epochs": 2, "loss.target": 6, "loss.off_target": 1, "loss.margin": 1, "batch": 8}
_SMALL = 50_000_000  # multiplications of a sample, at most: the networks of larger layers are not computed


@functools.cache
def _run() -> tuple[SpikeStore, Path]:
    """Return a store of 20 + 20 digits of 24 steps, and a run of two epochs on it."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    encode(load_recipe("digits").override({"poisson.steps": "24"}), str(folder / "digits.zarr"), limit=20)
    store = SpikeStore.open(folder / "digits.zarr")
    Trainer(
        store, RunFolder(folder / "run"), TrainSettings().override(_SETTINGS), CpuBackend(threads=1)
    ).run()
    return store, folder / "run"


def _copy(folder: Path, name: str, data: bytes) -> RunFolder:
    """Copy the run, with other content in one of its files."""
    place = folder / "run"
    shutil.copytree(_run()[1], place)
    (place / name).write_bytes(data)
    (place / "last.previous.npz").unlink()
    return RunFolder(place)


def _file(name: str) -> Any:
    return lambda: [(_run()[1] / name).read_bytes()]


# ---------------------------------------------------------------- settings and recipes

_SETS = """arch=800-800
epochs=15
batch=32
seed=7
init=[0.5, 1.0]
boost=true
validation=0.05
test_every=0
precision=float64
optim.kind=sgd
optim.rate=0.005
optim.schedule=inverse-sqrt
optim.beta1=0.9
optim.epsilon=1e-8
optim.regularisation.strength=[0.06, 1]
thresholds=[20, 8]
thresholds=auto
lateral=1.0
gain_floor=none
neuron.tau_m=64
neuron.tau_s=8.0
neuron.refractory=2
neuron.slack=1e-6
psp.window=256
psp.window=none
psp.silent_psp=0.1
loss.loss=softmax
loss.target=35
loss.margin=5
loss.lateral_limit=10.0
rule=hm2bp
optim={rate = 0.1, kind = "adam"}"""


def _set_lines() -> list[bytes]:
    lines = _SETS.splitlines()
    return [line.encode() for line in lines] + ["\n".join(lines[n : n + 3]).encode() for n in (0, 9, 20)]


def _set(data: bytes, folder: Path) -> object:
    """Read options of the command line as it does."""
    pairs = data.replace(b"\0", b"").decode(errors="surrogateescape").split("\n")
    values = {name: parse_value(text) for name, text in parse_settings(pairs).items()}
    return _check_settings(run_settings({}, values))


def _values() -> list[bytes]:
    return [bytes([n]) + line.partition("=")[2].encode() for n, line in enumerate(_SETS.splitlines())]


def _value(data: bytes, folder: Path) -> object:
    """Give a value to one setting: the first byte chooses which."""
    lines = _SETS.splitlines()
    name = lines[data[0] % len(lines) if data else 0].partition("=")[0]
    return _set(name.encode() + b"=" + data[1:].replace(b"\n", b" "), folder)


def _check_settings(settings: TrainSettings) -> TrainSettings:
    text = json.dumps(settings.to_json(), allow_nan=False)
    assert TrainSettings.from_json(json.loads(text)) == settings
    return settings


def _recipes() -> list[bytes]:
    return [load_recipe(name).to_toml().encode() for name in ("digits", "fsdd", "nmnist", "mnist")]


def _recipe(data: bytes, folder: Path) -> object:
    path = folder / "recipe.toml"
    path.write_bytes(data)
    recipe = load_recipe(path)
    recipe.build_chain()
    assert recipe.settings()
    return _check_settings(run_settings(leaves(recipe.train), {}))


# ---------------------------------------------------------------- files of a run


def _config(data: bytes, folder: Path) -> object:
    """Open a run, show it, and evaluate with it: its checkpoints have the same configuration."""
    store, _ = _run()
    place = _copy(folder, "config.json", data)
    config = place._read_config().to_json()
    for path in (place.last, place.best):
        arrays, record = load_checkpoint(path)
        save_checkpoint(path, arrays, record | {"config": config})
    run = Run(place.path)
    assert run.describe()
    assert str(run)
    fit(run.folder.config(), store)
    return _counts(run.folder)


def _counts(folder: RunFolder) -> object:
    store, _ = _run()
    config = folder.config()
    layers = config.layers()
    network = load_network(folder, CpuBackend(config.settings.precision, threads=1))
    if sum(layer.units * 64 for layer in layers) * 24 < _SMALL:
        return network.counts(store["test"].packed(slice(0, 4)))
    return None


def _journal(data: bytes, folder: Path) -> object:
    run = Run(_copy(folder, "journal.jsonl", data).path)
    run.folder.last.unlink()  # its epochs would be shown
    rows = epoch_rows(run.history)
    run.folder.journal.append({"event": "start"})
    assert epoch_rows(run.history) == rows
    assert json.dumps(run.describe(), allow_nan=False)
    return rows


def _best(data: bytes, folder: Path) -> object:
    return _counts(_copy(folder, "best.npz", data))


def _last(data: bytes, folder: Path) -> object:
    """Resume a run: it is finished, so that this only reads."""
    store, _ = _run()
    run = _copy(folder, "last.npz", data)
    settings = run.resumed_settings(store, {}, None)
    trainer = Trainer(store, run, settings, CpuBackend(threads=1), resume=True)
    try:
        json.dumps(trainer.summary(), allow_nan=False)
    finally:
        run.release()
    return trainer.step


def _member(archive: str, member: str) -> Any:
    """Return the content of one member of a checkpoint."""

    def seeds() -> list[bytes]:
        with zipfile.ZipFile(_run()[1] / archive) as file:
            return [file.read(f"{member}.npy")]

    return seeds


def _with_member(archive: str, member: str, read: Any) -> Any:
    """Return a reader of a checkpoint in which one member is other bytes, under a right checksum."""

    def replaced(data: bytes, folder: Path) -> object:
        buffer = io.BytesIO()
        with (
            zipfile.ZipFile(_run()[1] / archive) as source,
            zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target,
        ):
            for info in source.infolist():
                name = info.filename
                target.writestr(name, data if name == f"{member}.npy" else source.read(name))
        return read(buffer.getvalue(), folder)

    return replaced


def _records() -> list[bytes]:
    with np.load(_run()[1] / "last.npz") as file:
        return [file["record"].tobytes()]


def _record(data: bytes, folder: Path) -> object:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.frombuffer(data, np.uint8))
    return _with_member("last.npz", "record", _last)(buffer.getvalue(), folder)


TARGETS = [
    Target("--set", _set_lines, _set),
    Target("--set, its value", _values, _value),
    Target("recipe", _recipes, _recipe),
    Target("config.json", _file("config.json"), _config),
    Target("journal.jsonl", _file("journal.jsonl"), _journal),
    Target("best.npz", _file("best.npz"), _best),
    Target("last.npz", _file("last.npz"), _last),
    Target("last.npz, its record", _records, _record),
    Target(
        "best.npz, an array",
        _member("best.npz", "layer0.weight"),
        _with_member("best.npz", "layer0.weight", _best),
    ),
    Target(
        "last.npz, an array", _member("last.npz", "predicted"), _with_member("last.npz", "predicted", _last)
    ),
]


LONG_ONLY = TARGETS[-3:]  # tests/train/test_run_folder.py has examples of these


@both_lengths(TARGETS[:-3])
def test_mutated_settings_and_runs(target, count):
    check(target, count)


@pytest.mark.slow
@pytest.mark.parametrize("target", LONG_ONLY, ids=lambda target: target.name)
def test_mutated_parts_of_checkpoints(target):
    check(target, LONG)


def test_the_seeds_are_valid():
    for target in TARGETS:
        for data in target.seeds():
            with tempfile.TemporaryDirectory() as folder:
                assert target.read(data, Path(folder)) is not None
