"""What a worker of a cluster runs: a task of encoding, after its installation was compared with the caller's."""

from __future__ import annotations

import functools
import pickle
import socket
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import CapabilityError, SpikeprepError, StoreError
from ..store.layout import ROOT
from ..store.storage import open_storage

Installation = Mapping[str, str]
"""Package → version, ``"Python"`` and ``"spikeprep's files"`` (a digest) among them; empty: not installed."""


def installation_reader() -> Callable[[], dict[str, str]]:
    """Return a function that reads an installation; it is sent by value: the worker may have no spikeprep."""

    def read() -> dict[str, str]:
        import hashlib
        import importlib.metadata
        import importlib.util
        import platform
        from pathlib import Path

        found = {"Python": ".".join(platform.python_version_tuple()[:2])}
        # the bytes of a store depend on these: spikes on the first four, their compression on the last
        for package in ("spikeprep", "numpy", "numba", "scipy", "numcodecs"):
            try:
                found[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                found[package] = ""
        spec = importlib.util.find_spec("spikeprep")
        digest = hashlib.sha256()
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            root = Path(folder)
            for file in sorted(path for kind in ("*.py", "*.toml") for path in root.rglob(kind)):
                digest.update(file.relative_to(root).as_posix().encode())
                digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
        found["spikeprep's files"] = digest.hexdigest()[:12]
        return found

    return read


installation = functools.cache(installation_reader())
"""Return this process's installation."""


def differences(expected: Installation, found: Installation) -> str:
    """Return in which packages an installation differs from what is expected, in words; empty: in none."""
    names = [name for name in expected if found.get(name, "") != expected[name]]
    if "spikeprep" in names and "spikeprep's files" in names:
        names.remove("spikeprep's files")
    return ", ".join(
        f"{name} {found.get(name) or 'not installed'} instead of {expected[name]}" for name in names
    )


def another_installation(worker: str, host: str, text: str) -> CapabilityError:
    """Return the error for a worker whose installation differs; `text` is that of `differences`."""
    return CapabilityError(
        f"the worker {worker} on {host} has {text}",
        "the installation of the process that encodes: other versions may write other bytes",
        "Install the same versions on every worker, and start the workers again.",
    )


def run_task(task: bytes, worker: str, expected: dict[str, str], store: str) -> Any:
    """Run a pickled function with its arguments, after a check of this worker.

    Parameters
    ----------
    task
        (function, arguments).
    worker
        This worker's address, for messages.
    expected
        The caller's installation.
    store
        Where the store is that the task writes to.

    Raises
    ------
    CapabilityError
        This worker has another installation, or does not see the store.
    """
    host = socket.gethostname()
    if text := differences(expected, installation()):
        raise another_installation(worker, host, text)
    try:
        function, arguments = pickle.loads(task)
    except StoreError as error:  # the task joins the writer of the store
        if open_storage(store).get(ROOT) is not None:
            raise
        raise CapabilityError(
            f"the worker {worker} on {host} does not see the store {store}",
            "a place that every worker reads and writes",
            "Write to a folder that all machines share, or to a server (docs/remote.md).",
        ) from error
    try:
        return function(*arguments)
    except SpikeprepError:
        raise
    except Exception as error:
        error.add_note(f"on the worker {worker} on {host}")
        raise
