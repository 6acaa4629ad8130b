"""spikeprep on the same tasks: whole training steps of HM2-BP, from the packed bits of a store on."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace

from benchmarks.train import network
from spikeprep import write_store
from spikeprep.store import SpikeStore
from spikeprep.train.settings import TrainSettings

from .task import Task, Works

BATCHES = 4
"""Different ones that are trained on, and inferred, in turn."""


def works(task: Task) -> Works:
    """Return the network, its thresholds calibrated, with batches of a store."""
    hidden = "-".join(str(layer.units) for layer in task.layers[:-1])
    settings = TrainSettings().override({"arch": hidden, "batch": task.batch})
    with tempfile.TemporaryDirectory() as folder:
        write_store(
            f"{folder}/a.zarr",
            (
                (sample, int(label))
                for n in range(BATCHES)
                for drawn in [replace(task, seed=task.seed + n)]
                for sample, label in zip(drawn.spikes().swapaxes(0, 1), drawn.labels(), strict=True)
            ),
            dt=0.001,
            classes=[str(n) for n in range(task.layers[-1].units)],
        )
        store = SpikeStore.open(f"{folder}/a.zarr")
        net = network(store, settings, None, composed=False)
        reader = store["train"]
        batches = [reader.packed(slice(n, n + task.batch)) for n in range(0, len(reader), task.batch)]
    net = replace(net, rule=net.rule.calibrated(net.backend, net.layers, net.devices, batches[0]))
    trained, inferred, step = itertools.cycle(batches), itertools.cycle(batches), itertools.count(1)

    def train() -> None:
        net.train_step(next(trained), settings.optim, next(step), settings.optim.rate)

    return Works(train, lambda: net.counts(next(inferred)), warm=BATCHES)
