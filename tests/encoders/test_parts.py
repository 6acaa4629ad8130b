"""The spikes of a large sample, encoded one range of units after another, are those of the whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprep.data import EVENT, Events
from spikeprep.encoders import DVS, Poisson, event_bits
from spikeprep.errors import DataError
from spikeprep.random import SampleKey


def recording(seed=0, count=300, size=(7, 5), polarities=2):
    rng = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["x"], events["y"] = rng.integers(0, size[0], count), rng.integers(0, size[1], count)
    events["t"], events["p"] = np.sort(rng.integers(0, 40_000, count)), rng.integers(0, polarities, count)
    return Events((events,), size, polarities)


@given(
    st.lists(st.integers(0, 70), min_size=2, max_size=6, unique=True).map(sorted),
    st.sampled_from([{}, {"steps": 20}, {"bins": 33, "bin_us": 0}, {"bin_us": 600, "closed": "right"}]),
    st.sampled_from([1, 1 << 25]),
    st.booleans(),
)
def test_parts_of_a_recording(edges, settings, block, streamed):
    events, dvs = recording(), DVS(**settings)
    whole = dvs.encode(events)
    if streamed:
        events = Events([events.array[:100], events.array[100:]], events.size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_bits, "_BLOCK_BYTES", block)  # 64 steps, or all
        pairs = list(itertools.pairwise(edges))
        parts = list(dvs.encode_parts(events, pairs))
    for (start, stop), part in zip(pairs, parts, strict=True):
        assert part.steps == whole.steps
        np.testing.assert_array_equal(part.bits, whole.bits[start:stop])


@pytest.mark.parametrize("units", [(0, 210), (60, 150), (70, 71), (139, 141), (209, 210)])
def test_parts_with_levels(units):
    events, dvs = recording(count=3000), DVS(bin_us=5000, levels=3)
    (part,) = dvs.encode_parts(events, [units])
    whole = dvs.encode(events)
    np.testing.assert_array_equal(part.bits, whole.bits[units[0] : units[1]])
    assert whole.bits[150:].any()


def test_parts_of_any_other_encoder():
    poisson, key = Poisson(steps=50), SampleKey(1, "train", 0)
    image = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12
    whole = poisson.encode(image, rng=key)
    parts = list(poisson.encode_parts(image, [(0, 7), (7, 20)], rng=key))
    np.testing.assert_array_equal(np.concatenate([part.bits for part in parts]), whole.bits)


def test_an_event_off_the_sensor_is_in_no_part():
    events = recording()
    events.array["x"][5] = 7
    with pytest.raises(DataError, match="event 5"):
        list(DVS().encode_parts(events, [(0, 10)]))
