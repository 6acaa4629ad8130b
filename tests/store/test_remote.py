"""Stores on servers: S3, FTP and HTTP on loopback, and fsspec's memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from spikeprep.errors import CapabilityError, SpikeprepError, StoreError, UsageError
from spikeprep.partial_files import new_partial_name, release
from spikeprep.store import SpikeStore, fsspec_storage, remote_errors, verify
from spikeprep.store.storage import open_storage

from .servers import (
    PASSWORD,
    closed_port,
    forget_connections,
    ftp_server,
    http_server,
    s3_server,
    silent_server,
)
from .stores import begin, content, make, pending, tree

DATA = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def s3():
    with s3_server() as (url, _):
        yield url


@pytest.fixture(scope="module")
def ftp(tmp_path_factory):
    with ftp_server(tmp_path_factory.mktemp("ftp")) as url:
        yield url


@pytest.fixture(params=["folder", "file", "memory", "s3", "ftp"])
def place(request, tmp_path):
    """A path or URL where nothing is."""
    name = tmp_path.name
    if request.param in ("s3", "ftp"):
        return f"{request.getfixturevalue(request.param)}/{name}/s.zarr"
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return f"memory://{name}/s.zarr"
    return {"folder": tmp_path / "s.zarr", "file": f"file://{tmp_path}/a%20b"}[request.param]


@pytest.fixture
def quick(monkeypatch):
    """One more attempt, soon."""
    monkeypatch.setattr(remote_errors, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(remote_errors, "_FIRST_DELAY", 0.05)


def bytes_of(location) -> dict[str, bytes]:
    storage = open_storage(location)
    return {key: storage.get(key) for key in storage.sizes()}


# What every storage does


def test_ranges(place):
    storage = open_storage(place)
    storage.put("a/b", DATA)
    for start, stop in (
        (0, None),
        (0, 10),
        (5, 10),
        (5, None),
        (1000, 5000),
        (-10, None),
        (-5000, None),
        (3, 3),
    ):
        assert storage.get("a/b", start, stop) == DATA[start:stop]
    assert storage.get("a/b", 5000, 6000) == b""
    assert storage.get("a/c") is None
    assert storage.get("a/c", -10) is None
    assert storage.get("a/c", 5, 10) is None
    assert storage.get("a") is None
    assert storage.sizes()["a/b"] == len(DATA)


def test_keys_come_and_go(place):
    storage = open_storage(place)
    assert storage.sizes() == {}
    storage.put("a/b", b"")
    storage.put("a/c/d", b"x")
    storage.put("a/b", b"longer")
    storage.put("e", b"y")
    assert bytes_of(place) == {"a/b": b"longer", "a/c/d": b"x", "e": b"y"}
    storage.delete("a/b")
    storage.delete("a/b")
    storage.delete("never")
    assert set(storage.sizes()) == {"a/c/d", "e"}


def test_content_too_large_to_hold(place):
    storage = open_storage(place)
    with storage.writing("a/b") as write:
        write(DATA)
        assert storage.sizes() == {}
        write(DATA)
    assert bytes_of(place) == {"a/b": 2 * DATA}
    with pytest.raises(ZeroDivisionError), storage.writing("a/b") as write:
        write(bytes(1 // 0))
    assert bytes_of(place) == {"a/b": 2 * DATA}


def test_a_key_is_created_once(place):
    storage = open_storage(place)
    with ThreadPoolExecutor(4) as threads:
        created = list(threads.map(lambda n: storage.create("lock", b"%d" % n), range(4)))
    assert sum(created) == 1
    assert storage.get("lock") == b"%d" % created.index(True)


def test_a_store_has_the_same_bytes_everywhere(place, tmp_path):
    make(tmp_path / "local.zarr")
    make(place)
    assert bytes_of(place) == bytes_of(tmp_path / "local.zarr")
    assert verify(place).ok
    store = SpikeStore.open(place)
    np.testing.assert_array_equal(store["train"].packed(slice(None)).bits, content("train")[0])
    assert store.stored_bytes() == sum(map(len, bytes_of(place).values()))


def test_resuming_writes_only_what_is_missing(place, tmp_path):
    make(tmp_path / "local.zarr")
    begin(place, 2)
    assert pending(place) == 3
    make(place)
    assert bytes_of(place) == bytes_of(tmp_path / "local.zarr")


# Other processes


def labels(store):
    return store["train"].labels


@pytest.mark.parametrize("server", ["s3", "ftp"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_stores_travel_to_other_processes(server, method, request, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    url = f"{request.getfixturevalue(server)}/{tmp_path.name}"
    make(url)
    store = SpikeStore.open(url)
    assert len(store["train"]) == 10  # connected here
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as processes:
        np.testing.assert_array_equal(processes.submit(labels, store).result(), content("train")[2])


def test_threads_share_a_connection_that_does_one_thing_at_a_time(ftp, tmp_path):
    storage = open_storage(f"{ftp}/{tmp_path.name}")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: storage.put(f"{n % 5}/{n}", b"%d" % n), range(40)))
        read = list(threads.map(lambda n: storage.get(f"{n % 5}/{n}", 0, 9), range(40)))
    assert read == [b"%d" % n for n in range(40)]


# Temporary names


def test_temporary_objects_of_dead_writers_are_removed_and_nothing_else(ftp, tmp_path):
    storage = open_storage(f"{ftp}/{tmp_path.name}")
    alive, dead = new_partial_name("0"), new_partial_name("1")
    release(dead)
    keys = {
        "c/0",
        f"c/{alive}",
        f"c/{dead}",
        f"d/{dead}",
        "movie.mkv.partial",
        "notes.partial",
        "c/0.1234.partial",
    }
    for key in keys:
        storage.put(key, b"x")
    assert set(storage.sizes()) == keys - {f"c/{alive}", f"c/{dead}", f"d/{dead}"}
    storage.remove_abandoned(lambda key: key.startswith("c/"))
    assert set(storage._all_sizes()) == keys - {f"c/{dead}"}
    release(alive)


def test_the_files_of_dead_uploads_are_removed(s3, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    name = new_partial_name("spikeprep-upload")
    release(name)
    for other in (name, "spikeprep-upload.1.partial", "x.partial"):
        (tmp_path / other).write_bytes(b"")
    open_storage(s3).remove_abandoned(lambda key: True)
    assert sorted(os.listdir(tmp_path)) == ["spikeprep-upload.1.partial", "x.partial"]


# HTTP


@pytest.mark.parametrize("query", ["", "?sig=hunter22secret"])
def test_a_store_is_read_over_http(tmp_path, query):
    make(tmp_path / "s.zarr")
    with http_server(tmp_path) as url:  # this server ignores ranges
        store = SpikeStore.open(f"{url}/s.zarr{query}")
        assert store.path == f"{url}/s.zarr{query and '?sig=***'}"
        np.testing.assert_array_equal(store["test"].packed(slice(None)).bits, content("test")[0])
        if not query:
            assert bytes_of(f"{url}/s.zarr") == bytes_of(tmp_path / "s.zarr")
            assert verify(f"{url}/s.zarr").ok
        with pytest.raises(StoreError, match="no store at"):
            SpikeStore.open(f"{url}/t.zarr")


def test_http_cannot_be_written(tmp_path):
    with http_server(tmp_path) as url:
        storage = open_storage(f"{url}/s.zarr")
        for write in (
            lambda: storage.put("a", b""),
            lambda: storage.create("a", b""),
            lambda: storage.delete("a"),
            lambda: make(f"{url}/s.zarr"),
        ):
            with pytest.raises(StoreError, match=r"cannot write http://.*: http can only be read"):
                write()
        with pytest.raises(StoreError, match="can only be read"), storage.writing("a") as write:
            write(b"")
    assert tree(tmp_path) == {}


# Errors


def operations(storage):
    def writing():
        with storage.writing("a/b") as write:
            write(b"x")

    return {
        "get": lambda: storage.get("a/b"),
        "range": lambda: storage.get("a/b", 5, 10),
        "tail": lambda: storage.get("a/b", -5),
        "version": lambda: storage.version("a/b"),
        "sizes": storage.sizes,
        "put": lambda: storage.put("a/b", b"x"),
        "create": lambda: storage.create("a/b", b"x"),
        "writing": writing,
        "delete": lambda: storage.delete("a/b"),
    }


def check_errors(url, *, only=StoreError, but=()):
    """Every operation ends in our own error, which has no secret."""
    for name, operation in operations(open_storage(url)).items():
        if name in but:
            continue
        with pytest.raises(only) as caught:
            operation()
        error = caught.value
        while error is not None:
            assert PASSWORD not in f"{error!r}", name
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a_bucket_that_does_not_exist_is_not_created(s3):
    import boto3

    url = "s3://no-such-bucket-of-spikeprep/s.zarr"
    check_errors(url, but=("get", "range", "tail", "version", "sizes", "delete"))
    storage = open_storage(url)
    assert storage.get("a/b") is None
    assert storage.sizes() == {}
    with pytest.raises(StoreError, match=r"cannot write s3://no-such.*Create the bucket"):
        make(url)
    with contextlib.closing(boto3.client("s3")) as client:
        assert "no-such-bucket-of-spikeprep" not in [b["Name"] for b in client.list_buckets()["Buckets"]]


def test_no_credentials(s3, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    forget_connections()
    check_errors(f"{s3}/s.zarr")
    with pytest.raises(StoreError, match="Check the credentials"):
        SpikeStore.open(f"{s3}/s.zarr")
    forget_connections()


def test_keys_in_an_s3_url_are_hidden(s3):
    check_errors(f"s3://AKIA123456:{PASSWORD}@{s3.removeprefix('s3://')}/s.zarr")


def test_a_wrong_password(ftp):
    url = ftp.replace(PASSWORD, "wrong" + PASSWORD)
    check_errors(url)
    with pytest.raises(StoreError, match="Check the credentials"):
        SpikeStore.open(url)


def test_a_folder_that_may_not_be_written(tmp_path):
    (tmp_path / "here").mkdir()
    with ftp_server(tmp_path) as url:
        from pyftpdlib.handlers import FTPHandler

        storage = open_storage(f"{url}/here")
        storage.put("a", b"x")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                FTPHandler, "ftp_STOR", lambda self, *_, **__: self.respond("550 Not enough privileges.")
            )
            with pytest.raises(StoreError, match="550 Not enough privileges"):
                storage.put("b", b"x")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                FTPHandler, "ftp_RETR", lambda self, *_, **__: self.respond("550 Not enough privileges.")
            )
            with pytest.raises(StoreError, match="550 Not enough privileges"):
                storage.get("a")  # not "there is no such key"
        assert set(storage.sizes()) == {"a"}


@pytest.mark.parametrize("scheme", ["s3", "ftp", "http"])
def test_a_server_that_is_gone(scheme, quick, monkeypatch):
    port = closed_port()
    with server_at(scheme, port, monkeypatch) as url:
        check_errors(url)


@pytest.mark.parametrize("scheme", ["s3", "ftp", "http"])
def test_a_server_that_never_answers(scheme, quick, monkeypatch):
    import fsspec

    options = {
        "s3": {"config_kwargs": {"read_timeout": 0.1}},
        "ftp": {"timeout": 0.1},
        "http": {"client_kwargs": {"timeout": http_timeout()}},
    }
    monkeypatch.setitem(fsspec.config.conf, scheme, options[scheme])
    monkeypatch.setattr(fsspec_storage, "_UPLOAD_SECONDS", 0.2)
    with silent_server() as port, server_at(scheme, port, monkeypatch) as url:
        check_errors(url)


def http_timeout():
    return pytest.importorskip("aiohttp").ClientTimeout(sock_read=0.1)


@contextlib.contextmanager
def server_at(scheme, port, monkeypatch):
    if scheme != "s3":
        pytest.importorskip("aiohttp" if scheme == "http" else "fsspec")
        yield f"{scheme}://user:{PASSWORD}@127.0.0.1:{port}/s.zarr"
        return
    pytest.importorskip("s3fs")
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    forget_connections()
    yield "s3://bucket/s.zarr"
    forget_connections()


def test_what_waits_and_how_often(monkeypatch):
    """A server that is down costs `RETRY_SECONDS` and the last time-out, whatever it is."""
    times = iter(range(1000))
    clock = [0.0]
    monkeypatch.setattr(remote_errors.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(remote_errors.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    assert 6 <= len(list(remote_errors.attempts())) <= 16
    assert clock[0] < remote_errors.RETRY_SECONDS
    for _ in remote_errors.attempts():
        clock[0] += 15  # a time-out
        next(times)
    assert next(times) <= 2


def test_urls_that_open_nothing():
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match="Protocol not known"):
        open_storage("nosuch://x/y")
    with pytest.raises(UsageError, match=r"secrets of ftp://u:\*\*\*@h/x are hidden"):
        open_storage("ftp://u:***@h/x")
    with pytest.raises(UsageError, match="names the host server"):
        open_storage("file://server/x")


def test_a_package_that_is_not_installed(monkeypatch):
    pytest.importorskip("fsspec")
    import sys

    monkeypatch.setitem(sys.modules, "adlfs", None)
    with pytest.raises(CapabilityError, match=r"cannot open abfs://c@a/x"):
        open_storage("abfs://c@a/x")


def test_a_pickle_opens_what_its_path_hides(ftp, tmp_path):
    url = f"{ftp}/{tmp_path.name}"
    make(url)
    store = SpikeStore.open(url)
    assert (
        PASSWORD not in f"{store!r} {store['train']!r} {store.path} {verify(url)!r} {verify(url).to_json()}"
    )
    storage = pickle.loads(pickle.dumps(store._storage))
    assert storage.sizes() == store._storage.sizes()
    copy = pickle.loads(pickle.dumps(store))
    assert copy.path == store.path
    assert len(copy["train"]) == 10
    assert len(SpikeStore.open(store.path)["train"]) == 10
    with pytest.raises(SpikeprepError, match=r"no store at ftp://user:\*\*\*@"):
        SpikeStore.open(f"{url}/none")
