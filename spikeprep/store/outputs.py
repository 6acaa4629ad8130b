"""Where results may be written, and which folders are stores: asked before anything is read or written."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import SpikeprepError, UsageError
from ..strict_json import parse_strict_json
from ..urls import local_path
from .fsspec_storage import FsspecStorage
from .layout import ROOT
from .local_storage import LocalStorage


def check_output(path: str | os.PathLike[str]) -> Path | None:
    """Return the local path that a result is to be written to; None for a URL of another kind.

    Raises
    ------
    UsageError
        The path is inside a spike store, whose files would no longer be what its manifest names; or it is no path.
    StoreError
        What is behind the URL can only be read.
    """
    file = local_path(path)
    if file is None:
        FsspecStorage.require_writable(os.fspath(path))
        return None
    for folder in Path(os.path.realpath(file)).parents:
        if is_store(folder):
            raise UsageError(
                f"{file} is inside the store {folder}",
                "a path outside of every store",
                "Choose another path: a store has no files but its own.",
            )
    return file


def is_store(folder: Path) -> bool:
    """Whether a folder is a spike store of any version, as far as its root document tells."""
    if not os.path.isfile(folder / ROOT):  # of most folders this is all that is asked
        return False
    try:
        document = parse_strict_json(LocalStorage(folder).get(ROOT) or b"null")
        return isinstance(document["attributes"]["spikeprep"], dict)
    except (SpikeprepError, ValueError, RecursionError, LookupError, TypeError):
        return False
