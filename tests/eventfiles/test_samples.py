"""Real recordings of several cameras, against counts and hashes from other decoders."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from spikeprep.data import EVENT
from spikeprep.errors import DataError
from spikeprep.eventfiles import open_events, outline, read

from ..assets import asset

SIZES = {
    "tonic_sample.aedat4": (320, 240),
    "tonic_sample_ncars.dat": (304, 240),
    "expelliarmus_evt2_sample.raw": (640, 480),
    "expelliarmus_evt3_test_pedestrians.raw": (1280, 720),
    "loris_NCARS_obj_004397_td.dat": (304, 240),
    "loris_test.es": (54, 239),
    "PyAedatTools_IMU_translBoxes.aedat": (240, 180),
    "jAER_DVS128-2017-03-21-short.aedat": (128, 128),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_sample_is_decoded_bit_for_bit(name):
    path = asset(f"data/event_files/{name}")
    expected = json.loads((path.parent / "EXPECTED.json").read_text())[name]
    events = read(path)
    array = events.array
    assert array.dtype == EVENT
    assert events.size == SIZES[name]
    assert len(array) == expected["n_events"]
    for field in "txyp":
        values = array[field].astype("<i8") + (events.start if field == "t" else 0)
        assert hashlib.sha256(values.tobytes()).hexdigest() == expected["sha256_int64le"][field], field
    assert array["t"][0] == (0 if events.start else expected["t_first"])

    np.testing.assert_array_equal(outline(path).array, array[-1:])
    for piece_events in (1000, 1 << 20):
        streamed = open_events(path, piece_events=piece_events)
        assert (streamed.size, streamed.start) == (events.size, events.start)
        assert all(len(piece) <= piece_events for piece in streamed.pieces)
        np.testing.assert_array_equal(streamed.array, array)


def test_every_sample_is_covered():
    expected = json.loads(asset("data/event_files/EXPECTED.json").read_text())
    assert {name for name, facts in expected.items() if "sha256_int64le" in facts} == set(SIZES)


def test_packets_of_text_are_not_a_recording():
    with pytest.raises(DataError, match=r"faery_generic\.es holds generic packets, not camera data"):
        read(asset("data/event_files/faery_generic.es"))
