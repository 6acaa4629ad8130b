"""A store behind an fsspec URL."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..errors import CapabilityError, StoreError, UsageError
from ..partial_files import is_abandoned, is_partial, new_partial_name, partial_target, release
from ..urls import full_url, hide_secrets, redacted
from .fsspec_filesystems import (
    OBJECT_STORES,
    READ_ONLY,
    SUFFIX_RANGES,
    check_size,
    create_file,
    default_options,
    listing_options,
    move,
    remove,
    size_of,
)
from .remote_errors import (
    Action,
    attempts,
    cause_without_secrets,
    is_missing,
    is_past_the_end,
    is_transient,
    read_only_error,
    store_error,
)
from .storage_contract import Storage, Write, write_errors

Result = TypeVar("Result")

Send = Callable[[Any, str, dict[str, float]], Any]
"""Uploads, called with (filesystem, name, options of the request)."""

_READ_SECONDS = 120.0  # of one answer; some broken ones keep HTTP's client waiting without an end
_SETTLE_SECONDS = 0.5
_memory_lock = threading.Lock()  # fsspec's memory is that of one process
_SPOOL_NAME = "spikeprep-upload"
# An upload ends after these seconds, and the time that its bytes take at this rate: S3's client waits for ever before
# it sends.
_UPLOAD_SECONDS, _UPLOAD_RATE = 60.0, 10_000  # seconds, bytes per second


class FsspecStorage(Storage):
    """Keys below an fsspec URL. Errors of the filesystem become `StoreError`; transient ones are retried before."""

    requests: ClassVar[int] = 16

    def __init__(self, url: str) -> None:
        """Find the filesystem's class; it connects when it is first used.

        Raises
        ------
        CapabilityError
            fsspec or the package behind the URL's scheme is not installed.
        UsageError
            A URL whose scheme fsspec does not know, or whose secrets are hidden.
        """
        self._url = full_url(url)
        self.path = redacted(url)
        self._schemes = _schemes(self._url)
        try:
            from fsspec import get_filesystem_class

            kinds = {scheme: get_filesystem_class(scheme) for scheme in self._schemes}
        except ImportError as error:
            raise store_error("read", self.path, self._url, error) from error
        except ValueError as error:  # what fsspec raises for an unknown scheme
            raise UsageError(
                f"cannot open {self.path} ({hide_secrets(str(error), self._url)})",
                "a path, or a URL whose scheme fsspec knows",
            ) from cause_without_secrets(error, self._url)
        self._scheme = self._url.partition("://")[0].rpartition("::")[0] or self._schemes[0]
        self._atomic = self._scheme in OBJECT_STORES
        # others, such as FTP's, have one connection, for one request at a time
        kind = kinds.get(self._scheme)
        self._parallel = self._scheme == "memory" or bool(getattr(kind, "async_impl", False))
        self._forget_connection()

    def __reduce__(self) -> tuple[type[FsspecStorage], tuple[str]]:
        return FsspecStorage, (self.path,)

    def _forget_connection(self) -> None:
        """Connect anew at the next request; forked processes do not inherit fsspec's threads and the lock's owner."""
        self._pid, self._connection, self._folders = os.getpid(), None, set[str]()
        self._lock: AbstractContextManager[Any] = nullcontext() if self._parallel else threading.RLock()

    def _connect(self) -> Any:
        """Return the filesystem, connected."""
        if self._connection is None:
            from fsspec.core import url_to_fs

            options: dict[str, Any] = {} if self._parallel else {"skip_instance_cache": True}
            for scheme in self._schemes:
                if defaults := default_options(scheme):
                    options[scheme] = defaults
            fs, root = url_to_fs(self._url, **options)
            if self._scheme in ("s3", "s3a"):
                fs.retries = 1  # botocore tries several times, and `_call` does
            path, mark, query = str(root).partition("?" if "http" in self._scheme else "\0")
            self._root, self._query = path.rstrip("/"), mark + query  # a token for each request
            self._connection = fs
        return self._connection

    def _call(self, action: Action, key: str, request: Callable[[Any], Result]) -> Result:
        """Run `request` with the filesystem, again where the error may be transient.

        Raises
        ------
        FileNotFoundError
            There is no such key.
        StoreError, CapabilityError
            Anything else.
        """
        if self._pid != os.getpid():
            self._forget_connection()
        failure: Exception = AssertionError("unreachable")
        for _ in attempts():
            try:
                with self._lock:
                    return request(self._connect())
            except MemoryError:
                raise
            except Exception as error:
                failure = error
            if is_missing(failure):
                raise failure
            if isinstance(failure, FileNotFoundError) and isinstance(failure.__cause__, Exception):
                failure = failure.__cause__
            if not is_transient(failure):
                break
            with self._lock:
                if not self._parallel:
                    self._connection = None
                self._folders.clear()
        path = f"{self.path}/{key}".rstrip("/")
        if isinstance(failure, StoreError | CapabilityError):
            raise failure
        if isinstance(failure, NotImplementedError) and action == "write":
            raise read_only_error(path, self._scheme) from failure
        raise store_error(action, path, self._url, failure) from cause_without_secrets(failure, self._url)

    def _name(self, key: str) -> str:
        return f"{self._root}/{key}{self._query}"

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return bytes [start, stop) of an object."""

        def read(fs: Any) -> bytes:
            first, last = start, stop
            if (first < 0 and self._scheme not in SUFFIX_RANGES) or (first > 0 and last is None):
                last = size_of(fs, self._name(key))
                first = max(first + last, 0) if first < 0 else first
            if last is not None and 0 <= last <= first:
                return b""
            try:
                limit = {"timeout": _READ_SECONDS} if self._parallel and self._scheme != "memory" else {}
                data = bytes(fs.cat_file(self._name(key), start=first or None, end=last, **limit))
            except Exception as error:
                if is_past_the_end(error):
                    return b""
                if self._scheme == "ftp" and is_missing(error) and fs.isfile(self._name(key)):
                    raise PermissionError(str(error.__cause__)) from error  # FTP has one code for both
                raise
            if first < 0:
                wanted, data = -first, data[first:]
            elif last is None:  # object stores say how much follows, and their clients check it
                if not self._atomic and len(data) < size_of(fs, self._name(key)):
                    raise ConnectionError(f"an answer was cut short after {len(data)} bytes")
                return data
            else:
                wanted = last - first
                if len(data) > wanted:  # the server ignores ranges
                    data = data[first:last]
            if (
                len(data) < wanted and not self._atomic
            ):  # whose clients compare an answer with its stated length
                size = size_of(fs, self._name(key))
                if len(data) < (min(wanted, size) if first < 0 else min(last or 0, size) - first):
                    raise ConnectionError(f"an answer was cut short after {len(data)} bytes")
            return data

        try:
            return self._call("read", key, read)
        except FileNotFoundError:
            return None

    def put(self, key: str, data: bytes) -> None:
        """Write the object: at once in an object store, elsewhere under a temporary name which is then changed."""
        self._upload(key, len(data), lambda fs, name, limit: fs.pipe_file(name, data, **limit))

    def create(self, key: str, data: bytes) -> bool:
        """Write the object if there is none, by a conditional request where the filesystem has one."""
        with _memory_lock if self._scheme == "memory" else nullcontext():
            return self._create(key, data)

    def _create(self, key: str, data: bytes) -> bool:
        if self.get(key) is not None:
            return False
        try:
            if self._atomic:
                self._upload(key, len(data), lambda fs, name, limit: create_file(fs, name, data, **limit))
            else:
                self.put(key, data)
                if self._scheme != "memory":
                    time.sleep(_SETTLE_SECONDS)  # whoever has found no key either has written by then
        except StoreError:
            # the refusal of a condition has no exception of its own; a key that is there now says the same
            if self.get(key) is None:
                raise
        return self.get(key) == data

    @contextmanager
    def writing(self, key: str) -> Iterator[Write]:
        """Collect the content in a local temporary file, and upload that at the end."""
        spool = Path(tempfile.gettempdir(), new_partial_name(_SPOOL_NAME))
        try:
            with write_errors(str(spool)):
                file = open(spool, "xb", buffering=0)  # noqa: SIM115
            with file:

                def write(data: bytes) -> None:
                    with write_errors(str(spool)):
                        view = memoryview(data)
                        while view:
                            view = view[file.write(view) :]

                yield write
                size = file.tell()
            self._upload(key, size, lambda fs, name, limit: fs.put_file(str(spool), name, **limit))
        finally:
            with suppress(OSError):
                spool.unlink()
            release(spool.name)

    def _upload(self, key: str, size: int, send: Send) -> None:
        """Write `size` bytes under `key`, which appears when all of them have arrived."""
        self.require_writable(self._url)
        folder, slash, base = key.rpartition("/")
        partial = new_partial_name(base)

        def upload(fs: Any) -> None:
            name = self._name(key)
            if self._atomic:
                send(fs, name, {"timeout": _UPLOAD_SECONDS + size / _UPLOAD_RATE})
                try:
                    check_size(fs, name, size)
                except ConnectionError:  # never leave a part of an object under its key
                    fs.rm_file(name)
                    raise
                return
            self._make_folder(fs, self._name(folder).rstrip("/"))
            temporary = self._name(f"{folder}{slash}{partial}")
            send(fs, temporary, {})
            check_size(fs, temporary, size)
            move(fs, temporary, name)
            check_size(fs, name, size)

        try:
            self._call("write", key, upload)
        except BaseException as error:
            self._remove_temporary(f"{folder}{slash}{partial}")
            if isinstance(error, FileNotFoundError):
                raise store_error("write", f"{self.path}/{key}", self._url, error) from None
            raise
        finally:
            release(partial)

    def _remove_temporary(self, key: str) -> None:
        """Remove what a failed upload left, if the server lets us; else `remove_abandoned` does later."""
        if self._atomic:
            return
        with suppress(Exception), self._lock:
            if not self._parallel:
                self._connection = None  # it may be in the middle of a transfer
            self._connect().rm_file(self._name(key))

    @staticmethod
    def require_writable(url: str) -> None:
        """Raise `StoreError` where what is behind a URL can only be read, whether or not its package is installed."""
        for scheme in READ_ONLY.intersection(_schemes(full_url(url))):
            raise read_only_error(redacted(url), scheme)

    def _make_folder(self, fs: Any, folder: str) -> None:
        if folder in self._folders:
            return
        try:
            fs.makedirs(folder, exist_ok=True)
        except Exception:
            fs.invalidate_cache()
            if not fs.isdir(folder):  # another process may have made it
                raise
        self._folders.add(folder)

    def sizes(self, most: int | None = None) -> dict[str, int]:
        """Return the key and the size of every object, temporary ones excepted."""
        sizes = self._all_sizes()
        return {key: size for key, size in sizes.items() if not is_partial(key.rpartition("/")[2])}

    def _all_sizes(self) -> dict[str, int]:
        def find(fs: Any) -> dict[str, int]:
            fs.invalidate_cache()  # other processes write too
            found = {}
            for name, about in fs.find(self._root, detail=True, **listing_options(type(fs))).items():
                # a folder; a link that sorts a page
                if name.endswith("/") or ("?" in name and "http" in self._scheme):
                    continue
                size = about.get("size")  # a page does not say
                found[name[len(self._root) :].lstrip("/")] = size_of(fs, name) if size is None else int(size)
            return found

        try:
            return self._call("read", "", find)
        except FileNotFoundError:
            return {}

    def version(self, key: str) -> Hashable:
        """Return the object's content: one request, as asking for its properties would be."""
        return self.get(key)

    def delete(self, key: str) -> None:
        """Remove the object, if there is one."""
        self.require_writable(self._url)
        self._call("write", key, lambda fs: remove(fs, self._name(key)))

    def remove_abandoned(self, ours: Callable[[str], bool]) -> None:
        """Remove temporary objects of dead processes of this host, and their files in the system's temporary folder."""
        with suppress(OSError):
            for file in Path(tempfile.gettempdir()).glob(f"{_SPOOL_NAME}.*.partial"):
                if is_abandoned(file.name):
                    file.unlink(missing_ok=True)
        if self._atomic or READ_ONLY.intersection(self._schemes):
            return
        for key in self._all_sizes():
            folder, slash, base = key.rpartition("/")
            if is_abandoned(base) and ours(f"{folder}{slash}{partial_target(base)}"):
                self.delete(key)

    def absolute_path(self) -> str:
        """Return the URL, which pickles with its secrets."""
        return self.path


def _schemes(url: str) -> list[str]:
    """Return the schemes of a URL, or of a chain of them."""
    return [link.partition("://")[0] for link in url.split("::") if "://" in link]
