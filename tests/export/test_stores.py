"""Stores: .npz per sample, SHD's HDF5, nir's data, Croissant; outputs and refusals."""

from __future__ import annotations

import csv
import errno
import gc
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from spikeprep_cli.main import main

import spikeprep
from spikeprep.errors import CapabilityError, DataError, StoreError, UsageError
from spikeprep.new_files import rename_new
from spikeprep.partial_files import new_partial_name, release


def test_a_file_per_sample(store, tmp_path):
    result = spikeprep.export(store, tmp_path / "out", to="npz", progress=False)
    assert result.content == "12 samples of train, 8 samples of test"
    opened = spikeprep.open_store(store)
    for split, count in (("train", 12), ("test", 8)):
        for n in range(count):
            with np.load(tmp_path / f"out/{split}/{n:06d}.npz") as file:
                np.testing.assert_array_equal(file["spikes"], opened[split][n])
                assert file["label"] == n % 2
    with (tmp_path / "out/index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert rows[13] == {"path": "test/000001.npz", "label": "loud", "split": "test", "id": "1"}
    about = json.loads((tmp_path / "out/export.json").read_text())
    assert (about["unit_shape"], about["dt"], about["digest"]) == ([7, 6, 2], 0.0006, opened.digest())


def test_shd_s_layout(store, tmp_path):
    h5py = pytest.importorskip("h5py")
    spikeprep.export(store, tmp_path / "shd_test.h5", to="hdf5", split="test", progress=False)
    reader = spikeprep.open_store(store)["test"]
    with h5py.File(tmp_path / "shd_test.h5") as file:
        assert file["extra/keys"].asstr()[:].tolist() == ["quiet", "loud"]
        assert file["labels"][:].tolist() == [0, 1] * 4
        assert file["extra/speaker"][:].tolist() == [-1] * 8
        assert file["extra/steps"][:].tolist() == reader.steps.tolist()
        for n in range(8):
            binned = np.zeros_like(reader[n])
            times, units = file["spikes/times"][n], file["spikes/units"][n]
            assert (np.diff(times) >= 0).all()
            binned[np.floor(times / 0.0006).astype(int), units] = True
            np.testing.assert_array_equal(binned, reader[n])


def test_tonic_and_we_read_shd_s_layout(store, tmp_path):
    pytest.importorskip("tonic")
    from spikeprep.sources.tonic import TonicData

    (tmp_path / "SHD").mkdir()
    for split in ("train", "test"):
        spikeprep.export(store, tmp_path / f"SHD/shd_{split}.h5", to="hdf5", split=split, progress=False)
        (tmp_path / f"SHD/shd_{split}.h5.zip").touch()  # tonic looks for the archive's name
    source = TonicData(path=str(tmp_path), dataset="SHD")
    reader = spikeprep.open_store(store)["test"]
    for sample in (source.read("test", n) for n in range(source.splits()["test"])):
        n = int(sample.id.removeprefix("test/"))
        assert source.classes[sample.label] == ("quiet", "loud")[n % 2]
        events = sample.signal.array
        steps, units = np.nonzero(reader[n])
        np.testing.assert_array_equal(events["t"] // 600, steps)
        np.testing.assert_array_equal(np.sort(events["x"]), np.sort(units))


def test_nir_data(store, tmp_path):
    nir = pytest.importorskip("nir")
    h5py = pytest.importorskip("h5py")
    spikeprep.export(store, tmp_path / "a.nir", to="nir-data", split="train", samples=7, progress=False)
    events = nir.read_data(tmp_path / "a.nir").nodes["input"].observables["spikes"]
    grid = events.to_time_gridded(0.0006)
    reader = spikeprep.open_store(store)["train"]
    assert grid.shape == (7, 40, 84)
    for n in range(7):
        length = int(reader.steps[n])
        np.testing.assert_array_equal(grid.data[n, :length], reader[n])
        assert not grid.data[n, length:].any()
    with h5py.File(tmp_path / "a.nir") as file:
        assert file["spikeprep/labels"][:].tolist() == [0, 1, 0, 1, 0, 1, 0]
        assert json.loads(file["spikeprep"].attrs["spikeprep"])["split"] == "train"


def test_croissant(store, tmp_path):
    spikeprep.export(store, tmp_path / "a.json", to="croissant", url="https://example.org/grid.zarr/")
    document = json.loads((tmp_path / "a.json").read_text())
    files = {entry["@id"]: entry for entry in document["distribution"]}
    data = Path(store.path, "manifest.json").read_bytes()
    manifest = json.loads(data)
    own = files.pop("manifest.json")
    assert (own["sha256"], own["contentSize"]) == (hashlib.sha256(data).hexdigest(), f"{len(data)} B")
    assert {name: entry["sha256"] for name, entry in files.items()} == {
        name: entry["sha256"] for name, entry in manifest["files"].items()
    }
    assert files["train/zarr.json"]["contentUrl"] == "https://example.org/grid.zarr/train/zarr.json"
    assert document["recordSet"][0]["data"] == [{"classes/name": "quiet"}, {"classes/name": "loud"}]


def test_croissant_without_a_url_has_paths_from_its_own_folder(folder, tmp_path):
    odd = spikeprep.write_store(
        tmp_path / "a b#.zarr", [(np.ones((3, 2), bool), 0, "my split")], dt=0.001, classes=["x"]
    )
    (tmp_path / "deep").mkdir()
    for out in ("a.json", "deep/a.json"):
        spikeprep.export(odd, tmp_path / out, to="croissant")
        files = json.loads((tmp_path / out).read_text())["distribution"]
        for entry in files:
            data = ((tmp_path / out).parent / entry["contentUrl"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]
            assert not set(entry["@id"]) & set(" #")
        assert {entry["name"] for entry in files} == {
            path.relative_to(odd.path).as_posix() for path in Path(odd.path).rglob("*") if path.is_file()
        }
    ids = {entry["name"]: entry["@id"] for entry in files}
    assert ids["my split/zarr.json"] == "my%20split/zarr.json"


@pytest.mark.parametrize(
    "url",
    [
        "not a url",
        "https://",
        "https:///x",
        "https://a.org/x y",
        "https://a.org/x?k=1",
        "https://a.org/#x",
        "a.org/x",
        "https://me:secret@a.org/x",
        "https://a.org:port/x",
        "",
        5,
    ],
)
def test_urls_that_are_none(store, tmp_path, url):
    with pytest.raises(UsageError, match=r"got url = .*the URL of the store's folder") as caught:
        spikeprep.export(store, tmp_path / "a.json", to="croissant", url=url)
    assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_croissant_is_valid(store, tmp_path):
    """By the package of the format's authors, in a process of its own: it brings pandas and rdflib."""
    pytest.importorskip("mlcroissant")
    spikeprep.export(store, tmp_path / "a.json", to="croissant")
    script = (
        "import sys, mlcroissant; d = mlcroissant.Dataset(sys.argv[1]); print(d.metadata.issues.errors, "
        "[bytes(r['classes/name']).decode() if isinstance(r['classes/name'], bytes) else r['classes/name'] "
        "for r in d.records('classes')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.json"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set() ['quiet', 'loud']"


# what is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"to": "onnx"}, "to = 'onnx' for a store"),
        ({"to": "hdf"}, "Did you mean 'hdf5'"),
        ({"to": "hdf5"}, r"has the splits train, test.*split='train'"),
        ({"to": "hdf5", "split": "tset"}, "Did you mean 'test'"),
        ({"to": "npz", "samples": 0}, "samples"),
        ({"to": "npz", "url": "https://example.org"}, "url"),
        ({"to": "npz", "dt": 0.1}, "dt = 0.1 for a store"),
        ({"to": "croissant", "split": "test"}, "split = 'test'"),
    ],
)
def test_arguments_that_do_not_fit(store, tmp_path, arguments, words):
    with pytest.raises(UsageError, match=words):
        spikeprep.export(store, tmp_path / "out", progress=False, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_replaced_only_by_overwrite(store, tmp_path):
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(UsageError, match=r"a\.json is there already.*overwrite=True"):
        spikeprep.export(store, tmp_path / "a.json", to="croissant")
    assert (tmp_path / "a.json").read_text() == "mine"
    spikeprep.export(store, tmp_path / "a.json", to="croissant", overwrite=True)
    assert (tmp_path / "a.json").read_text().startswith("{")
    with pytest.raises(UsageError, match="is no file"):
        spikeprep.export(store, tmp_path, to="croissant", overwrite=True)


def test_a_folder_of_other_files_is_never_replaced(store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(UsageError, match=r"files that no export wrote: letter\.txt"):
        spikeprep.export(store, tmp_path / "mine", to="npz", overwrite=True, progress=False)
    out = tmp_path / "out"
    spikeprep.export(store, out, to="npz", progress=False)
    with pytest.raises(UsageError, match="an earlier export"):
        spikeprep.export(store, out, to="npz", progress=False)
    spikeprep.export(store, out, to="npz", split="test", samples=1, overwrite=True, progress=False)
    names = sorted(str(f.relative_to(out)) for f in out.rglob("*.*"))
    assert names == ["export.json", "index.csv", "test/000000.npz"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "out"]


@pytest.mark.parametrize(
    "own",
    ["notes.txt", "test/mine.npz", "test/000008.npz", "test/0.npz", "new/000000.npz", "empty/", "test/sub/"],
)
def test_an_export_with_other_files_in_it_is_never_replaced(store, tmp_path, own):
    out = tmp_path / "out"
    spikeprep.export(store, out, to="npz", split="test", progress=False)
    (out / own).mkdir(parents=True) if own.endswith("/") else (out / own).parent.mkdir(exist_ok=True)
    if not own.endswith("/"):
        (out / own).write_text("mine")
    shown = "new" if own.startswith("new") else own.rstrip("/")
    with pytest.raises(UsageError, match=rf"no export wrote: {shown}; "):
        spikeprep.export(store, out, to="npz", overwrite=True, progress=False)
    assert (out / own).exists()
    assert len(list((out / "test").glob("00000[0-7].npz"))) == 8
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("marker", ["{}", "[]", "no JSON", '{"format": 1, "samples": {"test": 1}}'])
def test_a_file_called_export_json_makes_no_export(store, tmp_path, marker):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/export.json").write_text(marker)
    with pytest.raises(UsageError, match=r"no export wrote: export\.json"):
        spikeprep.export(store, tmp_path / "out", to="npz", overwrite=True, progress=False)
    assert (tmp_path / "out/export.json").read_text() == marker


def test_what_appears_meanwhile_is_never_replaced(store, tmp_path):
    """Another process writes to the same path between the check and the end of the export."""
    file, folder = tmp_path / "a", tmp_path / "b"

    def meanwhile(done, total):
        if not file.exists():
            file.write_text("theirs")
            folder.mkdir()
            (folder / "letter.txt").write_text("theirs")

    with pytest.raises(UsageError, match=r"b has files that no export wrote: letter\.txt"):
        spikeprep.export(store, folder, to="npz", progress=meanwhile)
    file.unlink()
    shutil.rmtree(folder)
    pytest.importorskip("h5py")
    with pytest.raises(UsageError, match="a is there already"):
        spikeprep.export(store, file, to="hdf5", split="test", progress=meanwhile)
    assert file.read_text() == (folder / "letter.txt").read_text() == "theirs"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_an_export_that_appears_meanwhile_stays(store, tmp_path):
    def other(done, total):
        if done == 1:
            spikeprep.export(store, tmp_path / "b", to="npz", split="test", samples=3, progress=False)

    with pytest.raises(UsageError, match="b has an earlier export"):
        spikeprep.export(store, tmp_path / "b", to="npz", split="train", progress=other)
    assert len(list((tmp_path / "b/test").iterdir())) == 3
    assert not (tmp_path / "b/train").exists()
    (tmp_path / "empty").mkdir()
    spikeprep.export(store, tmp_path / "empty", to="npz", split="test", samples=1, progress=False)
    assert (tmp_path / "empty/test/000000.npz").exists()


def test_without_hard_links_a_file_appears_all_the_same(store, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", refused)
    spikeprep.export(store, tmp_path / "a.json", to="croissant")
    partial = tmp_path / "p"
    partial.write_text("x")
    assert not rename_new(partial, tmp_path / "a.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "p"]


def test_what_killed_exports_left_is_removed_by_the_next_one(store, tmp_path):
    dead = f"-{2**22 + 1}-"  # no process has this id
    folder, other, file = (
        new_partial_name(name).replace(f"-{os.getpid()}-", dead) for name in ("out", "x", "out")
    )
    (tmp_path / folder / "test").mkdir(parents=True)
    (tmp_path / folder / "test/000000.npz").touch()
    (tmp_path / other).touch()  # of another output
    (tmp_path / file).touch()
    ours = new_partial_name("out")  # of this process, which is writing it
    (tmp_path / ours).touch()
    spikeprep.export(store, tmp_path / "out", to="npz", split="test", samples=1, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([other, ours, "out"])
    release(ours)


def test_splits_with_the_names_of_an_export_s_files(tmp_path):
    items = [(np.ones((3, 2), bool), 0, name) for name in ("index.csv", "export.json", "my split")]
    odd = spikeprep.write_store(tmp_path / "s.zarr", items, dt=0.001, classes=["x"])
    for split in (None, "export.json"):
        with pytest.raises(
            UsageError, match=r"the split '(index|export)\..* has the name of a file.*to=hdf5"
        ):
            spikeprep.export(odd, tmp_path / "out", to="npz", split=split, progress=False)
    spikeprep.export(odd, tmp_path / "out", to="npz", split="my split", progress=False)
    assert (tmp_path / "out/my split/000000.npz").exists()


@pytest.mark.parametrize("to", ["hdf5", "nir-data"])
def test_a_full_disk(store, to):
    """HDF5 closes the file although nothing more can be written: at the end of the process it would crash."""
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("nir")
    from spikeprep.export.hdf5 import write_nir_data, write_shd

    class Disk(io.BytesIO):
        def write(self, data):
            if self.tell() + len(data) > 3000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    write = write_shd if to == "hdf5" else write_nir_data
    with pytest.raises(OSError, match="No space left"):
        write(spikeprep.open_store(store), "test", 8, Disk(), lambda done, total: None)
    gc.collect()
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"to": None}, "got to = None"),
        ({"check": "no"}, "got check = 'no'"),
        ({"overwrite": "no"}, "got overwrite = 'no'"),
        ({"out": b"a"}, "not bytes"),
        ({"source": 5}, "got int as a store or a run"),
    ],
)
def test_arguments_of_another_type(store, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        spikeprep.export(**({"source": store, "out": "a", "to": "npz", "progress": False} | arguments))
    assert not list(tmp_path.iterdir())


def test_a_split_is_no_store(store, tmp_path):
    with pytest.raises(UsageError, match="got SplitReader as a store"):
        spikeprep.export(spikeprep.open_store(store)["test"], tmp_path / "a", to="npz")


def test_outputs_in_stores_and_behind_urls_are_refused(store, tmp_path):
    with pytest.raises(UsageError, match="inside the store"):
        spikeprep.export(store, f"{store.path}/a.json", to="croissant")
    with pytest.raises(UsageError, match="Copy what is exported there"):
        spikeprep.export(store, "memory://a.json", to="croissant")
    with pytest.raises(UsageError, match="there is no folder"):
        spikeprep.export(store, tmp_path / "no/a.json", to="croissant")


def test_damage_leaves_no_output(store, tmp_path):
    shutil.copytree(store.path, tmp_path / "s.zarr")
    shard = next((tmp_path / "s.zarr/test/spikes/c").rglob("0"))
    while shard.is_dir():
        shard = next(shard.iterdir())
    data = bytearray(shard.read_bytes())
    data[3] ^= 255
    shard.write_bytes(data)
    for to in ("npz", "hdf5"):
        with pytest.raises(StoreError):
            spikeprep.export(tmp_path / "s.zarr", tmp_path / "out", to=to, split="test", progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


@pytest.mark.parametrize("name", ["manifest.json", "train/zarr.json", "test/labels/zarr.json"])
def test_a_damaged_store_of_arrays_is_to_be_written_again(store, tmp_path, name):
    shutil.copytree(store.path, tmp_path / "s.zarr")
    (tmp_path / "s.zarr" / name).write_bytes(b"{")
    with pytest.raises(StoreError, match=r"write_store\(overwrite=True\)"):
        spikeprep.export(tmp_path / "s.zarr", tmp_path / "out", to="npz", progress=False)
    done = CliRunner().invoke(main, ["verify", f"{tmp_path}/s.zarr"])
    assert done.exit_code == 4
    assert "--repair" in done.output
    assert "write_store(overwrite=True)" in done.output


def test_more_units_than_shd_can_number(tmp_path):
    pytest.importorskip("h5py")
    wide = np.zeros((1, 2, 2**16 + 1), bool)
    store = spikeprep.write_store(tmp_path / "s.zarr", wide, [0], dt=0.001)
    with pytest.raises(DataError, match=r"65,537 units.*nir-data"):
        spikeprep.export(store, tmp_path / "a.h5", to="hdf5", progress=False)
    assert not (tmp_path / "a.h5").exists()


def test_a_missing_library_names_the_extra(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CapabilityError, match=r"needs h5py.*spikeprep\[events\]"):
        spikeprep.export(store, tmp_path / "a.h5", to="hdf5", split="test", progress=False)
    assert not list(tmp_path.iterdir())


# the command


def test_the_command_prints_one_document(store, tmp_path):
    done = CliRunner().invoke(
        main, ["export", store.path, "--to", "croissant", "--out", f"{tmp_path}/a", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "out": f"{tmp_path}/a",
        "to": "croissant",
        "content": f"Croissant metadata of {store.path}",
        "omissions": [],
        "comparison": None,
        "not_compared": "",
    }


def test_the_command_s_errors_name_flags(store, tmp_path):
    done = CliRunner().invoke(main, ["export", store.path, "--to", "hdf5", "--out", f"{tmp_path}/a"])
    assert (done.exit_code, "--split train" in done.output) == (2, True)
    done = CliRunner().invoke(main, ["export", f"{tmp_path}/none", "--to", "npz", "--out", f"{tmp_path}/a"])
    assert done.exit_code == 4
