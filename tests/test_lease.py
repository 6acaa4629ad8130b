"""The lease: one owner, dead ones recognised, wrong clocks harmless, and nothing of another owner overwritten."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from spikeprep import lease as leases
from spikeprep.errors import RunError
from spikeprep.lease import Holder, Lease, Timing
from spikeprep.processes import is_running, start_time

QUICK = Timing(heartbeat=0.05, abandoned=0.5)


class Memory(dict):
    """Keys in memory, each operation atomic."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def get(self, key):
        with self.lock:
            return super().get(key)

    def put(self, key, data):
        with self.lock:
            self[key] = data

    def create(self, key, data):
        with self.lock:
            return self.setdefault(key, data) is data

    def delete(self, key):
        with self.lock:
            self.pop(key, None)


class Slow(Memory):
    """The same; each operation waits, so that threads interleave."""

    def get(self, key):
        time.sleep(0.0005)
        return super().get(key)

    def put(self, key, data):
        time.sleep(0.0005)
        super().put(key, data)

    def create(self, key, data):
        time.sleep(0.0005)
        return super().create(key, data)

    def delete(self, key):
        time.sleep(0.0005)
        super().delete(key)


@pytest.fixture
def keys():
    return Memory()


def acquire(keys, timing=QUICK, **more):
    return Lease.acquire(
        keys, "lease", what="the run a", place="a/lease.json", error=RunError, timing=timing, **more
    )


def write(keys, **changes):
    """Leave a lease of this process as it would look with some fields changed."""
    holder = replace(Holder.this_process(), **changes)
    keys.put("lease", holder.to_bytes())
    return holder


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_owner_at_a_time(keys):
    lease = acquire(keys)
    lease.check()
    with pytest.raises(
        RunError, match=rf"the run a is in use by process {os.getpid()} on .*delete a/lease.json"
    ):
        acquire(keys)
    lease.release()
    lease.release()
    assert not keys
    with pytest.raises(RunError, match="was removed"):
        lease.check()
    acquire(keys).release()


def test_a_dropped_lease_is_released(keys):
    lease = acquire(keys)
    assert keys
    del lease
    gc.collect()
    assert not keys


def test_the_heartbeat_is_renewed(keys):
    lease = acquire(keys)
    first = Holder.parse(keys.get("lease"))
    until = time.monotonic() + 10
    while (now := Holder.parse(keys.get("lease"))).heartbeat == first.heartbeat:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert replace(now, heartbeat=0) == replace(first, heartbeat=0)
    lease.release()


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": -1},  # of a process that has ended
        {"boot": "an earlier boot"},
        {"process_started": 1},  # another process has the id now
        {},  # this process, which does not hold it
    ],
)
def test_a_lease_of_a_dead_process_of_this_host_is_taken_over_at_once(keys, changes):
    write(keys, **changes | ({"pid": dead_pid()} if "pid" in changes else {}))
    started = time.monotonic()
    lease = acquire(keys, Timing())
    assert time.monotonic() - started < 5
    lease.check()
    assert set(keys) == {"lease"}
    lease.release()


def test_a_living_process_of_this_host_holds_it_whatever_its_heartbeat(keys):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        write(keys, pid=other.pid, process_started=start_time(other.pid), heartbeat=0)
        with pytest.raises(RunError, match=f"process {other.pid}"):
            acquire(keys)
    finally:
        other.kill()
        # ended and not yet reaped: dead all the same
        while is_running(other.pid, None) and other.poll() is None:
            time.sleep(0.01)
        acquire(keys).release()
        other.communicate()


@pytest.mark.parametrize("age", [0, 0.3, -0.3])
def test_another_host_with_a_recent_heartbeat_holds_it(keys, age):
    write(keys, host="another", hostname="node7", heartbeat=time.time() + age)
    with pytest.raises(RunError, match="on 'node7'"):
        acquire(keys)


@pytest.mark.parametrize("age", [10**9, 3600, -3600, -(10**9)])
def test_another_host_is_watched_where_its_heartbeat_is_old_or_from_the_future(keys, age):
    """A clock that is wrong takes no lease from its owner, and a dead owner's lease is taken over."""
    holder = write(keys, host="another", heartbeat=time.time() - age)
    ended = threading.Event()

    def live():
        beat = holder
        while not ended.wait(0.02):
            beat = replace(beat, heartbeat=beat.heartbeat + 0.02)
            keys.put("lease", beat.to_bytes())

    thread = threading.Thread(target=live)
    thread.start()
    notes = []
    with pytest.raises(RunError, match="in use"):
        acquire(keys, note=notes.append)
    assert "waiting 0.1 s" in notes[0]
    ended.set()
    thread.join()
    lease = acquire(keys)
    lease.check()
    lease.release()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 10**5])
def test_a_damaged_document_is_watched_and_replaced(keys, data):
    keys.put("lease", data)
    lease = acquire(keys)
    lease.check()
    lease.release()


def test_damaged_documents_name_no_holder():
    value = json.loads(Holder.this_process().to_bytes())
    assert Holder.parse(json.dumps(value).encode()) is not None
    for name in value:
        for wrong in (None, [], {}, "x", -1, 1e300, 2**70, float("nan")):
            holder = Holder.parse(json.dumps(value | {name: wrong}).encode())
            assert holder is None or str(holder)


def test_the_lease_of_another_owner_is_never_overwritten_or_removed(keys):
    lease = acquire(keys)
    other = write(keys, host="another")
    time.sleep(0.2)  # several heartbeats
    assert Holder.parse(keys.get("lease")) == other
    with pytest.raises(RunError, match="the run a is no longer held by this process"):
        lease.check()
    lease.release()
    assert Holder.parse(keys.get("lease")) == other


def test_a_removed_lease_is_not_written_again(keys):
    lease = acquire(keys)
    keys.delete("lease")
    time.sleep(0.2)
    assert not keys
    lease.release()


def test_heartbeats_go_on_after_an_error(keys, monkeypatch):
    lease = acquire(keys)
    put, failures = keys.put, []

    def failing(key, data):
        if len(failures) < 3:
            failures.append(key)
            raise OSError("disk full")
        put(key, data)

    first = keys.get("lease")
    monkeypatch.setattr(keys, "put", failing)
    until = time.monotonic() + 10
    while keys.get("lease") == first:
        assert time.monotonic() < until
        time.sleep(0.01)
    lease.release()


def test_of_many_that_find_an_abandoned_lease_one_gets_it():
    for n in range(10):
        slow = Slow()
        write(slow, pid=dead_pid() if not n else 2**30)
        owners, start = [], threading.Barrier(6)

        def attempt(slow=slow, owners=owners, start=start):
            start.wait()
            try:
                owners.append(acquire(slow, Timing()))
            except RunError as error:
                assert "in use" in str(error)  # noqa: PT017

        threads = [threading.Thread(target=attempt) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(owners) == 1
        owners[0].check()
        owners[0].release()
        assert not slow


def test_an_abandoned_takeover_is_cleaned_up(keys):
    write(keys, pid=dead_pid())
    keys.put("lease.takeover", keys.get("lease"))
    lease = acquire(keys)
    assert set(keys) == {"lease"}
    lease.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_does_not_release_its_parent_s(keys, tmp_path):
    lease = acquire(keys)
    pid = os.fork()
    if pid == 0:
        lease.release()
        os._exit(0 if keys else 1)
    assert os.waitpid(pid, 0)[1] == 0
    lease.release()


def test_without_a_thread_the_lease_is_not_held(keys, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(leases._Renewal, "start", refuse)
    with pytest.raises(leases.CapabilityError, match="no thread"):
        acquire(keys)
    assert not keys
