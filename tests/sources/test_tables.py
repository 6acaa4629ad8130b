"""Tables of files: columns, separators, encodings, labels, splits, groups."""

import re

import pytest

from spikeprep.errors import DataError, UsageError
from spikeprep.recipes import load_recipe
from spikeprep.sources.labelled_source import find_labelled_files
from spikeprep.sources.table_columns import role_of
from spikeprep.sources.tables import TableRules


def listed(folder, text, encoding="utf-8", **rules):
    table = folder / "t.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return find_labelled_files(str(table), "recordings", (), TableRules(**rules))


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("FileName", "path"), ("file_path", "path"), ("Class", "label"), ("category", "label"), ("subset", "split"),
        ("Speaker ID", "group"), ("user", "group"), ("start_us", "start_us"), ("startTime_usec", "start_us"),
        ("endTime_usec", "stop_us"), ("End [ms]", "stop_ms"), ("onset_sec", "start_s"), ("start", "start"),
        ("end time", "stop"), ("duration_s", "ignore"), ("", "ignore"), ("Unnamed: 0", "ignore"), ("fold", ""),
        ("offset", ""), ("started_by", ""),
    ],
)  # fmt: skip
def test_names_of_columns(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_separators_and_encodings(tmp_path, separator, encoding):
    text = "filename,class,subset,speaker\r\nä.wav,größe, Val,bob\r\nb.wav,x,TESTING,eve\r\n".replace(
        ",", separator
    )
    files = listed(tmp_path, text, encoding)
    assert [(e.split, e.file, e.label, e.id, e.group, e.where) for e in files.entries] == [
        ("validation", tmp_path / "ä.wav", "größe", "ä.wav", "bob", "t.csv line 2"),
        ("test", tmp_path / "b.wav", "x", "b.wav", "eve", "t.csv line 3"),
    ]
    assert ["Windows-1252" in finding for finding in files.findings] == (
        [True] if encoding == "cp1252" else []
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rows"),
        ("path,label\n", "has no rows"),
        ("a.wav,yes\nb.wav,no\n", r"no line of column names that are known: its first line is a\.wav,yes"),
        ("path,split\na,train\n", "none of the label.*class, target or category"),
        ("path,label,take\na,x,1\n", "the column take that no meaning.*source.columns.take=ignore"),
        ("path,label,fold\na,x,1\n", "the column fold .*source.columns.fold=ignore"),
        ("path,target,category\na,1,x\n", "2 columns of the label: target, category.*columns.target=ignore"),
        ("path,label,label\na,1,x\n", r"2 columns of the label: label, label.*\. Rename or remove such columns"),
        ("path label\na x\n", "separates its columns by spaces: path label.*tr -s"),
        ('path,label\na,"x\nb,y\n', "line 2 opens a quote that nothing closes"),
        ('path,label\na,x\nb,"y" z\n', "line 3 is wrong.*Close the quote"),
        ("path,label,split\na,x,train_0\nb,y,train_1\n",
         "splits train_0, train_1, each of which would be train.*source.columns.split=ignore"),
        ("path,label\na,x\nb,X1\nc,x1\n", r"spelling alone: X1, x1.*source.class_names=\[X1,x,x1\]"),
        ("path,label\na,1\nb,01\nc,1.0\n", r'alone: 01, 1, 1.0.*source.class_names=\["01","1","1.0"\]'),
        ("path,label\na,caf\u00e9\nb,cafe\u0301\n", r"alone: 'cafe\\u0301', 'caf\\xe9'.*in folders and tables\.$"),
        ("path,label,start,end\na,x,0,1\n",
         r"intervals.*columns start, end; .*use source.columns.start=ignore source.columns.end=ignore\.$"),
        ("path,label,start_s,stop_s\na,x,0,1\n", "intervals of files.*Cut the files"),
        (b"\x89PNG\r\n\x1a\n", "t.csv is a PNG image.*the folder that has the files of all classes: source=FOLDER"),
        (b"RIFF\0\0\0\0WAVEfmt ", "is a WAV sound.*source=FOLDER"),
        (b"PK\3\4" + bytes(22) + b"\5\0\0\0a.npy", r"is an archive of NumPy \(.npz\).*source=FOLDER"),
        (b"PK\3\4" + bytes(40), "is a ZIP archive.*Unpack it, and give the folder of its files"),
        ('{"a.wav": "x"}', "is a JSON text.*Read it"),
        (b"path,label\n\x81\x8d,x\n", "is no text.*a CSV file, in UTF-8.*iconv"),
    ],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        listed(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a,,train", "has no label for a"), ("a,?,train", r"has the label \? for a"),
        ("a,NaN,test", "has the label NaN"), (",x,train", "has no path"), ("a,x,", "has no split"),
        ("a,x,3", "has the split 3"),
        ("a,x", "has 2 fields"), ("# more", "has 1 field,"), ('a,"x\ny",test', r"has a line break.* in x\\x0ay"),
        ("a,x\0,test", "control, in x"),
        ("./b,x,train", "names ./b again"), ("c/../b,x,train", "names c/../b again"),
        ("a,x,not_test", "split not_test"),
        ("a,x,train,1", "has 4 fields"), ("b,y,test", "names b again"),
    ],
)  # fmt: skip
def test_lines_that_are_refused(tmp_path, line, words):
    files = listed(tmp_path, f"path,label,split\nb,x,train\n{line}\n")
    assert [entry.id for entry in files.entries] == ["b"]
    (bad,) = files.bad
    assert bad.file == "t.csv line 3"
    assert re.search(words, str(bad))


@pytest.mark.parametrize("name", ["is_train", "IsTraining", "is_training_image", "is_test", "is_val"])
@pytest.mark.parametrize("values", [("1", "0"), ("True", "FALSE"), ("yes", "no"), ("1.0", "0.0")])
def test_a_column_says_whether_a_file_is_of_a_split(tmp_path, name, values):
    files = listed(tmp_path, f"path,label,{name}\na,x,{values[0]}\nb,x,{values[1]}\nc,x,2\n")
    expected = {"is_test": ["test", "train"], "is_val": ["validation", "train"]}
    assert [entry.split for entry in files.entries] == expected.get(name, ["train", "test"])
    (bad,) = files.bad
    assert str(bad) == f"t.csv line 4 has {name} 2"
    assert f"source.columns.{name}=ignore" in bad.fix


@pytest.mark.parametrize(
    "head",
    ["sep=;\r\npath;label", '"sep=;"\npath;label', "# a, b\n#\npath;label", "# path;label", "\n#path;label"],
)
def test_what_programs_write_ahead_of_the_names(tmp_path, head):
    files = listed(tmp_path, f"{head}\na,1;x\n", "utf-8-sig")
    assert [(e.id, e.label) for e in files.entries] == [("a,1", "x")]
    assert files.entries[0].where == f"t.csv line {len(head.splitlines()) + 1}"


def test_a_line_without_a_group_is_refused(tmp_path):
    text = "path,label,speaker\na,x,1\nb,y,\n"
    files = listed(tmp_path, text)
    assert [entry.group for entry in files.entries] == ["1"]
    assert "t.csv line 3 has no group for b" in str(files.bad[0])
    assert "source.columns.speaker=ignore" in files.bad[0].fix
    assert len(listed(tmp_path, text, columns={"speaker": "ignore"}).entries) == 2


def test_what_columns_mean_can_be_set(tmp_path):
    text = "image_id,breed,take\n1.png,pug,A\n"
    with pytest.raises(DataError, match=r"source\.columns\.NAME=path"):
        listed(tmp_path, text)
    settings = {
        "source.columns.image_id": "path",
        "source.columns.breed": "label",
        "source.columns.take": "ignore",
    }
    source = load_recipe("images").override(settings).open_source(tmp_path / "t.csv")
    assert source.classes == ("pug",)
    assert (
        listed(tmp_path, text, columns={"image_id": "path", "breed": "label", "take": "ignore"}).findings
        == []
    )
    with pytest.raises(UsageError, match=r"source\.columns\.take = 'lable'.*'label'"):
        listed(tmp_path, text, columns={"image_id": "path", "take": "lable"})
    with pytest.raises(DataError, match=r"no column 'brede', which .*'breed'"):
        listed(tmp_path, text, columns={"image_id": "path", "brede": "label"})
    with pytest.raises(UsageError, match="is no table"):
        find_labelled_files(str(tmp_path), "images", (), TableRules(columns={"a": "label"}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label,start,end\na,x,0,1\n", "start without a unit.*columns.start=start_us .*columns.end=stop_us"),
        ("path,label,start,duration\na,x,0,1\n",
         "the column duration without a unit.*columns.start=start_us source.columns.duration=duration_us"),
        ("path,label,start_s\na,x,0\n",
         "none of the stop.*columns.NAME=stop_us or source.columns.NAME=duration_us for the column NAME"),
    ],
)  # fmt: skip
def test_intervals_that_are_refused(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        listed(tmp_path, text, intervals=True)


@pytest.mark.parametrize("duration", ["duration_us", "Duration [ms]", "length"])
def test_a_start_and_a_duration_are_an_interval(tmp_path, duration):
    scale = 1000 if duration == "Duration [ms]" else 1
    text = f"path,label,group,start_us,{duration}\na,x,g,0.5,{1000 / scale}\na,y,g,2000,{250.25 / scale}\n"
    columns = {"length": "duration_us"} if duration == "length" else {}
    files = listed(tmp_path, text, intervals=True, columns=columns)
    assert [entry.interval for entry in files.entries] == [(1, 1001), (2000, 2251)]
    assert files.findings == []
    text = "path,label,group,start_us,stop_us,duration_us\na,x,g,0,1000,5\n"
    files = listed(tmp_path, text, intervals=True)  # the duration of the file
    assert [entry.interval for entry in files.entries] == [(0, 1000)]
    assert files.findings == ["t.csv: columns that are not used: duration_us"]


def test_what_is_odd_is_a_finding(tmp_path):
    files = listed(tmp_path, "url,path,label\n1,a,-1\n2,b,0\n3,c,1\n4,d,A\n5,e,a\n")
    assert len(files.entries) == 5
    assert files.findings == [
        "t.csv: columns that are not used: url",
        "t.csv: the label -1 is a class like the others",
        "letters that differ in case are different classes: A, a",
    ]
    assert listed(tmp_path, "path,label\na,-1\nb,1\n").findings == []
    assert listed(tmp_path, ",Unnamed: 0,id,Index,path,label\n0,0,0,0,a,x\n").findings == []


def test_files_as_other_systems_write_them(tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("1.wav", "cafe\u0301.wav"):
        (tmp_path / "clips" / name).touch()
    files = listed(tmp_path, "path,label\nclips\\1.wav,x\nclips/caf\u00e9.wav,y\n")
    assert [entry.file.exists() for entry in files.entries] == [True, True]
    assert [entry.id for entry in files.entries] == ["clips/1.wav", "clips/caf\u00e9.wav"]


def test_intervals_in_any_unit(tmp_path):
    table = "path,label,start_s,stop_ms,group\na,x,0.5,750,g\na,y,0.7500001,1000.0005,g\n"
    files = listed(tmp_path, table, intervals=True)
    assert [(e.id, e.interval) for e in files.entries] == [
        ("a@500000-750000", (500_000, 750_000)),
        ("a@750001-1000001", (750_001, 1_000_001)),
    ]
    bad = "path,label,start_us,stop_us\na,x,5,5\na,x,7,\na,x,1e99,2\na,x,0,4\na,y,0,4\na,y,3,6\n"
    files = listed(tmp_path, bad, intervals=True)
    assert [str(line) for line in files.bad] == [
        "t.csv line 2 has an interval from 5 to 5 µs",
        "t.csv line 3 has stop_us empty",
        "t.csv line 4 has start_us 1e99",
        "t.csv line 6 names the same interval again",
    ]
    assert files.findings == [
        "intervals that overlap: t.csv line 5 and 7",
        "t.csv: no column split or group: intervals of one recording may be in different splits",
    ]
