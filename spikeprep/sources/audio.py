"""Your own recordings: a folder per class, or a table of files and labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..errors import DataError
from .checked_files import Listing
from .labelled_files import Found, check_share, find
from .sound_files import SUFFIXES, Sounds


@dataclass(frozen=True)
class AudioFiles(Sounds):
    """Sound files (WAV, FLAC, SPHERE, AIFF, Ogg) in a folder per class, or named in a CSV file.

    The folder holds ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``; folders whose names begin with ``_`` or
    ``.`` are passed over. A CSV file has the columns ``path`` (from its own folder on), ``label`` and, where the data
    has its own split, ``split`` (train or test). Without a split of its own a share of each class is test, chosen by a
    seeded hash of the path, so that the choice is the same on every machine.

    Parameters
    ----------
    test_list
        A file inside the folder that names the test files, one a line (Speech Commands' ``testing_list.txt``).
    test_share
        Share of each class that is test where nothing else says so; may be 0.
    split_seed
        Another number gives another choice.
    """

    name: ClassVar[str] = "audio"

    test_list: str = ""
    test_share: float = 0.2
    split_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.name, self.test_share)

    @cached_property
    def _found(self) -> Found:
        found = find(self.path, "recordings", SUFFIXES)
        if not self.test_list:
            return found
        listed = Path(self.path) / self.test_list
        if not listed.is_file():
            raise DataError(
                f"{listed} is not there", "a file that names the test files, one a line",
                "Add it, or leave source.test_list empty.",
            )  # fmt: skip
        test = {line.strip() for line in listed.read_text(encoding="utf-8").splitlines()}
        entries = [e._replace(split="test" if e.id in test else "train") for e in found.entries]
        return replace(found, entries=entries)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, or the labels, sorted."""
        return self._found.classes

    def listing(self) -> Listing:
        """Find the recordings, and choose the test share where the data has no split."""
        return Listing(self._found.divided(self.test_share, self.split_seed), self._found.faults)
