"""Stores as tonic's data sets, encoders as its transforms: frames of a store's events are the stored spikes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import spikeprep
from spikeprep.errors import DataError, UsageError
from spikeprep.interop.encoded import EncodedSplit
from spikeprep.interop.tonic import Encode, EventDataset
from spikeprep.packing import unpack
from tests.interop.conftest import samples, write


@pytest.mark.parametrize(
    ("shape", "last"), [((2, 3, 5), False), ((6, 5, 1), True), ((4, 5), False), ((7,), False)]
)
def test_frames_of_the_events_are_the_spikes(shape, last, tmp_path):
    transforms = pytest.importorskip("tonic.transforms")
    spikes, labels = samples(4, shape, (20, 11))
    write(tmp_path / "a.zarr", spikes, labels)
    data = pickle.loads(pickle.dumps(EventDataset(spikeprep.open_store(tmp_path / "a.zarr")["train"])))
    assert len(data) == 4
    for n, (expected, label) in enumerate(zip(spikes, labels, strict=True)):
        events, target = data[n]
        assert target == label
        frames = transforms.ToFrame(data.sensor_size, n_time_bins=len(expected), time_window=None)
        del frames
        columns, rows, channels = data.sensor_size
        dense = np.zeros((len(expected), channels, rows, columns), bool)
        dense[events["t"] // 2000, events["p"], events["y"], events["x"]] = True
        assert (events["t"] % 2000 == 0).all()
        grid = expected.transpose(0, 3, 1, 2) if last else expected
        assert (dense == grid.reshape(dense.shape)).all()


def test_tonic_bins_a_stores_events_to_its_spikes(images):
    transforms = pytest.importorskip("tonic.transforms")
    store, spikes = images
    data = EventDataset(store["train"])
    data.transform = transforms.ToFrame(data.sensor_size, time_window=2000)
    frames, _ = data[1]
    events = EventDataset(store["train"])[1][0]
    begin = events["t"][0] // 2000  # its windows begin with the first event
    assert (frames == spikes[1][begin : begin + len(frames)]).all()
    assert not spikes[1][begin + len(frames) :][:-1].any()


def test_transforms_of_the_data_set(images):
    data = EventDataset(images[0]["train"], transform=len, target_transform=lambda label: "abc"[label])
    assert data[4] == (int(images[1][4].sum()), "b")
    assert data[-1] == data[39]
    with pytest.raises(IndexError):
        data[40]


def events(t, x, y, p):
    return np.array(list(zip(t, x, y, p, strict=True)), [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "i1")])


def test_an_encoder_as_a_transform():
    recording = events([0, 900, 1000, 2500], [1, 0, 3, 1], [0, 2, 1, 0], [1, 0, 0, 1])
    encode = Encode([{"name": "dvs", "bin_us": 1000}], sensor_size=(4, 3, 2))
    spikes = encode(recording)
    assert spikes.shape == (3, 2, 3, 4)
    assert sorted(zip(*(n.tolist() for n in np.nonzero(spikes)), strict=True)) == [
        (0, 0, 2, 0), (0, 1, 0, 1), (1, 0, 1, 3), (2, 1, 0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (np.zeros((3, 4)), "a structured array of events"),
        (events([0], [9], [0], [0]), "x 9.*0 to 3.*sensor_size"),
        (events([5, 3], [0, 0], [0, 0], [0, 0]), "after one at.*order of t"),
    ],
)
def test_what_is_no_recording(recording, message):
    with pytest.raises(DataError, match=message):
        Encode([{"name": "dvs"}], sensor_size=(4, 3, 2))(recording)
    with pytest.raises(UsageError, match="dvz"):
        Encode([{"name": "dvz"}], sensor_size=(4, 3, 2))


def test_units_beyond_16_bits_and_steps_below_a_microsecond(tmp_path):
    spikes, labels = samples(2, (40_000,), (9,))
    write(tmp_path / "wide.zarr", spikes, labels)
    events = EventDataset(spikeprep.open_store(tmp_path / "wide.zarr")["train"])[0][0]
    steps, columns = np.nonzero(spikes[0].reshape(len(spikes[0]), -1))
    assert (events["x"] == columns).all()
    assert (events["t"] == 2000 * steps).all()
    spikeprep.write_store(tmp_path / "short.zarr", spikes, labels, dt=1e-7, classes=["a", "b", "c"])
    with pytest.raises(UsageError, match=r"steps of 0\.1 µs; expected at least 1 µs"):
        EventDataset(spikeprep.open_store(tmp_path / "short.zarr")["train"])


def test_samples_that_are_encoded_when_read():
    pytest.importorskip("sklearn")
    split = EncodedSplit("digits", limit=3)
    events, label = EventDataset(split)[1]
    batch = split.packed(np.array([1]))
    assert len(events) == unpack(batch.bits[0], int(batch.steps[0])).sum() > 100
    assert label == batch.labels[0]


@pytest.mark.parametrize("size", [(7, 5), "a", (7, 5, 3), (0, 5, 1), (7.5, 5, 1), None])
def test_what_is_no_sensor_size(size):
    with pytest.raises(UsageError, match="got sensor_size = "):
        Encode([{"name": "dvs", "bin_us": 1000}], size)


@pytest.mark.parametrize("chain", [[{}], "dvs", None, ["dvs"]])
def test_what_is_no_chain(chain):
    with pytest.raises(UsageError, match=r"got the chain .*a list of configurations"):
        Encode(chain, (7, 5, 1))
