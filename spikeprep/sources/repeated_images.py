"""Images of arrays that hold the same pixels: a test image that training has seen, or one image with two labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .repeated_files import repeated

Part = tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]
"""Images (sample, row, column) and labels (sample,) of a split."""


def repeated_images(splits: Mapping[str, Part]) -> list[str]:
    """Return texts on images that are the same as earlier ones, as of files; see `repeated`."""
    parts = [(split, _rows(images), labels) for split, (images, labels) in splits.items()]
    # bytes are compared where the hashes are equal, as those differ between processes
    numbers = np.array([hash(bytes(row)) for _, rows, _ in parts for row in rows], np.int64)
    ordered = np.sort(numbers)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    again = iter(np.isin(numbers, twice).tolist() if twice.size else [])
    found = (
        (bytes(row), split, int(label), f"image {n:,} of {split}")
        for split, rows, labels in parts
        for n, (row, label) in enumerate(zip(rows, labels, strict=True))
        if next(again, False)
    )
    return list(repeated(found, "image", "pixels"))


def _rows(images: NDArray[np.uint8]) -> list[memoryview]:
    """Return the bytes of each image, without a copy."""
    content, size = np.ascontiguousarray(images).reshape(-1).data, images[0].size
    return [content[at : at + size] for at in range(0, len(content), size)]
