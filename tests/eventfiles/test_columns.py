"""HDF5 and NumPy: known layouts, other names, units, values out of EVENT's range."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from spikeprep.errors import CapabilityError, DataError, UsageError
from spikeprep.eventfiles import ChangedEvents, open_events, outline, read, scan

h5py = pytest.importorskip("h5py")

X, Y, T, P = [3, 4, 5], [1, 2, 3], [1000, 2000, 3000], [1, 0, 1]
ROWS = [(3, 1, 1000, 1), (4, 2, 2000, 0), (5, 3, 3000, 1)]


def h5(tmp_path, tree: dict, **attributes):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name, values in tree.items():
            file[name] = values
        file.attrs.update(attributes)
    return path


def named(x: str, y: str, t: str, p: str, polarity=P) -> dict:
    return {x: np.array(X, "<u2"), y: np.array(Y, "<i8"), t: np.array(T, "<u4"), p: np.array(polarity)}


def test_dsec(tmp_path):
    tree = named("events/x", "events/y", "events/t", "events/p") | {
        "ms_to_idx": [0, 0, 1, 2],
        "t_offset": 7_000_000,
    }
    events = read(h5(tmp_path, tree))
    assert (events.size, events.start) == ((640, 480), 7_000_000)
    assert events.array.tolist() == ROWS


def test_rvt(tmp_path):
    tree = named("events/x", "events/y", "events/t", "events/p") | {"events/width": 304, "events/height": 240}
    events = read(h5(tmp_path, tree))
    assert (events.size, events.start, events.array.tolist()) == ((304, 240), 0, ROWS)


def test_event_utils(tmp_path):
    tree = named("events/xs", "events/ys", "events/ts", "events/ps", [True, False, True])
    tree["events/ts"] = np.array(T) / 1e6
    path = h5(tmp_path, tree, sensor_resolution=(180, 240))
    events = read(path, unit="s")
    assert (events.size, events.array.tolist()) == ((240, 180), ROWS)


def test_prophesee(tmp_path):
    compound = np.zeros(3, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    compound["x"], compound["y"], compound["t"], compound["p"] = X, Y, T, P
    trigger = np.zeros(1, [("p", "<i2"), ("t", "<i8"), ("id", "<i2")])
    path = h5(tmp_path, {"CD/events": compound, "EXT_TRIGGER/events": trigger}, geometry="1280x720")
    events = read(path)
    assert (events.size, events.start) == ((1280, 720), 1000)  # a camera's clock
    assert events.array["t"].tolist() == [0, 1000, 2000]
    assert outline(path).array["t"].tolist() == [2000]
    assert read(path, origin="stored").array["t"].tolist() == T


def test_other_column_names(tmp_path):
    tree = named("left/col", "left/row", "left/when", "left/sign")
    path = h5(tmp_path, tree, width=9, height=9)
    with pytest.raises(DataError, match=r"no columns of events among \['left', .*Pass the names"):
        read(path)
    assert read(path, t="when", p="sign").array.tolist() == ROWS
    whole = {"x": "left/col", "y": "left/row", "t": "left/when", "p": "left/sign"}
    assert read(path, **whole).array.tolist() == ROWS
    assert read(path, **whole).size == (9, 9)


def test_one_of_several_groups_has_to_be_named(tmp_path):
    tree = named("left/x", "left/y", "left/t", "left/p") | named(
        "right/x", "right/y", "right/t", "right/p", [0, 0, 0]
    )
    path = h5(tmp_path, tree, width=9, height=9)
    with pytest.raises(
        DataError, match=r"events in each of \['/left', '/right'\].*Pass group='/left' or group='/right'"
    ):
        read(path)
    assert read(path, group="left").array.tolist() == ROWS
    assert read(path, group="right").array["p"].tolist() == [0, 0, 0]
    with pytest.raises(DataError, match="has no 'middle'"):
        read(path, group="middle")


def test_an_array_of_columns(tmp_path):
    rows = np.array(ROWS, float)
    path = h5(tmp_path, {"data": rows}, width=9, height=9)
    assert read(path, columns="xytp").array.tolist() == ROWS
    np.save(tmp_path / "a.npy", rows[:, [2, 0, 1, 3]])
    assert read(tmp_path / "a.npy", size=(9, 9), columns="txyp").array.tolist() == ROWS
    with pytest.raises(DataError, match=r"has float64 \(3, 4\); expected .*columns='xytp'"):
        read(tmp_path / "a.npy", size=(9, 9))
    np.savez(tmp_path / "a.npz", events=rows)
    assert read(tmp_path / "a.npz", size=(9, 9), columns="xytp").array.tolist() == ROWS


def test_columns_of_different_lengths(tmp_path):
    tree = named("events/x", "events/y", "events/t", "events/p", [1, 0])
    with pytest.raises(DataError, match="columns of different lengths"):
        read(h5(tmp_path, tree, width=9, height=9))
    np.savez(tmp_path / "a.npz", x=X, y=Y, t=T, p=P[:2])
    with pytest.raises(DataError, match="columns of different lengths"):
        read(tmp_path / "a.npz", size=(9, 9))


def test_a_size_that_the_file_does_not_state(tmp_path):
    path = h5(tmp_path, named("x", "y", "t", "p"))
    with pytest.raises(DataError, match="does not state the size"):
        read(path)
    assert read(path, size=(9, 9)).array.tolist() == ROWS


def test_a_size_that_no_sensor_has(tmp_path):
    path = h5(tmp_path, named("x", "y", "t", "p"), width=0, height=99999)
    with pytest.raises(DataError, match="states a sensor of 0 × 99999; expected sides between 1 and 65535"):
        read(path)


@pytest.mark.parametrize(
    ("t", "unit", "expected"),
    [
        (np.array([1_000_499, 1_000_999, 3_000_000]), "ns", [1000, 1000, 3000]),
        (np.array([1, 2, 3]), "ms", [1000, 2000, 3000]),
        (np.array([0.0010004, 0.0010006, 0.003]), "s", [1000, 1001, 3000]),
        (np.array([1000.4, 2000.6, 3000.0]), "us", [1000, 2001, 3000]),
    ],
)
def test_units(tmp_path, t, unit, expected):
    np.savez(tmp_path / "a.npz", x=X, y=Y, t=t, p=P)
    events = read(tmp_path / "a.npz", size=(9, 9), unit=unit)
    assert events.array["t"].tolist() == expected


def test_a_camera_clock_in_an_array(tmp_path):
    rows = np.zeros(3, [("x", "<u2"), ("y", "<u2"), ("timestamp", "<u8"), ("polarity", "?")])
    rows["x"], rows["y"], rows["timestamp"], rows["polarity"] = X, Y, np.array(T) + 10**15, P
    path = tmp_path / "a.npy"
    np.save(path, rows)
    events = read(path, size=(9, 9), origin="first")
    assert (events.start, events.array["t"].tolist()) == (10**15 + 1000, [0, 1000, 2000])
    assert outline(path, size=(9, 9), origin="first").array["t"].tolist() == [2000]


def columns(folder: Path, **changed) -> dict[str, Path]:
    """Write the columns x, y, t, p in every format that has columns: name → file."""
    count = len(next(iter(changed.values())))
    n = np.arange(count)
    named = {"x": n % 9, "y": n % 7, "t": 1000 * n, "p": n % 2} | changed
    np.savez(folder / "a.npz", **named)
    rows = np.zeros(count, [(name, values.dtype) for name, values in named.items()])
    for name, values in named.items():
        rows[name] = values
    np.save(folder / "a.npy", rows)
    with h5py.File(folder / "a.h5", "w") as file:
        for name, values in named.items():
            file[f"events/{name}"] = values
    with h5py.File(folder / "b.h5", "w") as file:
        file["events"] = rows
    return {name: folder / name for name in ("a.npz", "a.npy", "a.h5", "b.h5")}


N = np.arange(400)
ONES = np.array([1, -1, -1, 1] * 30)


@pytest.mark.parametrize(
    "p",
    [
        ONES,
        ONES.astype("<i1"),
        ONES.astype("<f4"),
        ONES.astype("<u1"),  # 255
        ONES.astype("<u2"),
        ONES.astype("<u4"),  # v2e writes it
        ONES.astype("<u8"),
        ONES.astype("<u4").astype("<f8"),
        ONES.astype("<u4").astype("<i8"),
        ONES > 0,
        (ONES > 0).astype("<i8"),
        (ONES > 0).astype("<f8"),
    ],
    ids=lambda p: f"{p.dtype}",
)
def test_polarities_are_recognised(tmp_path, p):
    for path in columns(tmp_path, p=p).values():
        for invalid in ("fail", "drop", "clip"):
            got = read(path, size=(9, 9), invalid=invalid)
            np.testing.assert_array_equal(got.array["p"], ONES > 0)
        for n in (1, 2):
            pieces = open_events(path, size=(9, 9), piece_events=n).array
            np.testing.assert_array_equal(pieces["p"], ONES > 0)
        assert outline(path, size=(9, 9)).array["p"].tolist() == [1]


@pytest.mark.parametrize(("p", "off", "expected"), [([1, -1, 1], -1, P), ([-1, -1, -1], "", [0, 0, 0])])
def test_off_as_minus_one(tmp_path, p, off, expected):
    for path in columns(tmp_path, p=np.array(p)).values():
        assert read(path, size=(9, 9), off=off).array["p"].tolist() == expected


@pytest.mark.parametrize("minus", [-1, 255, 65535, 2**32 - 1])
def test_a_file_has_one_value_for_off(tmp_path, minus):
    p = np.array([1, 0, minus, 1])
    for path in columns(tmp_path, p=p).values():
        for invalid in ("fail", "drop", "clip"):
            with pytest.raises(
                DataError, match=rf"has polarity 0 \(event 1\) and polarity {minus} \(event 2\).*off=-1"
            ):
                read(path, size=(9, 9), invalid=invalid)
        with pytest.raises(
            DataError, match=r"event 1\b.*: has polarity 0;.*Pass off=-1 and on=0 if these are"
        ):
            read(path, size=(9, 9), off=-1)
        with pytest.raises(DataError, match=r"event 2\b.*: has polarity -1"):
            read(path, size=(9, 9), off=0)
        with pytest.warns(ChangedEvents, match="1 events clipped"):
            assert read(path, size=(9, 9), off=0, invalid="clip").array["p"].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ([0, -1] * 9, "Give off=-1 and on=0 if these are OFF and ON"),
        ([0, 255] * 9, "Give off=0 and on=255 if these are OFF and ON"),
        ([0, 1] * 9 + [-1] * 5, "Cut off the events from 18 on if they are padding"),
        ([0, 1] * 9 + [-1] * 5 + [1], "Name the column of p; or give off=-1 if 0 is an error"),
    ],
    ids=["-1", "255", "padding", "three"],
)
def test_the_fix_for_0_and_another_value_of_off(tmp_path, p, words):
    for path in columns(tmp_path, p=np.array(p)).values():
        with pytest.raises(DataError, match=rf"; expected one value that means OFF, 0 or −1. {words}"):
            read(path, size=(9, 9))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"frames": np.zeros((5, 2, 9, 9), "u1")}, "are frames, not events"),
        ({"x": N, "y": N, "t_us": N}, "p is missing"),
        ({"events": np.zeros(9, [("X", "u1"), ("y", "u1"), ("ts", "i8")])}, "p is missing"),
        ({"x": N, "t": N, "p": N}, "Pass their names as x=…"),
    ],
    ids=["frames", "arrays", "fields", "no y"],
)
def test_arrays_that_are_no_events(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.npz", size=(9, 9))


def test_255_alone_can_be_on_or_off(tmp_path):
    path = columns(tmp_path, p=np.array([255, 255], "u1"))["a.npz"]
    with pytest.raises(DataError, match=r"polarity 255 and never 1.*off=-1"):
        read(path, size=(9, 9))
    assert read(path, size=(9, 9), off=-1).array["p"].tolist() == [0, 0]
    path = columns(tmp_path, p=np.array([255, 0, 255], "u1"))["a.npz"]
    with pytest.raises(DataError, match=r"polarity 0 \(event 1\) and polarity 255 \(event 0\)"):
        read(path, size=(9, 9))


@pytest.mark.parametrize("values", [(1, 2), (0, 2), (1, 3)])
def test_polarities_of_another_meaning_are_not_repaired(tmp_path, values):
    path = columns(tmp_path, p=np.array(values * 30))["a.npz"]
    for invalid in ("drop", "clip"):
        with pytest.raises(DataError, match=r"30 of 60 events are whose polarity is neither .*save p as 0"):
            read(path, size=(9, 9), invalid=invalid)


@pytest.mark.parametrize(
    ("values", "options"),
    [((1, 2), {"off": 1, "on": 2}), ((0, 255), {"on": 255}), ((-1, 0), {"off": -1, "on": 0})],
)
def test_values_that_mean_off_and_on(tmp_path, values, options):
    for path in columns(tmp_path, p=np.array(values * 30)).values():
        with pytest.raises(DataError, match=rf"off={values[0]} and on={values[1]}"):
            read(path, size=(9, 9))
        assert read(path, size=(9, 9), **options).array["p"].tolist() == [0, 1] * 30


def test_coordinates_that_count_from_1(tmp_path):
    n = np.arange(90)
    for path in columns(tmp_path, x=1 + n % 9, y=1 + n % 7).values():
        with pytest.raises(DataError, match=r"x and y count from 1: .* or give size=\(10, 10\)"):
            read(path, size=(9, 9))
        assert read(path, size=(10, 10)).array["x"].max() == 9


def test_values_out_of_range_of_an_event(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([3, -70000, 70000]), y=Y, t=T, p=np.array([1, 256, 1]))
    with pytest.raises(DataError, match="event 1: x -70000, y 2 lies off"):
        read(path, size=(9, 9))
    with pytest.warns(ChangedEvents, match="2 events clipped; first event 1: x -70000"):
        assert read(path, size=(9, 9), invalid="clip").array.tolist() == [
            (3, 1, 1000, 1),
            (0, 2, 2000, 1),
            (8, 3, 3000, 1),
        ]
    with pytest.warns(ChangedEvents, match="2 events dropped"):
        assert read(path, size=(9, 9), invalid="drop").array.tolist() == ROWS[:1]


def test_a_time_stamp_before_the_start(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, t=[-5, 2000, 3000], p=P)
    with pytest.raises(DataError, match="event 0: t -5 µs is before the start"):
        read(tmp_path / "a.npz", size=(9, 9), origin="stored")
    got = read(tmp_path / "a.npz", size=(9, 9))
    assert (got.start, got.array["t"].tolist()) == (-5, [0, 2005, 3005])


# ---------------------------------------------------------------- units that are not given


@pytest.mark.parametrize("offset", [0, 0.004899, 1504645177.4, 3.5])
@pytest.mark.parametrize("dtype", ["<f8", "<f4"])
def test_seconds_with_fractions_are_recognised(tmp_path, offset, dtype):
    if offset > 10 and dtype == "<f4":
        offset = 7.25
    stamps = (offset + 0.0025 * N).astype(dtype)
    expected = np.rint(stamps.astype("<f8") * 1e6).astype("<i8")
    expected -= expected[0] * (expected[0] > 1_000_000)
    for path in columns(tmp_path, t=stamps).values():
        for more in ({}, {"unit": "s"}):
            np.testing.assert_array_equal(read(path, size=(9, 9), **more).array["t"], expected)
        got = outline(path, size=(9, 9))
        assert got.length() == expected[-1] + 1
        assert scan(path, size=(9, 9)).notes[0] == "t is in seconds, as it has fractions"


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        (2.5 * N + 0.123, r"event 0 has t 0\.123, and 400 events last 997\.5, in an unknown unit.*unit='ms'"),
        (2500.0 * N + 0.5, "in an unknown unit"),  # µs
        (0.05 * N + 1e6, "last 19.95, in an unknown unit"),
        (
            2 * N,
            r"400 events last 0.000798 s if t is in µs, 1.25e\+03 per second and pixel, and 0.798 s if it is in ms; .*"
            "Give unit='us' if that is right, else the unit of t: unit='ms', unit='s' or unit='ns'",
        ),
        (2.0 * N, "400 events last 0.000798 s if t is in µs"),
        (N // 100, "400 events last 3e-06 s if t is in µs"),  # seconds
        (
            2_500_000 * N,
            r"997.5 s if t is in µs, 0.001 per second and pixel, and 0.9975 s if it is in ns; .*"
            "Give unit='us' if that is right, else the unit of t: unit='ns'",
        ),
        (0 * N, "all 400 events have the same t; .*Give unit='us' to keep them at one time"),
        (1_600_000_000_000 + 100 * N, r"t 1600000000000, which is Unix time in ms, or 19 days in µs"),
        ((1.6e9 + 0.0025 * N).astype("<f4"), "all 400 events have the same t"),
        ((1.6e15 + 2500 * N).astype("<f4"), "t is float32, which at .* only has every 134,217,728 µs"),
        (np.array([0, 1, 2.5] * 40), r"event 2 has t 2.5|before"),
    ],
    ids=str,
)
def test_units_that_are_unclear_are_refused(tmp_path, stamps, words):
    for path in columns(tmp_path, t=stamps).values():
        for invalid in ("fail", "clip"):
            with pytest.raises(DataError, match=words):
                scan(path, size=(20, 20), invalid=invalid)


def test_a_rate_that_only_another_unit_has(tmp_path):
    t = np.sort(np.arange(60_000) * 7919 % 60_000)  # one minute in ms
    path = columns(tmp_path, t=t)["a.npz"]
    words = r"60,000 events last 0.059999 s if t is in µs, 1.23e\+04 per second and pixel, and 59.999 s if it is in ms"
    with pytest.raises(DataError, match=words):
        scan(path, size=(9, 9))
    assert scan(path, size=(9, 9), unit="ms").outline.length() == 59_999_001
    assert scan(path, size=(346, 260)).notes == ("t is in µs, as it has whole numbers",)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (1, "60 events last 5.9e-05 s"),
        (2_000_000, "0.00127 per second and pixel, and 0.118 s if it is in ns"),
        (100, ""),
        (1000, ""),
        (80_000, ""),
        (1_000_000, ""),
    ],
)
def test_few_events_are_read_with_a_finding(tmp_path, step, words):
    for path in columns(tmp_path, t=step * np.arange(60)).values():
        result = scan(path, size=(20, 20))
        assert result.outline.length() == 59 * step + 1
        assert len(result.findings) == bool(words)
        assert words in "".join(result.findings)


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        (
            30 * N,
            "400 events last 0.01197 s if t is in µs, 58 per second and pixel, and 11.97 s if it is in ms",
        ),
        (
            130_000 * N,
            "last 51.87 s if t is in µs, 0.0134 per second and pixel, and 0.05187 s if it is in ns",
        ),
        (
            0.02 * N + 0.001,
            "last 7.98 s if t is in s, 0.087 per second and pixel, and 0.00798 s if it is in ms",
        ),
        (0.0012345 * N, ""),
        (0.001 * N, ""),  # of ms, it would be too fast
    ],
    ids=range(5),
)
def test_a_plausible_rate_is_a_finding_where_another_unit_is_near(tmp_path, stamps, words):
    for path in columns(tmp_path, t=stamps).values():
        assert [words in text for text in scan(path, size=(24, 24)).findings] == [True] * bool(words)
        unit = "us" if stamps.dtype.kind == "i" else "s"
        assert scan(path, size=(24, 24), unit=unit).findings == ()


def test_seconds_that_are_too_slow_are_refused(tmp_path):
    path = columns(tmp_path, t=0.0200001 * N)["a.npz"]
    with pytest.raises(
        DataError, match=r"7.98004 s if t is in s, 0.00116 .* unit='s' if that is right.*unit='ms'"
    ):
        scan(path, size=(240, 180))


def test_unix_time_in_ns_is_recognised(tmp_path):
    for path in columns(tmp_path, t=1_600_000_000_000_000_000 + 2_000_000 * N).values():
        result = scan(path, size=(9, 9))
        assert (result.outline.start, result.outline.length()) == (1_600_000_000_000_000, 798_001)
        assert result.notes[0] == "t is in ns, as it begins like Unix time in ns"


@pytest.mark.parametrize(
    ("text", "unit"),
    [("us", "us"), ("Microseconds", "us"), ("ms", "ms"), ("[msec]", "ms"), ("s", "s"), ("seconds", "s"), ("ns", "ns"),
     ("microseconds since 2020-01-01", "us"), (b"ns", "ns"), (["ms"], "ms")],
)  # fmt: skip
def test_a_unit_that_an_attribute_states(tmp_path, text, unit):
    path = columns(tmp_path, t=np.array([0, 3000, 7000]))["a.h5"]
    with h5py.File(path, "r+") as file:
        file["events/t"].attrs["units"] = text
    expected = [
        0,
        *(
            {"us": (3000, 7000), "ms": (3_000_000, 7_000_000), "ns": (3, 7)}.get(unit)
            or (3 * 10**9, 7 * 10**9)
        ),
    ]
    result = scan(path, size=(9, 9))
    assert result.read().array["t"].tolist() == expected
    words = {"ms": "ms", "ns": "ns", "s": "seconds"}  # µs is what whole numbers are in anyway
    said = (f"t is in {words[unit]}, as the attribute units of /events/t says",) if unit in words else ()
    assert result.notes == said
    assert read(path, size=(9, 9), unit="us").array["t"].tolist() == [0, 3000, 7000]


def test_a_unit_that_is_none_of_time(tmp_path):
    path = columns(tmp_path, t=np.array([0, 3000, 7000]))["a.h5"]
    with h5py.File(path, "r+") as file:
        file["events/t"].attrs["Unit"] = "ticks"
    with pytest.raises(
        DataError, match=r"attribute Unit of /events/t is 'ticks', which is no known .*unit='us'"
    ):
        read(path, size=(9, 9))
    assert read(path, size=(9, 9), unit="us").array["t"].tolist() == [0, 3000, 7000]


@pytest.mark.parametrize("name", ["t_ms", "timestamp [ms]", "timeMs", "T_msec"])
def test_a_unit_that_a_name_states(tmp_path, name):
    arrays = {"x": X, "y": Y, name: T, "p": P}
    np.savez(tmp_path / "a.npz", **arrays)
    rows = np.zeros(3, [(n, "<i8") for n in arrays])
    for n, values in arrays.items():
        rows[n] = values
    np.save(tmp_path / "a.npy", rows)
    h5(tmp_path, arrays)
    for path in ("a.npz", "a.npy", "a.h5"):
        result = scan(tmp_path / path, size=(9, 9))
        assert result.read().array["t"].tolist() == [1_000_000, 2_000_000, 3_000_000]
        assert result.notes[0] == f"t is in ms, as the name {name} says"


# ---------------------------------------------------------------- several tables or columns


def test_columns_of_one_meaning(tmp_path):
    arrays = {"x": X, "y": Y, "t": T, "p": P, "timestamps": [7, 8, 9], "xs": Y}
    np.savez(tmp_path / "a.npz", **arrays)
    h5(tmp_path, arrays)
    for path in ("a.npz", "a.h5"):
        with pytest.raises(
            DataError, match=r"has 2 columns of x: x, xs; expected one .*pass x='x' or x='xs'"
        ):
            read(tmp_path / path, size=(9, 9))
        with pytest.raises(DataError, match=r"2 columns of t: t, timestamps; .*t='t' or t='timestamps'"):
            read(tmp_path / path, size=(9, 9), x="x")
        assert read(tmp_path / path, size=(9, 9), x="x", t="t").array.tolist() == ROWS
        assert read(tmp_path / path, size=(9, 9), x="xs", t="timestamps").array["x"].tolist() == Y
    rows = np.zeros(3, [(n, "<i8") for n in arrays])
    np.save(tmp_path / "a.npy", rows)
    with pytest.raises(DataError, match="has 2 columns of x: x, xs"):
        read(tmp_path / "a.npy", size=(9, 9))


def test_times_of_something_else_are_no_column_of_events(tmp_path):
    arrays = {"x": X, "y": Y, "t": T, "p": P, "timestamps": [7, 8]}  # of frames
    np.savez(tmp_path / "a.npz", **arrays)
    h5(tmp_path, arrays)
    for path in ("a.npz", "a.h5"):
        assert read(tmp_path / path, size=(9, 9)).array.tolist() == ROWS


def test_several_tables(tmp_path):
    rows = np.zeros(3, [(n, "<i8") for n in "xytp"])
    for n, values in zip("xytp", (X, Y, T, P), strict=True):
        rows[n] = values
    path = tmp_path / "a.npz"
    np.savez(path, left=rows, right=rows[::-1], x=X, y=Y, t=T, p=P)
    words = r"events in each of the arrays x, y, t, p, left, right; .*Pass group='left' or group='right'"
    with pytest.raises(DataError, match=words):
        read(path, size=(9, 9))
    assert read(path, size=(9, 9), group="left").array.tolist() == ROWS
    assert read(path, size=(9, 9), x="x", y="y", t="t", p="p").array.tolist() == ROWS
    with pytest.raises(DataError, match="has no array 'middle'; expected one of left, right"):
        read(path, size=(9, 9), group="middle")
    np.savez(path, a=np.array(ROWS), b=np.array(ROWS))
    with pytest.raises(DataError, match=r"events in each of a, b; .*Pass group='a' or group='b'"):
        read(path, size=(9, 9), columns="xytp")
    assert read(path, size=(9, 9), columns="xytp", group="b").array.tolist() == ROWS


@pytest.mark.parametrize(
    ("stamps", "unit", "last"),
    [(2 * N, "ms", 798_000), (2 * N, "us", 798), (2_500_000 * N, "ns", 997_500), (N // 100, "s", 3_000_000)],
)
def test_a_unit_that_is_given_is_taken(tmp_path, stamps, unit, last):
    for path in columns(tmp_path, t=stamps).values():
        assert read(path, size=(9, 9), unit=unit).array["t"][-1] == last


def test_fractions_after_whole_numbers(tmp_path):
    count = 70_000  # more than are read at a time
    stamps = np.arange(count, dtype="<f8")
    stamps[-1] += 0.5
    path = columns(tmp_path, t=stamps)["a.npz"]
    with pytest.raises(DataError, match=r"event 69999 has t 69999\.5, after whole numbers"):
        read(path, size=(9, 9))
    assert read(path, size=(9, 9), unit="us").array["t"][-1] == 70_000


@pytest.mark.parametrize("dtype", ["<u1", "<i2", "<u4", "<i4", "<u8"])
def test_units_do_not_overflow(tmp_path, dtype):
    stamps = np.array([0, 100, 127], dtype)
    for path in columns(tmp_path, t=stamps).values():
        assert read(path, size=(9, 9), unit="s").array["t"].tolist() == [0, 100_000_000, 127_000_000]
    stamps = np.array([0, 5, 2**63 // 10**6 + 1], "<i8")
    for path in columns(tmp_path, t=stamps).values():
        with pytest.raises(
            DataError, match=r"event 2 has t 9223372036855; expected a number of µs below 2⁶²"
        ):
            read(path, size=(9, 9), unit="s")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("x", [1.5, 2.0, 3.0], "event 0 has x 1.5; expected a whole number"),
        ("x", [1.0, np.nan, 3.0], "event 1 has x nan; expected a whole number. Remove such events"),
        ("t", [1.0, np.nan, 3.0], "event 1 has t nan; expected a time. Remove such events"),
        ("t", [1.0, 2.0, np.inf], "event 2 has t inf; expected a time. Remove such events"),
        ("t", [1.0, 1e30, 3.0], "event 1 has t 1e\\+30; expected a number of µs below"),
        ("p", ["on", "off", "on"], "p is <U3"),
        ("t", ["1", "2", "3"], r"t is <U1.*Save t as numbers: t\.astype\('int64'\)"),
        ("t", np.array([1, 2, 3], "m8[ms]"), r"t is timedelta64\[ms\].*Save t as whole numbers of µs"),
        ("t", np.array([1, 2, 3], "M8[ms]"), r"Save the times since the first one, in µs: \(t - t\[0\]\)"),
        ("t", [1j, 2j, 3j], "t is complex128.*Save t as one number for each event"),
    ],
)
def test_columns_that_are_not_numbers(tmp_path, column, values, message):
    np.savez(tmp_path / "a.npz", **({"x": X, "y": Y, "t": T, "p": P} | {column: values}))
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.npz", size=(9, 9))


@pytest.mark.parametrize(
    "options",
    [{"unit": "min"}, {"off": 3}, {"origin": "last"}, {"columns": "xyt"}, {"columns": "xxytp"}],
    ids=str,
)
def test_settings_that_are_not_allowed(tmp_path, options):
    np.savez(tmp_path / "a.npz", x=X, y=Y, t=T, p=P)
    with pytest.raises(UsageError, match=f"got numpy.{next(iter(options))} = "):
        read(tmp_path / "a.npz", size=(9, 9), **options)


def test_damaged_files(tmp_path):
    rows = np.zeros(300, [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "?")])
    np.save(tmp_path / "a.npy", rows)
    np.savez_compressed(tmp_path / "a.npz", **{name: rows[name] for name in "xytp"})
    path = h5(tmp_path, named("x", "y", "t", "p"), width=9, height=9)
    for name in ("a.npy", "a.npz", path.name):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            read(tmp_path / name, size=(9, 9))


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([{"x": 1}], dtype=object))
    for name, words in (
        ("a.npy", "cannot be read .it holds Python objects"),
        ("a.npz", "has x with Python objects"),
    ):
        with pytest.raises(DataError, match=words):
            read(tmp_path / name, size=(9, 9))
    arrays = dict(zip("xytp", np.array(ROWS).T, strict=True))
    np.savez(tmp_path / "b.npz", meta=np.array({"x": 1}, dtype=object), **arrays)
    assert read(tmp_path / "b.npz", size=(9, 9)).array.tolist() == ROWS


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_columns_in_any_memory_order(tmp_path, order, turned):
    rows = np.array(ROWS)
    rows = np.array(rows.T if turned else rows, order=order)
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "a.npz", events=rows)
    np.savez_compressed(tmp_path / "b.npz", events=rows)
    for name in ("a.npy", "a.npz", "b.npz"):
        assert read(tmp_path / name, size=(9, 9), columns="xytp").array.tolist() == ROWS
        with pytest.raises(DataError, match=r"Pass the order of the columns, such as columns='xytp'"):
            read(tmp_path / name, size=(9, 9))


@pytest.mark.parametrize("order", ["C", "F"])
def test_columns_as_arrays_of_two_axes(tmp_path, order):
    """EVIMO2's t, xy and p; columns (event, 1) and (1, event)."""
    for name, save in (("a.npz", np.savez), ("b.npz", np.savez_compressed)):
        save(
            tmp_path / name,
            t=np.array(T),
            xy=np.array([X, Y], order=order[::-1]).T.copy(order),
            p=np.array(P)[:, None],
        )
        assert read(tmp_path / name, size=(9, 9)).array.tolist() == ROWS
    np.savez(tmp_path / "c.npz", t=np.array(T)[None], x=np.array(X)[:, None], y=Y, p=P)
    assert read(tmp_path / "c.npz", size=(9, 9)).array.tolist() == ROWS
    np.save(tmp_path / "d.npy", np.array([tuple(row) for row in ROWS], [(c, "<i8") for c in "xytp"])[:, None])
    assert read(tmp_path / "d.npy", size=(9, 9)).array.tolist() == ROWS
    np.savez(tmp_path / "e.npz", t=T, xy=np.zeros((2, 2), int), p=P)
    with pytest.raises(DataError, match="columns of different lengths"):
        read(tmp_path / "e.npz", size=(9, 9))
    path = h5(
        tmp_path, {f"events/{c}": np.array(v)[:, None] for c, v in zip("xytp", (X, Y, T, P), strict=True)}
    )
    assert read(path, size=(9, 9)).array.tolist() == ROWS


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_each_polarity(tmp_path, order):
    """ES-ImageNet: x, y and t of ON and of OFF events, t a step from 1 to 8."""
    rng = np.random.default_rng(0)
    on, off = (
        np.array(np.c_[rng.integers(0, 9, (n, 2)), np.sort(rng.integers(1, 9, n))], np.uint8, order=order)
        for n in (70, 50)
    )
    np.savez_compressed(tmp_path / "a.npz", pos=on, neg=off)
    with pytest.raises(DataError, match="unit='ms'"):
        read(tmp_path / "a.npz", size=(9, 9))
    events = read(tmp_path / "a.npz", size=(9, 9), unit="ms")
    together = [(*row, 1) for row in on.tolist()] + [(*row, 0) for row in off.tolist()]
    assert events.array.tolist() == [
        (x, y, 1000 * t, p) for x, y, t, p in sorted(together, key=lambda row: row[2])
    ]
    np.savez(tmp_path / "b.npz", pos=on[::-1], neg=off)
    with pytest.raises(DataError, match="order='sort'"):
        read(tmp_path / "b.npz", size=(9, 9), unit="ms")
    with pytest.warns(ChangedEvents, match="events sorted"):
        assert len(read(tmp_path / "b.npz", size=(9, 9), unit="ms", order="sort").array) == 120


def several_files(folder, order="C", **changed):
    """Write EVIMO2's files: t in s, (event, 1), xy (event, 2) and p (event, 1)."""
    arrays = {
        "t": np.array(T)[:, None] / 1e6,
        "xy": np.array([X, Y], order=order[::-1]).T.astype(np.uint16).copy(order),
        "p": np.array(P, np.uint8)[:, None],
    }
    for name, values in (arrays | changed).items():
        if values is not None:
            np.save(folder / f"dataset_events_{name}.npy", values)
    return folder / "dataset_events_t.npy"


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_recording_in_several_files(tmp_path, order):
    path = several_files(tmp_path, order)
    assert read(path, size=(9, 9), unit="s").array.tolist() == ROWS
    several_files(tmp_path, xy=None, x=np.array(X), y=np.array(Y))
    (tmp_path / "dataset_events_xy.npy").unlink()
    assert read(path, size=(9, 9), unit="s").array.tolist() == ROWS
    many = {"t": np.arange(200_000) / 1e4, "p": np.arange(200_000) % 2}
    several_files(tmp_path, xy=np.arange(400_000).reshape(-1, 2) % 9, **many)
    (tmp_path / "dataset_events_x.npy").unlink()
    pieces = open_events(path, size=(9, 9), unit="s", piece_events=999).array
    assert pieces["x"].tolist() == [n % 9 for n in range(0, 400_000, 2)]
    assert pieces["t"].tolist() == [100 * n for n in range(200_000)]


def test_several_files_that_are_wrong(tmp_path):
    path = several_files(tmp_path)
    for name in ("xy", "p"):
        with pytest.raises(DataError, match=r"give dataset_events_t\.npy, which stands for all of them"):
            read(tmp_path / f"dataset_events_{name}.npy", size=(9, 9))
    several_files(tmp_path, p=np.array(P)[:-1])
    with pytest.raises(DataError, match="columns of different lengths"):
        read(path, size=(9, 9))
    several_files(tmp_path, p=np.array([{}], object))
    with pytest.raises(DataError, match=r"_p\.npy cannot be read .it holds Python objects"):
        read(path, size=(9, 9))
    (tmp_path / "dataset_events_p.npy").unlink()
    with pytest.raises(DataError, match=r"there are dataset_events_t\.npy, dataset_events_xy\.npy: put"):
        read(path, size=(9, 9))


def test_several_files_are_one_in_digests(tmp_path):
    path = several_files(tmp_path)
    found = scan(path, size=(9, 9), unit="s")
    assert found.read().array.tolist() == ROWS
    several_files(tmp_path, p=1 - np.array(P))
    assert scan(path, size=(9, 9), unit="s").sha256 != found.sha256
    with pytest.raises(DataError, match=r"_p\.npy has changed while it was read"):
        found.read()


@pytest.mark.parametrize(
    "nine", [np.int64(9), np.array([9]), b"9", "9", np.bytes_(b"9"), np.array([[9.0]]), np.float32(9)]
)
def test_numbers_of_an_hdf5_file_in_any_form(tmp_path, nine):
    path = h5(
        tmp_path,
        named("events/x", "events/y", "events/t", "events/p"),
        width=nine,
        height=nine,
        t_offset=nine,
    )
    events = read(path)
    assert (events.size, events.start, events.array.tolist()) == ((9, 9), 9, ROWS)


def test_data_sets_of_four_columns_of_known_layouts(tmp_path):
    x, y, t, p = np.array(ROWS).T
    path = h5(tmp_path, {"events": np.stack([t, x, y, p], 1).astype("<u4")})
    assert read(path, size=(9, 9)).array.tolist() == ROWS  # v2e
    rows = np.stack([x, y, 1_504_645_177 + t * 1e-6, 2 * p - 1], 1)
    path = h5(tmp_path, {"davis/left/events": rows, "davis/right/events": rows[:1]})
    with pytest.raises(DataError, match=r"Pass group='/davis/left/events' or group='/davis/right/events'"):
        read(path)
    events = read(path, group="davis/left/events")
    assert (events.size, events.start) == ((346, 260), 1_504_645_177_000_000 + ROWS[0][2])
    expected = [(x, y, t - ROWS[0][2], p) for x, y, t, p in ROWS]
    assert [tuple(event) for event in events.array.tolist()] == expected


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"data": np.zeros((3, 4))}, r"four columns without names: data float64 \(3, 4\).*columns='xytp'"),
        (
            {"spikes/times": np.zeros(3), "spikes/units": np.zeros(3)},
            "spikes of many samples.*recipe shd or ssc",
        ),
    ],
)
def test_what_is_found_in_an_hdf5_file_is_named(tmp_path, tree, words):
    with pytest.raises(DataError, match=words):
        read(h5(tmp_path, tree))


def test_an_array_in_memory_order_of_fortran(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(np.array(ROWS)))
    assert read(tmp_path / "a.npy", size=(9, 9), columns="xytp").array.tolist() == ROWS


def test_more_rows_than_are_read_at_a_time(tmp_path):
    count = 150_000
    t = np.arange(count)
    np.savez(tmp_path / "a.npz", x=t % 9, y=t % 7, t=t, p=t % 2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in {"x": t % 9, "y": t % 7, "t": t, "p": t % 2}.items():
            file.create_dataset(name, data=values, chunks=(70_000,), compression="lzf")
    for name in ("a.npz", "a.h5"):
        for events in (
            read(tmp_path / name, size=(9, 9), unit="us"),
            open_events(tmp_path / name, size=(9, 9), unit="us", piece_events=7777),
        ):
            array = events.array
            for field, values in {"x": t % 9, "y": t % 7, "t": t, "p": t % 2}.items():
                np.testing.assert_array_equal(array[field], values)
        assert outline(tmp_path / name, size=(9, 9), unit="us").array["t"].tolist() == [count - 1]


@pytest.mark.parametrize(
    ("number", "hint"), [(40_001, "Install hdf5plugin"), (0x8ECF, "hdf5_ecf.*HDF5_PLUGIN_PATH")]
)
def test_a_compression_filter_that_is_not_installed(tmp_path, monkeypatch, number, hint):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name, values in zip("xytp", (X, Y, T, P), strict=True):
            file.create_dataset(f"events/{name}", data=values, compression="gzip")
    monkeypatch.setattr("spikeprep.array_files.hdf5_checks.filters", lambda data: [(number, "a codec")])
    with pytest.raises(CapabilityError, match=rf"is compressed with filter {number} \(a codec\).*{hint}"):
        read(path, size=(9, 9))


@pytest.mark.parametrize("packed", [{}, {"chunks": True, "compression": "gzip"}])
def test_hdf5_tables_and_columns_with_axes_in_any_order(tmp_path, packed):
    """(4, event) and (event, 4); (event, 1) and (1, event)."""
    table = np.array(ROWS)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("turned/rows", data=table.T, **packed)
        file.create_dataset("plain/rows", data=table, **packed)
        for name, values, shape in zip("xytp", table.T, [(-1, 1), (1, -1), (-1,), (1, -1)], strict=True):
            file.create_dataset(f"columns/{name}", data=values.reshape(shape), **packed)
    for group in ("turned/rows", "plain/rows"):
        assert read(tmp_path / "a.h5", size=(9, 9), group=group, columns="xytp").array.tolist() == ROWS
    assert read(tmp_path / "a.h5", size=(9, 9), group="columns").array.tolist() == ROWS
    many = np.stack(
        [np.arange(150_000) % 9, np.arange(150_000) % 7, np.arange(150_000), np.arange(150_000) % 2]
    )
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("rows", data=many, chunks=(2, 5000), compression="gzip")
    found = open_events(tmp_path / "b.h5", size=(9, 9), columns="xytp", unit="us", piece_events=1000).array
    np.testing.assert_array_equal(np.stack([found[c] for c in "xytp"]), many)
    with h5py.File(tmp_path / "b.h5", "a") as file:
        file["rows"].id.write_direct_chunk((2, 100_000), zlib.compress(bytes(700)))
    with pytest.raises(
        DataError, match="chunk of /rows at event 100000 expands to 700 bytes; expected 80,000"
    ):
        read(tmp_path / "b.h5", size=(9, 9), columns="xytp", unit="us")
