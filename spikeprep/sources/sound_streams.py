"""MP3 and Ogg: formats without a header for the whole file, whose end must be looked for.

mpg123, which reads MP3 for libsndfile, estimates the length from the size of the first frame where no frame states it:
of a file with frames of several sizes, libsndfile then reads a part. So the frames are counted here.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import DataError
from .sound_ends import after_tags, id3_size

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by MPEG's version
_KBITS = {  # by (version 1 or not, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
_COPY = "copy it again, or convert it again from its original"
_ROW = 3  # frames in a row that are no accident


class _Frame(NamedTuple):
    """What the header of an MP3 frame states: its size in bytes, and where a count of frames may be in it."""

    size: int
    info: int


def is_mp3(data: bytes) -> bool:
    """Whether a file begins as MP3 does: with a tag or a frame. AAC's frames differ in the bits of the layer."""
    return data.startswith(b"ID3") or _frame(data, 0) is not None


def complete_mp3(data: bytes) -> bytes:
    """Return an MP3 file that states how many frames it has, from its first frame on.

    Raises
    ------
    DataError
        It has fewer frames than it states, ends within a frame, or has something else between its frames.
    """
    start = _after_tag(data)
    first = _frame(data, start)
    if first is None:
        raise DataError("is no audio: no frame of MP3 follows its tag", "", "replace or remove it")
    stated, has_info = _stated_frames(data, start, first)
    at = audio = start + (first.size if has_info else 0)
    count, kind = 0, _kind(data, start)
    while (frame := _frame(data, at)) and at + frame.size <= len(data) and _kind(data, at) == kind:
        at, count = at + frame.size, count + 1
    if not data.startswith(_TAGS, at) and (count < stated or not stated) and _has_frames(data[at + 1 :]):
        raise DataError(
            f"is damaged: no frame like the others follows frame {count:,} at byte {at:,}", "", _COPY
        )
    if stated and count < stated:
        raise DataError(
            f"is truncated: {count:,} frames, its first one states {stated:,}", "", "copy it again"
        )
    if frame is not None and not stated:
        size = len(data) - at
        raise DataError(f"is truncated: its last frame has {size} bytes of {frame.size}", "", "copy it again")
    rest = data[after_tags(data, at) :]
    if (stated and count > stated) or _has_frames(rest):
        first_ones = f"the {stated:,} that the first one states" if stated else f"a tag behind {count:,}"
        what = f"holds more than one sound: frames of MP3 follow {first_ones}"
        fix = "convert it, for example: ffmpeg -i IN.mp3 OUT.flac"
        raise DataError(what, "", fix)
    if stated:
        if has_info and not _has_its_checksum(data, start + first.info, start, audio, at):
            fix = f"{_COPY}; if a program has edited it since, convert it, for example: ffmpeg -i IN.mp3 OUT.flac"
            raise DataError("is damaged: its frames have another checksum than the first one states", "", fix)
        return data[start:]
    if rest:
        fix = "convert it again from its original"
        raise DataError(f"is damaged: {len(rest):,} bytes after frame {count:,} are no MP3", "", fix)
    return _info_frame(data[start : start + 4], first, count) + data[audio:]


def _after_tag(data: bytes) -> int:
    """Return where the tags ID3v2 end."""
    at = 0
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        at += id3_size(data, at)
    while data[at : at + 1] == b"\0":
        at += 1
    return at


def _frame(data: bytes, at: int) -> _Frame | None:
    """Return the frame at an offset; None where there is none."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    kbits, rate, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer == 4 or not 0 < kbits < 15 or rate == 3:
        return None
    bits = 1000 * _KBITS[version == 3, layer][kbits - 1]
    hertz = _RATES[version][rate]
    if layer == 1:
        return _Frame((12 * bits // hertz + padding) * 4, 0)
    samples = 576 if layer == 3 and version != 3 else 1152
    mono = data[at + 3] >> 6 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return _Frame(samples // 8 * bits // hertz + padding, 4 + side if layer == 3 else 0)


def _kind(data: bytes, at: int) -> tuple[int, int]:
    """Return the bits of a frame's header that are the same in all: MPEG's version, the layer, and the rate."""
    return data[at + 1] & 0x1E, data[at + 2] & 0x0C


def _has_its_checksum(data: bytes, info: int, start: int, audio: int, end: int) -> bool:
    """Whether frames are those that the encoder wrote, as far as the first one states their checksum.

    Its fields, of which LAME's begin 120 bytes behind the mark ``Xing`` or ``Info``, have a checksum of their own.
    """
    from .sound_crc import crc16

    at = info + 120 + 32
    if data[info + 7 : info + 8] != b"\x0f" or at + 4 > audio:
        return True
    frames, fields = struct.unpack_from(">HH", data, at)
    return not frames or crc16(data[start : at + 2]) != fields or crc16(data[audio:end]) == frames


def _has_frames(data: bytes) -> bool:
    """Whether there are frames in a row somewhere in data."""
    at = data.find(b"\xff")
    while at >= 0:
        end, count = at, 0
        while count < _ROW and (frame := _frame(data, end)) is not None and end + frame.size <= len(data):
            end, count = end + frame.size, count + 1
        if count == _ROW:
            return True
        at = data.find(b"\xff", at + 1)
    return False


def _stated_frames(data: bytes, at: int, frame: _Frame) -> tuple[int, bool]:
    """Return how many frames the first one states, 0 where it does not; and whether it is a frame without sound."""
    if frame.info and data[at + frame.info : at + frame.info + 4] in (b"Xing", b"Info"):
        flags, count = struct.unpack_from(">II", data + bytes(12), at + frame.info + 4)
        return (count if flags & 1 else 0), True
    if data[at + 36 : at + 40] == b"VBRI":
        return int(struct.unpack_from(">I", data + bytes(56), at + 50)[0]), True
    return 0, False


def _info_frame(header: bytes, frame: _Frame, count: int) -> bytes:
    """Return a frame without sound that states how many follow; nothing for layers I and II, which have none."""
    if not frame.info:
        return b""
    unprotected = bytes([header[0], header[1] | 1, header[2], header[3]])
    content = unprotected.ljust(frame.info, b"\0") + b"Xing" + struct.pack(">II", 1, count)
    return content.ljust(frame.size, b"\0")[: frame.size]


def check_ogg(data: bytes) -> None:
    """Raise `DataError` where an Ogg file ends within a page, or holds several streams, of which one would be read."""
    at, streams = 0, 0
    while at < len(data):
        if data[at : at + 4] != b"OggS"[: len(data) - at]:
            if not data[at:].strip(b"\0"):
                break
            fix = "convert it again from its original"
            raise DataError(f"is damaged: no page of Ogg at byte {at:,}", "", fix)
        head = data[at : at + 27]
        lengths = data[at + 27 : at + 27 + head[26]] if len(head) == 27 else b""
        stop = at + 27 + len(lengths) + sum(lengths)
        if len(head) < 27 or len(lengths) < head[26] or stop > len(data):
            raise DataError("is truncated: it ends within a page of Ogg", "", "copy it again")
        streams, at = streams + (head[5] >> 1 & 1), stop
    if streams > 1:
        fix = "split it, for example: ffmpeg -i IN.ogg OUT.flac"
        raise DataError(f"holds {streams} streams of Ogg, of which one would be read", "", fix)
