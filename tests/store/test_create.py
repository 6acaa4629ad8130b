"""Creating a key that must not exist yet: of many writers one succeeds."""

import errno
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from spikeprep.errors import StoreError
from spikeprep.store.storage import open_storage


def locations(tmp_path):
    yield str(tmp_path / "s")
    pytest.importorskip("fsspec")
    yield "memory://create/s"


def test_a_key_is_created_once_and_keeps_its_content(tmp_path):
    for location in locations(tmp_path):
        storage = open_storage(location)
        assert storage.create("a/lock", b"first")
        assert not storage.create("a/lock", b"second")
        assert not storage.create("a/lock", b"first")
        assert storage.get("a/lock") == b"first"
        assert set(storage.sizes()) == {"a/lock"}
        storage.delete("a/lock")
        assert storage.create("a/lock", b"second")
        storage.delete("a/lock")


def race(location, number):
    return open_storage(location).create("lock", b"%d" % number)


@pytest.mark.parametrize("links", [True, False])
def test_of_many_threads_one_creates(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    for n in range(20):
        location = tmp_path / str(n)
        with ThreadPoolExecutor(8) as threads:
            created = list(threads.map(lambda k, location=location: race(location, k), range(8)))
        assert sum(created) == 1
        assert open_storage(location).get("lock") == b"%d" % created.index(True)
        assert os.listdir(location) == ["lock"]


def test_of_many_processes_one_creates(tmp_path):
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
        for n in range(20):
            created = list(processes.map(race, [tmp_path / str(n)] * 4, range(4)))
            assert sum(created) == 1


def no_links(source, target):
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_a_disk_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_links)
    storage = open_storage(tmp_path)
    assert storage.create("lock", b"first")
    assert not storage.create("lock", b"second")
    assert os.listdir(tmp_path) == ["lock"]
    assert storage.get("lock") == b"first"


def test_a_link_whose_answer_was_lost_counts(tmp_path, monkeypatch):
    def lost(source, target, link=os.link):
        link(source, target)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "link", lost)
    assert open_storage(tmp_path).create("lock", b"first")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        open_storage(tmp_path / "file").create("lock", b"")
