"""A store's own split "validation" chooses the best epoch, and nothing of the training split is held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from spikeprep_cli.main import main

from spikeprep.cpu.backend import CpuBackend
from spikeprep.encoding.arrays import write_store
from spikeprep.store import SpikeStore
from spikeprep.train.evaluation import evaluate
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.splits import split_samples
from spikeprep.train.trainer import Trainer, load_network

from .test_trainer import SETTINGS

SIZES = {"train": 60, "validation": 20, "test": 30}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Three classes, of which each has units of its own that spike often; 60 steps."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("store") / "s.zarr"
    split = np.repeat(list(SIZES), list(SIZES.values()))
    labels = np.arange(len(split)) % 3
    rates = np.where(np.arange(24) // 8 == labels[:, None], 0.5, 0.1)
    spikes = rng.random((len(split), 60, 24)) < rates[:, None]
    write_store(path, spikes, labels, split=split, dt=0.001)
    return path


def test_the_samples_of_a_run(path):
    store = SpikeStore.open(path)
    samples = split_samples(store, SETTINGS, None)
    assert samples.training.tolist() == list(range(60))
    assert (samples.validation.tolist(), samples.validation_reader.split) == (list(range(20)), "validation")
    limited = split_samples(store, replace(SETTINGS, augment=True), 12)
    assert (len(limited.training), len(limited.validation)) == (12, 12)
    none = split_samples(store, replace(SETTINGS, validation=0.0), None)
    assert (len(none.training), len(none.validation), none.validation_reader.split) == (60, 0, "train")


def test_it_chooses_the_best_epoch(path, tmp_path):
    store, heard = SpikeStore.open(path), []
    settings = replace(SETTINGS, epochs=3)
    folder, backend = RunFolder(tmp_path / "run"), CpuBackend(threads=1)
    trainer = Trainer(store, folder, settings, backend, listener=heard.append)
    summary = trainer.run()
    history = trainer.history
    best = max(range(3), key=lambda n: (history[n]["validation_accuracy"], n))
    assert summary["best_epoch"] == best + 1
    result = evaluate(load_network(folder, backend), store["validation"], 3)
    assert result.samples == 20
    assert result.accuracy == history[best]["validation_accuracy"]
    (network,) = (record for record in heard if record["event"] == "network")
    assert network["lines"][-1] == "validation: the store's split validation, 20 samples"
    settings = folder.resumed_settings(store, {"epochs": 4}, None)
    resumed = Trainer(store, folder, settings, backend, resume=True)
    assert len(resumed.validation_samples) == 20
    assert resumed.run()["epochs"] == 4


def test_evaluate_it_by_the_command_line(path, tmp_path, capsys):
    run = str(tmp_path / "run")
    Trainer(SpikeStore.open(path), RunFolder(run), replace(SETTINGS, epochs=1), CpuBackend(threads=1)).run()
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", run, str(path), "--split", "validation", "--device", "cpu"])
    assert stop.value.code == 0
    assert "20 samples" in capsys.readouterr().out
