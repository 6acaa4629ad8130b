"""Every format: recordings written from its description are read back, in memory and in pieces of any size."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeprep.data import EVENT
from spikeprep.errors import DataError, UsageError
from spikeprep.eventfiles import ChangedEvents, Changes, EventFormat, evt3, open_events, outline, read
from spikeprep.registry import EVENT_FORMATS
from spikeprep.testing import check_event_format

from . import writing
from .writing import events_of


def _zstd(data: bytes) -> bytes:
    return pytest.importorskip("zstandard").ZstdCompressor(write_content_size=False).compress(data)


def _lz4(data: bytes) -> bytes:
    return pytest.importorskip("lz4.frame").compress(data)


def _hdf5(events: np.ndarray, path: Path) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        for name in "xytp":
            file.create_dataset(
                f"events/{name}",
                data=events[name].astype("<i8"),
                maxshape=(None,),
                chunks=(50,),
                compression="gzip",
            )
        file["events"]["width"], file["events"]["height"] = 304, 240


def _bag(events: np.ndarray, path: Path, **options: Any) -> None:
    pytest.importorskip("rosbags")
    writing.bag_file(path, events, **options)


def _matlab(events: np.ndarray, path: Path, **how: Any) -> None:
    """Write a file as those of ASL-DVS: columns of one value each."""
    columns = {"x": "x", "y": "y", "ts": "t", "pol": "p"}
    types = {"x": np.uint8, "y": np.uint8, "t": np.float64, "p": np.uint8}
    arrays = {name: events[column].astype(types[column]) for name, column in columns.items()}
    scipy.io.savemat(path, arrays, oned_as="column", **how)


def _matlab73(events: np.ndarray, path: Path) -> None:
    """Write a file as MATLAB 7.3 does: HDF5 behind 512 bytes, with axes in the other order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, column in {"x": "x", "y": "y", "ts": "t", "pol": "p"}.items():
            data = file.create_dataset(
                name,
                data=events[column].astype("<f8").reshape(1, -1),
                maxshape=(1, None),
                chunks=(1, 50),
                compression="gzip",
            )
            data.attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as raw:
        raw.write(
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 1970 HDF5 schema 1.00 ."
        )


PACKED = np.dtype(
    [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "?")]
)  # NumPy does not save EVENT's own layout


@dataclass(frozen=True)
class Form:
    """A format, how a recording is written in it, and what it can represent."""

    name: str
    suffix: str
    write: Callable[..., Any]
    size: tuple[int, int]
    clock: bool = False  # stamps of a camera's clock: the first one is subtracted
    start: int = 5_000_000
    options: dict[str, Any] = field(default_factory=dict)
    given_size: bool = False
    offset: Callable[[bytes, int], int] | None = None  # of event n, where it is fixed

    def put(self, folder: Path, events: np.ndarray) -> Path:
        path = folder / f"recording{self.suffix}"
        written = (
            self.write(events, path)
            if self.name in ("hdf5", "mat", "numpy", "rosbag")
            else self.write(events)
        )
        if written is not None:
            path.write_bytes(written)
        return path

    def settings(self, **more: Any) -> dict[str, Any]:
        return self.options | ({"size": self.size} if self.given_size else {}) | more


def _stride(record: int) -> Callable[[bytes, int], int]:
    return lambda raw, n: len(raw) - (10 - n) * record


FORMS = {
    "nmnist": Form("nmnist", ".bin", writing.nmnist_bytes, (34, 34), start=100, offset=_stride(5)),
    "ncaltech101": Form(
        "ncaltech101", ".bin", writing.nmnist_bytes, (240, 180), options={"format": "ncaltech101"}, start=0
    ),
    "aedat2 DAVIS": Form("aedat2", ".aedat", writing.aedat2_bytes, (240, 180), True, offset=_stride(8)),
    "aedat2 DVS": Form("aedat2", ".aedat", lambda e: writing.aedat2_bytes(e, "DVS128"), (128, 128), True),
    "aedat3": Form("aedat3", ".aedat", writing.aedat3_bytes, (128, 128), True, start=2**31 - 500),
    "aedat4": Form("aedat4", ".aedat4", writing.aedat4_bytes, (346, 260), True, start=1_605_537_493_718_345),
    "aedat4 LZ4": Form(
        "aedat4", ".aedat4", lambda e: writing.aedat4_bytes(e, compression=1, compress=_lz4), (346, 260), True
    ),
    "aedat4 Zstandard": Form(
        "aedat4",
        ".aedat4",
        lambda e: writing.aedat4_bytes(e, compression=3, compress=_zstd),
        (346, 260),
        True,
    ),
    "evt2": Form("evt2", ".raw", writing.evt2_bytes, (640, 480), True, start=2**34 - 300),
    "evt21": Form("evt21", ".raw", writing.evt21_bytes, (1280, 720), True, start=2**34 - 300),
    "evt21 IMX636": Form(
        "evt21", ".raw", lambda e: writing.evt21_bytes(e, upper_first=True), (1280, 720), True
    ),
    "evt3": Form("evt3", ".raw", writing.evt3_bytes, (1280, 720), True, start=2**24 - 300),
    "evt3 vectors": Form("evt3", ".raw", writing.evt3_vectors, (1280, 720), True, start=2**24 - 300),
    "evt4": Form("evt4", ".raw", writing.evt4_bytes, (1280, 720), True, start=2**34 - 300),
    "evt4 vectors": Form(
        "evt4", ".raw", lambda e: writing.evt4_bytes(e, vectors=True), (1280, 720), True, start=2**34 - 300
    ),
    "dat 2": Form("dat", ".dat", writing.dat_bytes, (304, 240), start=0, offset=_stride(8)),
    "dat 1": Form("dat", ".dat", lambda e: writing.dat_bytes(e, 1), (304, 240), start=0),
    "es": Form("es", ".es", writing.es_bytes, (304, 240), start=0),
    "hdf5": Form("hdf5", ".h5", _hdf5, (304, 240), start=0, options={"unit": "us"}),
    "rosbag": Form("rosbag", ".bag", _bag, (346, 260), True, start=1_605_537_493_718_345),
    "rosbag BZ2": Form("rosbag", ".bag", lambda e, path: _bag(e, path, compression="BZ2"), (346, 260), True),
    "rosbag LZ4": Form("rosbag", ".bag", lambda e, path: _bag(e, path, compression="LZ4"), (346, 260), True),
    "hdf5 MATLAB": Form(
        "hdf5", ".mat", _matlab73, (240, 180), start=0, options={"unit": "us"}, given_size=True
    ),
    "mat": Form("mat", ".mat", _matlab, (240, 180), start=0, options={"unit": "us"}, given_size=True),
    "mat packed": Form(
        "mat",
        ".mat",
        lambda e, path: _matlab(e, path, do_compression=True),
        (240, 180),
        start=0,
        options={"unit": "us"},
        given_size=True,
    ),
    "npy": Form(
        "numpy",
        ".npy",
        lambda e, path: np.save(path, e.astype(PACKED)),
        (200, 100),
        start=0,
        options={"unit": "us"},
        given_size=True,
    ),
    "npz": Form(
        "numpy",
        ".npz",
        lambda e, path: np.savez_compressed(path, **{name: e[name] for name in "xytp"}),
        (200, 100),
        start=0,
        options={"unit": "us"},
        given_size=True,
    ),
}


def recording(form: Form, count: int, seed: int = 0, gap: int = 30) -> np.ndarray:
    """Return random events all over the sensor, with corners, equal times and neighbours in a row."""
    rng = np.random.default_rng(seed)
    t = form.start + np.cumsum(rng.integers(0, gap, count) * (rng.random(count) < 0.5))
    width, height = form.size
    x, y = rng.integers(0, width, count), rng.integers(0, height, count)
    p = rng.integers(0, 2, count)
    x[:2], y[:2] = (0, width - 1)[:count], (0, height - 1)[:count]
    t[:1] = form.start
    for n in range(1, count):
        if rng.random() < 0.5 and x[n - 1] + 9 < width:
            x[n], y[n], t[n], p[n] = x[n - 1] + rng.integers(1, 9), y[n - 1], t[n - 1], p[n - 1]
    return events_of(x, y, np.maximum.accumulate(t), p)


def relative(form: Form, events: np.ndarray) -> np.ndarray:
    """Return the events as they are read: of a camera's clock, from the first one's stamp."""
    events = events.copy()
    if form.clock and len(events):
        events["t"] -= events["t"][0]
    return events


def test_every_format_is_covered():
    # text has a module of its own: a file that is cut between two lines cannot be told from a whole one
    assert {form.name for form in FORMS.values()} == set(EVENT_FORMATS.names()) - {"text"}


@pytest.mark.parametrize("name", FORMS)
def test_written_events_are_read(tmp_path, name):
    form = FORMS[name]
    events = recording(form, 2500)
    path = form.put(tmp_path, events)
    got = read(path, **form.settings())
    assert got.array.dtype == EVENT
    assert got.size == form.size
    wrapped = {"evt2": 2**34, "evt3": 2**24}.get(form.name)
    assert got.start == (form.start % wrapped if wrapped else form.start if form.clock else 0)
    np.testing.assert_array_equal(got.array, relative(form, events))
    np.testing.assert_array_equal(outline(path, **form.settings()).array, got.array[-1:])
    named = form.settings(format=form.name)
    np.testing.assert_array_equal(read(path, **named).array, got.array)


@pytest.mark.parametrize("name", FORMS)
def test_every_format_passes_the_conformance_check(tmp_path, name):
    form = FORMS[name]
    options = {key: value for key, value in form.options.items() if key != "format"}
    events = recording(form, 60)
    size = form.size if form.given_size else None
    check_event_format(EVENT_FORMATS.get(form.name)(**options), form.put(tmp_path, events), events, size)


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pieces_of_any_length_are_the_recording(tmp_path, name, data):
    form = FORMS[name]
    count = data.draw(st.integers(1, 400))
    events = recording(
        form, count, data.draw(st.integers(0, 99)), gap=data.draw(st.sampled_from([1, 30, 3000]))
    )
    path = form.put(tmp_path, events)
    streamed = open_events(path, piece_events=data.draw(st.integers(1, 50)), **form.settings())
    for _ in range(2):  # decoded again on every pass
        np.testing.assert_array_equal(streamed.array, relative(form, events))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(copy.deepcopy(streamed))).array, streamed.array)


@pytest.mark.parametrize("name", ["nmnist", "aedat2 DAVIS", "evt2", "evt3 vectors", "dat 2", "es"])
def test_any_buffer_size_gives_the_same_events(tmp_path, monkeypatch, name):
    form = FORMS[name]
    events = recording(form, 700)
    path = form.put(tmp_path, events)
    for chunk in (40, 41, 1000):
        monkeypatch.setattr("spikeprep.eventfiles.base.CHUNK", chunk)
        np.testing.assert_array_equal(read(path, **form.settings()).array, relative(form, events))


@pytest.mark.parametrize("name", FORMS)
def test_a_format_is_a_plugin(name):
    form = FORMS[name]
    kind = EVENT_FORMATS.get(form.name)
    assert issubclass(kind, EventFormat)
    assert kind.name == form.name
    assert kind.title
    plugin = kind()
    assert kind.from_config(json.loads(json.dumps(plugin.to_config()))) == plugin
    with pytest.raises(UsageError, match="no setting"):
        kind.from_config({"colour": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        plugin.colour = 1


# ---------------------------------------------------------------- invalid events

BAD = [name for name in FORMS if not name.startswith("aedat4 ")]


def invalid_events(form: Form, events: np.ndarray, what: str) -> np.ndarray:
    """Return ten events of which number 4 (and number 7, where t runs backwards) is invalid."""
    events = events.copy()
    if what == "x":
        events["x"][4] = form.size[0]
    elif what == "y":
        events["y"][4] = form.size[1]
    elif what == "t":
        events["t"][4] -= 1500
        events["t"][7] -= 5000
    return events


def ten(form: Form) -> np.ndarray:
    events = recording(form, 10, seed=3)
    events["t"] = form.start + 1000 * np.arange(10)
    return events


def representable(name: str, what: str) -> bool:
    """Whether a file of the format can represent the invalid value."""
    form = FORMS[name]
    if what == "t":
        return form.name != "es"
    if form.name == "rosbag" and what in "xy":
        return True
    limits = {"aedat2 DVS": (128, 128), "aedat2 DAVIS": (1024, 512), "dat 1": (512, 256)}
    limit = limits.get(name, (256, 240) if form.name in ("nmnist", "ncaltech101") else (2048, 2048))
    return form.size["xy".index(what)] < limit["xy".index(what)]


CASES = [(name, what) for name in BAD for what in "xyt" if representable(name, what)]


@pytest.mark.parametrize(("name", "what"), CASES)
def test_an_invalid_event_is_named(tmp_path, name, what):
    form = FORMS[name]
    bad = invalid_events(form, ten(form), what)
    path = form.put(tmp_path, bad)
    with pytest.raises(DataError) as caught:
        read(path, **form.settings())
    text = str(caught.value)
    assert str(path) in text
    assert "event 4" in text
    assert {"x": f"x {form.size[0]},", "y": f"y {form.size[1]} ", "t": " is before "}[what] in text
    assert "invalid='drop'" in text
    if form.offset:
        assert f"at byte {form.offset(path.read_bytes(), 4)}:" in text
    with pytest.raises(DataError, match="event 4"):
        open_events(path, piece_events=3, **form.settings()).array  # noqa: B018


@pytest.mark.parametrize("name", ["evt2", "evt3", "evt3 vectors"])
def test_the_byte_offset_is_that_of_the_word(tmp_path, name):
    form = FORMS[name]
    events = recording(form, 500)
    for n in (5, 250, 499):
        bad = events.copy()
        bad["y"][n:] = form.size[1] + 1  # from there on, so that a vector's events stay together
        path = form.put(tmp_path, bad)
        with pytest.raises(DataError) as caught:
            read(path)
        at = int(re.search(r"at byte (\d+)", str(caught.value))[1])
        raw = path.read_bytes()
        if name == "evt2":
            assert int.from_bytes(raw[at : at + 4], "little") & 0x3FFFFF == int(bad["x"][n]) << 11 | int(
                bad["y"][n]
            )
            continue
        words = np.frombuffer(raw[len(writing.EVT3_HEADER) :], "<u2")
        ahead = evt3.decode_reference(words[: (at - len(writing.EVT3_HEADER)) // 2])
        after = evt3.decode_reference(words[: (at - len(writing.EVT3_HEADER)) // 2 + 1])
        assert len(ahead) <= n < len(after)


@pytest.mark.parametrize("invalid", ["clip", "drop"])
@pytest.mark.parametrize(("name", "what"), CASES)
def test_invalid_events_are_clipped_or_dropped(tmp_path, name, what, invalid):
    form = FORMS[name]
    good = ten(form)
    bad = invalid_events(form, good, what)
    path = form.put(tmp_path, bad)
    expected = relative(form, bad)
    edge = {"x": form.size[0] - 1, "y": form.size[1] - 1}
    if invalid == "clip":
        if what == "t":
            expected["t"] = np.maximum.accumulate(expected["t"])
        else:
            expected[what][4] = edge[what]
    else:
        wrong = np.zeros(10, bool)
        if what == "t":
            wrong = expected["t"] < np.maximum.accumulate(expected["t"])
        else:
            wrong[4] = True
        expected = expected[~wrong]
    changes: list[Changes] = []
    got = read(path, **form.settings(invalid=invalid, report=changes.append))
    np.testing.assert_array_equal(got.array, expected)
    (change,) = changes
    count = int((relative(form, bad)["t"] < np.maximum.accumulate(relative(form, bad)["t"])).sum()) or 1
    assert (change.clipped, change.dropped) == ((count, 0) if invalid == "clip" else (0, count))
    assert "event " in change.first
    with pytest.warns(ChangedEvents, match="1 events|2 events"):
        read(path, **form.settings(invalid=invalid))
    quiet = form.settings(invalid=invalid, report=changes.append)
    for piece_events in (1, 4, 100):
        np.testing.assert_array_equal(open_events(path, piece_events=piece_events, **quiet).array, expected)
    np.testing.assert_array_equal(outline(path, **form.settings(invalid=invalid)).array, expected[-1:])


@pytest.mark.parametrize(
    "name", [n for n in FORMS if FORMS[n].name not in ("hdf5", "mat", "numpy", "rosbag")]
)
def test_a_truncated_recording_is_refused_or_read_to_its_end(tmp_path, name):
    form = FORMS[name]
    events = recording(form, 300)
    path = form.put(tmp_path, events)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"recording\S* is truncated: .* has .* of its .*bytes"):
        read(path, **form.settings())
    changes: list[Changes] = []
    got = read(path, **form.settings(invalid="drop", report=changes.append)).array
    assert changes[0].rest
    assert 0 < len(got) <= len(events)
    np.testing.assert_array_equal(got, relative(form, events)[: len(got)])
    with pytest.raises(DataError, match="truncated"):
        outline(path, **form.settings())
    np.testing.assert_array_equal(outline(path, **form.settings(invalid="drop")).array, got[-1:])


@pytest.mark.parametrize("name", FORMS)
def test_a_recording_without_events_is_an_error_by_default(tmp_path, name):
    form = FORMS[name]
    path = form.put(tmp_path, recording(form, 0))
    if form.name in ("nmnist", "ncaltech101"):
        with pytest.raises(DataError, match=r"is empty \(0 bytes\)"):
            read(path, **form.settings())
        return
    for look in (read, outline, lambda *a, **k: open_events(*a, **k).array):
        with pytest.raises(DataError, match=r"recording\S* has no events"):
            look(path, **form.settings())
    assert len(read(path, **form.settings(invalid="drop")).array) == 0
    assert len(outline(path, **form.settings(invalid="drop")).array) == 0
