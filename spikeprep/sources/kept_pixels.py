"""What sources of images and of videos share: how many pixels they keep, and findings on their range."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from .checked_files import CheckedFile, CheckedFiles
from .image_files import Picture, brighter
from .levels import Groups
from .pixel_range import PixelRanges


class Room:
    """Bytes that threads take from until there are too few."""

    def __init__(self, size: int) -> None:
        self._left, self._lock = size, threading.Lock()

    def take(self, size: int) -> bool:
        """Take `size` bytes; return whether there were so many."""
        with self._lock:
            enough = size <= self._left
            self._left -= size if enough else 0
        return enough


def range_findings(
    source: CheckedFiles[Any],
    noun: str,
    files: Sequence[CheckedFile[Any]],
    pictures: Sequence[Picture],
    stated: bool,
) -> list[str]:
    """Return what deserves attention in the range of pixels; raises `DataError` where pictures are nearly black.

    Parameters
    ----------
    source
        Of the files.
    noun
        What the files are, in the plural.
    files, pictures
        The files, and the facts of the picture of each.
    stated
        Whether the user stated which value is white.
    """
    labels, splits = [file.label for file in files], [file.split for file in files]
    ranges = PixelRanges(
        source.path,
        Groups.of(noun, [p.kind for p in pictures], splits, labels, source.classes),
        np.array([picture.brightest for picture in pictures], np.float64),
        np.array([picture.white for picture in pictures], np.float64),
        stated,
        np.array([picture.bulk for picture in pictures], np.float64),
        lambda n: files[n].id,
        brighter,
    )
    return ranges.findings()
