"""Event recordings of the user: a folder per class, or a table of files and labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from ..config import Share
from ..registry import EVENT_FORMATS
from .checked_files import Listing
from .event_recordings import EventFiles
from .labelled_files import LabelledFiles, find_labelled_files


@dataclass(frozen=True)
class EventFolder(EventFiles):
    """Event recordings of any format in a folder per class, or named in a CSV file.

    The folder holds ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``; folders and files whose names begin with
    ``_`` or ``.`` are ignored. A CSV file has the columns ``path`` (relative to its own folder; or ``file``), ``label``
    and, where the data have a split, ``split`` (train or test). Without a split, a share of each class is test, chosen
    by a seeded hash of the path, so that the choice is the same on every machine.

    Parameters
    ----------
    test_share
        Share of each class that is test where the data have no split; may be 0.
    split_seed
        Seed of that choice.
    outside
        Whether a CSV file may name files that are not below its own folder, links resolved.
    """

    name: ClassVar[str] = "events"

    test_share: Share = 0.2
    split_seed: int = 0
    outside: bool = False

    @cached_property
    def _files(self) -> LabelledFiles:
        # files of a named format may have any ending
        suffixes = () if self.format else event_suffixes()
        return find_labelled_files(self.path, "recordings", suffixes, self.outside, self.limits)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, or the labels, sorted."""
        return self._files.classes

    def listing(self) -> Listing:
        """List the recordings, and choose the test share where the data have no split."""
        return Listing(self._files.recordings(self.test_share, self.split_seed), self._files.bad)


def event_suffixes() -> tuple[str, ...]:
    """Return the endings of the names of event files."""
    endings = {ending for name in EVENT_FORMATS.names() for ending in EVENT_FORMATS.get(name).extensions}
    return tuple(sorted(endings))
