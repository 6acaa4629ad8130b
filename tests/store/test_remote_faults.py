"""A filesystem that fails at any of its operations: encoding again gives the bytes of an undisturbed encoding."""

from __future__ import annotations

import errno
import os
import random

import pytest

from spikeprep.api import encode
from spikeprep.errors import SpikeprepError, StoreError
from spikeprep.store import SpikeStore, fsspec_filesystems, remote_errors, verify
from spikeprep.store.storage import open_storage

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402

SETTINGS = {"poisson.steps": 40}
LIMIT = 20


class Faults:
    """What fails: the operation of number `at`, and those after it while `lasting`."""

    def __init__(self):
        self.at, self.kind, self.lasting, self.count = -1, "", False, 0

    def set(self, at, kind, lasting=False):
        self.at, self.kind, self.lasting, self.count = at, kind, lasting, 0

    def next(self):
        """Return the fault of the next operation."""
        self.count += 1
        due = self.count > self.at if self.lasting else self.count - 1 == self.at
        return self.kind if due and self.at >= 0 else ""


FAULTS = Faults()
ERRORS = {
    "reset": lambda: ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    "timeout": lambda: TimeoutError("timed out"),
    "denied": lambda: PermissionError(errno.EACCES, "Permission denied"),
    "full": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "odd": lambda: RuntimeError("an exception of the library"),
}


class FaultyFileSystem(MemoryFileSystem):
    """Files in memory, behind operations that fail."""

    protocol = "faulty"
    store: dict = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    cachable = False
    states_length = (
        False  # as object stores do ahead of an answer, so that their clients notice one that is cut short
    )

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("faulty://", "memory://"))

    def _fail(self, kind):
        if kind in ERRORS:
            raise ERRORS[kind]()

    def cat_file(self, path, start=None, end=None, **kwargs):
        kind = FAULTS.next()
        self._fail(kind)
        data = super().cat_file(path, start, end, **kwargs)
        whole = start is None and end is None
        if kind != "short" or (whole and self.states_length):
            return data
        return data[: len(data) // 2]

    def pipe_file(self, path, value, mode="overwrite", timeout=None, **kwargs):
        kind = FAULTS.next()
        if not kind:
            return super().pipe_file(path, value, mode=mode, **kwargs)
        part = value[: len(value) // 2]
        if kind == "short" or path.endswith(".partial"):  # an object store's failed request leaves nothing
            super().pipe_file(path, part, mode=mode, **kwargs)
        return self._fail(kind)

    def put_file(self, lpath, rpath, timeout=None, **kwargs):
        with open(lpath, "rb") as file:
            self.pipe_file(rpath, file.read())

    def find(self, *args, **kwargs):
        self._fail(FAULTS.next())
        return super().find(*args, **kwargs)

    def info(self, *args, **kwargs):
        self._fail(FAULTS.next())
        return super().info(*args, **kwargs)

    def cp_file(self, *args, **kwargs):
        self._fail(FAULTS.next())
        return super().cp_file(*args, **kwargs)

    def rm_file(self, path):
        self._fail(FAULTS.next())
        return super().rm_file(path)


fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)


@pytest.fixture(params=["file-like", "object store"])
def faulty(request, monkeypatch, tmp_path):
    """The URL of a place whose filesystem fails as `FAULTS` says."""
    monkeypatch.setattr(remote_errors, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(remote_errors, "_FIRST_DELAY", 0.01)
    monkeypatch.setattr("spikeprep.store.fsspec_storage._SETTLE_SECONDS", 0)
    if request.param == "object store":
        objects = fsspec_filesystems.OBJECT_STORES | {"faulty"}
        monkeypatch.setattr("spikeprep.store.fsspec_storage.OBJECT_STORES", objects)
        monkeypatch.setattr(FaultyFileSystem, "states_length", True)
    FAULTS.set(-1, "")
    yield f"faulty://{tmp_path.name}/s.zarr"
    FAULTS.set(-1, "")


def run(out, **options):
    return encode("digits", out, settings=SETTINGS, limit=LIMIT, workers=1, progress=False, **options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    pytest.importorskip("sklearn")
    path = tmp_path_factory.mktemp("undisturbed") / "s.zarr"
    run(path)
    return content(path)


def content(location):
    storage = open_storage(location)
    return {key: storage.get(key) for key in storage.sizes()}


def operations(out):
    FAULTS.set(-1, "")
    run(out)
    FaultyFileSystem.store.clear()
    return FAULTS.count


@pytest.mark.parametrize("kind", ["reset", "short"])
def test_a_fault_that_passes_goes_unnoticed(faulty, undisturbed, kind):
    total = operations(faulty)
    for at in points(total):
        FAULTS.set(at, kind)
        run(faulty)
        FAULTS.set(-1, "")
        assert content(faulty) == undisturbed, (at, kind)
        FaultyFileSystem.store.clear()


@pytest.mark.parametrize("kind", ["reset", "odd", "short"])
def test_a_fault_that_lasts_ends_in_our_error_and_the_same_call_resumes(faulty, undisturbed, kind):
    total = operations(faulty)
    failed = 0
    for at in points(total):
        FAULTS.set(at, kind, lasting=True)
        try:
            run(faulty)
        except StoreError:
            failed += 1
        FAULTS.set(-1, "")
        now = content(faulty)
        for key in now:  # whatever has its name is whole
            if key in undisturbed and key != "zarr.json":
                assert now[key] == undisturbed[key], (at, kind, key)
        if (
            kind != "short" or "zarr.json" in now
        ):  # an object store that keeps cutting objects has lost this one
            run(faulty)
            assert content(faulty) == undisturbed, (at, kind)
        FaultyFileSystem.store.clear()
    assert failed


@pytest.mark.parametrize("kind", [*ERRORS, "short"])
def test_reading_a_failing_filesystem(faulty, kind):
    run(faulty)
    for at in points(40):
        FAULTS.set(at, kind, lasting=True)
        try:
            report = verify(faulty)
            assert not report.ok or FAULTS.count <= at
            SpikeStore.open(faulty)["train"].packed(slice(None))
        except SpikeprepError:
            pass


def points(total):
    """Return the operations to disturb: a few, or as many as SPIKEPREP_TEST_FAULTS says."""
    number = int(os.environ.get("SPIKEPREP_TEST_FAULTS", "3"))
    if number >= total:
        return range(total)
    return sorted({0, total - 1, *random.Random(number).sample(range(total), number)})


def test_a_key_is_created_once_however_it_fails(faulty):
    for at in range(8):
        FAULTS.set(at, "reset")
        storage = open_storage(faulty)
        assert storage.create("lock", b"first")
        assert not storage.create("lock", b"second")
        assert storage.get("lock") == b"first"
        FAULTS.set(-1, "")
        storage.delete("lock")
