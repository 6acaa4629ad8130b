"""What headers of sound files state: how much sound there is, against how much the file has.

libsndfile reads what is left of a truncated file without an error, and nothing of some files whose writer could not
return to the header, because it wrote to a pipe. Such a header states a size that no file has: all ones, about 2³¹, or
0. Then the sound lasts until the end of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .sound_ends import ChunkForm

_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_NEAR = 1 << 16  # sizes of streams are round numbers less a header's length, or a multiple of a frame's
_STREAMED = (1 << 64, 1 << 63, 1 << 32, 1 << 31, 0x7F000000)  # the last is SoX's in AIFF


class Sizes(NamedTuple):
    """The field of a header that states how much sound there is.

    Attributes
    ----------
    start
        Where the sound begins.
    stated, available
        Bytes of sound that the header states, and that the file has.
    places
        (offset, struct format, value) of the fields to write, where the file is to state what it has.
    streamed
        Whether the header states nothing: the sound lasts until the end of the file.
    chunks
        How chunks that follow the sound begin; None: none may follow.
    reads_on
        Whether libsndfile takes what follows the sound for sound.
    """

    start: int
    stated: int
    available: int
    places: tuple[tuple[int, str, int], ...] = ()
    streamed: bool = False
    chunks: ChunkForm | None = None
    reads_on: bool = False

    @property
    def end(self) -> int:
        """Where the sound ends, as the header states."""
        return self.start + self.stated


def sound_sizes(data: bytes) -> Sizes | None:
    """Return what the header of a file states; None where it is of another format, or damaged."""
    for signature, read in _READERS:
        if data.startswith(signature):
            try:
                return read(data)
            except (struct.error, ValueError, KeyError, IndexError):
                return None  # libsndfile reports what is wrong with such a header
    return None


def with_size(data: bytes, sizes: Sizes) -> bytes:
    """Return a streamed file with a header that states the sizes."""
    changed = bytearray(data)
    for at, form, value in sizes.places:
        struct.pack_into(form, changed, at, value)
    return bytes(changed)


def _is_placeholder(size: int) -> bool:
    return any(abs(size - round_) <= _NEAR for round_ in _STREAMED)


def chunks(data: bytes, at: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, offset of the content, size) of the chunks of RIFF and AIFF from an offset on."""
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}4sI", data, at)
        yield kind, at + 8, size
        at += 8 + size
        # a pad byte follows an odd size, which some writers leave out: no kind begins with 0
        at += size % 2 and data[at : at + 1] == b"\0"


def _chunked(data: bytes, order: str, kind: bytes, ahead: int = 0) -> Sizes | None:
    """Return the sizes of a file of chunks; the sound's has `ahead` bytes ahead of the sound."""
    for found, start, size in chunks(data, 12, order):
        if found == kind:
            available = len(data) - start
            (outer,) = struct.unpack_from(f"{order}I", data, 4)
            unfinished = size <= ahead and (8 + outer <= start + ahead or _is_placeholder(outer))
            streamed = available > ahead and (unfinished or _is_placeholder(size))
            places = ((4, f"{order}I", (len(data) - 8) & 0xFFFFFFFF), (start - 4, f"{order}I", available))
            form = ChunkForm(f"{order}4sI")
            return Sizes(start + ahead, max(size - ahead, 0), available - ahead, places, streamed, form)
    return None


def _riff(data: bytes) -> Sizes | None:
    return _chunked(data, ">" if data[3:4] == b"X" else "<", b"data") if data[8:12] == b"WAVE" else None


def _aiff(data: bytes) -> Sizes | None:
    return _chunked(data, ">", b"SSND", 8) if data[8:12] in (b"AIFF", b"AIFC") else None


def _rf64(data: bytes) -> Sizes | None:
    """RF64: sizes of 64 bits stand in a chunk of their own, ahead of the others."""
    at = 12 if data[12:16] == b"ds64" else 0
    for kind, start, size in chunks(data, 12, "<"):
        if kind == b"data":
            stated = struct.unpack_from("<Q", data, at + 16)[0] if at and size == 0xFFFFFFFF else size
            available = len(data) - start
            streamed = available > 0 and (not stated or _is_placeholder(stated))
            places = ((at + 8, "<Q", len(data) - 8), (at + 16, "<Q", available)) if at else ()
            places = (*places, (start - 4, "<I", 0xFFFFFFFF))
            return Sizes(start, stated, available, places, streamed, ChunkForm("<4sI"))
    return None


def w64_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind of 16 bytes, offset of the content, size) of the chunks of Sony's Wave64.

    Its sizes of 64 bits count their own chunk's header; chunks begin at multiples of 8.
    """
    at = 40
    while at + 24 <= len(data):
        (size,) = struct.unpack_from("<Q", data, at + 16)
        yield data[at : at + 16], at + 24, max(size - 24, 0)
        at += max(-(-size // 8) * 8, 24)


def _w64(data: bytes) -> Sizes | None:
    for kind, start, size in w64_chunks(data):
        if kind == _W64_DATA:
            available = len(data) - start
            streamed = available > 0 and (not size or _is_placeholder(size + 24))
            places = ((16, "<Q", len(data)), (start - 8, "<Q", available + 24))
            form = ChunkForm("<16sQ", True, 8)
            return Sizes(start, size, available, places, streamed, form, reads_on=True)
    return None


def _caf(data: bytes) -> Sizes | None:
    at = 8
    while at + 12 <= len(data):
        kind, size = struct.unpack_from(">4sQ", data, at)
        if kind == b"data":
            available = len(data) - at - 16  # an edit count of 4 bytes is ahead of the sound
            places = ((at + 4, ">Q", available + 4),)
            streamed = available > 0 and _is_placeholder(size)
            form = ChunkForm(">4sQ", multiple=1)
            return Sizes(at + 16, max(size - 4, 0), available, places, streamed, form)
        at += 12 + size
    return None


def _au(data: bytes) -> Sizes:
    order = ">" if data.startswith(b".snd") else "<"
    start, size = struct.unpack_from(f"{order}II", data, 4)
    available = max(len(data) - start, 0)
    streamed = available > 0 and (not size or _is_placeholder(size))
    return Sizes(start, size, available, ((8, f"{order}I", available & 0xFFFFFFFF),), streamed)


def _voc(data: bytes) -> Sizes:
    """Creative Voice: blocks of a kind and a size of 24 bits."""
    (at,) = struct.unpack_from("<H", data, 20)
    while at + 4 <= len(data) and data[at]:
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "little")
    return Sizes(0, at, len(data), reads_on=True)


def _sphere(data: bytes) -> Sizes | None:
    header = int(data[8:16])
    fields = dict(_sphere_fields(data[:header]))
    if "shorten" in fields.get("sample_coding", ""):
        return None
    samples, channels, each = (int(fields[k]) for k in ("sample_count", "channel_count", "sample_n_bytes"))
    return Sizes(header, samples * channels * each, len(data) - header, reads_on=True)


def _sphere_fields(header: bytes) -> Iterator[tuple[str, str]]:
    for line in header.decode("latin-1").splitlines()[2:]:
        words = line.split(None, 2)
        if len(words) == 3:
            yield words[0], words[2].strip()


_READERS: tuple[tuple[bytes, Callable[[bytes], Sizes | None]], ...] = (
    (b"RIFF", _riff),
    (b"RIFX", _riff),
    (b"RF64", _rf64),
    (_W64_RIFF, _w64),
    (b"FORM", _aiff),
    (b"caff", _caf),
    (b".snd", _au),
    (b"dns.", _au),
    (b"Creative Voice File\x1a", _voc),
    (b"NIST_1A", _sphere),
)
