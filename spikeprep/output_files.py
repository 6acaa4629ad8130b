"""Files that a user names to be written: there whole or not at all, and never over what is not to be replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import CapabilityError, UsageError, lacks_space_or_permission
from .new_files import rename_new, sync_folder
from .partial_files import is_abandoned, new_partial_name, partial_target, release


def check_new_file(path: Path, overwrite: bool) -> None:
    """Raise `UsageError` where something is at `path` that a file may not replace: with `overwrite` a file may be."""
    if not os.path.lexists(path):
        return
    if not path.is_file() or path.is_symlink():
        raise UsageError(f"{path} is there already and is no file", "a new file", "Choose another name.")
    if not overwrite:
        raise UsageError(
            f"{path} is there already", "a new file", "Choose another name, or use overwrite=True."
        )


def write_file(
    path: Path,
    write: Callable[[IO[bytes]], object],
    *,
    overwrite: bool,
    check: Callable[[Path], None] = lambda path: None,
) -> None:
    """Let `write` write a file under a temporary name, then rename it to `path`: it is there whole or not at all.

    Raises
    ------
    UsageError
        Something that may not be replaced has appeared at `path` meanwhile, see `check_new_file`; or `check`, which is
        called before the file is renamed, refuses the path.
    CapabilityError
        The disk is full, or a permission is missing.
    """
    with partial_output(path) as partial:
        with partial.open("w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        check(path)
        if not rename_new(partial, path):
            check_new_file(path, overwrite)
            partial.replace(path)
        sync_folder(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file if it is there."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


@contextmanager
def partial_output(path: Path, remove: Callable[[Path], None] = remove_file) -> Iterator[Path]:
    """Yield the temporary name of an output; what is left under it, or was by a process that was killed, is removed.

    Raises `CapabilityError` where the disk is full, a permission is missing, or the file too large for the disk.
    """
    _remove_abandoned(path, remove)
    partial = path.with_name(new_partial_name(path.name))
    try:
        yield partial
    except OSError as error:
        if not lacks_space_or_permission(error):
            raise
        fix = "Free some space, or change the permissions, then write it again."
        if error.errno == errno.EFBIG:
            fix = "Write it to a file system that takes larger files, or raise the limit (ulimit -f)."
        raise CapabilityError(f"{path} could not be written ({error.strerror or error})", "", fix) from error
    finally:
        remove(partial)
        release(partial.name)


def _remove_abandoned(path: Path, remove: Callable[[Path], None]) -> None:
    """Remove what was left unfinished of `path` by processes of this host that were killed."""
    with suppress(OSError):
        for name in os.listdir(path.parent):
            if partial_target(name) == path.name and is_abandoned(name):
                remove(path.with_name(name))
