"""Intervals of recordings: the events of each, from a place near their first one, in every format."""

import pickle

import numpy as np
import pytest

from spikeprep.array_files import slices
from spikeprep.errors import DataError
from spikeprep.eventfiles import base, intervals, read, scan_intervals
from spikeprep.eventfiles.intervals import CheckedPass

from .test_formats import FORMS, recording


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(intervals, "BLOCK", 50)
    monkeypatch.setattr(slices, "_ROWS", 200)
    monkeypatch.setattr(base, "CHUNK", 1 << 10)


def decoded_events(monkeypatch):
    """Return the numbers of events that passes over files decode from here on."""
    counts = []
    fill = CheckedPass.fill

    def counting(self, events):
        counts.append(fill(self, events))
        return counts[-1]

    monkeypatch.setattr(CheckedPass, "fill", counting)
    return counts


@pytest.mark.parametrize("name", FORMS)
def test_intervals_are_what_a_recording_has_there(tmp_path, name, small_blocks, monkeypatch):
    form = FORMS[name]
    path = form.put(tmp_path, recording(form, 2500))
    whole = read(path, **form.settings())
    t = whole.array["t"] + whole.start
    # in no order: they overlap, begin before the first event, end after the last one, and are between two events
    ends = [(700, 900), (0, 2499), (2400, 2499), (100, 101), (850, 1600), (701, 900)]
    wanted = [(int(t[a]), int(t[b]) + 1) for a, b in ends]
    wanted += [(int(t[0]) - 40, int(t[30])), (int(t[-300]), int(t[-1]) + 500)]
    scans = scan_intervals(path, wanted, **form.settings())
    counts = decoded_events(monkeypatch)
    for (start, stop), scan in zip(wanted, scans, strict=True):
        events = whole.array[(t >= start) & (t < stop)].copy()
        events["t"] -= start - whole.start
        del counts[:]
        interval = scan.read()
        # from the block of the first event on, of the slice or packet that it is in
        assert sum(counts) <= len(events) + 100
        np.testing.assert_array_equal(interval.array, events)
        assert (interval.size, interval.start, interval.length()) == (whole.size, start, stop - start)
        assert (scan.events, scan.outline.length()) == (len(events), stop - start)
        np.testing.assert_array_equal(scan.outline.array, events[-1:])
        assert (scan.before, scan.after) == (max(t[0] - start, 0), max(stop - 1 - t[-1], 0))
        streamed = pickle.loads(pickle.dumps(scan.open(70)))
        assert [len(piece) for piece in streamed.pieces][:-1] == [70] * ((len(events) - 1) // 70)
        np.testing.assert_array_equal(streamed.array, events)


def test_intervals_without_events(tmp_path):
    form = FORMS["aedat3"]
    path = form.put(tmp_path, recording(form, 100))
    last = form.start + int(read(path).array["t"][-1])
    early, good, late = scan_intervals(path, [(0, 1000), (form.start, last), (last + 1, last + 9)])
    assert good.events > 90
    for error, words in ((early, "no events from 0 to 1,000 µs"), (late, f"no events from {last + 1:,} to")):
        assert isinstance(error, DataError)
        assert words in str(error)
        assert f"from {form.start:,} to {last:,} µs of its own clock" in str(error)
    silence = scan_intervals(path, [(0, 1000)], invalid="drop")[0]
    assert (len(silence.read().array), silence.read().length(), silence.before) == (0, 1000, form.start)


def test_events_are_checked_as_in_a_pass_over_all(tmp_path, small_blocks):
    form = FORMS["aedat2 DVS"]
    events = recording(form, 1000)
    events["t"][499] += 300  # the next ones are then before it
    path = form.put(tmp_path, events)
    with pytest.raises(DataError, match=r"event 500 at byte .* is before"):
        scan_intervals(path, [(form.start, form.start + 10)])
    for invalid in ("drop", "clip"):
        whole = read(path, invalid=invalid, report=lambda changes: None)
        start = int(whole.array["t"][505])
        (scan,) = scan_intervals(path, [(start + whole.start, start + 200 + whole.start)], invalid=invalid)
        wanted = whole.array[(whole.array["t"] >= start) & (whole.array["t"] < start + 200)].copy()
        wanted["t"] -= start
        np.testing.assert_array_equal(scan.read().array, wanted)
        assert (scan.changes.dropped > 0, scan.changes.clipped > 0) == (invalid == "drop", invalid == "clip")


def test_a_file_that_has_changed_since_the_scan(tmp_path, small_blocks):
    form = FORMS["evt2"]
    events = recording(form, 500)
    path = form.put(tmp_path, events)
    (scan,) = scan_intervals(path, [(form.start % 2**34 + 100, form.start % 2**34 + 2000)])
    events["x"] ^= 1
    form.put(tmp_path, events)
    with pytest.raises(DataError, match="has changed"):
        scan.read()
