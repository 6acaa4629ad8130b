"""The blocks of a GIF file: how many frames it has, and whether its end is there (GIF89a specification, 1990)."""

from __future__ import annotations

_HEADER, _IMAGE, _EXTENSION, _TRAILER = 13, 0x2C, 0x21, 0x3B


def count_frames(data: bytes) -> int | None:
    """Return the number of frames of a GIF file; None where it ends early, or has something else between its blocks."""
    at = _HEADER
    try:
        at += _table_bytes(data[10])
        frames = 0
        while (kind := data[at]) != _TRAILER:
            if kind == _IMAGE:  # descriptor, table of colours, size of codes, data
                frames += 1
                at = _after_data(data, at + 11 + _table_bytes(data[at + 9]))
            elif kind == _EXTENSION:  # label, data
                at = _after_data(data, at + 2)
            elif kind == 0:  # some programs leave one more end of data
                at += 1
            else:
                return None
    except IndexError:
        return None
    return frames


def _table_bytes(flags: int) -> int:
    """Return the bytes of the table of colours that a descriptor's flags state."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_data(data: bytes, at: int) -> int:
    """Return where the blocks of data end that begin at `at`; each states its size, the last one 0."""
    while size := data[at]:
        at += size + 1
    return at + 1
