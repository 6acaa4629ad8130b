"""Events as text: the usual layouts, what names the columns, and lines that cannot be read."""

from __future__ import annotations

import numpy as np
import pytest

from spikeprep.errors import DataError
from spikeprep.eventfiles import open_events, outline, read, scan

EVENTS = [(3, 1, 10, 1), (4, 2, 2000, 0), (5, 0, 1_500_000, 1)]
SECONDS = "0.000010 3 1 1\n0.002000 4 2 0\n1.500000 5 0 1\n"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (SECONDS, {}),
        ("9 9\n" + SECONDS, {"size": None}),  # e2vid
        ("# timestamp x y polarity\r\n" + SECONDS.replace("\n", "\r\n"), {}),
        ("#!events.txt\n# of v2e\n" + SECONDS.rstrip("\n"), {}),
        ("3,1,1,10\n4,2,0,2000\n5,0,1,1500000\n", {}),  # Metavision
        ("%geometry:9,9\n3,1,1,10\n4,2,0,2000\n5,0,1,1500000\n", {"size": None}),
        ("sep=;\nx;y;t;p\n3;1;10;1\n4;2;2000;0\n5;0;1500000;1\n", {}),
        ("x,y,t,p\n3,1,10,1\n4,2,2000,0\n5,0,1500000,1\n", {}),
        ("y;x;pol;ts\n1;3;1;10\n2;4;0;2000\n0;5;1;1500000\n", {}),
        ("time_us,x,y,p\n10,3,1,1\n2000,4,2,0\n1500000,5,0,1\n", {}),
        ("t_ms,x,y,p\n0.010,3,1,1\n2,4,2,0\n1500,5,0,1\n", {}),
        ("# time_s x y p\n0.000010 3 1 1\n0.002 4 2 0\n1.5 5 0 1\n", {}),
        ("3 1 10 1\n4 2 2000 0\n5 0 1500000 1\n", {"columns": "xytp"}),
        ("10000 3 1 1\n2000000 4 2 0\n1500000000 5 0 1\n", {"columns": "txyp", "unit": "ns"}),
    ],
)
def test_lines_of_four_numbers(tmp_path, text, options):
    path = tmp_path / "events.txt"
    path.write_bytes(text.encode())
    settings = {"size": (9, 9)} | options
    events = read(path, **settings)
    assert (events.size, events.array.tolist()) == ((9, 9), EVENTS)
    assert outline(path, **settings).array.tolist() == EVENTS[-1:]
    assert read(path, format="text", **settings).array.tolist() == EVENTS


def test_more_lines_than_are_read_at_a_time(tmp_path):
    rng, count = np.random.default_rng(0), 120_000
    t = np.sort(rng.integers(0, 10**9, count))
    rows = np.stack(
        [rng.integers(0, 240, count), rng.integers(0, 180, count), rng.integers(0, 2, count), t], 1
    )
    path = tmp_path / "a.csv"
    np.savetxt(path, rows, "%d", delimiter=",")
    assert path.stat().st_size > 2 << 20
    known = {"size": (240, 180), "unit": "us"}
    events = scan(path, **known).read().array
    for column, name in enumerate("xypt"):
        np.testing.assert_array_equal(events[name], rows[:, column])
    pieces = list(open_events(path, **known, piece_events=50_000).pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), events)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "10 3 1 1\n2000 4 2 0\n",
            r"lines such as '10 3 1 1', which do not tell .*Pass the order .*columns='txyp'",
        ),
        (SECONDS + "2.0 1 2\n", r"after 3 events the line '2.0 1 2'; .*Remove the lines that are no events"),
        (SECONDS + "2.0 1 2 x\n", "after 3 events the line '2.0 1 2 x'"),
        (SECONDS + "# a note\n2.0 1 2 1\n", "after 3 events the line '# a note'"),
        (SECONDS + "nan 1 2 1\n", "event 3 has t nan; expected a time. Remove such events"),
        (SECONDS.replace("\n", ",\n").replace(" ", ","), r"Save a line for each event .* such as x,y,t,p"),
        (SECONDS.replace(".", ","), "Save a line for each event .*fractions with a point"),
        ("stamp a b c\n" + SECONDS, "Save a line for each event .*under a first line that names them"),
        (SECONDS + "2.0 1.5 2 1\n", "which do not tell their columns"),
        ("<!DOCTYPE html>\n<html>" + SECONDS, "is a web page .HTML."),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "pointer of Git LFS.*git lfs pull"),
        ("what this folder holds\n", "begins with 'what this folder"),
    ],
)
def test_text_that_is_refused(tmp_path, text, words):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read(path, size=(9, 9))
