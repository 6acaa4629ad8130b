"""Sound recordings of the user: a folder per class, or a table of files and labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..config import Share
from ..errors import DataError
from ..input_files import read_input
from .checked_files import Listing
from .labelled_files import LabelledFiles, find_labelled_files
from .sound_decoder import SUFFIXES
from .sound_files import SoundFiles


@dataclass(frozen=True)
class AudioFiles(SoundFiles):
    """Sound files (WAV, FLAC, MP3, SPHERE, AIFF, Ogg and others) in a folder per class, or named in a CSV file.

    The folder holds ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``; folders whose names begin with ``_`` or
    ``.`` are ignored. A CSV file has the columns ``path`` (relative to its own folder), ``label`` and, where the data
    have a split, ``split`` (train or test). Without a split, a share of each class is test, chosen by a seeded hash of
    the path, so that the choice is the same on every machine.

    Parameters
    ----------
    test_list
        A file inside the folder that names the test files, one per line (Speech Commands' ``testing_list.txt``).
    test_share
        Share of each class that is test where the data have no split; may be 0.
    split_seed
        Seed of that choice.
    outside
        Whether a CSV file may name files that are not below its own folder, links resolved.
    """

    name: ClassVar[str] = "audio"

    test_list: str = ""
    test_share: Share = 0.2
    split_seed: int = 0
    outside: bool = False

    @cached_property
    def _files(self) -> LabelledFiles:
        files = find_labelled_files(self.path, "recordings", SUFFIXES, self.outside, self.limits)
        if not self.test_list:
            return files
        test_list = Path(self.path) / self.test_list
        if not test_list.is_file():
            raise DataError(
                f"{test_list} does not exist", "a file that names the test files, one per line",
                "Add it, or leave source.test_list empty.",
            )  # fmt: skip
        try:
            text = read_input(test_list, self.limits).data.decode("utf-8")
        except UnicodeDecodeError as error:
            fix = "Give a file that names the test files, one per line."
            raise DataError(f"{test_list} is no text ({error})", "UTF-8", fix) from error
        test = {line.strip() for line in text.splitlines()}
        entries = [e._replace(split="test" if e.id in test else "train") for e in files.entries]
        return replace(files, entries=entries)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, or the labels, sorted."""
        return self._files.classes

    def listing(self) -> Listing:
        """List the recordings, and choose the test share where the data have no split."""
        return Listing(self._files.recordings(self.test_share, self.split_seed), self._files.bad)
