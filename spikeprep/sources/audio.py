"""Sound recordings of the user: a folder per class, or a table of files and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .labelled_source import LabelledSource
from .sound_files import SUFFIXES, SoundFiles


@dataclass(frozen=True)
class AudioFiles(LabelledSource, SoundFiles):
    """Sound files (WAV, FLAC, SPHERE, AIFF, Ogg) in a folder per class, or named in a CSV file.

    The folder holds ``CLASS/…``, or ``train/CLASS/…``, ``validation/CLASS/…`` and ``test/CLASS/…``, under the names
    that data sets give these splits (``training``, ``val``, ``TEST`` …); folders whose names begin with ``_`` or ``.``
    are ignored. A CSV file has the columns ``path`` (relative to its own folder), ``label`` and, where the data have a
    split, ``split``. Without a split, a share of each class is test, chosen by a seeded hash of the path, so that the
    choice is the same on every machine.
    """

    name: ClassVar[str] = "audio"

    @property
    def suffixes(self) -> Sequence[str]:
        """Endings of the names of sound files."""
        return SUFFIXES
