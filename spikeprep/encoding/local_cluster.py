"""A Dask cluster of this machine: one process per core."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..system import cores

_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()


def load_modules() -> None:
    """Have the process that workers are forked from load their modules, while this process goes on."""
    if _FORK_SERVER:
        from multiprocessing import forkserver

        multiprocessing.set_forkserver_preload(["distributed", "spikeprep.encoding.worker_modules"])
        with _handling_interrupts(signal.SIG_IGN):  # it inherits that, and its workers do
            forkserver.ensure_running()


@contextmanager
def local_client(workers: int | None) -> Iterator[Any]:
    """Start a cluster of so many processes, None: one per core, and yield its client.

    Ctrl-C, which a terminal sends to every process, does not end the workers: it is for the one that waits for them.
    There it waits until the cluster has started, or closed: Dask leaves one that is interrupted half-made.
    """
    import dask
    import distributed

    class IgnoreInterrupts(distributed.WorkerPlugin):  # where no fork server does it
        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    with dask.config.set(_settings(dask.config.get("distributed.nanny.pre-spawn-environ"))):
        stack = ExitStack()
        try:
            with _delayed_interrupts():
                cluster = stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=workers or cores(), threads_per_worker=1, processes=True, host="127.0.0.1",
                        memory_limit=None, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
                        env=dict(os.environ),  # as it is now: a fork server has that of the time of its start
                    )
                )  # fmt: skip
                client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
                client.register_plugin(IgnoreInterrupts())
            yield client
        finally:
            with _delayed_interrupts():
                stack.close()


@contextmanager
def _handling_interrupts(handler: Any) -> Iterator[None]:
    """Handle Ctrl-C another way inside; it reaches the main thread alone, and only there is this possible."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of commands in the background
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _delayed_interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt` for Ctrl-C at the end of the context."""
    pressed: list[int] = []
    with _handling_interrupts(lambda number, frame: pressed.append(number)):
        yield
    if pressed:
        raise KeyboardInterrupt


def _settings(environment: dict[str, Any]) -> dict[str, Any]:
    """Return settings of Dask, from the variables that it sets for its workers."""
    # with this one glibc gives the memory of every chunk back and asks for it anew: half as much time again
    kept = {name: value for name, value in environment.items() if name != "MALLOC_TRIM_THRESHOLD_"}
    settings = {"distributed.nanny.pre-spawn-environ": kept, "distributed.worker.profile.enabled": False}
    if _FORK_SERVER:
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
    return settings
