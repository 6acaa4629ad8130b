"""Results are not written into stores, nor where they cannot be kept; refusing is quick."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import spikeprep
from spikeprep import plot
from spikeprep.errors import StoreError, UsageError
from spikeprep.plot.style import empty_figure
from spikeprep.store import SpikeStore, verify
from spikeprep.store.outputs import check_output, is_store
from spikeprep.train.run_folder import RunFolder

from .stores import begin, make, tree


@pytest.fixture
def path(tmp_path):
    make(tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def encode(out, **options):
    spikeprep.encode("digits", out, limit=3, progress=False, **options)


WRITERS = {
    "encode": encode,
    "plan": lambda out: spikeprep.plan("digits", out, limit=3),
    "arrays": lambda out: spikeprep.write_store(out, iter(()), []),
    "writer": make,
    "run": lambda out: RunFolder(out).acquire(new=True),
    "plot": lambda out: plot.save(empty_figure(1, 1), f"{out}.png"),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("inside", ["x", "train/x", "deep/er/x"])
def test_nothing_is_written_inside_a_store(path, name, inside):
    before = tree(path)
    link = path.parent / "link"
    link.symlink_to(path)
    for folder in (path, link, path / ".." / "s.zarr"):
        with pytest.raises(UsageError, match=r"inside the store .*s\.zarr; expected a path outside"):
            WRITERS[name](folder / inside)
    assert tree(path) == before
    assert verify(path).ok


def test_a_store_that_is_being_written_is_one(tmp_path):
    begin(tmp_path / "begun.zarr")
    with pytest.raises(UsageError, match="inside the store"):
        encode(tmp_path / "begun.zarr/train/x.zarr")


def test_what_is_no_store_may_hold_one(tmp_path):
    for name, text in (("other", '{"zarr_format": 3, "attributes": {}}'), ("text", "hello"), ("list", "[1]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text(text)
        assert not is_store(tmp_path / name)
        assert check_output(tmp_path / name / "s.zarr") == tmp_path / name / "s.zarr"


def test_a_home_folder_of_nobody(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for use in (encode, SpikeStore.open, spikeprep.open_store, verify, WRITERS["plot"]):
        with pytest.raises(
            UsageError, match=r"~nobody-here is the home folder of no user .* write \./~nobody"
        ):
            use("~nobody-here/s.zarr")
    assert not os.listdir(tmp_path)
    assert check_output("./~nobody-here/s.zarr") == Path("~nobody-here/s.zarr")


@pytest.mark.parametrize("url", ["http://host/s.zarr", "simplecache::https://host/s.zarr"])
def test_a_url_that_can_only_be_read(url, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "fsspec", None)  # it is not what is missing
    with pytest.raises(StoreError, match=r"https? can only be read.*Write to a folder"):
        encode(url)


def test_a_large_foreign_folder_is_refused_after_its_first_files(tmp_path, monkeypatch):
    for n in range(200):
        (tmp_path / f"{n:03}.txt").touch()
    sizes = []
    from spikeprep.store import local_storage

    monkeypatch.setattr(local_storage, "_size", lambda entry: sizes.append(entry.name) or 0)
    with pytest.raises(StoreError, match=r"not empty and no spike store \(it has '\d+\.txt', .*…\)"):
        make(tmp_path)
    assert len(sizes) <= 5


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("hello")
    with pytest.raises(StoreError, match=r"file is a file; expected a folder"):
        make(tmp_path / "file")


def test_a_store_beside_the_classes_of_its_source(tmp_path):
    """It is no class, and its files are no samples; repeating the call finds it complete."""
    image = pytest.importorskip("PIL.Image")
    for label in "ab":
        (tmp_path / label).mkdir()
        for n in range(4):
            image.new("L", (8, 8), 60 * n).save(tmp_path / label / f"{n}.png")
    for out in ("out.zarr", "a/out.zarr"):
        for expected in (8, 0):
            done = spikeprep.encode("images", tmp_path / out, source=tmp_path, progress=False)
            assert (done.encoded, sum(done.samples.values())) == (expected, 8)
    assert SpikeStore.open(tmp_path / "out.zarr").digest() == done.digest
