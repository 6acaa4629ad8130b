"""Encoding on Dask: the same bytes, lost workers and schedulers, other versions, places that a worker does not see."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import time

import pytest
from click.testing import CliRunner
from spikeprep_cli.main import main

import spikeprep
from spikeprep.api import encode
from spikeprep.encoding import cluster, cluster_tasks, local_cluster
from spikeprep.encoding import run as encoding_run
from spikeprep.encoding.cluster_tasks import differences, installation, run_task
from spikeprep.errors import CapabilityError, DataError, UsageError
from spikeprep.interruption import Interrupted
from spikeprep.store import SplitLayout, verify

from ..sources.idx_files import pictures, write_idx
from ..store.servers import closed_port, silent_server
from ..store.stores import tree

distributed = pytest.importorskip("distributed")

SETTINGS = {"poisson.steps": 40}
IMAGES = 150


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 4, 8)))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    for split, n in (("train", IMAGES), ("t10k", 20)):
        write_idx(root, *pictures(n, 28, 28, 10, seed=n), split=split)
    return root


@pytest.fixture(scope="module")
def processes():
    """A cluster of two processes with a thread each."""
    with cluster._client(cluster.LOCAL, 2) as client:
        yield client


@pytest.fixture
def threads():
    """A cluster whose scheduler and worker are threads of this process."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp://",
        host="127.0.0.1", silence_logs=60,
    ) as it:  # fmt: skip
        yield it


def run(out, source, **options):
    return encode("mnist", out, source=source, settings=SETTINGS, progress=False, **options)


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "s.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SplitLayout, "fit", staticmethod(lambda n, u, t: SplitLayout(n, u, t, 4, 8)))
        return tree(path) if (path.exists() or run(path, source)) else None


def test_a_cluster_writes_the_bytes_of_this_process(threads, source, undisturbed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("s.zarr", os.path.relpath(source), scheduler=threads.scheduler_address)
    assert done.encoded == IMAGES + 20
    assert tree(tmp_path / "s.zarr") == undisturbed
    assert not run("s.zarr", source, scheduler=threads.scheduler_address).changed


def test_a_lost_worker_costs_its_shard(processes, source, undisturbed, tmp_path, monkeypatch):
    victim = next(iter(processes.run(os.getpid).values()))
    counts = []

    def progress(done, total):
        if done and not counts[-1]:
            os.kill(victim, signal.SIGKILL)
        counts.append(done)

    monkeypatch.chdir(tmp_path)  # where no worker is
    arguments = {"settings": SETTINGS, "scheduler": processes.scheduler.address, "progress": progress}
    done = encode("mnist", "s.zarr", source=os.path.relpath(source), **arguments)
    assert counts[-1] == done.encoded == IMAGES + 20
    assert counts == sorted(set(counts))  # no shard's result was lost, or counted twice
    assert tree(tmp_path / "s.zarr") == undisturbed
    assert verify(tmp_path / "s.zarr").ok

    processes.wait_for_workers(2, timeout=60)
    pids = set(processes.run(os.getpid).values())
    assert len(pids) == 2
    assert victim not in pids
    ignored = processes.run(lambda: signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
    assert all(ignored.values())  # also by the new worker
    assert "MALLOC_TRIM_THRESHOLD_" not in set().union(*processes.run(lambda: set(os.environ)).values())


@pytest.mark.slow
def test_workers_have_the_environment_of_the_call(monkeypatch):
    for value in ("first", "second"):  # the second time their fork server runs already
        monkeypatch.setenv("SPIKEPREP_TEST_KEY", value)
        with cluster._client(cluster.LOCAL, 1) as client:
            assert list(client.run(os.environ.get, "SPIKEPREP_TEST_KEY").values()) == [value]


def test_the_command_line_starts_a_cluster_of_its_own(source, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "LOCAL", "own")  # an option's value reaches the function as it is
    called = []
    monkeypatch.setattr(spikeprep.api.encoding, "cluster_executor", lambda *a: called.append(a) or 1 / 0)
    words = ["encode", "mnist", "--source", str(source), "--out", str(tmp_path / "s"), "--workers", "3"]
    CliRunner().invoke(main, [*words, "--scheduler", "local"])
    assert called[0][:4] == ("local", str(tmp_path / "s"), str(source), 3)


# What is refused before anything is written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheduler": "dask"}, "got scheduler = 'dask'; expected 'local', or the address"),
        ({"scheduler": ""}, "got scheduler = ''"),
        ({"scheduler": "tcp://h:1", "workers": 2}, "got workers = 2 and scheduler = 'tcp://h:1'"),
        ({"scheduler": "local", "out": "memory://s.zarr"}, "this process's own memory"),
        ({"scheduler": "local", "executor": object()}, "got an executor and scheduler = 'local'"),
    ],
)
def test_arguments_that_do_not_fit(source, tmp_path, arguments, message):
    arguments = {"out": tmp_path / "s.zarr", **arguments}
    with pytest.raises(UsageError, match=message):
        run(arguments.pop("out"), source, **arguments)
    assert not (tmp_path / "s.zarr").exists()


@pytest.mark.parametrize("listening", [False, True])
def test_a_scheduler_that_does_not_answer(source, tmp_path, monkeypatch, listening):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    with silent_server() as silent:
        where = f"tcp://127.0.0.1:{silent if listening else closed_port()}"
        with pytest.raises(CapabilityError, match=f"no Dask scheduler answers at {where}"):
            run(tmp_path / "s.zarr", source, scheduler=where)
    assert not (tmp_path / "s.zarr").exists()


def test_a_scheduler_behind_tls_without_certificates(source, tmp_path):
    with pytest.raises(CapabilityError, match=r"no certificates for the scheduler tls://127\.0\.0\.1:9"):
        run(tmp_path / "s.zarr", source, scheduler="tls://127.0.0.1:9")


def test_ctrl_c_waits_while_a_cluster_starts_and_closes():
    steps = []

    def start():
        with local_cluster._delayed_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)  # where Python runs the handler
            steps.append("went on")
        steps.append("not reached")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
        assert steps == ["went on"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        start()
        assert steps == ["went on", "went on", "not reached"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_scheduler_without_workers(source, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_FIRST_WORKER_SECONDS", 0.3)
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp://", silence_logs=60
        ) as empty,
        pytest.raises(CapabilityError, match=r"has had no worker for 0 s.*Start workers: dask worker tcp://"),
    ):
        run(tmp_path / "s.zarr", source, scheduler=empty.scheduler_address)
    assert not (tmp_path / "s.zarr").exists()


def test_a_worker_of_another_version(threads, source, tmp_path, monkeypatch):
    other = {**installation(), "numba": "0.1"}
    monkeypatch.setattr(cluster, "installation", lambda: other)
    with pytest.raises(
        CapabilityError,
        match=rf"the worker tcp://\S+ on \S+ has numba {installation()['numba']} instead of 0.1",
    ):
        run(tmp_path / "s.zarr", source, scheduler=threads.scheduler_address)
    assert not (tmp_path / "s.zarr").exists()


def test_a_worker_of_another_version_that_joins_later(threads, source, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_tasks, "installation", lambda: {**installation(), "spikeprep": "0.0.1"})
    with pytest.raises(CapabilityError, match=r"the worker tcp://\S+ on \S+ has spikeprep 0.0.1 instead of"):
        run(tmp_path / "s.zarr", source, scheduler=threads.scheduler_address)
    monkeypatch.undo()
    assert run(tmp_path / "s.zarr", source).encoded == IMAGES + 20


def test_how_installations_differ():
    own = {"Python": "3.11", "spikeprep": "1", "numpy": "2.0", "spikeprep's files": "abc"}
    assert differences(own, dict(own)) == ""
    assert differences(own, own | {"spikeprep's files": "abd"}) == "spikeprep's files abd instead of abc"
    absent = {"Python": "3.11", "spikeprep": "", "numpy": "2.1", "spikeprep's files": "e3b"}
    assert differences(own, absent) == "spikeprep not installed instead of 1, numpy 2.1 instead of 2.0"
    assert set(installation()) >= {"spikeprep", "numpy", "numba", "numcodecs", "Python"}


def test_a_worker_that_does_not_see_the_raw_data(threads, tmp_path):
    with (
        distributed.Client(threads, set_as_default=False) as client,
        pytest.raises(DataError, match=rf"the worker \S+ on \S+ does not see {tmp_path}/absent"),
    ):
        cluster._check_workers(client, f"{tmp_path}/absent")


def test_a_worker_that_does_not_see_the_store(source, tmp_path):
    class Keep(encoding_run.Executor):
        def submit(self, *task):
            self.task = pickle.dumps((task[0], task[1:]))
            raise KeyboardInterrupt

    keep, out = Keep(), tmp_path / "s.zarr"
    with pytest.raises(Interrupted):
        run(out, source, executor=keep)
    shutil.rmtree(out)
    with pytest.raises(CapabilityError, match=rf"the worker tcp://w on \S+ does not see the store {out}"):
        run_task(keep.task, "tcp://w", dict(installation()), str(out))


def test_errors_of_a_task_are_raised_as_they_were(threads, source, tmp_path, monkeypatch):
    monkeypatch.setattr(encoding_run.SampleEncoder, "digest", lambda self, split, n: os.urandom(8))
    with pytest.raises(DataError, match="has changed since the encoding began"):
        run(tmp_path / "s.zarr", source, scheduler=threads.scheduler_address)


# What happens on the way


def test_ctrl_c_leaves_a_store_that_resumes(threads, source, undisturbed, tmp_path, monkeypatch):
    wait = encoding_run.wait

    def interrupt(futures, **options):
        monkeypatch.setattr(encoding_run, "wait", wait)
        wait(futures[:3])
        raise KeyboardInterrupt

    monkeypatch.setattr(encoding_run, "wait", interrupt)
    with pytest.raises(Interrupted, match="keeps what is written"):
        run(tmp_path / "s.zarr", source, scheduler=threads.scheduler_address)
    written = tree(tmp_path / "s.zarr")
    resumed = run(tmp_path / "s.zarr", source, scheduler=threads.scheduler_address)
    assert 0 < resumed.encoded <= IMAGES + 20 - 3 * 8
    assert tree(tmp_path / "s.zarr") == undisturbed
    assert any(key in undisturbed for key in written)


def test_a_scheduler_that_is_lost(threads, source, undisturbed, tmp_path, monkeypatch):
    connected = []
    connect = cluster._wait_for_workers
    monkeypatch.setattr(cluster, "_wait_for_workers", lambda *a: connected.append(a[0]) or connect(*a))

    def progress(done, total):
        if done:
            connected[0].loop.add_callback(connected[0].scheduler_comm.comm.abort)

    with pytest.raises(CapabilityError, match=r"connection to the Dask scheduler tcp://\S+ was lost"):
        encode(
            "mnist", tmp_path / "s.zarr", source=source, settings=SETTINGS, progress=progress,
            scheduler=threads.scheduler_address,
        )  # fmt: skip
    run(tmp_path / "s.zarr", source)
    assert tree(tmp_path / "s.zarr") == undisturbed


def test_all_workers_are_lost(threads, source, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_WATCH_SECONDS", 0.05)
    monkeypatch.setattr(cluster, "_LAST_WORKER_SECONDS", 0.2)

    def progress(done, total):
        if done:
            threads.scale(0)

    with pytest.raises(CapabilityError, match="has had no worker for 0 s"):
        encode(
            "mnist", tmp_path / "s.zarr", source=source, settings=SETTINGS, progress=progress,
            scheduler=threads.scheduler_address,
        )  # fmt: skip


@pytest.mark.slow
def test_a_task_that_ends_every_worker(processes, tmp_path):
    executor = cluster._DaskExecutor(processes, str(tmp_path), "local", print)
    with pytest.raises(CapabilityError, match="several workers of the Dask cluster ended"):
        executor.submit(os._exit, 3).result()
    executor.shutdown()
