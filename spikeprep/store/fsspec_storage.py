"""A store behind an fsspec URL."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from ..errors import StoreError
from .storage_contract import Storage, Write, write_errors


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
        with write_errors(f"{self.path}/{key}"):
            target = f"{self._root}/{key}"
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(target, data)

    def create(self, key: str, data: bytes) -> bool:
        """Write the object if there is none, by a conditional request where the filesystem has one."""
        if self.get(key) is not None:
            return False
        target = f"{self._root}/{key}"
        try:
            with write_errors(f"{self.path}/{key}"):
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(target, data, mode="create")
        except StoreError:
            # the refusal of a condition has no exception of its own; a key that is there now says the same
            if self.get(key) is None:
                raise
        return self.get(key) == data

    @contextmanager
    def writing(self, key: str) -> Iterator[Write]:
        """Collect the content in a local temporary file, and upload that at the end."""
        target = f"{self._root}/{key}"
        with tempfile.TemporaryFile() as file:

            def write(data: bytes) -> None:
                with write_errors(tempfile.gettempdir()):
                    file.write(data)

            yield write
            file.seek(0)
            with write_errors(f"{self.path}/{key}"):
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                with self._fs.open(target, "wb") as out:
                    shutil.copyfileobj(file, out)

    def sizes(self) -> dict[str, int]:
        """Return the key and the size of every object."""
        listing = self._fs.find(self._root, detail=True)
        return {str(name)[len(self._root) :].lstrip("/"): int(info["size"]) for name, info in listing.items()}

    def version(self, key: str) -> Hashable:
        """Return the object's content: one request, as asking for its properties would be."""
        return self.get(key)

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._fs.rm_file(f"{self._root}/{key}")

    def remove_abandoned(self, ours: Callable[[str], bool]) -> None:
        """Do nothing: object stores keep no unfinished objects."""

    def absolute_path(self) -> str:
        """Return the URL."""
        return self.path
