"""xarray's engine: names, coordinates and attributes; spikes are read when they are used, whatever selects them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import spikeprep
from spikeprep.errors import StoreError, UsageError

xarray = pytest.importorskip("xarray")
from spikeprep.interop.xarray import dataset  # noqa: E402
from tests.interop.conftest import samples, write  # noqa: E402


@pytest.fixture(scope="module")
def data(images):
    return xarray.open_dataset(images[0].path, engine="spikeprep", split="train")


def test_axes_coordinates_and_attributes(images, data):
    assert data.spikes.dims == ("sample", "time", "channel", "y", "x")
    assert data.spikes.shape == (40, 20, 2, 3, 5)
    assert np.allclose(data.time, 0.002 * np.arange(20))
    assert data.time.attrs["units"] == "s"
    assert data.class_name.values.tolist() == [str("abc"[n % 3]) for n in range(40)]
    assert data.label.dims == data.id.dims == data.length.dims == ("sample",)
    assert data.attrs["dt"] == 0.002
    assert data.attrs["classes"] == ["a", "b", "c"]
    assert json.loads(data.attrs["chain"]) == []
    assert (data["count"] == data.spikes.sum(["time", "channel", "y", "x"])).all()


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"sample": 3},
        {"sample": [7, 2, 2], "time": slice(None, None, -3)},
        {"time": 4, "channel": 1, "y": [2, 0]},
        {"sample": slice(30, 10, -7), "x": slice(1, 4), "time": [19, 0, 5]},
        {"sample": 0, "time": 0, "channel": 0, "y": 0, "x": 0},
        {"sample": []},
        {"time": slice(3, 3)},
    ],
)
def test_what_is_selected_is_read(images, data, index):
    everything = xarray.DataArray(images[1], dims=data.spikes.dims)
    assert (data.spikes.isel(index).values == everything.isel(index).values).all()
    assert data.spikes.isel(index).shape == everything.isel(index).shape


def test_selections_by_pairs_and_by_class(images, data):
    everything = xarray.DataArray(images[1], dims=data.spikes.dims)
    pairs = {"sample": xarray.DataArray([1, 8], dims="p"), "time": xarray.DataArray([19, 3], dims="p")}
    assert (data.spikes.isel(pairs).values == everything.isel(pairs).values).all()
    rate = data.spikes[data.class_name == "b"].mean(["sample", "time"])
    assert np.allclose(rate, images[1][np.arange(40) % 3 == 1].mean((0, 1)))


def test_units_of_other_shapes(ragged, tmp_path):
    one = dataset(ragged[0]["train"])
    assert one.spikes.dims == ("sample", "time", "unit")
    assert one.length.values[:3].tolist() == [9, 17, 30]
    assert not one.spikes.values[0, 9:].any()
    for shape, dims in {
        (4, 5): ("y", "x"),
        (6, 5, 1): ("y", "x", "channel"),
        (5, 6, 7): ("unit_0", "unit_1", "unit_2"),
        (2, 3, 4, 5): ("unit_0", "unit_1", "unit_2", "unit_3"),
    }.items():
        path = tmp_path / f"{len(shape)}{shape[0]}.zarr"
        write(path, *samples(4, shape, (10,)), groups=[5, 5, 6, 7])
        opened = dataset(spikeprep.open_store(path)["train"])
        assert opened.spikes.dims == ("sample", "time", *dims)
        assert opened.group.values.tolist() == [5, 5, 6, 7]


def test_what_cannot_be_opened(images, tmp_path):
    with pytest.raises(UsageError, match="no split 'tset'"):
        xarray.open_dataset(images[0].path, engine="spikeprep", split="tset")
    with pytest.raises(StoreError, match=r"none\.zarr"):
        xarray.open_dataset(tmp_path / "none.zarr", engine="spikeprep")


def test_variables_are_left_out_by_name(images):
    opened = xarray.open_dataset(images[0].path, engine="spikeprep", drop_variables=["id"])
    assert "id" not in opened.coords
    assert "spikes" in opened
