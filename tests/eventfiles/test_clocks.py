"""What times count from, clocks that wrap across silence, stamps that are wrong, and events out of order."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.errors import DataError
from spikeprep.eventfiles import ChangedEvents, Changes, open_events, outline, read, scan
from spikeprep.eventfiles.units import LARGEST

from .test_formats import FORMS
from .writing import events_of

SECOND = 1_000_000
UNIX = 1_605_537_493_000_000
FORMATS = ["aedat2 DVS", "aedat3", "aedat4", "evt2", "evt3", "dat 2", "dat 1", "es", "nmnist", "npy", "npz"]
WRAP = {"nmnist": 23, "evt3": 24, "evt2": 34, "dat 1": 32, "dat 2": 32, "aedat2 DVS": 32}


def steady(count: int = 300, first: int = 0, step: int = 100) -> np.ndarray:
    """Return events at a steady rate, inside any sensor."""
    n = np.arange(count)
    return events_of(n % 30, n % 20, first + step * n, n % 2)


def settings(name: str, **more) -> dict:
    size = {"size": (34, 34), "unit": "us"} if name in ("npy", "npz") else {}
    return {**size, "report": lambda changes: None, **more}


def seen(path, name: str, **more) -> np.ndarray:
    """Return the events, the same in pieces of any length and for their last."""
    options = settings(name, **more)
    array = read(path, **options).array
    for piece_events in (1, 7, 100):
        np.testing.assert_array_equal(open_events(path, piece_events=piece_events, **options).array, array)
    options.pop("report")
    np.testing.assert_array_equal(outline(path, **options).array, array[-1:])
    assert scan(path, **options).events == len(array)
    return array


# ---------------------------------------------------------------- what times count from


@pytest.mark.parametrize("name", [n for n in FORMATS if n not in ("es", "nmnist", "evt3")])
def test_a_recording_that_is_cut_out_of_a_longer_one_begins_at_its_first_event(tmp_path, name):
    events = steady(first=600 * SECOND)
    path = FORMS[name].put(tmp_path, events)
    got = read(path, **settings(name))
    np.testing.assert_array_equal(got.array["t"], events["t"] - events["t"][0])
    assert got.start == 600 * SECOND
    np.testing.assert_array_equal(read(path, **settings(name, origin="stored")).array["t"], events["t"])


@pytest.mark.parametrize("name", ["dat 2", "es", "nmnist", "npy", "npz"])
def test_stamps_that_begin_within_a_second_are_kept(tmp_path, name):
    events = steady(first=SECOND)
    path = FORMS[name].put(tmp_path, events)
    np.testing.assert_array_equal(seen(path, name)["t"], events["t"])
    got = read(path, **settings(name, origin="first"))
    np.testing.assert_array_equal(got.array["t"], events["t"] - SECOND)
    assert got.start == SECOND


def test_what_the_data_decide_is_noted(tmp_path):
    path = FORMS["dat 2"].put(tmp_path, steady(first=600 * SECOND))
    assert scan(path).notes == (
        "time counts from the first event, as stamps begin more than 1 s after 0; origin='stored' keeps them",
    )
    assert scan(FORMS["dat 2"].put(tmp_path, steady())).notes == ()


@pytest.mark.parametrize(
    ("stamps", "start"),
    [
        (np.arange(300, dtype=np.uint64) * 100 + UNIX, UNIX),
        (np.arange(300) * 100 - 7000, -7000),
        (np.arange(300, dtype=np.uint64) * np.uint64(100) + np.uint64(2**63 + 5), 2**63 + 5),
        (np.arange(300, dtype=np.uint64) * np.uint64(100) + np.uint64(LARGEST + 1), LARGEST + 1),
    ],
)
def test_clocks_of_columns(tmp_path, stamps, start):
    e = steady()
    np.savez(tmp_path / "a.npz", x=e["x"], y=e["y"], t=stamps, p=e["p"])
    rows = np.zeros(300, [("x", "<u2"), ("y", "<u2"), ("t", stamps.dtype), ("p", "?")])
    rows["x"], rows["y"], rows["t"], rows["p"] = e["x"], e["y"], stamps, e["p"]
    np.save(tmp_path / "a.npy", rows)
    with pytest.importorskip("h5py").File(tmp_path / "a.h5", "w") as file:
        file["events"] = rows
    for name in ("a.npz", "a.npy", "a.h5"):
        for more in ({}, {"origin": "first"}, {"order": "sort"}):
            got = read(tmp_path / name, size=(34, 34), unit="us", **more)
            np.testing.assert_array_equal(got.array["t"], np.arange(300) * 100)
            assert got.start == start
        assert outline(tmp_path / name, size=(34, 34), unit="us").length() == 29_901


def test_nanoseconds_beyond_63_bits(tmp_path):
    e = steady()
    stamps = np.arange(300, dtype=np.uint64) * np.uint64(100_000) + np.uint64(2**63 + 999)
    np.savez(tmp_path / "a.npz", x=e["x"], y=e["y"], t=stamps, p=e["p"])
    got = read(tmp_path / "a.npz", size=(34, 34), unit="ns")
    assert got.start == (2**63 + 999) // 1000
    assert got.array["t"].tolist() == [(2**63 + 999 + 100_000 * n) // 1000 - got.start for n in range(300)]


# ---------------------------------------------------------------- silence and clocks that wrap


@pytest.mark.parametrize(
    ("name", "gap"), [("nmnist", 5 * SECOND), ("dat 2", 2400 * SECOND), ("aedat2 DVS", 2400 * SECOND)]
)
def test_silence_of_more_than_half_of_the_clocks_range(tmp_path, name, gap):
    events = steady(40)
    events["t"][20:] += gap
    np.testing.assert_array_equal(seen(FORMS[name].put(tmp_path, events), name)["t"], events["t"])


@pytest.mark.parametrize("name", ["nmnist", "dat 2", "aedat2 DVS"])
@pytest.mark.parametrize("at", [100, 150])
@pytest.mark.parametrize("share", [0.3, 0.55, 0.8, 0.95])
def test_a_wrong_stamp_of_a_clock_that_wraps_costs_one_event(tmp_path, name, at, share):
    good = steady(300, first=1000)
    bad = good.copy()
    bad["t"][at] += int(share * 2 ** WRAP[name])
    path = FORMS[name].put(tmp_path, bad)
    with pytest.raises(DataError, match=f"event {at} at byte"):
        read(path, **settings(name))
    clock = 1000 if name.startswith("aedat") else 0
    array = seen(path, name, invalid="drop")
    np.testing.assert_array_equal(array["t"], np.delete(good["t"], at) - clock)


# ---------------------------------------------------------------- wrong stamps


@pytest.mark.parametrize("name", [n for n in FORMATS if n != "es"])
@pytest.mark.parametrize("where", [[150], [150, 151, 152], [0], [290]])
def test_wrong_stamps_cost_their_events_alone(tmp_path, name, where):
    good = steady(300, first=5 * SECOND if FORMS[name].clock else 1000)
    bad = good.copy()
    bad["t"][where] += 3 * SECOND
    path = FORMS[name].put(tmp_path, bad)
    with pytest.raises(
        DataError, match=rf"event {where[0]}.*: t \d+ µs is (3|3\.0001|2\.9999|3\.001) s after the "
    ):
        read(path, **settings(name))
    array = seen(path, name, invalid="drop")
    expected = np.delete(good, where)
    origin = int(good["t"][1 if 0 in where else 0]) if FORMS[name].clock else 0
    np.testing.assert_array_equal(array["t"], expected["t"] - origin)
    clipped = seen(path, name, invalid="clip")
    assert len(clipped) == 300
    assert clipped["t"][-1] == good["t"][-1] - origin


def test_an_outlier_in_the_middle(tmp_path):
    good = steady(400, step=2500)
    for stamp in (10**12, 2**62, -(10**9)):
        t = good["t"].copy()
        t[200] = stamp
        np.savez(tmp_path / "a.npz", x=good["x"], y=good["y"], t=t, p=good["p"])
        changes: list[Changes] = []
        got = read(tmp_path / "a.npz", size=(34, 34), invalid="drop", report=changes.append)
        np.testing.assert_array_equal(got.array["t"], np.delete(good["t"], 200))
        assert changes[0].dropped == 1
        got = read(tmp_path / "a.npz", size=(34, 34), invalid="clip", report=changes.append)
        assert got.array["t"][200] == good["t"][199]
        np.testing.assert_array_equal(np.delete(got.array["t"], 200), np.delete(good["t"], 200))


@pytest.mark.parametrize("name", ["npz", "dat 2", "aedat4"])
def test_last_events_that_are_far_from_all_others(tmp_path, name):
    events = steady(400, step=2500)
    events["t"][-2:] += 30 * SECOND
    path = FORMS[name].put(tmp_path, events)
    with pytest.raises(
        DataError, match=r"event 398.* 30\.0025 s after the event before, far from .*gaps=True"
    ):
        read(path, **settings(name))
    assert len(seen(path, name, invalid="drop")) == 398
    np.testing.assert_array_equal(seen(path, name, gaps=True)["t"], events["t"])
    events["t"][-20:-2] += 30 * SECOND  # too many to be wrong
    np.testing.assert_array_equal(seen(FORMS[name].put(tmp_path, events), name)["t"], events["t"])


@pytest.mark.parametrize(("number", "words"), [(1, "event is"), (3, "3 events are")])
@pytest.mark.parametrize("name", ["npz", "aedat2 DVS", "dat 2"])
def test_first_events_that_are_far_from_all_others(tmp_path, name, number, words):
    events = steady(400, step=2500)
    events["t"][number:] += 30 * SECOND
    path = FORMS[name].put(tmp_path, events)
    for invalid in ("fail", "drop"):
        with pytest.raises(DataError, match=rf"the first {words} 30\.0025 s before all others, .*gaps=True"):
            read(path, **settings(name, invalid=invalid))
    np.testing.assert_array_equal(seen(path, name, gaps=True)["t"], events["t"])


# ---------------------------------------------------------------- order, and repairs


@pytest.mark.parametrize("name", ["npz", "npy", "dat 2", "nmnist", "aedat4"])
def test_events_are_sorted_on_request(tmp_path, name):
    good = steady(300)
    shuffled = good.copy()
    shuffled[100:200] = good[np.random.default_rng(0).permutation(np.arange(100, 200))]
    path = FORMS[name].put(tmp_path, shuffled)
    with pytest.raises(DataError, match=r"is before .*order='sort'"):
        read(path, **settings(name))
    with pytest.raises(DataError, match=r"of 300 events are with a stamp before .*order='sort'"):
        read(path, **settings(name, invalid="drop"))
    array = seen(path, name, order="sort")
    for field in "xytp":
        np.testing.assert_array_equal(array[field], good[field])


def test_events_of_one_time_stay_in_their_order_when_they_are_sorted(tmp_path):
    e = events_of([1, 2, 3, 4, 5], [0] * 5, [30, 10, 30, 10, 10], [0, 1, 0, 1, 0])
    path = FORMS["dat 2"].put(tmp_path, e)
    with pytest.warns(ChangedEvents, match="3 events sorted"):
        assert read(path, order="sort").array["x"].tolist() == [2, 4, 5, 1, 3]
    assert scan(path, order="sort").changes.sorted == 3


# ---------------------------------------------------------------- padding, joined recordings, differences


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("where", [0, 150, 300])
@pytest.mark.parametrize("first", [0, 600 * SECOND])
def test_padding_is_refused_or_left_out_however_much_it_is(tmp_path, name, where, first):
    if name == "es" or (first and WRAP.get(name, 64) < 30) or (where and name in ("evt2", "evt3")):
        pytest.skip("stamps are steps, or wrap")
    good = steady(first=first)
    good["x"] += 1
    padding = events_of([0] * 100, [0] * 100, [0] * 100, [0] * 100)
    path = FORMS[name].put(tmp_path, np.concatenate([good[:where], padding, good[where:]]))
    words = rf"event {where}\b.*: x 0, y 0, t 0, the same in (50|100) events or more; .*Pass invalid='drop'"
    with pytest.raises(DataError, match=words):
        scan(path, **{k: v for k, v in settings(name).items() if k != "report"})
    np.testing.assert_array_equal(seen(path, name, invalid="drop")["t"], good["t"] - first)


@pytest.mark.parametrize(("name", "number"), [("dat 2", 500), ("aedat2 DVS", 500), ("nmnist", 60_000)])
def test_padding_at_the_end_of_a_clock_in_its_upper_half_is_a_finding(tmp_path, name, number):
    """A stamp of 0 is then a step forward, across the clock's end."""
    first = 3 << WRAP[name] - 2
    path = FORMS[name].put(tmp_path, np.concatenate([steady(first=first), np.zeros(number, steady().dtype)]))
    end = (1 << WRAP[name]) - (0 if name == "nmnist" else first)
    got = scan(path)
    assert (got.events, got.outline.length()) == (300 + number, end + 1)
    x, y = (int(got.outline.array[name][0]) for name in "xy")  # AEDAT 2 counts rows from the bottom
    where = f"x {x}, y {y}, {end / 1e6:,.6g} s after the start"
    assert f"the last {number:,} events are one event ({where}), as in a file that" in got.findings[-1]


def test_events_out_of_order_behind_something_else_have_a_fix(tmp_path):
    events = steady()
    events["x"][0] = 99  # the first invalid event, which is off the sensor
    events["t"][100:] = np.arange(200)
    path = FORMS["npz"].put(tmp_path, events)
    words = (
        "200 of 300 events are with a stamp before an earlier one.* Pass order='sort' if the events are right"
    )
    with pytest.raises(DataError, match=words):
        read(path, **settings("npz"), invalid="drop")


def test_what_is_found_in_sorted_events(tmp_path):
    events = np.concatenate([steady()[::-1], np.repeat(steady(1, first=SECOND), 20)])
    path = FORMS["npz"].put(tmp_path, events)
    found = scan(path, size=(34, 34), unit="us", order="sort").findings
    assert [text[:23] for text in found] == ["the last 20 of 320 even", "the last 20 events are "]


@pytest.mark.parametrize("dtype", ["<u4", "<i8"])
def test_a_column_with_a_clock_of_32_bits_that_starts_again_is_refused(tmp_path, dtype):
    """Whatever its type: a difference of a few minutes could as well be a second recording."""
    t = ((1 << 32) - 15_000 + 100 * np.arange(300)) % (1 << 32)
    x = np.arange(300) % 30
    np.savez(tmp_path / "a.npz", x=x, y=x, t=t.astype(dtype), p=x % 2)
    words = r"event 150: t .*starts again at 0: save t as int64, from event 150 on with 2\*\*32 added"
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.npz", size=(34, 34), unit="us")
    t = t.astype(np.int64)
    t[150:] += 1 << 32  # what the fix says
    np.savez(tmp_path / "a.npz", x=x, y=x, t=t, p=x % 2)
    assert read(tmp_path / "a.npz", size=(34, 34), unit="us").array["t"].tolist() == list(
        range(0, 30_000, 100)
    )


@pytest.mark.parametrize("number", [16, 17])
def test_as_many_identical_events_as_no_sensor_has(tmp_path, number):
    events = steady()
    path = FORMS["nmnist"].put(tmp_path, np.concatenate([events, np.repeat(events[-1:], number - 1)]))
    assert [text[:24] for text in scan(path).findings] == ["the last 17 events are o"] * (number > 16)


@pytest.mark.parametrize("number", [3, 4, 16])
def test_a_few_identical_events_at_the_beginning_are_a_finding(tmp_path, number):
    good = steady()
    good[:number] = good[0]
    words = f"the first {number} events are one event (x {good['x'][0]}, y {good['y'][0]}), as in a file that is padded"
    for name in ("dat 2", "npz"):
        path = FORMS[name].put(tmp_path, good)
        options = {k: v for k, v in settings(name).items() if k != "report"}
        assert [text[: len(words)] for text in scan(path, **options).findings] == [words] * (number > 3)


def test_events_of_one_time_are_a_finding(tmp_path):
    good = steady()
    good["t"] = 5
    path = FORMS["npz"].put(tmp_path, good)
    assert scan(path, size=(34, 34), unit="us").findings == ("all 300 events have one time",)


def test_padding_of_more_than_is_decoded_at_a_time(tmp_path):
    good = steady(first=6 * SECOND)
    path = FORMS["npz"].put(tmp_path, np.concatenate([np.zeros(100_000, good.dtype), good]))
    with pytest.raises(DataError, match=r"event 0: x 0, y 0, t 0, the same in 32,768 events or more"):
        read(path, **settings("npz"))
    got = scan(path, size=(34, 34), unit="us", invalid="drop")
    assert (got.events, got.outline.length(), got.changes.dropped) == (300, 29_901, 100_000)


@pytest.mark.parametrize("name", ["dat 2", "npz"])
@pytest.mark.parametrize(
    ("number", "at_end", "words"),
    [
        (20, True, "the last 20 of 320 events are 5 s after all others, which last 0.0299 s"),
        (20, False, "the first 20 of 320 events are 5 s before all others, which last 0.0299 s"),
        (40, True, ""),
    ],
)
def test_few_events_beyond_a_long_silence_are_a_finding(tmp_path, name, number, at_end, words):
    parts = [steady(), steady(number)] if at_end else [steady(number), steady()]
    parts[1]["t"] += parts[0]["t"][-1] + 5 * SECOND
    path = FORMS[name].put(tmp_path, np.concatenate(parts))
    options = {k: v for k, v in settings(name).items() if k != "report"}
    result = scan(path, **options)
    assert result.events == 300 + number
    assert [f.partition(";")[0] for f in result.findings] == [words] * bool(words)
    assert scan(path, **options, gaps=True).findings == ()


@pytest.mark.parametrize(
    ("t", "words"),
    [
        (np.tile(np.arange(300) * 1000, 2), r"event 300\b.* starts again .*save the events from 300 on"),
        (
            2**32 - 30_000 + np.arange(600) * 100 & 2**32 - 1,
            r"event 300: .*clock of 32 bits .*with 2\*\*32 added",
        ),
        (
            np.arange(600) * 200 + 1 & 2**16 - 1,
            r"event 328: .*clock of 16 bits .*from event 328 on with 2\*\*16",
        ),
        (
            2**24 - 3_000_000 + np.arange(600) * 100_001 & 2**24 - 1,
            r"event 14: .*clock of 24 bits .*from event 30 on with 2\*\*24",
        ),
        (np.random.default_rng(0).permutation(600) * 2000, r"most of what follows .*\. Pass order='sort'"),
        (np.arange(600)[::-1] * 2000, r"event 1: .*\. Pass order='sort'"),
        (
            np.arange(600) * 1000 + (np.arange(600) == 50) * 900_000,
            r"event 50: .*\. The stamp is wrong: pass",
        ),
        (np.random.default_rng(0).integers(0, 900, 600), "time since the event before, save its sums"),
        (np.arange(600) * 1000 - (np.arange(600) == 50) * 3000, r"\. Pass order='sort'"),
    ],
    ids=["joined", "32 bits", "16 bits", "24 bits", "shuffled", "descending", "one", "differences", "jitter"],
)
def test_what_is_behind_a_stamp_that_is_too_early(tmp_path, t, words):
    events = steady(600)
    path = tmp_path / "a.npz"
    np.savez(path, x=events["x"], y=events["y"], t=t, p=events["p"])
    with pytest.raises(DataError, match=words):
        read(path, size=(34, 34))


@pytest.mark.parametrize("invalid", ["drop", "clip"])
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("x", 40, r"16 of 300 events are off the sensor; first event 0.*: x 40, .*size=\(width, height\)"),
        ("p", 3, "16 of 300 events are whose polarity is neither"),
    ],
)
def test_a_repair_of_many_events_is_refused(tmp_path, invalid, field, value, words):
    events = steady(300)
    events[field][::20] = value
    path = FORMS["npz"].put(tmp_path, events)
    assert len(read(path, **settings("npz", invalid=invalid)).array) == (285 if invalid == "drop" else 300)
    events[field][5] = value
    with pytest.raises(DataError, match=words):
        read(FORMS["npz"].put(tmp_path, events), **settings("npz", invalid=invalid))


def test_an_event_of_unknown_polarity_never_becomes_on(tmp_path):
    for value, suffix in ((15, "dat 2"), (255, "aedat4")):
        path = FORMS[suffix].put(tmp_path, events_of([1, 2], [3, 4], [5, 6], [1, 0]))
        raw = bytearray(path.read_bytes())
        if suffix == "dat 2":
            raw[-1] = value << 4
        else:
            at = raw.rindex((6).to_bytes(8, "little") + bytes([2, 0, 4, 0]))
            raw[at + 12] = value
        path.write_bytes(bytes(raw))
        assert read(path, invalid="clip", report=lambda c: None).array["p"].tolist() == [1, 0]
