"""An executor for the tasks of encoding on a Dask cluster: of this machine, or behind a scheduler's address.

Dask is imported here and in `local_cluster` alone.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import re
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import CapabilityError, DataError, UsageError
from ..urls import full_url, hide_secrets, local_path
from .cluster_tasks import another_installation, differences, installation, installation_reader
from .local_cluster import load_modules, local_client

LOCAL = "local"
_ADDRESS = re.compile(r"[a-z][a-z0-9+]*://[^\s/]+", re.IGNORECASE)
_CONNECT_SECONDS = 10.0  # for a scheduler to answer
_FIRST_WORKER_SECONDS = 60.0  # for a cluster without workers to get one
_LAST_WORKER_SECONDS = 300.0  # in which a cluster may replace workers that it has lost
_WATCH_SECONDS = 1.0
_RESUME = "the same call continues where this one stopped."

_Task = tuple[Future[Any], str, bytes]
"""What the caller waits for, a name, and the pickled function and arguments."""


@contextmanager
def cluster_executor(
    scheduler: str,
    out: str | os.PathLike[str],
    source_path: str | os.PathLike[str] | None,
    workers: int | None,
    note: Callable[[str], None],
) -> Iterator[Executor]:
    """Yield an executor whose tasks run on a Dask cluster that can encode from `source_path` into `out`.

    Parameters
    ----------
    scheduler
        ``"local"``: processes of this machine, started for this context; or the address of a Dask scheduler, such as
        ``tcp://host:8786``.
    out, source_path
        As for `encode`; every worker must see both.
    workers
        Number of local processes; None: one per core. A scheduler's workers are its own: None.
    note
        Called with a message before a wait.

    Raises
    ------
    UsageError
        `scheduler` is neither, `workers` is set for a scheduler, or `out` is in this process's memory.
    CapabilityError
        Dask is not installed; no scheduler answers within ten seconds; it has no worker within a minute; or a worker
        has another installation.
    DataError
        A worker does not see the raw data.
    """
    if scheduler != LOCAL and not _ADDRESS.fullmatch(scheduler):
        raise UsageError(
            f"got scheduler = {scheduler!r}",
            "'local', or the address of a Dask scheduler",
            "Such an address is tcp://host:8786.",
        )
    if scheduler != LOCAL and workers is not None:
        raise UsageError(
            f"got workers = {workers} and scheduler = {scheduler!r}",
            "one of them: the scheduler's own workers encode",
            "Leave workers out, or use scheduler=local.",
        )
    if "memory://" in os.fspath(out):
        raise UsageError(
            f"got out = {str(out)!r}, which is this process's own memory",
            "a place that every worker sees",
            "Write to a folder or to a server.",
        )
    folder = local_path(out)
    store = full_url(out) if folder is None else os.path.abspath(folder)
    with _client(scheduler, workers) as client:
        _wait_for_workers(client, scheduler, note)
        _check_workers(client, None if source_path is None else os.path.abspath(source_path))
        executor = _DaskExecutor(client, store, scheduler, note)
        try:
            yield executor
        finally:
            executor.shutdown()


@contextmanager
def _client(scheduler: str, workers: int | None) -> Iterator[Any]:
    """Yield a client of a scheduler, or of a new cluster of this machine, without Dask's own messages."""
    if scheduler == LOCAL:
        load_modules()
    try:
        import distributed
    except ImportError as error:
        raise CapabilityError(
            f"a Dask cluster needs the package distributed ({error})",
            "",
            "Install it: python -m pip install 'spikeprep[dask]'.",
        ) from error
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.CRITICAL)  # a lost worker or scheduler is handled here
    try:
        if scheduler == LOCAL:
            with local_client(workers) as client:
                yield client
            return
        try:
            _require_answer(scheduler)
            client = distributed.Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except TypeError as error:  # Dask's, of an address with encryption
            raise CapabilityError(
                f"Dask has no certificates for the scheduler {scheduler} ({error})",
                "its settings distributed.comm.tls.ca-file, client.cert and client.key",
                "Set them in ~/.config/dask, or DASK_DISTRIBUTED__COMM__TLS__CA_FILE and the like in the environment.",
            ) from error
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            text = hide_secrets(str(error) or "no answer", scheduler)
            raise CapabilityError(
                f"no Dask scheduler answers at {scheduler} within {_CONNECT_SECONDS:g} s ({text})",
                "",
                "Start one (dask scheduler, and dask worker on each machine), correct the address, or use "
                "scheduler=local.",
            ) from error
        try:
            yield client
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.close(timeout=_CONNECT_SECONDS)
    finally:
        log.setLevel(level)


def _require_answer(scheduler: str) -> None:
    """Raise `OSError` where no scheduler answers in time: a client waits for ever for what takes its connection."""
    import asyncio  # here: every command loads this module

    from distributed import Security, rpc

    async def ask() -> None:
        options = Security().get_connection_args("client")
        async with rpc(scheduler, connection_args=options) as connection:
            await connection.identity()

    async def ask_in_time() -> None:
        await asyncio.wait_for(ask(), _CONNECT_SECONDS)

    with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop of its own, as in a notebook
        thread.submit(asyncio.run, ask_in_time()).result()


def _wait_for_workers(client: Any, scheduler: str, note: Callable[[str], None]) -> None:
    if not client.nthreads():
        note(f"the scheduler {scheduler} has no worker yet; waiting for one")
    try:
        client.wait_for_workers(1, timeout=_FIRST_WORKER_SECONDS)
    except TimeoutError as error:
        raise CapabilityError(
            f"the Dask scheduler {scheduler} has had no worker for {_FIRST_WORKER_SECONDS:.0f} s",
            "at least one",
            f"Start workers: dask worker {scheduler}",
        ) from error


def _check_workers(client: Any, source_path: str | None) -> None:
    """Compare every worker's installation with this one, and look for the raw data from there.

    Workers that join later compare theirs in `run_task`, and fail where they read.
    """
    expected, read = installation(), installation_reader()

    def inspect() -> dict[str, Any]:
        import os
        import socket

        sees = source_path is None or os.path.exists(source_path)
        return {"host": socket.gethostname(), "installation": read(), "sees": sees}

    reports = client.run(inspect, on_error="return")
    for worker, report in reports.items():
        if isinstance(report, Exception):
            raise CapabilityError(
                f"the worker {worker} cannot be asked for its versions ({type(report).__name__}: {report})",
                "",
                "Look at the worker's log, and start it again.",
            ) from report
        if text := differences(expected, report["installation"]):
            raise another_installation(worker, report["host"], text)
    for worker, report in reports.items():
        if not report["sees"]:
            raise DataError(
                f"the worker {worker} on {report['host']} does not see {source_path}",
                "the raw data, under the same path on every worker",
                "Put them on a disk that all machines share, or copy them to each.",
            )


class _DaskExecutor(Executor):
    """Keeps every thread of a cluster busy, and one task in four waiting; the others can be cancelled.

    A task of a worker that is lost runs again on another one. A result is fetched at once, so that it is not computed
    again when its worker is lost later.
    """

    def __init__(self, client: Any, store: str, scheduler: str, note: Callable[[str], None]) -> None:
        self._client, self._store, self._scheduler, self._note = client, store, scheduler, note
        self._lock = threading.RLock()
        self._waiting: deque[_Task] = deque()
        self._running: dict[str, tuple[Any, Future[Any]]] = {}
        self._failure: CapabilityError | None = None
        self._threads = sum(client.nthreads().values())
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="spikeprep-dask", daemon=True)
        self._watcher.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Queue a call; function and arguments are pickled now. Named arguments are not taken."""
        if named:
            raise TypeError(f"got named arguments {sorted(named)}; expected none.")
        future: Future[Any] = Future()
        data = pickle.dumps((function, arguments))
        with self._lock:
            if self._failure:
                future.set_exception(self._failure)
                return future
            self._waiting.append((future, f"spikeprep-{function.__name__}-{uuid.uuid4().hex}", data))
        self._start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop watching; tasks that have not started are cancelled. The cluster stays."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for future, _, _ in waiting:
            future.cancel()
        self._stop.set()
        if wait:
            self._watcher.join()

    def _start(self) -> None:
        """Give the cluster tasks until its threads are busy."""
        expected = dict(installation())

        def run(task: bytes, store: str) -> Any:  # sent by value: the scheduler need not have spikeprep
            from distributed import get_worker

            from spikeprep.encoding.cluster_tasks import run_task

            return run_task(task, get_worker().address, expected, store)

        with self._lock:
            while self._waiting and len(self._running) < math.ceil(1.25 * self._threads):
                future, key, data = self._waiting.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    started = self._client.submit(run, data, self._store, key=key, pure=False)
                except Exception as error:  # the client is closed
                    future.set_exception(self._failed(error))
                    continue
                self._running[key] = started, future
                started.add_done_callback(self._finish)

    def _finish(self, started: Any) -> None:
        """Hand over the result of a task, or its error; in a thread of Dask's."""
        try:
            result, failure = started.result(), None
        except BaseException as error:
            result, failure = None, self._failed(error)
        with self._lock:
            _, future = self._running.pop(started.key, (None, None))
        started.release()
        if future is not None:
            future.set_exception(failure) if failure else future.set_result(result)
        self._start()

    def _failed(self, error: BaseException) -> BaseException:
        """Return the error of a task as the caller sees it."""
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            return CapabilityError(
                f"several workers of the Dask cluster ended while they encoded the same shard ({error})",
                "",
                f"Look at the workers' logs, and give them more memory; {_RESUME}",
            )
        if isinstance(error, CancelledError):  # what Dask does where it has lost the scheduler
            self._fail(f"the connection to the Dask scheduler {self._scheduler} was lost")
        if isinstance(error, ImportError):
            return CapabilityError(
                f"a worker of the Dask cluster has another installation ({error})",
                f"spikeprep {installation()['spikeprep']}",
                "Install the same versions on every worker, and start the workers again.",
            )
        return self._failure or error

    def _watch(self) -> None:
        """Follow the size of the cluster; fail what is left where every worker is gone for good."""
        lost_at: float | None = None
        while not self._stop.wait(_WATCH_SECONDS):
            try:
                threads = sum(self._client.nthreads().values())
            except Exception:  # a lost scheduler shows in the tasks
                continue
            with self._lock:
                self._threads = threads
            if threads:
                lost_at = None
                self._start()
            elif lost_at is None:
                lost_at = time.monotonic()
                self._note(f"the Dask scheduler {self._scheduler} has lost its workers; waiting for others")
            elif time.monotonic() - lost_at > _LAST_WORKER_SECONDS:
                self._fail(
                    f"the Dask scheduler {self._scheduler} has had no worker for {_LAST_WORKER_SECONDS:.0f} s"
                )

    def _fail(self, got: str) -> None:
        """End every task with an error."""
        with self._lock:
            if self._failure is None:
                self._failure = CapabilityError(got, "", f"Start what is missing; {_RESUME}")
            futures = [future for _, future in self._running.values()]
            futures += [future for future, _, _ in self._waiting if future.set_running_or_notify_cancel()]
            self._running.clear()
            self._waiting.clear()
        for future in futures:
            future.set_exception(self._failure)
