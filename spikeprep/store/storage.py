"""The bytes of a store under keys, in a folder or behind an fsspec URL; a key is written as a whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, ClassVar

from ..errors import CapabilityError, StoreError, UsageError
from .partial_files import is_abandoned, is_partial, new_partial_name, release

Write = Callable[[bytes], None]

_OPEN_ATTEMPTS = 8  # another process may remove an empty folder between its creation and the file's


class Storage(ABC):
    """The operations that a store needs of a folder or an object store. Thread-safe.

    Attributes
    ----------
    path
        The path or URL as the user gave it.
    requests
        Number of reads to keep in flight: many where each one takes long to answer.
    """

    path: str
    requests: ClassVar[int] = 1

    @abstractmethod
    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return bytes [start, stop) under `key`, or None where there is no such key.

        A negative `start` counts from the end.
        """

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, atomically and durably.

        Raises
        ------
        StoreError
            The disk is full, read-only or failing; the previous content of `key` is still there.
        """

    @abstractmethod
    def writing(self, key: str) -> AbstractContextManager[Write]:
        """Return a context whose value writes the next bytes of `key`, for content too large to hold.

        The key appears when the context ends without an error, and not at all otherwise.
        """

    @abstractmethod
    def keys(self) -> set[str]:
        """Return every key, without unfinished files of spikeprep."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Return the number of bytes under `key`."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key`."""

    @abstractmethod
    def remove_abandoned(self) -> None:
        """Remove unfinished files whose writers are dead; those of living ones and of other hosts stay."""

    @abstractmethod
    def absolute_path(self) -> str:
        """Return the path or URL in a form that another process can open."""


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


@contextmanager
def _write_errors(path: str) -> Iterator[None]:
    """Turn an operating system's error into a `StoreError` that says how to fix it."""
    try:
        yield
    except OSError as error:
        resume = "and repeat the call: it resumes where it stopped."
        hint = {
            errno.ENOSPC: f"Free some space {resume}",
            errno.EDQUOT: f"Free some of your quota {resume}",
            errno.EACCES: "Choose a place you may write to.",
            errno.EROFS: "Choose a place that is not read-only.",
        }.get(error.errno or 0, f"Remove the cause {resume}")
        raise StoreError(f"cannot write {path} ({error.strerror or error})", "", hint) from error


class LocalStorage(Storage):
    """Files in a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, str(root)

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return bytes [start, stop) of a file."""
        try:
            with open(f"{self.path}/{key}", "rb", buffering=0) as file:
                if start < 0:
                    start = max(os.fstat(file.fileno()).st_size + start, 0)
                file.seek(start)
                return file.read(-1 if stop is None else stop - start)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise StoreError(
                f"cannot read {self.path}/{key} ({error.strerror})", "", "Check its permissions and its disk."
            ) from error

    def put(self, key: str, data: bytes) -> None:
        """Write a file."""
        with self.writing(key) as write:
            write(data)

    @contextmanager
    def writing(self, key: str) -> Iterator[Write]:
        """Write to a partial file, flush it to the disk, and rename it: no crash or power cut leaves half a file."""
        target = self.root / key
        partial = target.with_name(new_partial_name(target.name))

        def write(data: bytes) -> None:
            with _write_errors(str(target)):
                file.write(data)

        try:
            with _write_errors(str(target)):
                file = _create(partial)
            with file:
                yield write
                with _write_errors(str(target)):
                    file.flush()
                    os.fsync(file.fileno())
            with _write_errors(str(target)):
                os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            release(partial.name)
        if os.name == "posix":  # the rename itself is on the disk only once the folder is
            with _write_errors(str(target)):
                folder = os.open(target.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def keys(self) -> set[str]:
        """Return the path of every file, unfinished ones excepted."""
        return {
            file.relative_to(self.root).as_posix()
            for file in self.root.rglob("*")
            if not is_partial(file.name) and file.is_file()
        }

    def size(self, key: str) -> int:
        """Return the file's size."""
        return (self.root / key).stat().st_size

    def delete(self, key: str) -> None:
        """Remove the file, and the folders inside the store that it leaves empty."""
        (self.root / key).unlink(missing_ok=True)
        self._remove_empty((self.root / key).parent)

    def remove_abandoned(self) -> None:
        """Remove partial files of dead processes of this host, and the folders that they leave empty."""
        for file in list(self.root.rglob("*.partial")):
            if is_abandoned(file.name):
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


class FsspecStorage(Storage):
    """Keys below an fsspec URL; object stores write a key atomically themselves."""

    requests: ClassVar[int] = 16

    def __init__(self, url: str) -> None:
        self.path = url
        self._connect()

    def _connect(self) -> None:
        import fsspec

        self._pid = os.getpid()
        self._connection: Any
        self._connection, root = fsspec.core.url_to_fs(self.path)
        self._root = str(root).rstrip("/")

    @property
    def _fs(self) -> Any:
        """The filesystem; a forked process connects anew, because it does not inherit fsspec's threads."""
        if self._pid != os.getpid():
            self._connect()
        return self._connection

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return bytes [start, stop) of an object."""
        try:
            return bytes(self._fs.cat_file(f"{self._root}/{key}", start=start or None, end=stop))
        except FileNotFoundError:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Write the object in one request."""
        with _write_errors(f"{self.path}/{key}"):
            target = f"{self._root}/{key}"
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(target, data)

    @contextmanager
    def writing(self, key: str) -> Iterator[Write]:
        """Collect the content in a local temporary file, and upload that at the end."""
        target = f"{self._root}/{key}"
        with tempfile.TemporaryFile() as file:

            def write(data: bytes) -> None:
                with _write_errors(tempfile.gettempdir()):
                    file.write(data)

            yield write
            file.seek(0)
            with _write_errors(f"{self.path}/{key}"):
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                with self._fs.open(target, "wb") as out:
                    shutil.copyfileobj(file, out)

    def keys(self) -> set[str]:
        """Return the key of every object."""
        return {str(name)[len(self._root) :].lstrip("/") for name in self._fs.find(self._root)}

    def size(self, key: str) -> int:
        """Return the object's size."""
        return int(self._fs.size(f"{self._root}/{key}"))

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._fs.rm_file(f"{self._root}/{key}")

    def remove_abandoned(self) -> None:
        """Do nothing: object stores keep no unfinished objects."""

    def absolute_path(self) -> str:
        """Return the URL."""
        return self.path
