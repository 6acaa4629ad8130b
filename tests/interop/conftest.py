"""Stores of a few samples of spikes that are known."""

from __future__ import annotations

import numpy as np
import pytest

import spikeprep


def samples(number: int, unit_shape: tuple[int, ...], lengths: tuple[int, ...], seed: int = 0):
    """Return samples bool (time, *unit_shape) and labels: lengths repeat, and in each class other units fire more."""
    rng, labels = np.random.default_rng(seed), np.arange(number) % 3
    units = np.arange(np.prod(unit_shape)).reshape(unit_shape)
    rates = [0.1 + 0.3 * (units % 3 == label) for label in labels]
    return [
        rng.random((lengths[n % len(lengths)], *unit_shape)) < rate for n, rate in enumerate(rates)
    ], labels


def write(path, spikes, labels, **more):
    return spikeprep.write_store(path, spikes, labels, dt=0.002, classes=["a", "b", "c"], **more)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A store of 40 samples of 20 steps of 2 × 3 × 5 units (channel, row, column), and its spikes."""
    spikes, labels = samples(40, (2, 3, 5), (20,))
    path = tmp_path_factory.mktemp("interop") / "images.zarr"
    write(path, spikes, labels)
    return spikeprep.open_store(path), np.stack(spikes)


@pytest.fixture(scope="session")
def ragged(tmp_path_factory):
    """A store of 23 samples of 9, 17 or 30 steps of 6 units, and its spikes."""
    spikes, labels = samples(23, (6,), (9, 17, 30))
    path = tmp_path_factory.mktemp("interop") / "ragged.zarr"
    write(path, spikes, labels)
    return spikeprep.open_store(path), spikes
