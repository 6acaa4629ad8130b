"""Events as text: the usual layouts, what names the columns, and lines that cannot be read."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.errors import DataError
from spikeprep.eventfiles import open_events, outline, read, scan
from spikeprep.eventfiles.text_kernel import (
    AHEAD,
    PADDING,
    Pattern,
    is_narrow,
    join,
    parse_lines,
    parse_regular,
)
from spikeprep.input_files import Limits

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
        ("10,3,1,1\n2000,4,2,0\n1500000,5,0,1\n", {}),  # AEStream
        ("t,x,y,on\n10,3,1,1\n2000,4,2,0\n1500000,5,0,1\n", {}),  # faery
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


def zipped(text, *names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.parametrize("ending", [".gz", ".zip"])
@pytest.mark.parametrize("header", ["", "9 9\n", "# t x y p\n"])
def test_packed_text(tmp_path, ending, header):
    text = (header + SECONDS).encode()
    path = tmp_path / f"events.txt{ending}"
    path.write_bytes(gzip.compress(text) if ending == ".gz" else zipped(text, "folder/", "folder/events.txt"))
    if ending == ".zip":
        path.write_bytes(zipped(text, "events.txt"))
    events = read(path, size=(9, 9))
    assert events.array.tolist() == EVENTS
    assert scan(path, size=(9, 9)).read().array.tolist() == EVENTS
    assert outline(path, size=(9, 9)).array.tolist() == EVENTS[-1:]
    assert [len(piece) for piece in open_events(path, size=(9, 9), piece_events=2).pieces] == [2, 1]
    # the bytes decide, whatever the name
    other = path.rename(tmp_path / "events.dat")
    with pytest.raises(DataError, match="holds text of four columns, but its name ends like"):
        read(other, size=(9, 9))


def test_packed_text_that_is_refused(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(SECONDS.encode() * 999)[:-30])
    with pytest.raises(DataError, match=r"cannot be unpacked .*Fetch it again"):
        read(path, size=(9, 9), order="sort")
    path.write_bytes(gzip.compress(b"what this folder holds\n"))
    with pytest.raises(DataError, match=r"is a gzip archive.*Unpack it"):
        read(path, size=(9, 9))
    path.write_bytes(gzip.compress(SECONDS.encode() + b"\n" * 70_000_000))
    with pytest.raises(DataError, match="max_ratio"):
        read(path, size=(9, 9), limits=Limits(max_ratio=2))
    path = tmp_path / "a.txt.zip"
    path.write_bytes(zipped(SECONDS, "a.txt", "b.txt"))
    with pytest.raises(DataError, match="has 2 files; expected one file of text"):
        read(path, size=(9, 9))


NUMBERS = st.one_of(
    st.integers(-(10**19), 10**19).map(str),
    st.integers(0, 2000).map(str),
    st.decimals(-(10**12), 10**12, places=9).map(lambda n: f"{n:f}"),
    st.sampled_from(
        ["", ".", "-", "00012", "-0", "0.", ".5", "1e3", "nan", "+3", "1.0", "123456789012345678", "99999999"]
    ),
)
LINES = st.tuples(*[NUMBERS] * 4)


@given(
    st.lists(LINES, max_size=6),
    st.sampled_from([",", " ", " , ", "\t", ";", "  "]),
    st.sampled_from(["\n", "\r\n", " \n\n"]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_kernel_parses_what_python_parses_or_nothing(lines, separator, end, seconds):
    """Lines that it takes have the values of `float` and `int`, and none is taken that these refuse."""
    text = "".join(separator.join(line) + end for line in lines).encode()
    raw = np.frombuffer(bytearray(b"7" * AHEAD + text + b"7" * PADDING), np.uint8)
    values, stamps, fractions = np.empty((3, 9), np.int32), np.empty(9, np.int64), np.empty(9)
    commas, order, out = separator.strip() != "", (3, 0, 1, 2), (values, stamps, fractions)
    before, at, stop = 0, AHEAD, AHEAD + len(text)
    if pattern := Pattern.of(text[: text.find(b"\n") + 1], commas, order, seconds):
        before, at = parse_regular(raw, at, stop, pattern, *out)
    count, plain = parse_lines(raw, at, stop, before, commas, order, seconds, *out)
    assert before <= count
    assert plain == (count == len(lines)) or not any(map(any, lines))
    for n, (t, *xyp) in enumerate(lines[:count]):
        assert (fractions[n] == float(t)) if seconds else (stamps[n] == int(t.removesuffix(".")))
        assert values[:, n].tolist() == [int(word.removesuffix(".")) for word in xyp]
    usual = all(word.isdigit() and len(word) < 10 for line in lines for word in line)
    assert plain or not usual


def test_the_kernel_joins_fields():
    values = np.array([[65535, 3], [0, 65535], [1, 0]], np.int32)
    words = np.empty((2, 2), np.uint64)
    join(values, np.array([7, -1]), words)
    assert words.tolist() == [[65535 | 1 << 32, 7], [3 | 65535 << 16, 2**64 - 1]]
    assert is_narrow(values, 2)
    for place, wrong in (((0, 1), 65536), ((1, 0), -1), ((2, 1), 2), ((2, 0), -1)):
        other = values.copy()
        other[place] = wrong
        assert not is_narrow(other, 2)
        assert is_narrow(other, 0)


@pytest.mark.parametrize(
    ("header", "t"),
    [("x,y,p,time [us]", 5), ("x;y;p;t (us)", 5), ("x,y,p,timestamp [ns]", 5000), ("x\ty\tp\tt [us]", 5)],
)
def test_names_may_have_a_unit_in_brackets(tmp_path, header, t):
    separator = header[1]
    lines = [header, separator.join(["1", "2", "1", str(t)]), separator.join(["3", "4", "0", str(2 * t)])]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert read(tmp_path / "a.csv", size=(9, 9)).array.tolist() == [(1, 2, 5, 1), (3, 4, 10, 0)]


@pytest.mark.parametrize(
    ("row", "field", "column"), [("25,8,False,0", "False", "polarity"), ("0x1f,8,1,0", "0x1f", "x")]
)
def test_a_value_that_is_no_number_below_names_is_named(tmp_path, row, field, column):
    (tmp_path / "a.csv").write_text(f"# written today\nx,y,polarity,timestamp\n{row}\n")
    with pytest.raises(
        DataError, match=rf"a.csv: line 3 has '{field}' in column {column}; expected a decimal number"
    ):
        read(tmp_path / "a.csv", size=(50, 50))


@pytest.mark.parametrize("head", ["x,y,p,t\n", "# a comment\nt_us x y p\n", "%geometry:9,9\n%x,y,p,t\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_text_of_names_alone_is_a_recording_without_events(tmp_path, head, pack):
    path = tmp_path / ("a.csv" if pack is bytes else "a.csv.gz")
    path.write_bytes(pack(head.encode()))
    with pytest.raises(DataError, match=r"has no events.*invalid='drop' to read it as silence"):
        read(path, size=(9, 9))
    for invalid in ("clip", "drop"):
        for order in ("", "sort"):
            assert len(read(path, size=(9, 9), invalid=invalid, order=order).array) == 0


@pytest.mark.parametrize("content", ["x,y,p\n", "x,y,p,t\none,two,three,four\n", "# notes\n", "a,b,c,d\n"])
def test_text_that_names_no_events_is_none(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(DataError):
        read(path, size=(9, 9), invalid="drop")
