"""Pictures of recordings, by what is drawn in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeprep.data import EVENT, Events
from spikeprep.encoders import DVS
from spikeprep.errors import UsageError
from spikeprep.plot import count_events, event_counts, has_event_units, recording, stored_recording
from spikeprep.plot.event_counts import count_spikes
from spikeprep.plot.style import LIGHT
from spikeprep.store import SpikeStore, SpikeWriter, SplitLayout

pytest.importorskip("matplotlib")


def some(count=200, size=(6, 4), duration=50_000, seed=0, polarities=2):
    rng = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["x"], events["y"] = rng.integers(0, size[0], count), rng.integers(0, size[1], count)
    events["t"], events["p"] = np.sort(rng.integers(0, duration, count)), rng.integers(0, polarities, count)
    return Events((events,), size, polarities, duration=duration)


def streamed(events, *cuts):
    return Events(np.split(events.array, cuts), events.size, events.polarities, duration=events.duration)


def test_what_is_drawn_is_what_happened():
    events = some()
    found, array = count_events(events, bin_us=7000, tau_us=3000, at_us=20_000), events.array
    for p in (0, 1):
        for y in range(4):
            for x in range(6):
                own = array[(array["p"] == p) & (array["y"] == y) & (array["x"] == x)]["t"]
                assert found.frame[p, y, x] == len(own)
                until = own[own <= 20_000]
                faded = np.exp((until[-1] - 20_000) / 3000) if len(until) else 0
                assert found.surface[p, y, x] == pytest.approx(faded)
        own = array[array["p"] == p]["t"]
        np.testing.assert_array_equal(found.rate[p], np.histogram(own, np.arange(0, 56_001, 7000))[0])
        assert found.map[p].sum() == len(own)
    np.testing.assert_array_equal(found.events, array)


@given(st.lists(st.integers(0, 200), max_size=4).map(sorted), st.integers(1, 2))
def test_any_cutting_into_pieces_looks_the_same(cuts, polarities):
    events = some(polarities=polarities)
    one, other = count_events(events), count_events(streamed(events, *cuts))
    for field in ("frame", "surface", "rate", "map", "events"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    assert (one.bin_us, one.tau_us) == (other.bin_us, other.tau_us) == (500, 5000)


def test_of_very_many_events_only_sums_are_kept(monkeypatch):
    monkeypatch.setattr(event_counts, "MOST_DOTS", 100)
    events = some()
    found = count_events(streamed(events, 60))
    assert found.events is None
    assert found.map.sum() == 200
    rows = np.histogram(events.array["y"], np.arange(5))[0]
    np.testing.assert_array_equal(found.map.sum(axis=(0, 2)), rows)


@pytest.mark.parametrize("wrong", [{"bin_us": -1}, {"tau_us": -1}, {"at_us": -1}])
def test_numbers_that_do_not_fit(wrong):
    with pytest.raises(UsageError, match="0 or more"):
        recording(some(), **wrong)


def panels(figure):
    return {axes.get_title(loc="left") or axes.get_ylabel(): axes for axes in figure.get_axes()}


def test_a_recording_is_drawn_by_polarity():
    events = some()
    array, figure = events.array, recording(events, tau_us=4000, title="mine")
    drawn = panels(figure)
    np.testing.assert_array_equal(
        drawn["accumulated, ON"].get_images()[0].get_array(), count_events(events).frame[1]
    )
    np.testing.assert_array_equal(
        drawn["accumulated, OFF"].get_images()[0].get_array(), count_events(events).frame[0]
    )
    surface = drawn["time surface, ON"].get_images()[0].get_array()
    np.testing.assert_allclose(surface, count_events(events, tau_us=4000).surface[1])
    dots = {d.get_label(): d for d in drawn["every event, pixels in order of row, then column"].collections}
    for name, p, colour in (("ON", 1, LIGHT.orange), ("OFF", 0, LIGHT.blue)):
        own = array[array["p"] == p]
        places = dots[name].get_offsets()
        np.testing.assert_allclose(places[:, 0], own["t"] / 1000)  # ms
        assert ((own["y"] - 0.5 <= places[:, 1]) & (places[:, 1] <= own["y"] + 0.5)).all()
        from matplotlib.colors import to_rgba

        assert tuple(dots[name].get_facecolor()[0]) == to_rgba(colour)
    rate = drawn["rate, in bins of 500 µs"]
    assert (rate.get_xlabel(), rate.get_ylabel()) == ("time (ms)", "kevents/s")
    for patch, p in zip(rate.patches, (1, 0), strict=True):
        values, edges, _ = patch.get_data()
        assert values @ np.diff(edges) == pytest.approx((array["p"] == p).sum())  # thousands a second, ms
    labels = {axes.get_ylabel() for axes in figure.get_axes()}
    assert {"events per pixel", "exp(−age / 4 ms)\nat the end", "row"} <= labels
    titles = [figure.get_suptitle(), *(sub.get_suptitle() for sub in figure.subfigs)]
    assert "mine: 200 events in 50 ms, 6 × 4 pixels" in titles


def test_one_polarity_has_one_picture():
    drawn = panels(recording(some(polarities=1)))
    assert {"accumulated", "time surface"} <= set(drawn)
    assert not any("OFF" in title for title in drawn)


def test_a_large_sensor_loses_no_event():
    events = some(size=(640, 480))
    drawn = panels(recording(events))
    image = drawn["accumulated, ON"].get_images()[0]
    assert image.get_array().shape == (120, 160)
    assert image.get_array().sum() == (events.array["p"] == 1).sum()
    assert image.get_extent() == [-0.5, 639.5, 479.5, -0.5]
    assert "events in 4 × 4 pixels" in drawn


def test_a_recording_without_events():
    empty = Events((np.empty(0, EVENT),), (6, 4))
    assert recording(empty).get_axes()


CHAIN = [{"name": "dvs", "bin_us": 1000}]


def stored(path, chain=CHAIN, shape=(2, 4, 6), samples=None, **encoder):
    samples = samples or [some(duration=30_000 + 10_000 * n, seed=n) for n in range(4)]
    dvs = (
        DVS(**{k: v for k, v in (chain[-1] | encoder).items() if k != "name"})
        if chain[-1]["name"] == "dvs"
        else DVS()
    )
    trains = [dvs.encode(sample) for sample in samples]
    layout = SplitLayout.fit(len(samples), trains[0].bits.shape[0], max(t.steps for t in trains))
    attributes = {
        "version": "0", "recipe": "events", "chain": chain, "seed": 0, "dt": 0.001, "unit_shape": list(shape),
        "classes": ["bar", "dot"], "source": {"reader": {"name": "events"}},
    }  # fmt: skip
    writer = SpikeWriter.open(path, attributes, {"train": layout})
    for shard in writer.pending():
        with writer.shard(shard) as out:
            for start in range(shard.start, shard.stop, layout.chunk_samples):
                part = trains[start : min(start + layout.chunk_samples, shard.stop)]
                bits = np.zeros((len(part), layout.units, layout.unit_bytes), np.uint8)
                for row, train in zip(bits, part, strict=True):
                    row[:, : train.bits.shape[1]] = train.bits
                numbers = np.arange(start, start + len(part))
                out.append(
                    bits, np.array([t.steps for t in part]), numbers % 2, [f"a/{n}.raw" for n in numbers]
                )
    writer.complete()
    return SpikeStore.open(path)


def test_a_stored_sample_is_drawn_at_the_resolution_of_its_bins(tmp_path):
    store = stored(tmp_path / "s.zarr")
    assert has_event_units(store)
    figure = stored_recording(store, "train", 2)
    drawn = panels(figure)
    spikes = store["train"][2]
    image = drawn["accumulated, ON"].get_images()[0].get_array()
    np.testing.assert_array_equal(image, spikes.sum(axis=0).reshape(2, 4, 6)[1])
    dots = drawn["every event, pixels in order of row, then column"].collections
    steps = {round(t) for d in dots for t in d.get_offsets()[:, 0]}
    assert steps == set(np.flatnonzero(spikes.any(axis=1)).tolist())
    assert "rate, in bins of 1 ms" in drawn
    titles = [sub.get_suptitle() for sub in figure.subfigs]
    assert f"sample 2 (a/2.raw), class bar: {spikes.sum()} spikes of 48 units in 50 steps of 1 ms" in titles
    small = {axes.get_title() for axes in figure.get_axes()}
    assert {"bar", "dot"} <= small


def test_stores_of_other_encoders_and_levels(tmp_path):
    levels = stored(tmp_path / "l.zarr", [{"name": "dvs", "bin_us": 1000, "levels": 2}], (2, 2, 4, 6))
    assert has_event_units(levels)
    image = panels(stored_recording(levels, "train", 0))["accumulated, OFF"].get_images()[0].get_array()
    np.testing.assert_array_equal(image, levels["train"][0].sum(axis=0).reshape(2, 2, 4, 6).sum(axis=0)[0])
    flat = stored(tmp_path / "f.zarr", shape=(48,))
    assert not has_event_units(flat)
    with pytest.raises(UsageError, match="raster"):
        stored_recording(flat, "train", 0)
    other = stored(tmp_path / "p.zarr", [{"name": "poisson", "steps": 50}])
    assert has_event_units(other)
    assert panels(stored_recording(other, "train", 0))["accumulated, ON"].get_images()


@pytest.mark.parametrize(("chunk_units", "dense"), [(0, 1 << 24), (7, 1 << 24), (7, 60)])
def test_spikes_look_like_the_events_that_they_are(monkeypatch, chunk_units, dense):
    monkeypatch.setattr(event_counts, "_BLOCK", dense)
    events, encoder = some(count=500), DVS(bin_us=1000)
    train = encoder.encode(events)
    whole = count_events(
        encoder.decode(train, (2, 4, 6), duration=50_000), bin_us=1000, tau_us=4000, at_us=30_000
    )
    parts = np.split(train.bits, range(chunk_units, 48, chunk_units)) if chunk_units else [train.bits]
    found = count_spikes(parts, (2, 4, 6), train.steps, 1000, tau_us=4000, at_us=30_000)
    for field in ("frame", "surface", "rate"):
        np.testing.assert_allclose(getattr(found, field), getattr(whole, field))
    np.testing.assert_array_equal(np.sort(found.events, order=["t", "p", "y", "x"]), whole.events)
    assert (found.duration, found.bin_us) == (whole.duration, 1000)
    assert found.map.sum() == len(whole.events)


def test_a_sample_of_several_chunks_is_drawn_like_another(tmp_path, monkeypatch):
    one = panels(stored_recording(stored(tmp_path / "a.zarr"), "train", 1))
    monkeypatch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 1, 1, 10)))
    other = panels(stored_recording(stored(tmp_path / "b.zarr"), "train", 1))
    for name in ("accumulated, ON", "time surface, OFF"):
        np.testing.assert_array_equal(*(p[name].get_images()[0].get_array() for p in (one, other)))


@pytest.mark.parametrize("index", [4, -1])
def test_a_sample_that_is_not_there(tmp_path, index):
    with pytest.raises(UsageError, match="0 to 3"):
        stored_recording(stored(tmp_path / "s.zarr"), "train", index)
