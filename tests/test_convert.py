"""`spikeprep.convert` and ``spikeprep convert``: files, folders, failures, interruptions."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from spikeprep_cli.main import main

import spikeprep
from spikeprep import input_files
from spikeprep.data import Events
from spikeprep.errors import DataError, UsageError
from spikeprep.eventfiles import Limits, read, write
from spikeprep.interruption import Interrupted

from .assets import asset
from .eventfiles import writing
from .eventfiles.test_formats import FORMS, recording
from .eventfiles.test_writers import same


def run(*args: object):
    return CliRunner().invoke(main, ["convert", *map(str, args)])


def events_of(count: int = 60, seed: int = 0) -> Events:
    events = recording(FORMS["nmnist"], count, seed)
    events["t"] -= events["t"][0]
    return Events.of(events, (34, 34))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Recordings in the folders of two classes of two splits, with other files beside them."""
    root = tmp_path / "data"
    for n, folder in enumerate(("train/a", "train/b/deep", "test/a")):
        (root / folder).mkdir(parents=True)
        for k in range(2):
            (root / folder / f"{k}.bin").write_bytes(writing.nmnist_bytes(events_of(seed=10 * n + k).array))
    (root / "README.txt").write_text("1 2 3 4\n")
    (root / "labels.csv").write_text("path,label\n")
    return root


def test_a_file_becomes_another(tmp_path):
    source = write(tmp_path / "a.raw", events_of()).path
    done = run(source, "--out", tmp_path / "b.aedat4")
    assert done.exit_code == 0, done.output
    size = (tmp_path / "b.aedat4").stat().st_size
    t = int(events_of().array["t"][-1]) + 1
    line = f"{tmp_path}/b.aedat4: aedat4, 60 events in {t / 1e6:.6g} s, 34 × 34, {size / 1e3:.3g} kB\n"
    assert done.stdout == line
    same(read(tmp_path / "b.aedat4").array, events_of().array)
    result = spikeprep.convert(source, tmp_path / "c.aedat4", progress=False)
    assert (tmp_path / "c.aedat4").read_bytes() == (tmp_path / "b.aedat4").read_bytes()
    (file,) = result.files
    assert (file.source_format, file.format, file.events) == ("evt3", "aedat4", 60)
    assert (file.size, file.start, file.duration) == ((34, 34), 0, t)
    assert str(result) == line.replace("b.aedat4", "c.aedat4").strip()


def test_the_document(tmp_path):
    source = write(tmp_path / "a.raw", Events(events_of().pieces, (34, 34), start=1000)).path
    done = run(source, "--out", tmp_path / "b.h5", "--json")
    document = json.loads(done.stdout)
    assert (document["failures"], document["kept"]) == ([], 0)
    (file,) = document["files"]
    assert file == {
        "source": str(source), "path": str(tmp_path / "b.h5"), "source_format": "evt3", "format": "hdf5",
        "events": 60, "bytes": (tmp_path / "b.h5").stat().st_size, "size": [34, 34], "start": 1000,
        "duration": int(events_of().array["t"][-1]) + 1, "changes": "", "notes": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "start", "back", "note"),
    [
        ("b.aedat4", 1_605_537_493_718_345, 1_605_537_493_718_345, ""),
        ("b.h5", 1_605_537_493_718_345, 1_605_537_493_718_345, ""),
        ("b.h5", -5, -5, ""),
        ("b.raw", 1_605_537_493_718_345, 16_553_289, "modulo 16,777,216 µs"),
        ("b.raw", -5, (1 << 24) - 5, "modulo 16,777,216 µs"),
        ("b.raw", 16_553_289, 16_553_289, ""),
        ("b.dat", 1000, 0, "not at all"),
        ("b.csv", 1000, 0, "not at all"),
        ("b.csv", 0, 0, ""),
    ],
)
def test_what_a_format_cannot_hold_of_the_start_is_said(tmp_path, name, start, back, note):
    source = write(tmp_path / "a.h5", Events(events_of().pieces, (34, 34), start=start)).path
    done = run(source, "--out", tmp_path / name)
    assert done.exit_code == 0, done.output
    assert read(tmp_path / name).start == back
    assert ("holds the start of the recording's own clock" in done.stderr) == bool(note)
    assert note in done.stderr


@pytest.mark.parametrize(
    ("name", "to"), [("b.aedat4", ""), ("b.csv", ""), ("b.raw", "evt2"), ("b.raw", "evt3")]
)
def test_the_stamps_of_a_clock_are_kept_where_that_is_asked_for(tmp_path, name, to):
    unix = 1_605_537_493_718_345
    source = write(tmp_path / "a.aedat4", Events(events_of().pieces, (34, 34), start=unix)).path
    done = run(source, "--out", tmp_path / name, "--set", "read.origin=stored", *(["--to", to] if to else []))
    assert done.exit_code == 0, done.output
    lap = {"evt2": 1 << 34, "evt3": 1 << 24}.get(to, 1 << 62)
    assert ("holds the start of the recording's own clock" in done.stderr) == bool(to)
    got = read(tmp_path / name, origin="stored")
    np.testing.assert_array_equal(got.array["t"], (events_of().array["t"] + unix) % lap)
    assert got.start == 0


def test_stamps_of_a_clock_that_a_format_cannot_hold(tmp_path):
    unix = 1_605_537_493_718_345
    source = write(tmp_path / "a.aedat4", Events(events_of().pieces, (34, 34), start=unix)).path
    for name in ("b.h5", "b.dat"):
        done = run(source, "--out", tmp_path / name, "--set", "read.origin=stored")
        assert done.exit_code == 3
        assert "or count t from the first event" in done.stderr
        assert "read without --set read.origin=stored" in done.stderr
        assert run(source, "--out", tmp_path / name).exit_code == 0


def test_a_disk_that_fills_up_says_how_to_go_on(tmp_path, tree, monkeypatch):
    fsync, synced = os.fsync, []

    def full(handle):
        synced.append(handle)
        if len(synced) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    done = run(tree, "--out", tmp_path / "out", "--to", "evt3")
    assert done.exit_code == 5
    assert done.stderr.strip().endswith("To keep what is converted by then: --resume.")
    monkeypatch.undo()
    done = run(tree, "--out", tmp_path / "out", "--to", "evt3", "--resume")
    assert done.exit_code == 0, done.output


def test_a_folder_keeps_its_folders(tmp_path, tree):
    done = run(tree, "--out", tmp_path / "out", "--to", "evt3")
    assert done.exit_code == 0, done.output
    assert "converted 6 recordings, 360 events" in done.stdout
    written = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*"))
    assert written == [
        "test/a/0.raw", "test/a/1.raw", "train/a/0.raw", "train/a/1.raw", "train/b/deep/0.raw", "train/b/deep/1.raw"
    ]  # fmt: skip
    for path in written:
        source = read((tree / path).with_suffix(".bin"))
        got = read(tmp_path / "out" / path)
        same(got.array, source.array)
        assert got.size == source.size


def test_a_converted_folder_encodes_to_the_same_spikes(tmp_path, tree):
    spikeprep.convert(tree, tmp_path / "out", to="aedat4", progress=False)
    stored = []
    for name, source in (("a", tree), ("b", tmp_path / "out")):
        store = tmp_path / f"{name}.zarr"
        spikeprep.encode("events", store, source=source, settings={"dvs.bin_us": 20}, progress=False)
        train = spikeprep.open_store(store)["train"]
        order = np.argsort([str(sample).rpartition(".")[0] for sample in train.ids])  # ids draw the order
        stored.append((train.packed(slice(None)).bits[order], train.labels[:][order]))
    np.testing.assert_array_equal(stored[0][0], stored[1][0])
    np.testing.assert_array_equal(stored[0][1], stored[1][1])
    assert stored[0][0].any()


def test_several_files_and_folders(tmp_path, tree):
    file = write(tmp_path / "single.dat", events_of()).path
    done = run(tree / "train", tree / "test", file, "--out", tmp_path / "out", "--to", "hdf5", "--json")
    assert done.exit_code == 0, done.output
    paths = [
        Path(f["path"]).relative_to(tmp_path / "out").as_posix() for f in json.loads(done.stdout)["files"]
    ]
    assert paths == [
        "train/a/0.h5", "train/a/1.h5", "train/b/deep/0.h5", "train/b/deep/1.h5", "test/a/0.h5", "test/a/1.h5",
        "single.h5",
    ]  # fmt: skip


def test_nothing_is_said_of_what_convert_has_written(tmp_path):
    path = write(tmp_path / "a.dat", events_of()).path
    names = {
        "b.h5": (),
        "c.csv": ("--set", "write.names=true"),
        "d.txt": (),
        "e.aedat4": (),
        "f.raw": (),
        "g.dat": (),
    }
    for name, more in names.items():
        done = run(path, "--out", tmp_path / name, *more)
        assert (done.exit_code, done.stderr) == (0, ""), name
        path = tmp_path / name


def test_a_file_goes_into_a_folder_that_is_there(tmp_path):
    source = write(tmp_path / "a.csv", events_of()).path
    (tmp_path / "out").mkdir()
    spikeprep.convert(source, tmp_path / "out", to="dat", progress=False)
    spikeprep.convert(source, f"{tmp_path}/new/", to="dat", progress=False)
    for folder in ("out", "new"):
        same(read(tmp_path / folder / "a.dat").array, events_of().array)


def test_text_is_taken_from_a_folder_where_it_is_named(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.csv", events_of())
    with pytest.raises(DataError, match=r"has no recordings; expected files ending in .*format=NAME"):
        spikeprep.convert(folder, tmp_path / "out", to="dat", progress=False)
    result = spikeprep.convert(folder, tmp_path / "out", to="dat", format="text", progress=False)
    assert [Path(file.path).name for file in result.files] == ["a.dat"]


def test_a_packed_file_loses_both_endings(tmp_path):
    import gzip

    plain = write(tmp_path / "a.csv", events_of()).path
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    result = spikeprep.convert(tmp_path / "a.csv.gz", f"{tmp_path}/out/", to="dat", progress=False)
    assert Path(result.files[0].path).name == "a.dat"


def test_what_cannot_be_converted_is_named_at_the_end(tmp_path, tree):
    (tree / "train/a/0.bin").write_bytes(b"")
    (tree / "test/a/1.bin").write_bytes(bytes([200, 7, 0, 0, 1]) * 3)
    done = run(tree, "--out", tmp_path / "out", "--to", "dat", "--json")
    assert done.exit_code == 3
    document = json.loads(done.stdout)
    assert len(document["files"]) == 4
    assert [Path(f["file"]).relative_to(tree).as_posix() for f in document["failures"]] == [
        "test/a/1.bin",
        "train/a/0.bin",
    ]
    assert "2 of 6 recordings could not be converted" in done.stderr
    assert "is empty (0 bytes)" in done.stderr
    assert len(list((tmp_path / "out").rglob("*.*"))) == 4
    again = run(tree, "--out", tmp_path / "out", "--to", "dat", "--resume", "--invalid", "drop")
    assert again.exit_code == 3
    assert "4 were there already" in again.stdout


@pytest.mark.parametrize("whole", [0, 2])
def test_each_of_many_failures_is_named_with_flags(tmp_path, whole):
    root = tmp_path / "data"
    root.mkdir()
    names = [f"{n:02}.dat" for n in range(11)]
    for n, name in enumerate(names):
        data = writing.dat_bytes(events_of().array)
        (root / name).write_bytes(data if n < whole else data[:-3])
    done = run(root, "--out", tmp_path / "out", "--to", "evt3", "--json")
    assert done.exit_code == 3
    lines = done.stderr.splitlines()
    assert lines[0] == f"spikeprep: {11 - whole} of 11 recordings could not be converted."
    assert [line.partition(" is truncated")[0] for line in lines[1:]] == [
        str(root / name) for name in names[whole:]
    ]
    assert all("pass --invalid drop" in line for line in lines[1:])
    document = json.loads(done.stdout)
    assert document.get("error", {}).get("type") == (None if whole else "DataError")
    assert len(document["files"]) == whole
    assert [failure["file"] for failure in document["failures"]] == [
        str(root / name) for name in names[whole:]
    ]
    assert all("pass --invalid drop" in failure["hint"] for failure in document["failures"])
    if not whole:
        words = r"could not be converted\.\n.*00\.dat is truncated.*invalid='drop'"
        with pytest.raises(DataError, match=words):
            spikeprep.convert(root, tmp_path / "out", to="evt3", progress=False)


@pytest.mark.parametrize("name", ["a.raw", "a.csv"])
def test_a_recording_without_events_is_left_out(tmp_path, name):
    content = {"a.raw": writing.evt3_bytes(events_of().array[:0]), "a.csv": b"%geometry:34,34\nx,y,p,t\n"}
    (tmp_path / name).write_bytes(content[name])
    for more in ((), ("--invalid", "drop"), ("--invalid", "clip")):
        done = run(tmp_path / name, "--out", tmp_path / "b.h5", *more)
        assert done.exit_code == 3
        assert "no events; expected at least one" in done.stderr
        assert "Leave the recording out" in done.stderr
        assert "--invalid" not in done.stderr
    assert len(read(tmp_path / name, invalid="drop").array) == 0


def test_a_folder_of_failures_leaves_no_empty_folders(tmp_path, tree):
    for path in (tree / "train/b/deep").iterdir():
        path.write_bytes(b"")
    result = spikeprep.convert(tree, tmp_path / "out", to="dat", progress=False)
    assert len(result.failures) == 2
    assert sorted(p.name for p in (tmp_path / "out/train").iterdir()) == ["a"]
    for path in tree.rglob("*.bin"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="6 of 6 recordings could not be converted"):
        spikeprep.convert(tree, tmp_path / "none", to="dat", progress=False)
    assert not (tmp_path / "none").exists()


def test_a_single_failure_is_the_error_itself(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(writing.dat_bytes(events_of().array)[:-3])
    done = run(path, "--out", tmp_path / "b.raw")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "a.dat is truncated" in done.stderr
    assert "--invalid drop" in done.stderr
    done = run(path, "--out", tmp_path / "b.raw", "--invalid", "drop")
    assert done.exit_code == 0
    assert f"attention: {path}: " in done.stderr
    assert len(read(tmp_path / "b.raw").array) == 59


@pytest.mark.parametrize(
    ("name", "data", "args", "words"),
    [
        ("a.csv", b"x,y,p,t\n1,2,0,10\n3,4,1,20\n", (), ["does not state the size", "--size width height"]),
        ("a.csv", b"1,2,0,1\n", ("--size", "9", "9"), ["--set read.columns=txyp or --set read.columns=xypt"]),
        (
            "a.csv",
            b"x,y,p,t\n1,2,0,10\n",
            ("--size", "3000", "9"),
            ["a.csv", "sides up to 2,048", "--to hdf5", "--to text"],
        ),
        ("a.dat", b"% evt 3.0\n% end\n", (), ["--format evt3"]),
    ],
)
def test_errors_name_the_flags(tmp_path, name, data, args, words):
    (tmp_path / name).write_bytes(data)
    done = run(tmp_path / name, "--out", tmp_path / "b.raw", *args)
    assert done.exit_code == 3, done.output
    for word in words:
        assert word in done.stderr
    assert not (tmp_path / "b.raw").exists()


def test_settings_reach_the_reader_and_the_writer(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("".join(f"{n},1,2,1\n" for n in range(0, 9000, 1000)))
    out = tmp_path / "b.csv"
    done = run(
        source, "--out", out, "--size", "10", "10", "--set", "read.columns=txyp", "--set", "read.unit=ms",
        "--set", "write.names=true", "--set", "write.columns=ptxy",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert out.read_text().splitlines()[:4] == ["%geometry:10,10", "p,t_us,x,y", "1,0,1,2", "1,1000000,1,2"]
    for bad, words in (
        ("read.colour=1", "no setting 'colour'"),
        ("write.colour=1", "no setting 'colour'"),
        ("colour=1", "read.NAME, or write.NAME"),
        ("red.unit=s", "read"),
    ):
        done = run(source, "--out", tmp_path / "c.csv", "--set", bad)
        assert done.exit_code == 2, bad
        assert words in done.stderr


_LINES = b"".join(b"1,2,0,%d\n" % t for t in range(0, 200_000_000, 5000))  # 40,000


def _columns(path: Path) -> None:
    """HDF5 of 40,000 events, whose columns pack well."""
    h5py = pytest.importorskip("h5py")
    ones = np.ones(40_000, np.int64)
    with h5py.File(path, "w") as file:
        for name, values in {"x": ones, "y": ones, "p": ones, "t": 5000 * np.arange(40_000)}.items():
            file.create_dataset(f"events/{name}", data=values, compression="gzip", shuffle=True)


LIMITED: dict[str, tuple[Callable[[Path], object], dict[str, int], dict[str, str]]] = {
    "columns.h5": (_columns, {"max_ratio": 2}, {}),
    "packed.csv.gz": (lambda path: path.write_bytes(gzip.compress(_LINES)), {"max_ratio": 2}, {}),
    "sorted.csv": (lambda path: path.write_bytes(_LINES), {"max_bytes": 3_000_000}, {"order": "sort"}),
}


@pytest.mark.parametrize("name", LIMITED)
def test_the_advice_about_a_limit_can_be_followed(tmp_path, monkeypatch, name):
    make, given, options = LIMITED[name]
    (limit,) = given
    make(tmp_path / name)
    monkeypatch.setattr(input_files, "SMALL", 1)
    settings = [f"--set=read.{key}={value}" for key, value in (given | options).items()]
    args = ["--size", 9, 9, "--out", tmp_path / "b.dat", *settings]
    done = run(tmp_path / name, *args)
    assert done.exit_code == 3, done.output
    (advice,) = re.findall(rf"use --set (read\.{limit}=\d+)\.", done.stderr)
    done = run(tmp_path / name, *args, "--set", advice)
    assert done.exit_code == 0, done.output
    with pytest.raises(DataError) as refused:
        read(tmp_path / name, size=(9, 9), limits=Limits(**given), **options)
    (advice,) = re.findall(r"use limits=(.*)\.$", refused.value.hint)
    assert len(read(tmp_path / name, size=(9, 9), limits=eval(advice), **options).array) == 40_000


def test_a_limit_that_is_none(tmp_path):
    source = write(tmp_path / "a.raw", events_of()).path
    for bad in ("read.max_ratio=0", "read.max_bytes=much", "write.max_bytes=5"):
        done = run(source, "--out", tmp_path / "b.dat", "--set", bad)
        assert done.exit_code == 2, done.output
        assert bad.partition("=")[0].partition(".")[2] in done.stderr


def test_rows_that_count_from_the_bottom_are_turned_where_that_is_asked_for(tmp_path):
    events = events_of().array
    (tmp_path / "a.es").write_bytes(writing.es_bytes(events, (34, 40)))
    for n, (settings, expected) in enumerate((({}, events["y"]), ({"read.flip_y": True}, 39 - events["y"]))):
        result = spikeprep.convert(
            tmp_path / "a.es", tmp_path / f"{n}.dat", settings=settings, progress=False
        )
        assert result.files[0].size == (34, 40)
        np.testing.assert_array_equal(read(tmp_path / f"{n}.dat").array["y"], expected)


def test_what_cannot_be_meant_is_refused_before_anything_is_written(tmp_path, tree):
    single = write(tmp_path / "a.raw", events_of()).path
    (tmp_path / "file").write_text("")
    cases = [
        ((tree, "--out", tmp_path / "out"), "and no format"),
        ((tree, "--out", tmp_path / "file", "--to", "dat"), "is a file"),
        ((tree, "--out", tree / "out", "--to", "dat"), "is in the folder of the recordings"),
        ((tree, "--out", tree, "--to", "dat"), "is in the folder of the recordings"),
        ((tree, "--out", tmp_path / "no/out", "--to", "dat"), "there is no folder"),
        ((tree, "--out", tmp_path / "out", "--to", "numpy"), "is read, but not written"),
        ((tree, "--out", "s3://bucket/x", "--to", "dat"), "a path"),
        ((single, "--out", tmp_path / "b.xyz"), "--to NAME"),
        ((single, "--out", tmp_path / "b.dat", "--to", "evt3"), "a.*ends like|ends like Prophesee"),
        ((single, "--out", tmp_path / "b.dat", "--overwrite", "--resume"), "one of them"),
        (("s3://bucket/a.raw", "--out", tmp_path / "b.dat"), "a path of this machine"),
        ((single, single, "--out", tmp_path / "out", "--to", "evt9"), "no event format 'evt9'"),
    ]
    for args, words in cases:
        done = run(*args)
        assert done.exit_code == 2, (args, done.output)
        assert np.any([word in done.stderr for word in words.split("|")]), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.raw", "data", "file"]


def test_two_recordings_that_become_one_file_are_refused(tmp_path, tree):
    write(tree / "train/a/0.raw", events_of())
    with pytest.raises(UsageError, match=r"0\.bin and .*0\.raw would both become .*0\.dat"):
        spikeprep.convert(tree, tmp_path / "out", to="dat", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_missing_recording(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.raw"):
        spikeprep.convert(tmp_path / "nothing.raw", tmp_path / "b.dat", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_stay_until_something_else_is_said(tmp_path, tree):
    out = tmp_path / "out"
    (out / "train/a").mkdir(parents=True)
    (out / "train/a/1.dat").write_text("precious")
    done = run(tree, "--out", out, "--to", "dat")
    assert done.exit_code == 2
    assert "1.dat is there already" in done.stderr
    assert "--overwrite" in done.stderr
    assert [p.name for p in out.rglob("*.*")] == ["1.dat"]
    result = spikeprep.convert(tree, out, to="dat", resume=True, progress=False)
    assert (len(result.files), result.kept) == (5, 1)
    assert (out / "train/a/1.dat").read_text() == "precious"
    result = spikeprep.convert(tree, out, to="dat", overwrite=True, progress=False)
    assert (len(result.files), result.kept) == (6, 0)
    same(read(out / "train/a/1.dat").array, read(tree / "train/a/1.bin").array)


def test_an_interruption_keeps_whole_files_and_says_how_to_go_on(tmp_path, tree):
    out = tmp_path / "out"

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"after 3 of 6 recordings\. Call it again with resume=True"):
        spikeprep.convert(tree, out, to="dat", progress=stop)
    assert len(list(out.rglob("*.*"))) == 3
    result = spikeprep.convert(tree, out, to="dat", resume=True, progress=False)
    assert (len(result.files), result.kept) == (3, 3)
    whole = tmp_path / "whole"
    spikeprep.convert(tree, whole, to="dat", progress=False)
    for path in whole.rglob("*.dat"):
        assert (out / path.relative_to(whole)).read_bytes() == path.read_bytes()


def test_nothing_is_written_into_a_store(tmp_path, tree):
    store = tmp_path / "digits.zarr"
    spikeprep.encode("digits", store, limit=2, progress=False)
    with pytest.raises(UsageError, match="is inside the store"):
        spikeprep.convert(tree, store / "out", to="dat", progress=False)
    shutil.rmtree(store)


def test_real_recordings_in_a_tree(tmp_path):
    folder = asset("data/event_files")
    result = spikeprep.convert(folder, tmp_path / "out", to="hdf5", progress=False)
    assert len(result.files) == 8
    assert [Path(path).name for path, _ in result.failures] == ["faery_generic.es"]
    for file in result.files:
        original, got = read(file.source), read(file.path)
        same(got.array, original.array)
        assert (got.size, got.start) == (original.size, original.start)
