"""spikeprep on the same tasks: whole training steps of HM2-BP, from the packed bits of a store on."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

from benchmarks.train import network
from benchmarks.train import timed as timed_batches
from spikeprep import write_store
from spikeprep.store import SpikeStore
from spikeprep.train.settings import TrainSettings

from .task import Task

TIMES = 4
"""So many of our batches are timed for one of a peer's: they are shorter."""


def measure(task: Task, thresholds: Any = "auto") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return milliseconds per sample to train and to infer, of each batch; thresholds are calibrated by default."""
    samples = TIMES * task.batches * task.batch
    hidden = "-".join(str(layer.units) for layer in task.layers[:-1])
    chosen = {"arch": hidden, "batch": task.batch, "thresholds": thresholds}
    with tempfile.TemporaryDirectory() as folder:
        classes = [str(n) for n in range(task.layers[-1].units)]
        write_store(
            f"{folder}/a.zarr",
            (
                (task_spikes[:, n], int(label))
                for start in range(0, samples, task.batch)
                for task_spikes, labels in [batch_of(task, start)]
                for n, label in enumerate(labels)
            ),
            dt=0.001,
            classes=classes,
        )
        store = SpikeStore.open(f"{folder}/a.zarr")
        settings = TrainSettings().override(chosen)
        net = network(store, settings, None, composed=False)
        first = store["train"].packed(slice(task.batch))
        net = replace(net, rule=net.rule.calibrated(net.backend, net.layers, net.devices, first))
        timed_batches(store, settings, net, 2 * task.batch)  # compiles
        times = timed_batches(store, settings, net, samples)
    return tuple(times["train"]), tuple(times["infer"])


def batch_of(task: Task, number: int) -> Any:
    """Return the spikes and labels of one batch; each number has others."""
    other = replace(task, seed=task.seed + number)
    return other.spikes(), other.labels()
