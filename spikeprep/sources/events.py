"""Event recordings of the user: a folder per class, or a table of files and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .event_recordings import EventFiles, event_suffixes
from .labelled_source import LabelledSource


@dataclass(frozen=True)
class EventFolder(LabelledSource, EventFiles):
    """Event recordings of any format in a folder per class, or named in a CSV file.

    The folder holds ``CLASS/…``, or ``train/CLASS/…``, ``validation/CLASS/…`` and ``test/CLASS/…``, under the names
    that data sets give these splits (``training``, ``val``, ``TEST`` …); folders whose names begin with ``_`` or ``.``
    are ignored. A CSV file has the columns ``path`` (relative to its own folder; or ``file``), ``label`` and, where the
    data have a split, ``split``. Without a split, a share of each class is test, chosen by a seeded hash of the path,
    so that the choice is the same on every machine.
    """

    name: ClassVar[str] = "events"
    later_settings: ClassVar[tuple[str, ...]] = ("test_list",)
    intervals: ClassVar[bool] = True

    @property
    def suffixes(self) -> Sequence[str]:
        """Endings of the names of event files; none where the format is given: its files may have any."""
        return () if self.format else event_suffixes()
