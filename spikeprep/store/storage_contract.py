"""What a store needs of a folder or an object store."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar

from ..errors import CapabilityError, SpikeprepError, StoreError, lacks_space_or_permission

Write = Callable[[bytes], None]


class Storage(ABC):
    """The operations that a store needs of a folder or an object store. Thread-safe.

    Attributes
    ----------
    path
        The path or URL as the user gave it.
    requests
        Number of reads to keep in flight: many where each one takes long to answer.
    local
        Whether `version` and `get` take microseconds.
    """

    path: str
    requests: ClassVar[int] = 1
    local: ClassVar[bool] = False

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
        CapabilityError
            The disk is full or read-only, or a permission is missing.
        StoreError
            The disk is failing. In both cases the previous content of `key` is still there.
        """

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Write `data` under `key` if there is no such key, and return whether this call did; for lock files.

        Of any number of callers at the same time one gets True, if each writes data of its own (a random token in it).
        This is exact in folders and where a server has conditional writes (S3, Google Cloud Storage, Azure). Elsewhere
        (FTP, SFTP, …) the key is looked for, written, and read half a second later: two callers may both get True where
        one of them takes longer than that to write.

        Raises
        ------
        StoreError
            As `put`.
        """

    @abstractmethod
    def writing(self, key: str) -> AbstractContextManager[Write]:
        """Return a context whose value writes the next bytes of `key`, for content too large to hold.

        The key appears when the context ends without an error, and not at all otherwise.
        """

    @abstractmethod
    def sizes(self, most: int | None = None) -> dict[str, int]:
        """Return every key with its number of bytes, without unfinished files of spikeprep.

        Where `most` are enough, a folder is not looked through for more.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove `key`."""

    @abstractmethod
    def remove_abandoned(self, ours: Callable[[str], bool]) -> None:
        """Remove unfinished files of keys for which `ours` is true, and whose writers are dead.

        Those of living writers and of other hosts stay.
        """

    @abstractmethod
    def version(self, key: str) -> Hashable:
        """Return a value that changes whenever `key` is written; None where there is no such key."""

    @abstractmethod
    def absolute_path(self) -> str:
        """Return the path or URL in a form that another process can open."""


def disk_error(got: str, error: OSError, hint: str) -> SpikeprepError:
    """Return the error for what the operating system refused: of this machine or user, or else of the store."""
    kind = CapabilityError if lacks_space_or_permission(error) else StoreError
    return kind(f"{got} ({error.strerror or error})", "", hint)


@contextmanager
def write_errors(path: str) -> Iterator[None]:
    """Turn an operating system's error into one that says how to fix it.

    Raises
    ------
    CapabilityError
        The disk is full, or a permission is missing.
    StoreError
        Any other error.
    """
    try:
        yield
    except OSError as error:
        resume = "and repeat the call: it resumes where it stopped."
        hint = {
            errno.ENOSPC: f"Free some space {resume}",
            errno.EDQUOT: f"Free some of your quota {resume}",
            errno.EFBIG: f"Choose a place that takes larger files, or raise the limit (ulimit -f), {resume}",
            errno.EACCES: "Choose a place you may write to.",
            errno.EPERM: "Choose a place you may write to.",
            errno.EROFS: "Choose a place that is not read-only.",
        }.get(error.errno or 0, f"Remove the cause {resume}")
        raise disk_error(f"cannot write {path}", error, hint) from error
