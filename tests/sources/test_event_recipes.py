"""Published event recordings in folders of classes: N-CARS and CIFAR10-DVS."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from spikeprep.api import encode, open_store
from spikeprep.eventfiles import read
from spikeprep.recipes import load_recipe

from ..assets import asset
from ..eventfiles.writing import aedat2_bytes, dat_bytes, events_of

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cars(root, pattern="{split}"):
    """Write recordings of N-CARS' layout: cars and background below each split."""
    for split, count in (("train", 4), ("test", 2)):
        for name in ("cars", "background"):
            folder = root / pattern.format(split=split) / name
            folder.mkdir(parents=True)
            for n in range(count):
                t = np.arange(50) * 2000
                events = events_of(np.arange(50) + n, np.arange(50) % 40, t, np.arange(50) % 2)
                (folder / f"obj_{n:06}_td.dat").write_bytes(dat_bytes(events))
    return root


@pytest.mark.parametrize("pattern", ["{split}", "n-cars_{split}", "n-cars_{split}/{split}"])
def test_n_cars(tmp_path, pattern):
    source = load_recipe("n-cars").open_source(cars(tmp_path, pattern))
    assert dict(source.splits()) == {"train": 8, "test": 4}
    assert source.classes == ("background", "cars")
    sample = source.read("test", 0)
    assert sample.signal.size == (120, 100)
    assert len(sample.signal.array) == 50


def test_n_cars_of_real_recordings(tmp_path):
    """Two recordings as published: every event is in the store, in its bin of 1 ms."""
    for split in ("train", "test"):
        for name, file in (
            ("cars", "loris_NCARS_obj_004397_td.dat"),
            ("background", "tonic_sample_ncars.dat"),
        ):
            folder = tmp_path / f"n-cars_{split}" / name
            folder.mkdir(parents=True)
            shutil.copy(asset(f"data/event_files/{file}"), folder / "obj_000001_td.dat")
    encode("n-cars", tmp_path / "s.zarr", source=tmp_path)
    test = open_store(tmp_path / "s.zarr")["test"]
    events = read(tmp_path / "n-cars_test/background/obj_000001_td.dat", size=(120, 100)).array
    assert len(events) == 2009  # as its publisher's own reader counts
    expected = np.zeros((100, 2, 100, 120), bool)
    expected[events["t"] // 1000, events["p"], events["y"], events["x"]] = True
    sample = test.ids.tolist().index("n-cars_test/background/obj_000001_td.dat")
    np.testing.assert_array_equal(test[sample], expected.reshape(100, -1))


def test_cifar10_dvs(tmp_path):
    """DVS128's addresses, in files whose header names no camera; a tenth of each class is the test split."""
    for label, name in enumerate(CIFAR10):
        (tmp_path / name).mkdir()
        for n in range(10):
            t = 1000 + np.arange(40) * 30_000
            events = events_of(
                (np.arange(40) * 3 + label) % 128, (np.arange(40) + n) % 128, t, np.arange(40) % 2
            )
            data = aedat2_bytes(events, "DVS128")
            lines = [line for line in data.split(b"\r\n") if b"AEChip" not in line]
            (tmp_path / name / f"cifar10_{name}_{n}.aedat").write_bytes(b"\r\n".join(lines))
        (tmp_path / f"{name}.zip").write_bytes(b"the archive")
    source = load_recipe("cifar10-dvs").open_source(tmp_path)
    assert source.classes == CIFAR10
    assert dict(source.splits()) == {"train": 90, "test": 10}
    assert sorted(source.read("test", n).label for n in range(10)) == list(range(10))
    sample = source.read("test", 0)
    assert sample.signal.size == (128, 128)
    assert sample.signal.array["t"].tolist() == [30_000 * n for n in range(40)]
    other = load_recipe("cifar10-dvs").override({"source.split_seed": "1"}).open_source(tmp_path)
    assert {other.read("test", n).id for n in range(10)} != {source.read("test", n).id for n in range(10)}
