"""What follows the sound in a file: chunks, tags and padding, or more sound, which libsndfile loses or misreads."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import DataError

_FILES = (b"RIFF", b"RIFX", b"RF64", b"riff\x2e\x91\xcf\x11", b"FORM", b"caff", b".snd", b"dns.", b"NIST_1A\n",
          b"Creative Voice File\x1a", b"fLaC", b"OggS")  # fmt: skip
_MORE_SOUND = (b"data", b"SSND")
_METADATA = (
    b"LIST", b"id3 ", b"ID3 ", b"bext", b"JUNK", b"junk", b"PAD ", b"fact", b"cue ", b"smpl", b"inst", b"PEAK", b"iXML",
    b"_PMX", b"afsp", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"COMT", b"MARK", b"info", b"free",
)  # fmt: skip
_UNIMPORTANT = 128  # bytes: a tag, or less than 10 ms of sound


class ChunkForm(NamedTuple):
    """How the chunks of a format begin: struct's format of kind and size, and whether the size counts that."""

    header: str
    counts_header: bool = False
    multiple: int = 2


def check_end(data: bytes, end: int, form: ChunkForm | None) -> None:
    """Raise `DataError` where more sound, or another file, follows the sound that a header states.

    Parameters
    ----------
    data
        The file.
    end
        Where its sound ends.
    form
        The form of the chunks that may follow; None: none may.
    """
    at = _after_chunks(data, end, form) if form else end
    for signature in _FILES:
        if (begin := data.find(signature, at)) >= 0 and (begin == at or len(signature) > 4):
            raise _two_files(begin)
    begin = after_tags(data, at)
    rest = len(data) - begin
    if rest > _UNIMPORTANT and data.count(data[begin : begin + 1], begin) < rest:  # padding is of one value
        raise DataError(
            f"has {rest:,} bytes behind the sound and the chunks that its header states",
            "",
            "if they are sound, correct its header, for example: ffmpeg -ignore_length 1 -i IN.wav OUT.wav; "
            f"else cut them off, for example: head -c {begin} IN > OUT",
        )


def check_one_flac(data: bytes) -> None:
    """Raise `DataError` where a FLAC file is followed by another one, which would not be read."""
    at = data.find(b"fLaC", 4)
    while at >= 0:
        if data[at + 4 : at + 5] in (b"\0", b"\x80") and data[at + 5 : at + 8] == b"\0\0\x22":
            raise _two_files(at)
        at = data.find(b"fLaC", at + 4)


def after_tags(data: bytes, at: int) -> int:
    """Return where tags that follow a sound end: ID3 of both versions, APE, Lyrics3, and zeros between them."""
    while at < len(data):
        if data.startswith(b"TAG", at):
            size = 128
        elif data.startswith(b"ID3", at):
            size = id3_size(data, at)
        elif data.startswith(b"APETAGEX", at) and at + 16 <= len(data):
            size = 32 + struct.unpack_from("<I", data, at + 12)[0]
        elif data.startswith(b"LYRICSBEGIN", at) and (stop := data.find(b"LYRICS", at + 11)) >= 0:
            size = stop + 9 - at
        elif data[at] == 0:
            size = len(data) - at - len(data[at:].lstrip(b"\0"))
        else:
            break
        at += size
    return min(at, len(data))


def id3_size(data: bytes, at: int) -> int:
    """Return the size of a tag ID3v2 at an offset: the field has 7 bits per byte."""
    flags, size = int.from_bytes(data[at + 5 : at + 6], "big"), 0
    for byte in data[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if flags & 0x10 else 0)


def _after_chunks(data: bytes, at: int, form: ChunkForm) -> int:
    """Return where the chunks that follow the sound end, those that hold no sound."""
    length = struct.calcsize(form.header)
    while True:
        padding = -at % form.multiple
        at += padding if not any(data[at : at + padding]) else 0
        if at + length > len(data):
            return at
        kind, size = struct.unpack_from(form.header, data, at)
        stop = at + size + (0 if form.counts_header else length)
        if kind.startswith(_FILES) or kind[:4] in _MORE_SOUND or not (kind.isascii() or form.counts_header):
            return at
        if kind[:4] == bytes(4) or stop <= at or (stop > len(data) and kind not in _METADATA):
            return at
        at = min(stop, len(data))


def _two_files(at: int) -> DataError:
    return DataError(
        f"holds more than one file: another begins at byte {at:,}, and would not be read",
        "",
        f"split it, for example: head -c {at} IN > OUT",
    )
