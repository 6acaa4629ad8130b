"""Bytes under keys, in a folder or behind an fsspec URL; a key is written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ..errors import CapabilityError, StoreError, UsageError

_PARTIAL = ".partial"

Write = Callable[[bytes], None]


class Objects(ABC):
    """What a store needs of a place.

    Attributes
    ----------
    path
        How a person names it.
    requests
        Reads that are worth having under way at a time: where one takes long to answer, many.
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
            The disk is full, read-only or failing; what was there before is still there.
        """

    @abstractmethod
    def writing(self, key: str) -> AbstractContextManager[Write]:
        """Return a context in which what is too large to be held is written bit by bit.

        It is `put` when the context ends well, and gone when it does not.
        """

    @abstractmethod
    def names(self) -> set[str]:
        """Return every key, without remains of interrupted writes."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Return the number of bytes under `key`."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key`."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove the remains of interrupted writes and empty folders."""


def open_objects(path: str | os.PathLike[str]) -> Objects:
    """Return the objects at a path or an fsspec URL (``s3://…``, ``memory://…``); nothing is created.

    Raises
    ------
    CapabilityError
        A URL, and fsspec or the package behind the URL's scheme is not installed.
    """
    text = os.fspath(path)
    if "://" not in text:
        return LocalObjects(Path(text))
    try:
        return FsspecObjects(text)
    except ValueError as error:  # fsspec's word for a scheme that it has never heard of
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
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        goes_on = "and give the same command again: it goes on where it stopped."
        hint = {
            errno.ENOSPC: f"Free some space {goes_on}",
            errno.EDQUOT: f"Free some of your quota {goes_on}",
            errno.EACCES: "Choose a place you may write to.",
            errno.EROFS: "Choose a place that is not read-only.",
        }.get(error.errno or 0, f"Mend the cause {goes_on}")
        raise StoreError(f"cannot write {path} ({error.strerror or error})", "", hint) from error


class LocalObjects(Objects):
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
        """Write beside, flush to the disk, and rename: neither a crash nor a power cut leaves half a file."""
        target = self.root / key
        partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}{_PARTIAL}")

        def write(data: bytes) -> None:
            with _writing(str(target)):
                file.write(data)

        with _writing(str(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            file = open(partial, "wb")  # noqa: SIM115 closed below
        try:
            with file:
                yield write
                with _writing(str(target)):
                    file.flush()
                    os.fsync(file.fileno())
            with _writing(str(target)):
                os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if os.name == "posix":  # the rename itself is on the disk only once the folder is
            with _writing(str(target)):
                folder = os.open(target.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def names(self) -> set[str]:
        """Return the path of every file."""
        return {
            file.relative_to(self.root).as_posix()
            for file in self.root.rglob("*")
            if file.suffix != _PARTIAL and file.is_file()
        }

    def size(self, key: str) -> int:
        """Return the file's size."""
        return (self.root / key).stat().st_size

    def delete(self, key: str) -> None:
        """Remove the file."""
        (self.root / key).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove ``*.partial`` files and empty folders."""
        for file in self.root.rglob(f"*{_PARTIAL}"):
            file.unlink(missing_ok=True)
        for folder in sorted((f for f in self.root.rglob("*") if f.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)


class FsspecObjects(Objects):
    """Keys below an fsspec URL; object stores put a key atomically themselves."""

    requests: ClassVar[int] = 16

    def __init__(self, url: str) -> None:
        import fsspec

        self.path = url
        self._fs: Any
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return bytes [start, stop) of an object."""
        try:
            return bytes(self._fs.cat_file(f"{self._root}/{key}", start=start or None, end=stop))
        except FileNotFoundError:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Write the object in one request."""
        with _writing(f"{self.path}/{key}"):
            target = f"{self._root}/{key}"
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(target, data)

    @contextmanager
    def writing(self, key: str) -> Iterator[Write]:
        """Keep a file here, and send it when it is whole."""
        target = f"{self._root}/{key}"
        with tempfile.TemporaryFile() as file:

            def write(data: bytes) -> None:
                with _writing(tempfile.gettempdir()):
                    file.write(data)

            yield write
            file.seek(0)
            with _writing(f"{self.path}/{key}"):
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                with self._fs.open(target, "wb") as out:
                    shutil.copyfileobj(file, out)

    def names(self) -> set[str]:
        """Return the key of every object."""
        found = self._fs.find(self._root)
        return {str(name)[len(self._root) :].lstrip("/") for name in found}

    def size(self, key: str) -> int:
        """Return the object's size."""
        return int(self._fs.size(f"{self._root}/{key}"))

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._fs.rm_file(f"{self._root}/{key}")

    def sweep(self) -> None:
        """Do nothing: an object is there whole or not at all."""
