"""The bytes of a text file: as it is, gzipped, or the one member of a ZIP archive."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from typing import IO, Any

from ..errors import DataError
from ..input_files import InputFile

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_MEMBER = 30  # bytes of a member's header in a ZIP archive, before its name
_STORED, _DEFLATED = 0, 8
_HEAD = 1 << 16  # bytes that the first bytes of a file may expand to


def unpacked_head(head: bytes) -> bytes:
    """Return the first bytes of the text in a file that begins with `head`; `head` itself where nothing is packed."""
    try:
        if head.startswith(_GZIP):
            return zlib.decompressobj(31).decompress(head, _HEAD)
        if head.startswith(_ZIP) and len(head) > _MEMBER:
            method = int.from_bytes(head[8:10], "little")
            names = (int.from_bytes(head[n : n + 2], "little") for n in (26, 28))
            data = head[_MEMBER + sum(names) :]
            if method == _DEFLATED:
                return zlib.decompressobj(-15).decompress(data, _HEAD)
            return data if method == _STORED else b""
    except zlib.error:
        return b""
    return head


class TextStream:
    """The text of a file, read from its beginning on.

    Attributes
    ----------
    length
        Bytes of the text; None where only reading tells.
    """

    def __init__(self, file: InputFile) -> None:
        self._file = file
        self._zip: zipfile.ZipFile | None = None
        head = file.head(4)
        self._packed = head.startswith((_GZIP, _ZIP))
        self.length: int | None = file.length()
        if head.startswith(_GZIP):
            self.length = None
        elif self._packed:
            self.length = self._safely(self._open_zip)
        self._stream: IO[bytes] | gzip.GzipFile | None = None
        self._at = 0

    def _open_zip(self) -> int:
        self._zip = zipfile.ZipFile(self._file.stream)
        members = [
            m for m in self._zip.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            raise DataError(
                f"{self._file.path} has {len(members)} files",
                "one file of text in an archive",
                "Unpack it, and give the folder of its files.",
            )
        self._member = members[0]
        return self._member.file_size

    def restart(self, at: int = 0) -> None:
        """Go to byte `at` of the text."""
        self._close_member()
        self._at = 0
        if not self._packed:
            self._file.stream.seek(at)
            return
        self._safely(self._open_member)
        skip = bytearray(at)  # within the head
        while at > 0 and (skipped := self.readinto(memoryview(skip)[:at])):
            at -= skipped

    def _open_member(self) -> None:
        if self._zip:
            self._stream = self._zip.open(self._member)
        else:
            self._file.stream.seek(0)
            self._stream = gzip.GzipFile(fileobj=self._file.stream)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return the number of bytes, 0 at the end only."""
        if not self._packed:
            return self._file.stream.readinto(buffer)
        count: int = self._safely(lambda: self._stream.readinto(buffer))  # type: ignore[union-attr]
        self._at += count
        self._file.limits.check_ratio(f"{self._file.path}", self._at, self._file.length(), so_far=True)
        return count

    def head(self, size: int) -> bytes:
        """Return the first bytes of the text, at most `size`."""
        self.restart()
        head = bytearray(size)
        count = 0
        while count < size and (more := self.readinto(memoryview(head)[count:])):
            count += more
        return bytes(head[:count])

    def close(self) -> None:
        """Close what is open, but not the file."""
        self._close_member()
        if self._zip:
            self._zip.close()

    def _close_member(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None

    def _safely(self, call: Any) -> Any:
        try:
            return call()
        except DataError:
            raise
        except Exception as error:  # of zlib, gzip and zipfile
            raise self._file.stream.error or DataError(
                f"{self._file.path} cannot be unpacked ({error})", "a complete archive", "Fetch it again."
            ) from error
