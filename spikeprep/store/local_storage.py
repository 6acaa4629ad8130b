"""A store in a folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..errors import StoreError
from ..new_files import link_new, sync_folder
from ..partial_files import is_abandoned, is_partial, new_partial_name, partial_target, release
from .storage_contract import Storage, Write, disk_error, write_errors

_OPEN_ATTEMPTS = 8  # another process may remove an empty folder between its creation and the file's


class LocalStorage(Storage):
    """Files in a folder."""

    local = True

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, str(root)

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return bytes [start, stop) of a file."""
        try:
            with open(f"{self.path}/{key}", "rb", buffering=0, opener=_open_regular) as file:
                if start < 0:
                    start = max(os.fstat(file.fileno()).st_size + start, 0)
                file.seek(start)
                return file.read(-1 if stop is None else stop - start)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise disk_error(
                f"cannot read {self.path}/{key}", error, "Check its permissions and its disk."
            ) from error

    def put(self, key: str, data: bytes) -> None:
        """Write a file."""
        with self.writing(key) as write:
            write(data)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file if there is none; it appears with its content, except where the disk has no hard links."""
        target, created = self.root / key, False

        def publish(partial: Path) -> None:
            nonlocal created
            created = link_new(partial, target, data)

        with self._unfinished(target, publish) as write:
            write(data)
        return created

    @contextmanager
    def writing(self, key: str) -> Iterator[Write]:
        """Write to a partial file, flush it to the disk, and rename it: no crash or power cut leaves half a file."""
        target = self.root / key
        with self._unfinished(target, lambda partial: os.replace(partial, target)) as write:
            yield write

    @contextmanager
    def _unfinished(self, target: Path, publish: Callable[[Path], None]) -> Iterator[Write]:
        """Write a partial file beside `target`, and call `publish` with its path once it is on the disk."""
        partial = target.with_name(new_partial_name(target.name))

        def write(data: bytes) -> None:
            with write_errors(str(target)):
                file.write(data)

        try:
            with write_errors(str(target)):
                file = _create(partial)
            with file:
                yield write
                with write_errors(str(target)):
                    file.flush()
                    os.fsync(file.fileno())
            with write_errors(str(target)):
                publish(partial)
        finally:
            with suppress(OSError):  # renamed, or never created
                partial.unlink()
            release(partial.name)
        with write_errors(str(target)):  # the new name itself is on the disk only once the folder is
            sync_folder(target.parent)

    def sizes(self, most: int | None = None) -> dict[str, int]:
        """Return the path and the size of every file, or of `most`, unfinished ones excepted.

        Raises
        ------
        StoreError
            The root is a file, or the disk is failing.
        """
        sizes: dict[str, int] = {}
        folders = [""]
        while folders and len(sizes) != most:
            folder = folders.pop()
            try:
                with os.scandir(f"{self.path}/{folder}") as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(f"{folder}{entry.name}/")
                        elif not is_partial(entry.name):
                            with suppress(FileNotFoundError):  # removed since, by another process
                                sizes[f"{folder}{entry.name}"] = _size(entry)
                        if len(sizes) == most:
                            break
            except NotADirectoryError as error:
                if folder:  # replaced since, by another process
                    continue
                raise StoreError(
                    f"{self.path} is a file", "a folder, or a path that is free", "Choose another path."
                ) from error
            except FileNotFoundError:
                continue
            except OSError as error:
                hint = "Check its permissions and its disk."
                raise disk_error(f"cannot read {self.path}/{folder}", error, hint) from error
        return sizes

    def version(self, key: str) -> Hashable:
        """Return what tells one file from the one that replaces it."""
        try:
            status = os.stat(f"{self.path}/{key}")
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def delete(self, key: str) -> None:
        """Remove the file, and the folders inside the store that it leaves empty."""
        (self.root / key).unlink(missing_ok=True)
        self._remove_empty((self.root / key).parent)

    def remove_abandoned(self, ours: Callable[[str], bool]) -> None:
        """Remove partial files of dead processes of this host, and the folders that they leave empty."""
        for file in list(self.root.rglob("*.partial")):
            target = file.with_name(partial_target(file.name)).relative_to(self.root).as_posix()
            if is_abandoned(file.name) and ours(target):
                file.unlink(missing_ok=True)
                self._remove_empty(file.parent)

    def _remove_empty(self, folder: Path) -> None:
        with suppress(OSError):  # not empty
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def absolute_path(self) -> str:
        """Return the folder's absolute path."""
        return os.path.abspath(self.path)


def _create(path: Path) -> IO[bytes]:
    for attempt in range(_OPEN_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return open(path, "wb")
        except FileNotFoundError:
            if attempt == _OPEN_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # a link to nothing is a file all the same
        return entry.stat(follow_symlinks=False).st_size


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file; a pipe or a device in its place is refused rather than waited for."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(mode := os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise IsADirectoryError(path) if stat.S_ISDIR(mode) else OSError(errno.EINVAL, "it is no regular file")
