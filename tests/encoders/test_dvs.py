from bisect import bisect_left, bisect_right
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.data import EVENT, Events, SpikeTrain
from spikeprep.encoders import DVS, Description, event_bits, time_bins
from spikeprep.encoders.dvs import dvs_reference
from spikeprep.encoders.time_bins import Bins
from spikeprep.errors import DataError, UsageError
from spikeprep.packing import pack
from spikeprep.transforms import StabiliseSaccades

from ..assets import asset
from ..strategies import Pieces, recordings, streamed

WIDTHS = [1, 3, 600, 1000, "1000/3", 0.1 + 1, "7/5", 33.3, 40_000, "999983/999979"]
binnings = st.one_of(
    st.builds(
        DVS,
        bin_us=st.sampled_from(WIDTHS),
        steps=st.sampled_from([0, 1, 7, 8, 9, 40, 700]),
        closed=st.sampled_from(["left", "right"]),
    ),
    st.builds(DVS, bins=st.sampled_from([1, 2, 3, 7, 8, 100, 1001]), steps=st.sampled_from([0, 3])),
)


@pytest.fixture(params=["in place", "in time"])
def way(request, monkeypatch):
    """Both ways of setting bits; those in order of time in blocks of 64 steps."""
    if request.param == "in time":
        monkeypatch.setattr(event_bits, "_DIRECT_BYTES", -1)
        monkeypatch.setattr(event_bits, "_BLOCK_BYTES", 1)


def every_way(check):
    """Run a property in place, and in order of time in small blocks and in large ones."""
    for in_place, staged in ((1 << 20, 1 << 25), (-1, 1), (-1, 1 << 25)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(event_bits, "_DIRECT_BYTES", in_place)
            patch.setattr(event_bits, "_BLOCK_BYTES", staged)
            check()


def made(rows, size=(9, 8), polarities=2, duration=None) -> Events:
    events = np.zeros(len(rows), EVENT)
    for event, row in zip(events, rows, strict=True):
        for axis, value in zip("xytp", row, strict=False):
            event[axis] = value
    return Events((events,), size, polarities, duration=duration)


def at(*times) -> Events:
    return made([(0, 0, t) for t in times], (1, 1), 1)


# ---------------------------------------------------------------- the published setting


@pytest.mark.parametrize("r", [0, 1])
@pytest.mark.parametrize(("name", "closed"), [("ceil", "right"), ("ceil_stable", "right"), ("floor", "left")])
def test_golden(r, name, closed, way):
    with np.load(asset("golden/events_bin.npz")) as file:
        events = np.zeros(len(file[f"t_{r}"]), EVENT)
        for axis in "xytp":
            events[axis] = file[f"{axis}_{r}"]
        steps, *shape = (540, 2, 34, 34)  # step, polarity, x, y: ours has y before x
        spikes = np.unpackbits(file[f"{name}_bits_{r}"], axis=1, bitorder="little")[:, :steps].T
        expected = spikes.reshape(steps, *shape).transpose(0, 1, 3, 2).reshape(steps, -1)
        count = int(file[f"{name}_count_{r}"])
    signal = Events.of(events, (34, 34))
    if name == "ceil_stable":
        signal = StabiliseSaccades()(signal)
    encoder = DVS(bin_us=600, steps=540, closed=closed)
    np.testing.assert_array_equal(encoder(signal), expected)
    assert expected.sum() == count
    assert encoder.describe(signal).unit_shape == (2, 34, 34)
    assert encoder.describe(signal).dt == pytest.approx(600e-6)


# ---------------------------------------------------------------- properties


@settings(max_examples=150)
@given(st.data(), recordings(), binnings)
def test_compiled_streamed_and_reference_give_the_same_bits(data, whole, encoder):
    if data.draw(st.booleans()):
        whole = replace(whole, duration=whole.length() + data.draw(st.integers(0, 3000)))
    stream = data.draw(streamed(whole))
    steps = encoder.describe(whole).steps
    shape = (whole.polarities, *whole.size[::-1])
    expected = pack(dvs_reference(whole.array, shape, encoder.binning(whole), steps))

    def check():
        for signal in (whole, stream):
            train = encoder.encode(signal)
            assert train.steps == steps
            np.testing.assert_array_equal(train.bits, expected)

    every_way(check)
    if not (encoder.steps or encoder.bins):
        assert len(stream.pieces.walks) == 3  # a walk each


@settings(max_examples=100)
@given(recordings(), binnings)
def test_counts_are_of_the_events_in_each_bin(events, encoder):
    """The bins are found again from their edges, as fractions."""
    width, counts = encoder.binning(events).width, encoder.counts(events)
    steps = encoder.describe(events).steps
    assert counts.shape == (steps, events.polarities, *events.size[::-1])
    edges = [k * width for k in range(-1, steps + 1)]
    found = np.zeros(steps, int)
    for t in events.array["t"].tolist():
        # step k is [edges[k + 1], edges[k + 2]) or (edges[k], edges[k + 1]]
        k = bisect_right(edges, t) - 2 if encoder.closed == "left" else bisect_left(edges, t) - 1
        assert 0 <= k < steps or encoder.steps
        if 0 <= k < steps:
            found[k] += 1
    assert counts.sum(axis=(1, 2, 3)).tolist() == found.tolist()
    if not encoder.steps:
        assert counts.sum() == len(events.array)
    spikes = encoder(events).reshape(counts.shape)
    np.testing.assert_array_equal(spikes, counts > 0)


@settings(max_examples=100)
@given(
    recordings(longest=2000), st.sampled_from(WIDTHS), st.integers(2, 4), st.sampled_from(["left", "right"])
)
def test_levels_keep_counts(events, width, levels, closed):
    encoder = DVS(bin_us=width, levels=levels, closed=closed)
    shape = encoder.describe(events).unit_shape
    assert shape == (levels, events.polarities, *events.size[::-1])

    def check():
        spikes = encoder(events).reshape(-1, *shape)
        np.testing.assert_array_equal(spikes.sum(axis=1), np.minimum(encoder.counts(events), levels))
        assert (spikes[:, 1:] <= spikes[:, :-1]).all()

    every_way(check)


@settings(max_examples=100)
@given(recordings(), binnings, st.integers(1, 2))
def test_decoding_keeps_everything_but_the_time_in_a_bin(events, encoder, levels):
    """Every event is found again in its bin, merged; times move by less than a bin; and encoding gives the same."""
    encoder = replace(encoder, levels=levels)
    train, shape = encoder.encode(events), encoder.describe(events).unit_shape
    duration = events.length() if encoder.bins else None
    decoded = encoder.decode(train, shape, duration=duration)
    assert (decoded.size, decoded.polarities) == (events.size, events.polarities)
    t = decoded.array["t"]
    assert (np.diff(t) >= 0).all()
    bins = encoder.binning(events)
    counts = encoder.counts(events)
    expected = np.minimum(counts, levels)
    if encoder.bins and events.length() < encoder.bins:
        return  # bins without a whole µs have no stamp to be given
    np.testing.assert_array_equal(
        encoder.counts(replace(decoded, duration=duration or decoded.duration)), expected
    )
    kept = events.array[bins.of(events.array["t"]) < train.steps]
    merged = {
        (x, y, k, p) for (x, y, _, p), k in zip(kept.tolist(), bins.of(kept["t"]).tolist(), strict=True)
    }
    again = {
        (x, y, k, p) for (x, y, _, p), k in zip(decoded.array.tolist(), bins.of(t).tolist(), strict=True)
    }
    assert again == merged
    once = encoder.encode(replace(decoded, duration=duration or decoded.duration))
    assert once.steps == train.steps
    np.testing.assert_array_equal(once.bits, train.bits)


# ---------------------------------------------------------------- edges, by hand


@pytest.mark.parametrize(
    ("t", "left", "right"), [(0, 0, 0), (1, 0, 1), (599, 0, 1), (600, 1, 1), (601, 1, 2), (1200, 2, 2)]
)
def test_one_event_at_each_edge(t, left, right):
    for closed, expected in (("left", left), ("right", right)):
        spikes = DVS(bin_us=600, closed=closed)(at(t))
        assert np.flatnonzero(spikes[:, 0]).tolist() == [expected]
        assert len(spikes) == expected + 1  # as long as the recording, not a bin more


def test_a_width_that_is_no_whole_number_has_exact_edges():
    """Bins of 10/3 µs begin at 0, 10/3, 20/3, 10: whole stamps 0–3, 4–6, 7–9, 10 …"""
    bins = Bins(Fraction(10, 3))
    assert bins.of(np.arange(11)).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert bins.stamps(np.arange(4)).tolist() == [0, 4, 7, 10]
    right = Bins(Fraction(10, 3), right=True)
    assert right.of(np.arange(11)).tolist() == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    assert right.stamps(np.arange(4)).tolist() == [0, 3, 6, 10]
    spikes = DVS(bin_us="10/3")(at(3, 4, 6, 7, 9, 10))
    assert spikes[:, 0].tolist() == [True] * 4


def test_a_decimal_width_is_exact():
    """The float 1.1 is a little more than 11/10: its 10 000 000th bin would begin after the stamp 11 000 000."""
    encoder = DVS(bin_us=1.1, steps=0)
    assert encoder.binning(None).width == Fraction(11, 10)
    train = encoder.encode(at(11_000_000))
    assert train.steps == 10_000_001


def test_bins_over_a_duration_divide_it_exactly():
    """Of 10 µs in 4 bins: [0, 2.5), [2.5, 5), …: stamps 0–2, 3–4, 5–7, 8–9"""
    counts = DVS(bins=4).counts(at(*range(10)))
    assert counts.ravel().tolist() == [3, 2, 3, 2]
    assert DVS(bins=4).describe(at(*range(10))).dt == pytest.approx(2.5e-6)
    assert DVS(bins=3)(at(0, 9))[:, 0].tolist() == [True, False, True]
    long = replace(at(0, 9), duration=30)
    assert DVS(bins=3)(long)[:, 0].tolist() == [True, False, False]


def test_late_stamps_and_far_gaps():
    hour = 3_600_000_000
    spikes = DVS(bin_us=10**6).encode(at(0, hour, hour + 1))
    assert spikes.steps == 3601
    assert np.flatnonzero(spikes.bits[0]).tolist() == [0, 450]
    later = DVS(bin_us=2**40).encode(at(0, 2**61))
    assert later.steps == 2**21 + 1


def test_steps_cut_and_fill_up():
    times = at(0, 1000, 2500, 7000)
    assert DVS(steps=3)(times)[:, 0].tolist() == [True, True, True]
    assert DVS(steps=10)(times)[:, 0].tolist() == [True, True, True, *[False] * 4, True, False, False]
    assert DVS(steps=3).describe(times) == Description((1, 1, 1), 3, 1e-3)
    assert DVS().describe(times) == Description((1, 1, 1), 8, 1e-3, ragged=True)


def test_cutting_stops_reading():
    def endless():
        yield made([(0, 0, 0)]).array
        yield made([(0, 0, 5000)]).array
        raise AssertionError("read on")

    class Stream:
        def __iter__(self):
            return endless()

    assert DVS(steps=5)(Events(Stream(), (9, 8))).sum() == 1


def test_the_first_unit_is_off_then_columns_then_rows():
    encoder, events = DVS(), made([(8, 7, 0, 1), (1, 0, 0, 0), (0, 1, 0, 0)])
    assert np.flatnonzero(encoder(events)[0]).tolist() == [1, 9, 143]
    assert encoder.describe(events).unit_shape == (2, 8, 9)


def test_a_sensor_of_one_polarity():
    encoder, events = DVS(), made([(8, 7, 0)], polarities=1)
    assert encoder.describe(events).unit_shape == (1, 8, 9)
    assert np.flatnonzero(encoder(events)[0]).tolist() == [71]
    assert encoder.decode(encoder.encode(events), (1, 8, 9)).polarities == 1


@pytest.mark.parametrize("encoder", [DVS(), DVS(steps=20), DVS(bins=20), DVS(levels=2), DVS(closed="right")])
@pytest.mark.parametrize("pieces", [(), (np.empty(0, EVENT),), [np.empty(0, EVENT)] * 2])
def test_no_events_are_silence(encoder, pieces, way):
    events = Events(pieces, (9, 8))
    train = encoder.encode(events)
    assert train.steps == encoder.describe(events).steps == (encoder.steps or encoder.bins or 1)
    assert not train.bits.any()
    assert not encoder.decode(train, encoder.describe(events).unit_shape, duration=100).array.size
    assert encoder.describe(events).dt > 0
    if not (encoder.steps or encoder.bins):
        assert encoder.encode(replace(events, duration=5000)).steps == encoder.describe(at(4999)).steps


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 0, 0), (9, 0, 5)], "event 1 at x 9, y 0; expected x below 9 and y below 8"),
        ([(0, 8, 5)], "event 0 at x 0, y 8"),
        ([(0, 0, 5), (0, 0, 4)], "event 1 at t 4 µs, after one at 5 µs"),
        ([(0, 0, -1)], "at t -1 µs"),
        ([(0, 0, 0, 2)], "of polarity 2; expected below 2"),
        ([(0, 0, 0), (0, 0, 10_000)], "event 1 at t 10000 µs; expected at most 9999"),
        ([(0, 0, 9_999), (0, 0, 10_000)], "event 1 at t 10000 µs; expected at most 9999"),
        ([(0, 0, (1 << 63) - 1)], "event 0 at t 9223372036854775807 µs; expected at most"),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_events_that_cannot_be_are_named(rows, words, cut, way):
    whole = made(rows, duration=10_000)
    pieces = [whole.array[n : n + 1] for n in range(len(rows))] if cut else whole.pieces
    for encoder in (
        DVS(),
        DVS(bin_us=3000),
        DVS(bin_us="2000/3", closed="right"),
        DVS(bins=3),
        DVS(steps=2**20),
    ):
        with pytest.raises(DataError, match=words):
            encoder.encode(replace(whole, pieces=pieces))


def test_polarities_of_a_sensor_that_has_one():
    with pytest.raises(DataError, match="of polarity 1; expected below 1"):
        DVS().encode(made([(0, 0, 0, 1)], polarities=1))


def test_a_wrong_stamp_does_not_fill_the_memory():
    with pytest.raises(DataError, match="steps of 1 µs"):
        DVS(bin_us=1).encode(at(0, 1 << 40))
    with pytest.raises(DataError, match="steps of 1 µs"):
        DVS(bin_us=1).encode(Events([at(0, 1 << 40).array], (1, 1), 1))


def test_only_recordings_are_binned():
    for signal in (np.zeros(3), None):
        with pytest.raises(DataError, match="Events"):
            DVS().encode(signal)
    with pytest.raises(DataError, match="EVENT"):
        DVS().encode(Events.of(np.zeros(3, [("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "u1")]), (9, 8)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bin_us": 0}, "Set one of them above 0"),
        ({"bins": 0}, "Set one of them above 0"),
        ({"bin_us": 0, "bins": 0}, "Set one of them above 0"),
        ({"bin_us": 600, "bins": 3}, "Set one of them to 0"),
        ({"bin_us": -1}, r"dvs\.bin_us = -1"),
        ({"bin_us": 0.5}, "1 µs, the resolution"),
        ({"bin_us": "-5"}, "1 µs, the resolution"),
        ({"bin_us": 2**40 + 1}, "1 µs, the resolution"),
        ({"bin_us": "1/0"}, "a number, or a fraction"),
        ({"bin_us": "wide"}, "a number, or a fraction"),
        ({"bin_us": float("nan")}, r"dvs\.bin_us = nan"),
        ({"bin_us": "nan"}, "a number, or a fraction"),
        ({"bin_us": "inf"}, "a number, or a fraction"),
        ({"bin_us": True}, r"dvs\.bin_us = True"),
        ({"bin_us": 1.00000001}, "denominator"),
        ({"bins": -1}, r"dvs\.bins = -1"),
        ({"bins": 2.5}, r"dvs\.bins = 2\.5"),
        ({"steps": -1}, r"dvs\.steps = -1"),
        ({"levels": 0}, r"dvs\.levels = 0"),
        ({"levels": 65_537}, r"dvs\.levels = 65537"),
        ({"closed": "both"}, '"left" or "right"'),
        ({"bins": 4, "closed": "right"}, r"set dvs\.bin_us instead"),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong, words):
    with pytest.raises(UsageError, match=words):
        DVS(**wrong)


def test_one_of_width_and_number_is_set():
    assert DVS().to_config() == {
        "name": "dvs",
        "bin_us": 1000,
        "bins": 0,
        "steps": 0,
        "closed": "left",
        "levels": 1,
    }
    assert DVS(bins=7).bin_us == 0
    assert DVS(bins=7, bin_us=0) == DVS(bins=7)
    for encoder in (DVS(bins=7), DVS(bin_us="1000/3"), DVS(bin_us=33.3)):
        assert DVS.from_config(encoder.to_config()) == encoder


def test_decoding_needs_to_know_the_shape_and_the_duration():
    train = DVS(bins=4).encode(at(0, 5))
    with pytest.raises(UsageError, match="duration"):
        DVS(bins=4).decode(train, (1, 1, 1))
    for shape in ((2, 1, 1), (1, 2, 1), (2, 1, 1, 1)):
        with pytest.raises(UsageError, match="unit_shape"):
            DVS().decode(SpikeTrain(np.zeros((1, 1), np.uint8), 4), shape)


# ---------------------------------------------------------------- batches


@settings(max_examples=60)
@given(st.data(), st.lists(recordings(polarities=2), min_size=1, max_size=4), binnings, st.integers(1, 2))
def test_a_batch_is_written_in_place(data, signals, encoder, levels):
    """Recordings in memory, streamed, and of known and unknown duration; more bytes than needed."""
    encoder = replace(encoder, levels=levels)
    signals = [replace(events, size=(7, 7)) for events in signals]
    trains = [encoder.encode(events) for events in signals]
    signals = [data.draw(streamed(events)) if data.draw(st.booleans()) else events for events in signals]

    def check():
        out = np.zeros((len(trains), len(trains[0].bits), 2 + max(t.bits.shape[1] for t in trains)), np.uint8)
        steps = encoder.encode_into(iter(signals), out, rngs=[None] * len(signals))
        assert steps.tolist() == [train.steps for train in trains]
        for bits, train in zip(out, trains, strict=True):
            np.testing.assert_array_equal(bits[:, : train.bits.shape[1]], train.bits)
            assert not bits[:, train.bits.shape[1] :].any()

    every_way(check)


@pytest.mark.parametrize("stream", [False, True])
def test_a_recording_that_does_not_fit_its_place_is_refused(stream):
    events = made([(0, 0, 0), (1, 1, 9_000)])
    for shape in ((1, 143, 2), (1, 145, 2), (1, 144, 1)):
        signal = Events([events.array], (9, 8)) if stream else events
        with pytest.raises(DataError, match="144 units and 16 steps"):
            DVS().encode_into([signal], np.zeros(shape, np.uint8), rngs=[None])


# ---------------------------------------------------------------- a large one


def test_a_large_sensor_in_order_of_time():
    """More units than a cache line has bits, and more steps than a block has."""
    rng = np.random.default_rng(0)
    n, size = 30_000, (321, 243)
    events = np.zeros(n, EVENT)
    events["x"], events["y"] = rng.integers(0, size[0], n), rng.integers(0, size[1], n)
    events["t"], events["p"] = np.sort(rng.integers(0, 700_000, n)), rng.integers(0, 2, n)
    whole = Events.of(events, size)
    train = DVS().encode(whole)
    assert train.bits.size > event_bits._DIRECT_BYTES
    k = DVS().binning(None).of(events["t"])
    unit = (events["p"].astype(int) * size[1] + events["y"]) * size[0] + events["x"]
    expected = np.zeros(train.bits.shape, np.uint8)
    np.bitwise_or.at(expected, (unit, k // 8), (1 << k % 8).astype(np.uint8))
    np.testing.assert_array_equal(train.bits, expected)
    stream = Events(Pieces(tuple(np.split(events, range(1000, n, 1000))), []), size)
    np.testing.assert_array_equal(DVS().encode(stream).bits, expected)


def test_kernels_release_the_lock():
    for kernel in (time_bins.scatter, time_bins.transpose):
        assert kernel.targetoptions["nogil"]
