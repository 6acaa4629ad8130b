"""Files of a run: read within a limit, written atomically and durably."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import CapabilityError, RunError, lacks_space_or_permission
from ..new_files import sync_folder
from ..partial_files import is_abandoned, new_partial_name, release

_AGAIN = "then resume the run, or start it again where it has no checkpoint."
_FREE = f"Free some space, or change the permissions, {_AGAIN}"


def open_regular(path: Path, most: int) -> IO[bytes]:
    """Open a regular file of at most `most` bytes for reading.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    RunError
        It is a folder, a device or a pipe, is larger, or cannot be opened.
    """
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(os.fspath(path)) from None
    except OSError as error:
        raise _failure(path, "read", error) from error
    status = os.fstat(number)
    if stat.S_ISREG(status.st_mode) and status.st_size <= most:
        return os.fdopen(number, "rb")
    os.close(number)
    _check_regular(path, status)
    raise RunError(f"{path} has {status.st_size:,} bytes", f"at most {most:,} for this run")


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        hint = "Restore the run's file, or move away what is there in its place."
        raise RunError(f"{path} is not a file", "a regular file", hint)


def refuse_irregular(path: Path) -> None:
    """Raise `RunError` where there is a folder, a pipe or a device: before a file is written there."""
    with write_errors(path):
        if path.exists():
            _check_regular(path, path.stat())


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file; see `open_regular`."""
    with open_regular(path, most) as file:
        try:
            return file.read(most)
        except OSError as error:
            raise _failure(path, "read", error) from error


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error into one that says what could not be written, and how to fix it.

    Raises
    ------
    CapabilityError
        The disk is full, or a permission is missing.
    RunError
        Any other error.
    """
    try:
        yield
    except OSError as error:
        raise _failure(path, "written", error) from error


def _failure(path: Path, what: str, error: OSError) -> CapabilityError | RunError:
    kind = CapabilityError if lacks_space_or_permission(error) else RunError
    if what == "read":  # by whatever looks at a run
        hint = (
            "Change its permissions." if kind is CapabilityError else "Check the disk, or restore the file."
        )
    else:
        hint = _FREE if kind is CapabilityError else f"Check the disk, {_AGAIN}"
    return kind(f"{path} could not be {what} ({error.strerror or error})", "", hint)


def write_atomic(path: Path, write: Callable[[IO[bytes]], None], keep: Path | None = None) -> None:
    """Let `write` write a file under a temporary name, flush it to the disk, then rename it into place.

    With `keep` the file that was there before is kept under that name. At every moment there is a whole file under
    `path`, if there was one before.
    """
    refuse_irregular(path)
    partial = path.with_name(new_partial_name(path.name))
    try:
        with write_errors(path):
            with partial.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if keep is not None:
                _keep(path, keep)
            partial.replace(path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    finally:
        release(partial.name)


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write bytes as `write_atomic` does."""

    def write(file: IO[bytes]) -> None:
        file.write(data)

    write_atomic(path, write)


def _keep(path: Path, keep: Path) -> None:
    """Give the file at `path`, if there is one, a second name, in place of the file that has that name."""
    link = keep.with_name(new_partial_name(keep.name))
    try:
        os.link(path, link)
        link.replace(keep)
    except FileNotFoundError:
        pass
    except OSError:  # a file system without hard links: for a moment only the second name exists
        path.replace(keep)
    finally:
        with suppress(OSError):
            link.unlink(missing_ok=True)  # renaming between two names of one file leaves both
        release(link.name)


def remove_abandoned(folder: Path) -> None:
    """Remove the unfinished files in a folder that dead processes of this host have left."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if is_abandoned(name):
                (folder / name).unlink(missing_ok=True)
