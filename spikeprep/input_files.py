"""Input files: the one place that opens them, limits what they may take, and sees when they change.

Every reader of raw data goes through `open_input`, or `read_input` and `InputFile`, which call it. Only regular files
are opened: a FIFO would block, a device has no end. Files are read, never mapped into memory: a mapped file that
another program truncates ends the process (SIGBUS).
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from .config import Count, Settings
from .errors import DataError

BLOCK = 1 << 20
"""Bytes of a file that are read and digested at a time by `InputFile`."""

SMALL = 64 << 20
"""Bytes that any file may expand to, whatever its ratio: too few to do harm."""

_HEAD = 4096  # bytes that formats are recognised by
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)


@dataclass(frozen=True)
class Limits(Settings):
    """What one input file may take.

    Parameters
    ----------
    max_bytes
        Most bytes of memory that reading one file may take, where its reader needs it, or a part of it, as a whole.
    max_ratio
        How many times larger than the file its content may be, where that is more than `SMALL` bytes.
    owner
        What stands ahead of a limit's name in messages, such as ``"source."``; empty: limits are an argument.
    """

    max_bytes: Count = 1_000_000_000
    max_ratio: Count = 1000
    owner: str = ""

    def check_bytes(self, what: str, size: int, *, so_far: bool = False) -> None:
        """Raise `DataError` where reading `what` takes more than `max_bytes`.

        `so_far` says that `size` is what is known so far: the value that the message gives is twice as large then.
        """
        if size > self.max_bytes:
            raise DataError(
                f"{what} takes {'more than ' if so_far else ''}{size:,} bytes of memory",
                f"at most {self.max_bytes:,}",
                f"If the file is what it should be, use {self._raised('max_bytes', size * (1 + so_far))}.",
            )

    def check_ratio(self, what: str, size: int, stored: int, *, so_far: bool = False) -> None:
        """Raise `DataError` where `what` expands from `stored` bytes to `size`, more than `max_ratio` allows.

        `so_far` as in `check_bytes`.
        """
        stored = max(stored, 1)
        if size > max(SMALL, self.max_ratio * stored):
            ratio = -(-size // stored) * (1 + so_far)
            raise DataError(
                f"{what} expands to {'more than ' if so_far else ''}{size:,} bytes, {size // stored:,} times its "
                f"{stored:,}",
                f"at most {self.max_ratio:,} times",
                f"If the file is what it should be, use {self._raised('max_ratio', ratio)}.",
            )

    def _raised(self, name: str, value: int) -> str:
        """Return how a limit is raised, as code; other limits that were raised before stay."""
        if self.owner:
            return f"{self.owner}{name}={value}"
        values = {field: getattr(self, field) for field in ("max_bytes", "max_ratio")} | {name: value}
        given = ", ".join(f"{field}={n}" for field, n in values.items() if n != getattr(LIMITS, field))
        return f"limits=spikeprep.eventfiles.Limits({given})"


LIMITS = Limits()
"""The limits that hold where none are given."""


def open_input(path: str | os.PathLike[str]) -> io.FileIO:
    """Open a regular file for reading, unbuffered; never waits, as opening a FIFO would.

    Raises
    ------
    DataError
        There is no such file, it cannot be read, or it is something else: a folder, FIFO, socket or device.
    """
    return io.FileIO(_descriptor(path)[0], "r")


def _descriptor(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Open a regular file; return its descriptor and its length. Few system calls: data sets have many small files."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        if getattr(error, "errno", None) == errno.ENXIO:
            raise _not_regular(path, stat.S_IFSOCK) from error
        raise _unreadable(path, error) from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise _not_regular(path, facts.st_mode)
    return descriptor, facts.st_size


def _not_regular(path: str | os.PathLike[str], mode: int) -> DataError:
    kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
    return DataError(f"{os.fspath(path)} is {kind}", "a regular file", "Name a file, or remove this one.")


def _read(path: str | os.PathLike[str], descriptor: int, size: int) -> bytes:
    """Read from a descriptor's position on; fewer than `size` bytes at the end of the file only."""
    try:
        data = os.read(descriptor, size)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
    except OSError as error:
        raise _unreadable(path, error) from error
    return data


def _unreadable(path: str | os.PathLike[str], error: OSError | ValueError) -> DataError:
    reason = getattr(error, "strerror", None) or error
    return DataError(
        f"{os.fspath(path)} cannot be read ({reason})", "", "Check the path and its permissions."
    )


def changed(path: str | os.PathLike[str]) -> DataError:
    """Return the error for a file that is not what it was when it was first read."""
    hint = "Once the files stay as they are, run this again; a store that was begun needs overwrite=True."
    return DataError(
        f"{os.fspath(path)} has changed while it was read", "the bytes that were checked first", hint
    )


class Content(NamedTuple):
    """All bytes of a file, and their sha256 in hexadecimal."""

    data: bytes
    sha256: str


def read_input(path: str | os.PathLike[str], limits: Limits = LIMITS, sha256: str = "") -> Content:
    """Read a whole file.

    Parameters
    ----------
    path
        The file.
    limits
        Its length may be at most `Limits.max_bytes`.
    sha256
        What its digest was before; empty: anything.

    Raises
    ------
    DataError
        It cannot be opened or read, is too long, or its digest is another one.
    """
    descriptor, length = _descriptor(path)
    try:
        limits.check_bytes(f"{os.fspath(path)}", length)
        data = _read(path, descriptor, length)
        if len(data) < length or os.fstat(descriptor).st_size != length:
            raise changed(path)
    finally:
        os.close(descriptor)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256:
        raise changed(path)
    return Content(data, digest)


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file was when it was read: its length, the sha256 of each `BLOCK` bytes, and of the files beside it."""

    length: int
    blocks: tuple[bytes, ...]
    beside: tuple[Digests, ...] = ()


class InputFile:
    """A file that is opened once, on first use: its path, its first bytes, its stream and its digest.

    Parameters
    ----------
    path
        The file.
    limits
        What readers of the file keep to.
    expected
        What it was when it was read before: where it is something else now, reading raises `DataError`.
    """

    def __init__(self, path: Path, limits: Limits = LIMITS, expected: Digests | None = None) -> None:
        self.path, self.limits = path, limits
        self._expected = expected
        self._stream: InputStream | None = None
        self._beside: list[InputFile] = []

    @property
    def stream(self) -> InputStream:
        """The file, at any position: seek before reading; raises `DataError` where it cannot be opened."""
        if self._stream is None:
            self._stream = InputStream(self.path, self._expected)
        return self._stream

    @property
    def was_read(self) -> bool:
        """Whether anything was read from `stream`."""
        return self._stream is not None and self._stream.was_read

    def head(self, size: int = _HEAD) -> bytes:
        """Return the first bytes, at most `size`; raises `DataError` where they cannot be read."""
        self.stream.seek(0)
        return self.stream.read(size)

    def length(self) -> int:
        """Return the number of bytes in the file."""
        return self.stream.length

    def sha256(self) -> str:
        """Return the sha256 of the file in hexadecimal; what was read before is part of it.

        With files beside it, it is that of the digests of all of them, in hexadecimal, in their order.
        """
        if self._beside:
            lines = "".join(file.sha256() for file in self._beside)
            return hashlib.sha256(f"{self.stream.sha256()}{lines}".encode()).hexdigest()
        return self.stream.sha256()

    def digests(self) -> Digests:
        """Return what the file is, to compare it with later; reads what was not read yet."""
        beside = tuple(file.digests() for file in self._beside)
        return replace(self.stream.digests(), beside=beside) if beside else self.stream.digests()

    def beside(self, path: Path) -> InputFile:
        """Return another file that belongs to this one: it has its limits, is part of its digests, and closed with it.

        Raises `DataError` where this file is expected to be what it was, and there was none.
        """
        expected = None
        if self._expected:
            if len(self._expected.beside) <= len(self._beside):
                raise changed(self.path)
            expected = self._expected.beside[len(self._beside)]
        self._beside.append(InputFile(path, self.limits, expected))
        return self._beside[-1]

    def close(self) -> None:
        """Close the file if it is open, and those beside it."""
        for file in self._beside:
            file.close()
        if self._stream is not None:
            self._stream.close()


class InputStream(io.RawIOBase):
    """A file that is read in blocks, each with its digest: bytes that are read twice are the same, or an error.

    Raises `DataError` from every read where the file cannot be read, is shorter than when it was opened, or differs
    from what was read before. `error` keeps the first one, for libraries that hide it. Up to `most_blocks` blocks that
    were read last are kept in memory.
    """

    most_blocks = 1

    def __init__(self, path: Path, expected: Digests | None = None) -> None:
        super().__init__()
        self._path, self._descriptor = path, -1
        self._descriptor, self.length = _descriptor(path)
        self._position = 0  # of the descriptor
        self.error: DataError | None = None
        number = -(-self.length // BLOCK)
        self._digests: list[bytes | None] = list(expected.blocks) if expected else [None] * number
        self._at, self._number, self._block = 0, -1, b""
        self._recent: dict[int, bytes] = {}  # the latest last
        if expected and expected.length != self.length:
            self.close()
            raise changed(path)

    @property
    def was_read(self) -> bool:
        """Whether a block was read."""
        return self._number >= 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position: from the beginning (0), from here (1) or from the end (2); return it."""
        at = offset + (0, self._at, self.length)[whence]
        if at < 0:
            raise ValueError(f"position {at}")
        self._at = at
        return at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, fewer than `size` at the end only; all of them where it is negative or None."""
        left = max(self.length - self._at, 0)
        size = left if size is None or size < 0 else min(size, left)
        start = self._at % BLOCK
        if 0 < size <= BLOCK - start:  # of one block: no second copy
            data = self._load(self._at // BLOCK)[start : start + size]
            self._at += size
            return data
        whole = bytearray(size)
        self.readinto(whole)
        return bytes(whole)

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; return the number of bytes, fewer than fit at the end only."""
        out = memoryview(buffer).cast("B")
        done = 0
        while done < len(out) and self._at < self.length:
            start = self._at % BLOCK
            block = self._load(self._at // BLOCK)
            count = min(len(block) - start, len(out) - done)
            out[done : done + count] = memoryview(block)[start : start + count]
            done, self._at = done + count, self._at + count
        return done

    def _load(self, number: int) -> bytes:
        """Return a block, from memory if it was among the last ones."""
        if number == self._number:
            return self._block
        block = self._recent.pop(number, None) or self._read_block(number)
        self._recent[number] = block
        while len(self._recent) > self.most_blocks:
            del self._recent[next(iter(self._recent))]
        self._number, self._block = number, block
        return block

    def _read_block(self, number: int) -> bytes:
        size = min(BLOCK, self.length - number * BLOCK)
        try:
            if self._position != number * BLOCK:
                os.lseek(self._descriptor, number * BLOCK, os.SEEK_SET)
            block = _read(self._path, self._descriptor, size)
        except DataError as error:
            self.error = self.error or error
            raise
        self._position = number * BLOCK + len(block)
        digest = hashlib.sha256(block).digest()
        known = self._digests[number]
        if len(block) < size or (known and digest != known):
            self.error = self.error or changed(self._path)
            raise self.error
        self._digests[number] = digest
        return block

    def digests(self) -> Digests:
        """Return length and digests; reads the blocks that were not read yet."""
        for number, digest in enumerate(self._digests):
            if digest is None:
                self._load(number)
        if os.fstat(self._descriptor).st_size != self.length:
            raise changed(self._path)
        return Digests(self.length, tuple(digest for digest in self._digests if digest))

    def sha256(self) -> str:
        """Return the sha256 of the file in hexadecimal."""
        if len(self._digests) == 1:
            return (self._digests[0] or hashlib.sha256(self._load(0)).digest()).hex()
        whole = hashlib.sha256()
        for number in range(len(self._digests)):
            whole.update(self._load(number))
        return whole.hexdigest()

    def close(self) -> None:
        """Close the file."""
        if not self.closed and self._descriptor >= 0:
            os.close(self._descriptor)
        super().close()
