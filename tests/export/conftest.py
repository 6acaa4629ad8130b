from __future__ import annotations

import numpy as np
import pytest

import spikeprep


def spikes(samples: int, steps: int, units: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """Random spikes bool (time, unit), the samples of different lengths."""
    rng = np.random.default_rng(seed)
    lengths = steps - np.arange(samples) % 5
    return [rng.random((n, *units)) < 0.2 + 0.2 * (k % 2) for k, n in enumerate(lengths)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="session")
def store(folder):
    """A store with a colour axis at the end, so that the units of a grid have to be put in order."""
    samples = {"train": spikes(12, 40, (7, 6, 2), 1), "test": spikes(8, 40, (7, 6, 2), 2)}
    items = [(train, n % 2, split) for split, trains in samples.items() for n, train in enumerate(trains)]
    return spikeprep.write_store(folder / "grid.zarr", items, dt=0.0006, classes=["quiet", "loud"])


def _train(store, run, arch, settings, rule=None):
    settings = {"init": 2.0, "validation": 0.0} | settings
    return spikeprep.train(
        store,
        run=run,
        arch=arch,
        rule=rule,
        epochs=1,
        batch=4,
        device="cpu",
        settings=settings,
        progress=False,
    )


@pytest.fixture(scope="session")
def grid_run(store, folder):
    """A network with every layer kind that NIR can say."""
    settings = {"thresholds": [0.5, 1.5, 1.0, 0.5], "loss.target": 8, "optim.rate": 1e-4, "seed": 4}
    return _train(store, folder / "grid-run", "3C3p1-P2-9", settings)


@pytest.fixture(scope="session")
def lee_run(store, folder):
    return _train(store, folder / "lee-run", "2C3-P2-5", {"init": 0.5}, rule="lee2016")
