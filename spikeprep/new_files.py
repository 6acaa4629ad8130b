"""How a file appears under its name: only where there is none, and durably."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def link_new(partial: Path, target: Path, data: bytes) -> bool:
    """Give a finished partial file, whose content is `data`, the name `target`, and return whether it was free.

    The file appears with its content, except where the disk has no hard links.
    """
    linked = _link(partial, target)
    return _create_exclusively(target, data) if linked is None else linked


def rename_new(partial: Path, target: Path) -> bool:
    """Rename a finished partial file or folder to `target`, and return whether that name was free.

    An empty folder is free for a folder. What is there is never replaced; only for a file on a disk without hard links
    may a name that is taken in the same moment be missed.
    """
    if partial.is_dir():
        if os.name == "nt":  # elsewhere renaming replaces an empty folder
            with suppress(OSError):
                target.rmdir()
        try:
            os.rename(partial, target)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            return False
        return True
    linked = _link(partial, target)
    if linked is None:
        if os.path.lexists(target):
            return False
        os.rename(partial, target)
    elif linked:
        partial.unlink()
    return linked is not False


def _link(partial: Path, target: Path) -> bool | None:
    """Give a file a second name, and return whether that was free; None where the disk has no hard links."""
    try:
        os.link(partial, target)
    except FileExistsError:
        # over NFS the answer to a link that was made may be lost, and the repeated request finds it
        return os.stat(partial).st_nlink > 1
    except OSError:
        return None
    return True


def _create_exclusively(path: Path, data: bytes) -> bool:
    """Write a new file in place; whether there was none. Another process may see it while it is still empty."""
    try:
        with open(path, "xb") as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
