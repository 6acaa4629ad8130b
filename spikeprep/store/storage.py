"""The bytes of a store under keys, in a folder or behind an fsspec URL; a key is written as a whole or not at all."""

from __future__ import annotations

import os

from ..urls import local_path
from .fsspec_storage import FsspecStorage
from .local_storage import LocalStorage
from .storage_contract import Storage


def open_storage(path: str | os.PathLike[str]) -> Storage:
    """Return the storage at a path or an fsspec URL (``s3://…``, ``memory://…``); nothing is created.

    ``file://`` URLs are folders, and ``~`` at the beginning of a path is the home folder.

    Raises
    ------
    CapabilityError
        A URL, and fsspec or the package behind the URL's scheme is not installed.
    UsageError
        A URL whose scheme fsspec does not know, whose password is hidden, or that names another host's file.
    """
    folder = local_path(path)
    return LocalStorage(folder) if folder is not None else FsspecStorage(os.fspath(path))
