"""Slices of rows, so that arrays of any length are read in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

_ROWS, _SLICE_BYTES = 1 << 16, 16 << 20  # of a slice, at most


def row_slices(length: int, multiple: int = 1, row_bytes: int = 0, first: int = 0) -> Iterator[slice]:
    """Yield slices that cover `length` rows, tens of thousands of rows each, a multiple of `multiple`.

    Fewer where `row_bytes` are many: at most 16 MiB, or one row. The ones before number `first` are left out.
    """
    most = max(min(_ROWS, _SLICE_BYTES // max(row_bytes, 1)), 1)
    step = max(most // multiple, 1) * multiple
    return (slice(start, min(start + step, length)) for start in range(first * step, length, step))
