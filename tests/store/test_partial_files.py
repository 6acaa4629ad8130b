"""Unfinished files carry their owner: cleaning removes those of dead processes of this host, and nothing else."""

import os
import shutil
import subprocess
import sys

import pytest

from spikeprep import partial_files as partial
from spikeprep.errors import StoreError
from spikeprep.store import SpikeWriter
from spikeprep.store.local_storage import LocalStorage

from .stores import ATTRIBUTES, LAYOUTS, begin, make, pending, tree

SCRIPT = "from spikeprep.partial_files import new_partial_name; print(new_partial_name('0'))"


def name_of_a_dead_process():
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_own_files_are_abandoned_once_released():
    name = partial.new_partial_name("zarr.json")
    assert name.startswith("zarr.json.")
    assert partial.is_partial(name)
    assert not partial.is_abandoned(name)
    partial.release(name)
    assert partial.is_abandoned(name)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere every other process counts as alive")
def test_other_processes():
    name = name_of_a_dead_process()
    assert partial.is_abandoned(name)
    head, pid, token = name.rsplit("-", 2)
    assert not partial.is_abandoned(f"{head}-{os.getppid()}-{token}")  # alive
    assert not partial.is_abandoned(f"{head}-1-{token}")  # alive, perhaps another user's
    assert partial.is_abandoned(f"{head}-9999999999-{token}")  # no process can have that number
    host, boot = head.removeprefix("0.").split("-")
    assert not partial.is_abandoned(f"0.{'0' * 12}-{boot}-{pid}-{token}")  # another host
    assert partial.is_abandoned(
        f"0.{host}-{'0' * 8}-{os.getppid()}-{token}"
    )  # before this host was restarted


@pytest.mark.parametrize(
    "name",
    ["movie.mkv.partial", "0.0123.partial", ".partial", "x.partial", f"0.{'a' * 32}.partial", "zarr.json"],
)
def test_files_of_other_programs_are_no_partial_files(name):
    assert not partial.is_partial(name)
    assert not partial.is_abandoned(name)


def test_resuming_removes_what_the_dead_left_and_nothing_else(tmp_path):
    make(tmp_path / "whole.zarr")
    path = tmp_path / "s.zarr"
    begin(path, 0)
    dead, live = name_of_a_dead_process(), partial.new_partial_name("0")
    (path / "test/spikes/c/0/0").mkdir(parents=True)
    for name in (dead, live, "notes.partial"):
        (path / "test/spikes/c/0/0" / name).write_bytes(b"half")
    (path / "empty/folder").mkdir(parents=True)
    (path / "nested.zarr").mkdir()
    (path / "nested.zarr" / dead).write_bytes(b"half")  # of a store beside this one's files
    assert pending(path) == 5
    assert os.listdir(path / "nested.zarr") == [dead]
    shutil.rmtree(path / "nested.zarr")
    assert sorted(os.listdir(path / "test/spikes/c/0/0")) == sorted([live, "notes.partial"])
    assert (path / "empty/folder").is_dir()
    (path / "test/spikes/c/0/0/notes.partial").unlink()
    partial.release(live)
    make(path)
    assert tree(path) == tree(tmp_path / "whole.zarr")


def test_a_folder_of_unfinished_downloads_is_no_place_for_a_store(tmp_path):
    (tmp_path / "movie.mkv.partial").write_bytes(b"film")
    (tmp_path / "season 2").mkdir()
    with pytest.raises(StoreError, match="not empty and no spike store"):
        SpikeWriter.open(tmp_path, ATTRIBUTES, LAYOUTS)
    assert sorted(os.listdir(tmp_path)) == ["movie.mkv.partial", "season 2"]


def test_a_folder_that_vanishes_while_a_file_is_created(tmp_path, monkeypatch):
    """Another worker may remove an empty folder between its creation and the file's."""
    storage, attempts = LocalStorage(tmp_path / "s.zarr"), []
    mkdir = type(tmp_path).mkdir

    def vanishing(self, *args, **kwargs):
        attempts.append(self)
        if len(attempts) > 3:
            mkdir(self, *args, **kwargs)

    monkeypatch.setattr(type(tmp_path), "mkdir", vanishing)
    storage.put("train/zarr.json", b"{}")
    assert storage.get("train/zarr.json") == b"{}"


def test_deleting_a_file_removes_the_folders_that_it_leaves_empty(tmp_path):
    storage = LocalStorage(tmp_path / "s.zarr")
    storage.put("train/spikes/c/0/0/0", b"x")
    storage.put("train/zarr.json", b"{}")
    storage.delete("train/spikes/c/0/0/0")
    assert sorted(f.name for f in (tmp_path / "s.zarr").rglob("*")) == ["train", "zarr.json"]
