"""Transforms against what others made: the published stabilisation, and tonic where its rule agrees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprep.data import EVENT, Events
from spikeprep.transforms import BackgroundFilter, StabiliseSaccades

from ...assets import asset
from ...strategies import recordings


def golden(r: int) -> tuple[dict, Events]:
    with np.load(asset("golden/events_bin.npz")) as file:
        arrays = {name.removesuffix(f"_{r}"): file[name] for name in file.files if name.endswith(f"_{r}")}
    events = np.zeros(len(arrays["t"]), EVENT)
    for axis in "xytp":
        events[axis] = arrays[axis]
    return arrays, Events.of(events, (34, 34))


@pytest.mark.parametrize("r", [0, 1])
def test_the_published_stabilisation(r):
    arrays, events = golden(r)
    kept = arrays["stable_keep"]
    result = StabiliseSaccades()(events).array
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(result["x"], arrays["stable_x"][kept])
    np.testing.assert_array_equal(result["y"], arrays["stable_y"][kept])
    np.testing.assert_array_equal(result["t"], arrays["t"][kept])
    np.testing.assert_array_equal(result["p"], arrays["p"][kept])


def test_halves_are_rounded_away_from_zero():
    """At t = 15 000 an event has moved by half a pixel to the left and one up; late ones are far away."""
    events = np.zeros(4, EVENT)
    events["x"], events["y"], events["t"] = [0, 1, 2, 5], [1, 1, 3, 5], [15_000, 15_000, 15_000, 1 << 61]
    assert StabiliseSaccades()(Events.of(events, (34, 34))).array.tolist() == [
        (1, 0, 15_000, 0),
        (2, 2, 15_000, 0),
    ]


@given(recordings(most=200), st.sampled_from([1, 10, 1000, 9000]))
def test_background_activity_as_in_tonic(events, tau):
    """Tonic takes every pixel to have fired at t = 0, so the recording begins at τ."""
    denoise = pytest.importorskip("tonic.functional").denoise_numpy
    events.array["t"] += tau
    expected = denoise(events.array, tau) if len(events.array) else events.array
    found = BackgroundFilter(tau, neighbours=4)(events).array
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("tau", [1000, 10_000])
def test_background_activity_of_a_recording_as_in_tonic(tau):
    denoise = pytest.importorskip("tonic.functional").denoise_numpy
    _, events = golden(0)
    late = events.array["t"] >= tau
    found, expected = BackgroundFilter(tau, neighbours=4)(events).array, denoise(events.array, tau)
    assert found[found["t"] >= tau].tolist() == expected[expected["t"] >= tau].tolist()
    assert 0 < len(found) < late.sum()
