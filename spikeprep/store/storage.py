"""The bytes of a store under keys, in a folder or behind an fsspec URL; a key is written as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import CapabilityError, UsageError
from .fsspec_storage import FsspecStorage
from .local_storage import LocalStorage
from .storage_contract import Storage


def open_storage(path: str | os.PathLike[str]) -> Storage:
    """Return the storage at a path or an fsspec URL (``s3://…``, ``memory://…``); nothing is created.

    Raises
    ------
    CapabilityError
        A URL, and fsspec or the package behind the URL's scheme is not installed.
    UsageError
        A URL whose scheme fsspec does not know.
    """
    text = os.fspath(path)
    if "://" not in text:
        return LocalStorage(Path(text))
    try:
        return FsspecStorage(text)
    except ValueError as error:  # what fsspec raises for an unknown scheme
        raise UsageError(
            f"cannot open {text} ({error})", "a path, or a URL whose scheme fsspec knows"
        ) from error
    except ImportError as error:
        raise CapabilityError(
            f"cannot open {text} ({error})",
            "",
            "Install it: pip install 'spikeprep[remote]', and the URL's own package.",
        ) from error
