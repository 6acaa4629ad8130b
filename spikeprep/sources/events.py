"""Event recordings of the user: a folder per class, a table of files and labels, or files of many recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from ..errors import DataError, printable
from ..eventfiles.columns import ColumnFormat
from ..eventfiles.detect import build_format
from ..eventfiles.hdf5_collections import Hdf5Recordings
from ..input_files import InputFile
from .checked_files import Listing
from .collections import in_file_order, labelled_entries
from .event_collections import ENDINGS, entries_of, find_collections
from .event_parts import joined
from .event_recordings import EventFiles, Facts, bad_file, event_suffixes, events_of, with_settings
from .labelled_files import BadFile, LabelledFiles, Recording, bad_files_error, file_id, has_ending
from .labelled_source import LabelledSource

_HDF5 = "hdf5"


@dataclass(frozen=True)
class EventFolder(LabelledSource, EventFiles):
    """Event recordings of any format in a folder per class, or named in a CSV file; or HDF5 files of many recordings.

    The folder holds ``CLASS/…``, or ``train/CLASS/…``, ``validation/CLASS/…`` and ``test/CLASS/…``, under the names
    that data sets give these splits (``training``, ``val``, ``TEST`` …); folders whose names begin with ``_`` or ``.``
    are ignored. A CSV file has the columns ``path`` (relative to its own folder; or ``file``), ``label`` and, where the
    data have a split, ``split``. Without a split, a share of each class is test, chosen by a seeded hash of the path,
    so that the choice is the same on every machine.

    One HDF5 file, or a folder of one for each split (``TRAIN.h5``, ``TEST.h5``), may have all recordings: in a group
    per class, as aertb writes them, or with labels and splits, as torchneuromorphic does; see
    `spikeprep.eventfiles.hdf5_collections`.
    """

    name: ClassVar[str] = "events"
    other_layouts: ClassVar[str] = "an HDF5 file of CLASS/RECORDING"
    later_settings: ClassVar[tuple[str, ...]] = ("test_list",)
    intervals: ClassVar[bool] = True

    @property
    def suffixes(self) -> Sequence[str]:
        """Endings of the names of event files; none where the format is given: its files may have any."""
        return () if self.format else event_suffixes()

    @cached_property
    def _collections(self) -> dict[Path, str]:
        """File of many recordings → its split, empty where its name does not say one; none in other layouts."""
        return find_collections(self.path) if self.format in ("", _HDF5) else {}

    @cached_property
    def _opened(self) -> dict[Path, Hdf5Recordings]:
        """The files of many recordings, which stay open; opened on first use."""
        return {}

    @cached_property
    def _opening(self) -> Lock:
        return Lock()

    def _recordings(self, file: Path) -> Hdf5Recordings:
        with self._opening:
            if file not in self._opened:
                form = build_format(_HDF5, self.options)
                assert isinstance(form, ColumnFormat)
                try:
                    self._opened[file] = Hdf5Recordings(InputFile(file, self.limits), form, self._base)
                except DataError as error:
                    fix = with_settings(error.hint)
                    raise DataError(error.got, error.expected, fix[:1].upper() + fix[1:]) from error
            return self._opened[file]

    @property
    def _base(self) -> str:
        return str(self.options.get("group", ""))

    @cached_property
    def _files(self) -> LabelledFiles:
        if not self._collections:
            files = super()._files
            entries, findings = joined(files.entries)
            return replace(files, entries=entries, findings=[*files.findings, *findings])
        root = Path(self.path)
        folder = root.parent if root.is_file() else root
        entries, findings = [], []
        for file, split in self._collections.items():
            recordings = self._recordings(file)
            more, found = entries_of(file, split, file_id(file, folder), recordings, self._base)
            entries += more
            findings += found
        return labelled_entries(self, self._collections, entries, findings=findings)

    def listing(self) -> Listing:
        """List the recordings; those of files of many in the files' order, where that mixes the classes."""
        listing = super().listing()
        if not self._collections:
            return listing
        return replace(listing, recordings=in_file_order(listing.recordings))

    def signals_of(self, file: Path, note: str) -> Sequence[Any]:
        """See `Source.signals_of`: of an HDF5 file of many recordings, all of them; their labels are not needed."""
        members = self._many(file)
        if not members:
            return super().signals_of(file, note)
        ids = {name: printable(f"{file.name}@{name}") for name in members}
        checked = self._check_members(
            [Recording("test", file, 0, ids[name], member=name) for name in members]
        )
        if bad := [result for result in checked if isinstance(result, BadFile)]:
            raise bad_files_error(str(file), bad)
        return [events_of(result[1]) for result in checked if not isinstance(result, BadFile)]

    def _many(self, file: Path) -> list[str]:
        """Return the names of the recordings in a file of many, which stays open; none of another file."""
        if self.format not in ("", _HDF5) or not has_ending(file.name, ENDINGS) or not file.is_file():
            return []
        try:
            members = self._recordings(file).members
        except DataError:
            return []
        if len(members) < 2:
            self._opened.pop(file).close()
            return []
        return [member.name for member in members]

    def _check_members(self, recordings: Sequence[Recording]) -> Sequence[tuple[str, Facts] | BadFile]:
        opened = self._recordings(recordings[0].file)
        size = (self.size[0], self.size[1]) if self.size else None
        checked: list[tuple[str, Facts] | BadFile] = []
        for recording in recordings:
            try:
                scan = opened.scan(recording.member, size, self.invalid)
                checked.append((scan.sha256, scan))
            except DataError as error:
                where = printable(str(opened.path_of(recording.member)))
                checked.append(replace(bad_file(recording, error, where), file=recording.id))
        return checked
