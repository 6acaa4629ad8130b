"""Many labelled series in one text file: a row per step, and a row per series."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeprep.errors import DataError, UsageError
from spikeprep.sources import series_csv, series_long_tables, series_text, series_wide_tables
from spikeprep.sources.series import SeriesSource
from spikeprep.sources.series_text import TextColumns

RNG = np.random.default_rng(7)


def source_of(path, **settings):
    return SeriesSource(path=str(path), **settings)


def samples(source):
    """Return id → (split, values, name of the class, rate)."""
    return {
        s.id: (split, s.signal.values, source.classes[s.label], s.signal.rate)
        for split, size in source.splits().items()
        for s in (source.read(split, n) for n in range(size))
    }


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


# ------------------------------------------------------------ long tables


@pytest.fixture
def walks():
    """Return id → (label, subject, values): series of several lengths, with two channels."""
    return {
        f"w{n}": ("up" if n % 2 else "down", f"s{n // 2}", RNG.normal(size=(3 + n, 2)).round(3))
        for n in range(6)
    }


def long_rows(walks, rate=50):
    return [
        f"{id_},{step / rate},{x},{y},{label},{subject}"
        for id_, (label, subject, values) in walks.items()
        for step, (x, y) in enumerate(values.tolist())
    ]


def test_a_long_table_in_any_order_of_rows(tmp_path, walks):
    rows = long_rows(walks)
    path = write(tmp_path / "walks.csv", ["series_id,time_s,ax,ay,label,subject", *RNG.permutation(rows)])
    source = source_of(path, test_groups=("s1",))
    found = samples(source)
    assert source.classes == ("down", "up")
    # series are numbered in the order in which they begin in the file
    order = list(dict.fromkeys(line.split(",")[0] for line in path.read_text().splitlines()[1:]))
    assert {*found} == {f"walks.csv:{n}" for n in range(6)}
    for id_, (split, values, label, rate) in found.items():
        name = order[int(id_.partition(":")[2])]
        np.testing.assert_array_equal(values, walks[name][2])
        assert (label, rate, split == "test") == (walks[name][0], 50, walks[name][1] == "s1")
    chosen = samples(source_of(path, channels=("ay",)))
    for id_, (_, values, _, _) in chosen.items():
        np.testing.assert_array_equal(values, found[id_][1][:, 1:])


def test_one_value_per_row_as_tsfresh_and_sktime_have_them(tmp_path, walks):
    rows = [
        f"{id_};{step};{kind};{value};{label}"
        for id_, (label, _, values) in walks.items()
        for column, kind in enumerate(("F_x", "F_y"))
        for step, value in enumerate(values[:, column].tolist())
    ]
    path = write(tmp_path / "long.csv", ["id;time;kind;value;label", *rows])
    found = samples(source_of(path, test_share=0))
    for n, (label, _, values) in enumerate(walks.values()):
        np.testing.assert_array_equal(found[f"long.csv:{n}"][1], values)
        assert found[f"long.csv:{n}"][2] == label
    sktime = write(
        tmp_path / "sktime.csv",
        [
            "case_id,dim_id,reading_id,value,class",
            *(f"{','.join(np.array(r.split(';'))[[0, 2, 1, 3, 4]])}" for r in rows),
        ],
    )
    for id_, sample in samples(source_of(sktime, test_share=0)).items():
        np.testing.assert_array_equal(sample[1], found[id_.replace("sktime", "long")][1])
    # a value that is not there is a missing one
    write(path, ["id;time;kind;value;label", *rows[:1], *rows[2:]])
    with pytest.raises(DataError, match=r"lacks 1 of 6 values, the first at step 1 of channel 0"):
        source_of(path).splits()
    filled = samples(source_of(path, test_share=0, missing="linear"))["long.csv:0"][1]
    np.testing.assert_allclose(filled[1, 0], walks["w0"][2][[0, 2], 0].mean())


def test_labels_in_a_table_of_their_own(tmp_path, walks):
    rows = [
        f"{id_}_{step},{id_},{step},{x},{y}"
        for id_, (_, _, values) in walks.items()
        for step, (x, y) in enumerate(values.tolist())
    ]
    write(tmp_path / "X_train.csv", ["row_id,series_id,measurement_number,ax,ay", *rows])
    labels = [f"{id_},{subject},{label}" for id_, (label, subject, _) in walks.items()]
    write(tmp_path / "y_train.csv", ["series_id,group,surface", *reversed(labels)])
    with pytest.raises(DataError, match=r"none of the label.*source\.columns\.NAME=label"):
        source_of(tmp_path, columns={"row_id": "ignore"}).splits()
    with pytest.raises(DataError, match=r"line 2 has 'w0_0' in column row_id.*source\.columns\.row_id=label"):
        source_of(tmp_path).splits()
    write(tmp_path / "y_train.csv", ["series_id,group,label", *reversed(labels)])
    source = source_of(tmp_path, columns={"row_id": "ignore"})
    for n, (label, _, values) in enumerate(walks.values()):
        np.testing.assert_array_equal(samples(source)[f"X_train.csv:{n}"][1], values)
        assert samples(source)[f"X_train.csv:{n}"][2] == label
    assert len({source.group("train", n) for n in range(6)}) == 3
    write(tmp_path / "y_train.csv", ["series_id,group,label", *labels[1:]])
    with pytest.raises(DataError, match=r"y_train\.csv has no row for 1 series, such as w0"):
        source_of(tmp_path, columns={"row_id": "ignore"}).splits()


LONG = ["id,time,x,label", "a,0,1,up", "a,1,2,up", "b,0,3,down", "b,1,4,down"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([*LONG, "b,2,5,up"], r"the series b has the label down and then up.*Cut the series"),
        (
            [*LONG, "b,1,5,down"],
            r"the series b has time 1 twice(?!.*(Remove|ignore)).*source\.columns\.NAME=group",
        ),
        ([*LONG, "b,5,5,down", "b,6,5,down"], "series b: the times in column time are not equally far apart"),
        ([LONG[0].replace("time", "step"), *LONG[1:], "b,3,5,down"], "the series b has step 1 and then 3"),
        ([*LONG, "c,0,x,up", "c,1,0,up"], r"line 6 has 'x' in column x"),
        ([*LONG, ",0,1,up"], "row 4 has no id"),
        ([*LONG, "b,,5,down"], "row 4 has no time"),
        ([*LONG, "b,2,5"], "line 6 has 3 fields; expected 4"),
        ([*LONG, "c,0,1,up", "c,2,2,up"], r"series of 0\.5 Hz and of 1 Hz"),
        (["id,time,x", *(line.rsplit(",", 1)[0] for line in LONG[1:])], "2 series and no labels"),
        (["id,time,label", "a,0,up"], "no column of values"),
        (["id,trial,time,x,label", "a,1,0,1,up"], r"2 columns of the series: 'id', 'trial'"),
    ],
)
def test_long_tables_that_are_wrong(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        source_of(write(tmp_path / "t.csv", rows)).splits()


def test_dates_as_times(tmp_path):
    rows = [f"{s},2020-01-31 23:59:{59 + n / 4:05.2f},{n},{s}" for s in "ab" for n in range(4)]
    path = write(tmp_path / "t.csv", ["id,timestamp,x,label", *rows])
    found = samples(source_of(path, test_share=0))
    assert found["t.csv:1"][3] == 4
    np.testing.assert_array_equal(found["t.csv:1"][1][:, 0], range(4))


@pytest.mark.parametrize(
    ("table", "times", "words"),
    [
        (
            True,
            ["14/01/2020 10:00:00", "14/01/2020 10:00:01"],
            r"'14/01/2020 10:00:00' in column time, which is a time",
        ),
        (True, ["2020-01-14", "15/01/2020"], r"'15/01/2020' in column time, which is a time"),
        (True, ["0", "15/01/2020"], r"line 3 has '15/01/2020' in column time"),
        (False, ["14/01/2020", "15/01/2020"], r"line 2 has '14/01/2020' in column time"),
    ],
)
def test_dates_that_are_not_iso(tmp_path, table, times, words):
    rows = [f"a,{time},1,x" if table else f"{time},1" for time in times]
    path = write(tmp_path / "t.csv", ["id,time,v,label" if table else "time,v", *rows])
    with pytest.raises(DataError, match=words) as caught:
        source_of(path).splits() if table else source_of("").signals_of(path, "")
    assert "ISO 8601" in caught.value.expected
    if table:
        assert "source.columns.time=" in caught.value.hint


def test_columns_that_a_setting_names(tmp_path):
    rows = ["who,what,when,x,y", *(f"{s},{'ab'[s % 2]},{n},{n},{-n}" for s in range(4) for n in range(5))]
    path = write(tmp_path / "t.csv", rows)
    with pytest.raises(DataError, match=r"not clear what they mean.*source\.table=long"):
        source_of(path).splits()
    columns = {"who": "series", "what": "label", "when": "step"}
    found = samples(source_of(path, table="long", columns=columns, test_share=0))
    np.testing.assert_array_equal(found["t.csv:3"][1], [[n, -n] for n in range(5)])
    with pytest.raises(UsageError, match=r"source\.columns\.who = 'serie'.*Did you mean 'series'"):
        source_of(path, table="long", columns={"who": "serie"}).splits()
    with pytest.raises(DataError, match=r"no column 'whom'"):
        source_of(path, table="long", columns={"whom": "series"}).splits()


# ------------------------------------------------------------ wide tables

X = RNG.normal(size=(12, 7))
LABELS = np.arange(12) % 3


def wide(labels, values=X, separator=",", last=False):
    fields = [[f"{v:.18e}" for v in row] for row in values.tolist()]
    return [
        separator.join([*row, str(label)] if last else [str(label), *row])
        for label, row in zip(labels, fields, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "labels", "separator", "last", "classes"),
    [
        ("{}_TRAIN.tsv", [-1 if n % 2 else 1 for n in range(12)], "\t", False, ("-1", "1")),
        ("{}_TRAIN.txt", [f"{n:.7e}" for n in LABELS], "  ", False, ("0", "1", "2")),
        ("{}_train.csv", [f"{n:.18e}" for n in LABELS], ",", True, ("0", "1", "2")),
        ("{}_train.csv", ["walk", "run", "sit"] * 4, ",", False, ("run", "sit", "walk")),
    ],
    ids=["ucr 2018", "ucr text", "mitbih", "texts"],
)
def test_wide_tables_without_a_header(tmp_path, name, labels, separator, last, classes):
    for split in ("TRAIN", "TEST"):
        file = name.replace("TRAIN", split).replace("train", split.lower()).format("Gun")
        write(tmp_path / file, wide(labels, X if split == "TRAIN" else -X, separator, last))
    source = source_of(tmp_path)
    found = samples(source)
    assert source.classes == classes
    assert dict(source.splits()) == {"train": 12, "test": 12}
    for n in range(12):
        split, values, label, rate = found[f"{name.format('Gun')}:{n}"]
        np.testing.assert_array_equal(values, X[n][:, None])
        given = str(labels[n])
        assert (split, label, rate) == ("train", given if given in classes else str(int(float(given))), 1)
    alone = source_of(tmp_path / name.format("Gun"), test_share=0.25)
    assert dict(alone.splits()) == {"train": 9, "test": 3} or sum(alone.splits().values()) == 12


def test_wide_tables_with_a_header_and_channels(tmp_path):
    both = RNG.normal(size=(6, 2, 4))
    header = ["", *(f"{c}_{n}" for c in ("ax", "ay") for n in (3, 1, 2, 0)), "activity_label", "subject"]
    rows = [
        ",".join(
            [str(n), *(repr(v) for v in both[n][:, [3, 1, 2, 0]].ravel().tolist()), "ab"[n % 2], str(n // 2)]
        )
        for n in range(6)
    ]
    path = write(tmp_path / "t.csv", [",".join(header).replace("activity_label", "label"), *rows])
    source = source_of(path, test_share=0)
    for n in range(6):
        np.testing.assert_array_equal(samples(source)[f"t.csv:{n}"][1], both[n].T)
    assert len({source.group("train", n) for n in range(6)}) == 3
    (signal,) = source_of(path, channels=("ay",), table="wide").signals_of(path, "")[:1]
    np.testing.assert_array_equal(signal.values[:, 0], both[0][1])


def test_numbered_channels_are_no_steps(tmp_path):
    eeg = RNG.normal(size=(2, 3, 4))
    rows = [[s, t, *eeg[s, t].tolist(), "ab"[s]] for s in range(2) for t in range(3)]
    header = ["id", "time", *(f"ch{n}" for n in range(1, 5)), "label"]
    for left_out in (
        (),
        ("time",),
    ):  # without times, it is long as the names of series are there several times
        kept = [n for n, name in enumerate(header) if name not in left_out]
        path = write(tmp_path / "t.csv", [",".join(str(line[n]) for n in kept) for line in [header, *rows]])
        found = samples(source_of(path, test_share=0, channels=("ch4", "ch1")))
        np.testing.assert_array_equal(found["t.csv:1"][1], eeg[1][:, [3, 0]])
    wide_rows = [[s, *eeg[s, 0].tolist(), "ab"[s]] for s in range(2)]
    header.remove("time")
    path = write(tmp_path / "t.csv", [",".join(map(str, line)) for line in [header, *wide_rows]])
    np.testing.assert_array_equal(samples(source_of(path, test_share=0))["t.csv:1"][1][:, 0], eeg[1, 0])


def test_a_header_of_numbers(tmp_path):
    path = write(tmp_path / "t.csv", [",".join(map(str, range(8))), *wide(LABELS, last=True)])
    assert len(samples(source_of(path, test_share=0))) == 12


def test_series_of_several_lengths_end_in_empty_fields(tmp_path):
    ragged = X.copy()
    ragged[1, 4:], ragged[2, 2] = np.nan, np.nan
    lines = [line.replace("nan", "NaN") for line in wide(LABELS, ragged)]
    path = write(tmp_path / "a_TRAIN.tsv", [line.replace(",", "\t") for line in lines])
    with pytest.raises(DataError, match="lacks 1 of 7 values, the first at step 2"):
        source_of(path).splits()
    found = samples(source_of(path, missing="previous", test_share=0))
    np.testing.assert_array_equal(found["a_TRAIN.tsv:1"][1][:, 0], X[1, :4])
    np.testing.assert_array_equal(found["a_TRAIN.tsv:2"][1][:4, 0], X[2, [0, 1, 1, 3]])


def test_where_the_classes_are_is_asked_for(tmp_path):
    whole = RNG.integers(0, 5, (12, 6))
    whole[:, -1] = LABELS
    path = write(tmp_path / "t.csv", [",".join(map(str, row)) for row in whole.tolist()])
    with pytest.raises(
        DataError, match=r"which column has the classes: .*may both.*source\.label_column=first"
    ):
        source_of(path).splits()
    found = samples(source_of(path, label_column="last", test_share=0))
    np.testing.assert_array_equal(found["t.csv:0"][1][:, 0], whole[0, :-1])
    fractions = write(tmp_path / "u.csv", [",".join(map(repr, row)) for row in X.tolist()])
    with pytest.raises(DataError, match="neither the first nor the last"):
        source_of(fractions).splits()
    with pytest.raises(DataError, match="has the label"):
        source_of(fractions, label_column="first").splits()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("t0,t1,t2,t4,label", "no column of step 3"),
        ("t0,t1,t2,t2,label", "two columns 't2'"),
        ("t0,t1,t2,age,label", "the column 'age' among columns of steps.*source.columns.age="),
        ("a0,a1,a2,b0,label", "3 steps of 'a', and 1 of 'b'"),
        ("t0,t1,t2,label,class", "2 columns of the label"),
    ],
)
def test_wide_tables_that_are_wrong(tmp_path, header, words):
    path = write(tmp_path / "t.csv", [header, "1,2,3,4,0", "1,2,3,4,1"])
    with pytest.raises(DataError, match=words):
        source_of(path).splits()


def test_a_table_of_files_stays_one(tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", -X)
    path = write(tmp_path / "list.csv", ["path,label", "a.npy,up", "b.npy,down"])
    assert {*samples(source_of(path, test_share=0))} == {"a.npy", "b.npy"}
    np.testing.assert_array_equal(samples(source_of(path, test_share=0))["b.npy"][1], -X)


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda v: f"{v:.7e}"),
    st.floats(-1e6, 1e6).map(lambda v: f"{v:.4f}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**19), 10**19).map(str),
    st.from_regex(r"[+-]?[0-9]{1,12}\.?[0-9]{0,12}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"[+-]?\.[0-9]{1,20}", fullmatch=True),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from([",", "\t", " ", ";"]),
)
def test_numbers_are_those_that_python_reads(rows, separator):
    text = "\n".join(separator.join([*row, "end"]) for row in rows)
    columns = TextColumns.of_text(Path("t.csv"), text)
    values, (ends,) = columns.read([2, 0, 1], [3])
    expected = np.array([[float(row[n]) for n in (2, 0, 1)] for row in rows])
    np.testing.assert_array_equal(values.view(np.int64), expected.view(np.int64))  # to the sign of 0
    assert ends.tolist() == ["end"] * len(rows)


@pytest.mark.parametrize(
    "field", ["", "-", ".", "1e", "1e+", "0x1", "1 2", "1.2.3", "--1", "nan", "1,5", "٣"]
)
def test_fields_that_are_no_number_are_left_to_python(field):
    columns = TextColumns.of_text(Path("t.csv"), "1\t2\t3\n1\t2\t3")
    assert columns._exact(["1\t2\t3"], [0, 2]).tolist() == [[1, 3]]
    assert columns._exact([f"1\t2\t{field}"], [0, 2]) is None
    assert columns._exact([f"1\t2\t{field}"], [0, 1]).tolist() == [[1, 2]]
    assert columns._exact(["1\t2"], [0]) is None
    assert columns._exact(["1\t2\t3\t4"], [0]) is None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ends_of_lines_and_long_ones(monkeypatch, end):
    monkeypatch.setattr(series_text, "_CHUNK", 40)
    rows = ["a,b,c", *(f"{n},{'1' * (n % 15 + 1)},x" for n in range(30)), "", f"30,{'0' * 100}7,y"]
    values, (words,) = TextColumns.of_text(Path("t.csv"), end.join(rows)).read([0, 1], [2])
    assert values[:, 0].tolist() == list(range(31))
    assert values[:, 1].tolist() == [*(float("1" * (n % 15 + 1)) for n in range(30)), 7.0]
    assert words.tolist() == ["x"] * 30 + ["y"]


def test_many_rows_take_no_time_each(tmp_path, monkeypatch):
    """Fields are converted in blocks: a number is looked at alone only where a block cannot be read."""
    calls = []
    for module in (series_csv, series_long_tables, series_wide_tables, series_text):
        for name in ("is_number", "value_of", "split_fields"):
            if function := getattr(module, name, None):
                monkeypatch.setattr(module, name, lambda *a, f=function: calls.append(a) or f(*a))
    values = RNG.normal(size=(6000, 20))
    path = write(tmp_path / "t.csv", wide(np.arange(6000) % 4, values, last=True))
    source = source_of(path, test_share=0)
    assert source.splits()["train"] == 6000
    assert len(calls) < 500
    np.testing.assert_array_equal(samples(source)["t.csv:5999"][1][:, 0], values[5999])


# ------------------------------------------------------------ units of times


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(("per_second", "unit"), [(1, "s"), (1e3, "ms"), (1e6, "us"), (1e9, "ns")])
def test_unix_time_tells_its_unit(tmp_path, long, per_second, unit):
    values = RNG.normal(size=(8, 6)).round(3)
    step = int(per_second // 50) or 20  # of 20 ms, or of 20 s
    begin = int(1_600_000_000 * per_second)
    stamps = [begin + n * step for n in range(6)]
    for n, row in enumerate(values):
        lines = ["timestamp,x", *(f"{t},{x}" for t, x in zip(stamps, row, strict=True))]
        folder = tmp_path / "files" / "ab"[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"{n}.csv", lines)
    rows = [
        f"w{n},{t},{x},{'ab'[n % 2]}"
        for n, row in enumerate(values)
        for t, x in zip(stamps, row, strict=True)
    ]
    table = write(tmp_path / "table.csv", ["id,timestamp,x,label", *rows])
    source = source_of(table if long else tmp_path / "files")
    rate = 0.05 if unit == "s" else 50
    assert {found[3] for found in samples(source).values()} == {rate}
    note = f"column timestamp names no unit and is taken in {unit}"
    note += f": {rate:g} Hz" if unit == "s" else f", as it has Unix time: {rate:g} Hz"
    what = "a table with a row per step (long); " if long else ""
    assert source.provenance()["note"] == what + note
    stated = source_of(table if long else tmp_path / "files", rate=25.0)
    assert note not in stated.provenance().get("note", "")
    assert {found[3] for found in samples(stated).values()} == {25}


def test_a_unit_that_is_named_is_not_noted(tmp_path, walks):
    table = write(tmp_path / "walks.csv", ["series_id,time_s,ax,ay,label,subject", *long_rows(walks)])
    assert source_of(table).provenance()["note"] == "a table with a row per step (long)"


# ------------------------------------------------------------ trials of each subject, and files to predict


def trials(*, stamp=lambda subject, trial, step: step / 50):
    """Return rows and (subject, trial) → (values, label): three subjects, whose trials are numbered 1 to 4."""
    values = {
        (f"s{s}", f"{t}"): (RNG.normal(size=(4 + t, 2)).round(3), "ab"[(s + t) % 2])
        for s in range(1, 4)
        for t in range(1, 5)
    }
    rows = [
        f"{subject},{trial},{stamp(subject, trial, step)},{x},{y},{label}"
        for (subject, trial), (of_one, label) in values.items()
        for step, (x, y) in enumerate(of_one.tolist())
    ]
    return rows, values


@pytest.mark.parametrize("shuffled", [False, True])
def test_numbers_of_trials_that_repeat_in_each_subject(tmp_path, shuffled):
    rows, values = trials()
    rows = [*RNG.permutation(rows)] if shuffled else rows
    source = source_of(write(tmp_path / "t.csv", ["subject,trial,time_s,x,y,label", *rows]), test_share=0)
    found = samples(source)
    expected = {(of.tobytes(), label) for of, label in values.values()}
    assert {(one[1].tobytes(), one[2]) for one in found.values()} == expected
    assert len(found) == 12
    assert len({source.group("train", n) for n in range(12)}) == 3
    note = "a series per subject and trial, as trial repeats in each subject"
    assert note in source.provenance()["note"]


def test_a_trial_that_repeats_in_one_other_subject(tmp_path):
    """Of many numbers one repeats: at the same time it is another series, else the group may be an error."""
    once = [f"s{n % 2},{n},{t},{n},{'ab'[n // 2 % 2]}" for n in range(8) for t in range(3)]
    head = "subject,trial,time_s,x,label"
    again = [f"s1,0,{t},9,b" for t in range(3)]
    assert len(samples(source_of(write(tmp_path / "t.csv", [head, *once, *again])))) == 9
    later = [f"s1,0,{t},9,a" for t in range(3, 6)]
    with pytest.raises(DataError, match="the series 0 has the group s0 and then s1"):
        source_of(write(tmp_path / "u.csv", [head, *once, *later])).splits()


def test_labels_of_trials_in_a_table_of_their_own(tmp_path):
    rows, values = trials()
    write(tmp_path / "X_train.csv", ["subject,trial,time_s,x,y", *(row.rpartition(",")[0] for row in rows)])
    labels = [f"{subject},{trial},{label}" for (subject, trial), (_, label) in values.items()]
    write(tmp_path / "y_train.csv", ["subject,trial,label", *RNG.permutation(labels)])
    found = samples(source_of(tmp_path, test_share=0))
    expected = {(of.tobytes(), label) for of, label in values.values()}
    assert {(one[1].tobytes(), one[2]) for one in found.values()} == expected
    write(tmp_path / "y_train.csv", ["trial,label", "1,a"])
    with pytest.raises(DataError, match="no column of the group, and names of series repeat"):
        source_of(tmp_path).splits()


def test_files_to_predict_are_the_tables_that_were_encoded(tmp_path, walks):
    long = write(tmp_path / "long.csv", ["id,time_s,x,y,label,subject", *long_rows(walks)])
    note = source_of(long).provenance()["note"]
    signals = source_of("").signals_of(long, note)
    for signal, (_, _, values) in zip(signals, walks.values(), strict=True):
        np.testing.assert_array_equal(signal.values, values)
    unlabelled = [",".join(row.split(",")[:4]) for row in long_rows(walks)]
    other = write(tmp_path / "other.csv", ["id,time_s,x,y", *unlabelled])
    assert len(source_of("").signals_of(other, note)) == len(walks)
    one = write(tmp_path / "one.csv", ["time_s,x,y", *(f"{n / 50},{n},{-n}" for n in range(5))])
    (signal,) = source_of("").signals_of(one, note)
    assert signal.values.shape == (5, 2)
    rows = [f"{'ab'[n % 2]},{n},{n + 1},{n + 2}" for n in range(6)]
    table = write(tmp_path / "wide.csv", rows)
    signals = source_of("").signals_of(table, source_of(table).provenance()["note"])
    assert [s.values[:, 0].tolist() for s in signals] == [[n, n + 1, n + 2] for n in range(6)]


@pytest.mark.parametrize("names", ["id,time,x,y,label", "t0,t1,t2,label", "path,label"])
def test_names_of_columns_and_no_rows(tmp_path, names):
    words = "is empty: it has names of columns and no rows" if "path" not in names else "t.csv"
    with pytest.raises(DataError, match=words):
        source_of(write(tmp_path / "t.csv", [names])).splits()


def test_labels_of_a_table_that_differ_by_spaces_are_noted(tmp_path):
    note = "labels that differ by spaces around them are one class: 'up', 'up '"
    rows = ["a,0,1,up", "a,1,2,up", "b,0,3,up ", "b,1,4,up ", 'c,0,1,"down"', "c,1,1,down"]
    source = source_of(write(tmp_path / "t.csv", ["id,time_s,x,label", *rows]))
    assert source.classes == ("down", "up")
    assert source.provenance()["note"].endswith(note)
    source = source_of(write(tmp_path / "w.csv", ["up,1,2", "up ,3,4", "down,4,5", "down,5,6"]))
    assert note in source.provenance()["note"]
    padded = source_of(write(tmp_path / "p.csv", ["up  , 1,2", "up  , 3,4", "down, 4,5", "down, 5,6"]))
    assert "spaces" not in padded.provenance()["note"]
