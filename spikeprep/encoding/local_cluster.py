"""A Dask cluster of this machine: one process per core."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..system import cores

_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()


def load_modules() -> None:
    """Have the process that workers are forked from load their modules, while this process goes on."""
    if _FORK_SERVER:
        from multiprocessing import forkserver

        multiprocessing.set_forkserver_preload(["distributed", "spikeprep.encoding.worker_modules"])
        forkserver.ensure_running()


@contextmanager
def local_client(workers: int | None) -> Iterator[Any]:
    """Start a cluster of so many processes, None: one per core, and yield its client.

    Ctrl-C, which a terminal sends to every process, does not end the workers: it is for the one that waits for them.
    """
    import dask
    import distributed

    class IgnoreInterrupts(distributed.WorkerPlugin):  # also in a worker that takes the place of another
        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    with (
        dask.config.set(_settings(dask.config.get("distributed.nanny.pre-spawn-environ"))),
        distributed.LocalCluster(
            n_workers=workers or cores(), threads_per_worker=1, processes=True, host="127.0.0.1",
            memory_limit=None, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
            env=dict(os.environ),  # as it is now: a fork server has that of the time when it was started
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        client.register_plugin(IgnoreInterrupts())
        yield client


def _settings(environment: dict[str, Any]) -> dict[str, Any]:
    """Return settings of Dask, from the variables that it sets for its workers."""
    # with this one glibc gives the memory of every chunk back and asks for it anew: half as much time again
    kept = {name: value for name, value in environment.items() if name != "MALLOC_TRIM_THRESHOLD_"}
    settings = {"distributed.nanny.pre-spawn-environ": kept, "distributed.worker.profile.enabled": False}
    if _FORK_SERVER:
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
    return settings
