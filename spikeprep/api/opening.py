"""Open stores and runs."""

from __future__ import annotations

import os
from pathlib import Path

from ..encoding.run import EncodeSummary
from ..errors import RunError, StoreError, UsageError
from ..results import Run, Store, TrainResult
from ..store import SpikeStore, SplitReader
from ..urls import local_path, redacted
from .arguments import PathLike


def open_store(store: PathLike | EncodeSummary | SpikeStore, *, incomplete: bool = False) -> Store:
    """Open a spike store for reading.

    Parameters
    ----------
    store
        A path or an fsspec URL, or what `encode` returned.
    incomplete
        Whether to open a store whose encoding has not finished.

    Returns
    -------
    A mapping of split name → `spikeprep.store.SplitReader`: ``store["train"][0]`` is bool (time, unit).

    Raises
    ------
    StoreError
        There is no store, it is not one of spikeprep's or of a newer format, or it is not complete.
    """
    opened: Store = store if isinstance(store, Store) else Store.open(path_of(store), incomplete=incomplete)
    return opened


def open_run(run: PathLike | TrainResult | Run) -> Run:
    """Open a run folder for reading.

    Parameters
    ----------
    run
        A path, or what `train` returned.

    Raises
    ------
    RunError
        There is no run, or its configuration is damaged or of a newer format.
    """
    return run if isinstance(run, Run) else Run(run_folder(path_of(run)))


def store_of(run: Run, store: PathLike | EncodeSummary | SpikeStore | None = None) -> Store:
    """Return the store to read samples from: a given one, or the one that the run was trained on.

    Raises
    ------
    StoreError
        The run's own store is not where it was, or another one is there by now; or the given one is missing or damaged.
    """
    if store is not None:
        return open_store(store)
    hint = f"Name the store: {run.path} was trained on {run.config.store}. Use store=STORE."
    try:
        own = open_store(run.config.store)
    except StoreError as error:
        raise StoreError(error.got, error.expected, hint) from error
    try:
        run.folder.check_store(own)
    except RunError as error:
        got = f"the store at {own.path} is another one than {run.path} was trained on"
        raise StoreError(got, "a store of the same data and encoding", hint) from error
    return own


def run_folder(run: PathLike) -> Path:
    """Return the folder of a run; raises `UsageError` for a URL."""
    folder = local_path(run)
    if folder is None:
        raise UsageError(f"got run = {redacted(run)!r}", "a folder: runs are not kept behind URLs")
    return folder


def path_of(value: PathLike | EncodeSummary | TrainResult | SpikeStore | Run) -> PathLike:
    """Return the path of a store or run, or of the result of `encode` or `train`; ``~`` is the user's home."""
    if isinstance(value, TrainResult):
        return value.run
    path = value if isinstance(value, str | os.PathLike) else getattr(value, "path", None)
    if isinstance(value, SplitReader) or not isinstance(path, str | os.PathLike):
        raise UsageError(
            f"got {type(value).__name__} as a store or a run",
            "a path, or what encode, train, open_store or open_run returned",
        )
    return path if "://" in os.fspath(path) else os.fspath(local_path(path) or path)
