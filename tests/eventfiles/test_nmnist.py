"""N-MNIST and N-Caltech101 .bin: golden recordings, the reference, clocks that wrap."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprep.data import EVENT
from spikeprep.errors import DataError
from spikeprep.eventfiles import open_events, outline, read
from spikeprep.eventfiles.nmnist import decode_reference

from ..assets import asset
from .test_formats import FORMS, recording
from .test_references import decoded, same
from .writing import events_of, nmnist_bytes


@pytest.mark.parametrize("number", [0, 1])
def test_the_golden_recordings(tmp_path, number):
    golden = np.load(asset("golden/events_bin.npz"))
    path = tmp_path / "00001.bin"
    path.write_bytes(golden[f"raw_{number}"].tobytes())
    events = read(path)
    assert (events.size, events.polarities, events.start) == ((34, 34), 2, 0)
    assert events.array.dtype == EVENT
    for name in "txyp":
        np.testing.assert_array_equal(events.array[name], golden[f"{name}_{number}"])
    np.testing.assert_array_equal(outline(path).array, events.array[-1:])
    np.testing.assert_array_equal(open_events(path, piece_events=1000).array, events.array)


@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_the_kernel_and_the_reference_agree_on_any_bytes(tmp_path_factory, seed, count):
    raw = np.random.default_rng(seed).integers(0, 256, 5 * count, np.uint8)
    raw[1::5][np.random.default_rng(seed).random(count) < 0.1] = 240
    got, _ = decoded(tmp_path_factory.mktemp("any"), "nmnist", ".bin", raw.tobytes())
    same(got, decode_reference(raw))


def test_a_clock_of_23_bits_is_unwrapped(tmp_path):
    t = np.array([2**23 - 7, 2**23 - 1, 2**23, 2**23 + 5, 2**23 + 2**22, 2**24 - 9])
    path = tmp_path / "long.bin"
    path.write_bytes(nmnist_bytes(events_of(1, 2, t, [0, 1] * 3)))
    np.testing.assert_array_equal(read(path).array["t"], t)


def test_a_record_of_row_240_moves_the_clock_and_is_no_event(tmp_path):
    path = tmp_path / "image_0001.bin"
    path.write_bytes(nmnist_bytes(events_of([5, 0, 239], [6, 240, 179], [8000, 8191, 3], [1, 0, 0])))
    events = read(path, format="ncaltech101")
    assert events.size == (240, 180)
    assert events.array.tolist() == [(5, 6, 8000, 1), (239, 179, 8192 + 3, 0)]


def test_events_off_the_sensor_are_refused(tmp_path):
    path = tmp_path / "image_0001.bin"
    path.write_bytes(nmnist_bytes(events_of([5, 200], [6, 7], [1, 2], [1, 0])))
    with pytest.raises(
        DataError, match=r"event 1 at byte 5: x 200, y 7 lies off .*below 34.*Give size=\(width, height\)"
    ):
        read(path)
    assert read(path, size=(240, 180)).array["x"].tolist() == [5, 200]


@pytest.mark.parametrize("invalid", ["fail", "drop"])
def test_a_recording_of_ncaltech101_that_is_not_named_so(tmp_path, invalid):
    events = recording(FORMS["ncaltech101"], 400)
    path = FORMS["ncaltech101"].put(tmp_path, events)
    with pytest.raises(DataError) as refused:
        read(path, invalid=invalid)
    (name,) = re.findall(r"pass format='(\w+)' if the recording is of N-Caltech101", refused.value.hint)
    assert len(read(path, invalid=invalid, format=name).array) == 400
    with pytest.raises(DataError) as refused:
        read(path, format=name, size=(34, 34))
    assert "ncaltech101" not in refused.value.hint
