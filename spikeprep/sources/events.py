"""Your own event recordings: a folder per class, or a table of files and labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from ..registry import EVENT_FORMATS
from .checked_files import Listing
from .event_recordings import EventFiles
from .labelled_files import Found, check_share, find


@dataclass(frozen=True)
class EventFolder(EventFiles):
    """Event recordings of any format in a folder per class, or named in a CSV file.

    The folder holds ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``; folders and files whose names begin with
    ``_`` or ``.`` are passed over. A CSV file has the columns ``path`` (from its own folder on; or ``file``), ``label``
    and, where the data has its own split, ``split`` (train or test). Without a split of its own a share of each class
    is test, chosen by a seeded hash of the path, so that the choice is the same on every machine.

    Parameters
    ----------
    test_share
        Share of each class that is test where nothing else says so; may be 0.
    split_seed
        Another number gives another choice.
    """

    name: ClassVar[str] = "events"

    test_share: float = 0.2
    split_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.name, self.test_share)

    @cached_property
    def _found(self) -> Found:
        # a format that was named may have any ending
        return find(self.path, "recordings", () if self.format else event_suffixes())

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, or the labels, sorted."""
        return self._found.classes

    def listing(self) -> Listing:
        """Find the recordings, and choose the test share where the data has no split."""
        return Listing(self._found.divided(self.test_share, self.split_seed), self._found.faults)


def event_suffixes() -> tuple[str, ...]:
    """Return what the names of event files end in."""
    endings = {ending for name in EVENT_FORMATS.names() for ending in EVENT_FORMATS.get(name).extensions}
    return tuple(sorted(endings))
