"""Files and folders that an export writes: never over what someone else wrote, and never half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import CapabilityError, UsageError, lacks_space_or_permission
from ..store.new_files import sync_folder
from ..store.outputs import check_output
from ..store.partial_files import new_partial_name, release
from ..urls import redacted

MARKER = "export.json"
"""The file that every exported folder has: what it is, and the sign that `overwrite` may replace it."""


def new_output(out: str | os.PathLike[str], *, overwrite: bool, folder: bool = False) -> Path:
    """Return the path of an output that may be written.

    Parameters
    ----------
    out
        A path; ``~`` is the home folder.
    overwrite
        Whether a file, or a folder of an earlier export, that is there may be replaced.
    folder
        Whether a folder is written, not a file.

    Raises
    ------
    UsageError
        It is a URL, inside a store, in a folder that does not exist, or something is there that may not be replaced.
    """
    path = check_output(out)
    if path is None:
        raise UsageError(f"got out = {redacted(out)!r}", "a path", "Copy what is exported there afterwards.")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "a folder that exists", "Make it first.")
    if not os.path.lexists(path):
        return path
    if folder:
        _check_folder(path, overwrite)
    elif not path.is_file() or path.is_symlink():
        raise UsageError(f"{path} is there already and is no file", "a new file", "Choose another name.")
    elif not overwrite:
        raise UsageError(
            f"{path} is there already", "a new file", "Choose another name, or use overwrite=True."
        )
    return path


def _check_folder(path: Path, overwrite: bool) -> None:
    if path.is_symlink() or not path.is_dir():
        raise UsageError(f"{path} is there already and is no folder", "a new folder", "Choose another name.")
    if not any(path.iterdir()):
        return
    if not (path / MARKER).is_file():
        raise UsageError(
            f"{path} has files that no export wrote",
            "a new or empty folder, or one of an earlier export",
            "Choose another name.",
        )
    if not overwrite:
        raise UsageError(
            f"{path} has an earlier export", "a new folder", "Choose another name, or use overwrite=True."
        )


def write_file(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Let `write` write a file under a temporary name, then rename it to `path`: it is there whole or not at all.

    Raises
    ------
    CapabilityError
        The disk is full, or a permission is missing.
    """
    partial = path.with_name(new_partial_name(path.name))
    try:
        with _disk_errors(path):
            with partial.open("w+b") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        release(partial.name)


def write_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder under a temporary name, then rename it to `path`, in place of an earlier export.

    Raises
    ------
    CapabilityError
        The disk is full, or a permission is missing.
    """
    partial = path.with_name(new_partial_name(path.name))
    try:
        with _disk_errors(path):
            partial.mkdir()
            write(partial)
            if path.exists():
                earlier = path.with_name(new_partial_name(path.name))
                path.rename(earlier)
                partial.rename(path)
                shutil.rmtree(earlier)
                release(earlier.name)
            else:
                partial.rename(path)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        release(partial.name)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not lacks_space_or_permission(error):
            raise
        raise CapabilityError(
            f"{path} could not be written ({error.strerror or error})",
            "",
            "Free some space, or change the permissions, then export again.",
        ) from error
