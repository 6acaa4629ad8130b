"""Spikes that are spikes already: SHD, SSC and others in one file, or a file per recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, ClassVar, Literal

from ..config import Meta
from ..data import Events, Sample
from ..errors import DataError, UsageError
from ..eventfiles.base import empty_events
from ..input_files import InputFile, changed
from ..text import listed
from .checked_files import CheckedFile, CheckedFiles, Listing
from .collections import in_file_order, labelled_entries, split_files
from .labelled_files import BadFile, Entry, LabelledFiles, Recording, file_id, files_in, has_ending, is_hidden
from .labelled_source import LabelledSource
from .spike_events import MOST_UNITS, Rules, SpikeFacts, Unit, coarse, events_of
from .spike_layouts import SpikeFile, joined
from .split_names import is_split_like

_MANY = (".h5", ".hdf5", ".hdf", ".nwb", ".npz")  # endings of files that may have many recordings
_PACKED = tuple(f"{ending}{packed}" for ending in _MANY for packed in (".gz", ".zip", ".xz", ".bz2"))
_SHOWN = 3  # recordings in one finding
_TWO = "Name the data set by the beginning of its files: use source.prefix=…; or move one of them away."


@dataclass(frozen=True)
class Spikes(LabelledSource, CheckedFiles[SpikeFacts]):
    """Recordings of spikes: (unit, time) lists; a sample's signal is `Events` of one row, a column per unit.

    Either files of many recordings with their labels, in the layout of SHD and SSC, in arrays with an index, or in NWB
    with a table of trials: one file, of which a share of each class is test, or one for each split, whose names say
    which (``shd_train.h5``, ``ssc_valid.h5``). Or a file per recording, in a folder per class or named in a CSV file.
    See `spikeprep.sources.spike_layouts` for the arrays, which HDF5 and .npz may hold; single recordings may also be
    .npy or CSV of units and times.

    Parameters
    ----------
    units
        Number of units; 0: as the files state it.
    time_unit
        Unit of times: ``"s"``, ``"ms"``, ``"us"`` or ``"ns"``; empty: what the file states, or seconds where they are
        floating-point numbers.
    invalid
        What happens to spikes whose time is not finite or negative, or whose unit does not exist: ``"fail"`` or
        ``"drop"``.
    label_array, group_array
        Name of the array of labels, and of groups such as speakers, where it is no usual one.
    prefix
        What the names of files begin with, in a folder of several data sets.
    """

    name: ClassVar[str] = "spikes"
    files_are: ClassVar[str] = "recordings"
    endings: ClassVar[str] = ".h5 .hdf5 .nwb .npz .npy .csv .txt"
    later_settings: ClassVar[tuple[str, ...]] = ("test_list",)
    choice_settings: ClassVar[tuple[str, ...]] = ("label_array", "group_array", "prefix")

    units: Annotated[int, Meta(ge=0, le=MOST_UNITS - 1)] = 0
    time_unit: Unit = ""
    invalid: Literal["fail", "drop"] = "fail"
    label_array: str = ""
    group_array: str = ""
    prefix: str = ""

    @property
    def suffixes(self) -> Sequence[str]:
        """Endings of the names of files of spikes."""
        return tuple(self.endings.split())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prefix != Path(self.prefix).name:
            raise UsageError(f"got spikes.prefix = {self.prefix!r}", "the beginning of a file's name")

    @cached_property
    def _lock(self) -> Lock:
        return Lock()

    @cached_property
    def _collections(self) -> dict[Path, str]:
        """File of many recordings → its split, empty where its name does not say one; none in other layouts."""
        root = Path(self.path)
        if root.is_file():
            return {root: ""} if has_ending(root.name, _MANY) else {}
        if not self.path or not root.is_dir():
            return {}
        names = [f for f in files_in(root) if not is_hidden(f.name) and f.name.startswith(self.prefix)]
        files = [f for f in names if f.is_file() and has_ending(f.name, _MANY)]
        if not files:
            self._check_unpacked(root, names)
            return {}
        if any(f.is_dir() for f in names) and not any(is_split_like(f.stem) for f in files):
            return {}  # folders of classes, with something beside them
        if len(files) == 1:
            return {files[0]: ""}
        return split_files(
            root,
            files,
            _TWO,
        )

    def _check_unpacked(self, root: Path, names: Sequence[Path]) -> None:
        """Raise `DataError` where files are there and packed, or have other names than `prefix`."""
        packed = [f.name for f in names if has_ending(f.name, _PACKED)]
        if packed:
            tool = "gunzip" if packed[0].endswith(".gz") else "unzip"
            fix = f"Unpack them, such as: {tool} {root / packed[0]}"
            raise DataError(f"{root} has packed files: {listed(packed)}", "unpacked ones", fix)
        if self.prefix:
            others = [f.name for f in files_in(root) if has_ending(f.name, _MANY)]
            fix = "Give the folder that holds them as source=FOLDER, or use source.prefix=… for other names."
            got = (
                f"{root} has no files {self.prefix}….h5 (it has {listed(others) or 'no HDF5 or .npz files'})"
            )
            raise DataError(got, f"files such as {self.prefix}_train.h5", fix)

    @cached_property
    def _open_files(self) -> dict[Path, SpikeFile]:
        """The files of many recordings, which stay open; opened on first use."""
        return {}

    def _open(self, file: Path) -> SpikeFile:
        return SpikeFile(InputFile(file, self.limits), self.label_array, self.group_array)

    def _opened(self, file: Path) -> SpikeFile:
        with self._lock:
            if file not in self._open_files:
                self._open_files[file] = self._open(file)
            return self._open_files[file]

    @cached_property
    def _files(self) -> LabelledFiles:
        if not self._collections:
            return super()._files
        root = Path(self.path)
        folder = root.parent if root.is_file() else root
        entries = []
        files = {file: self._opened(file) for file in self._collections}
        for file, opened in files.items():
            if opened.labels is None:
                raise DataError(
                    f"{file} has no labels of its recordings, {opened.count:,}",
                    "an array labels, one for each recording",
                    "Name it as source.label_array=NAME; or put a file for each recording into a folder per class.",
                )
            id_ = file_id(file, folder)
            entries += [
                Entry(self._collections[file], file, label, f"{id_}@{n}", group, (n, n + 1))
                for n, (label, group) in enumerate(zip(opened.labels, opened.groups, strict=True))
            ]
        return labelled_entries(self, self._collections, entries, joined(list(files.values())))

    def listing(self) -> Listing:
        """List the recordings; those of files of many in the files' order, where that mixes the classes.

        Reading is then faster. Files that have their classes one after the other are shuffled, as all others are.
        """
        listing = super().listing()
        if not self._collections:
            return listing
        return replace(listing, recordings=in_file_order(listing.recordings))

    def _check_file(self, recording: Recording) -> tuple[str, SpikeFacts]:
        if not recording.file.exists():
            raise BadFile(recording.file_id, "does not exist", "correct the table, or fetch the file")
        opened = self._open(recording.file)
        try:
            if opened.count != 1:
                fix = "give this file as source=FILE, or a folder of such files"
                raise BadFile(recording.file_id, f"has {opened.count:,} recordings", fix)
            facts = self._facts(opened, 0, f"{recording.file}")
            return opened.sha256(), facts
        finally:
            opened.close()

    def _check_intervals(self, recordings: Sequence[Recording]) -> Sequence[tuple[str, SpikeFacts] | BadFile]:
        opened = self._opened(recordings[0].file)
        checked: list[SpikeFacts | BadFile] = []
        for recording in recordings:
            try:
                checked.append(self._facts(opened, _number(recording), _where(recording)))
            except DataError as error:
                what = error.got.removeprefix(_where(recording)).lstrip(": ")
                expected = f" (expected {error.expected})" if error.expected else ""
                checked.append(BadFile(recording.id, what + expected, error.hint.rstrip(".")))
        sha256 = opened.sha256()
        return [facts if isinstance(facts, BadFile) else (sha256, facts) for facts in checked]

    def _check_alone(self, recording: Recording) -> CheckedFile[SpikeFacts] | BadFile:
        """Check one recording, also of a file of many: others need not be read for it."""
        return self._try_check([recording])[0]

    def _rules(self, opened: SpikeFile) -> Rules:
        unit = self.time_unit or opened.time_unit.unit
        if not unit:
            raise DataError(
                f"{opened.file.path} has times in whole numbers of an unknown unit",
                "s, ms, us or ns",
                'Give their unit: use source.time_unit="us", "ms", "s" or "ns".',
            )
        return Rules(self.units or opened.units, unit, self.invalid == "drop")

    def _facts(self, opened: SpikeFile, number: int, where: str) -> SpikeFacts:
        rules = self._rules(opened)
        _, facts = events_of(opened.read(number), rules, where)
        why = "" if self.time_unit else opened.time_unit.why
        notes = [f"times are in {rules.unit}, {why}"] if why else []
        return facts._replace(units=rules.units, note="; ".join(filter(None, [*notes, opened.note])))

    def _find_outliers(self, files: Sequence[CheckedFile[SpikeFacts]]) -> Sequence[BadFile]:
        """Return the files of another number of units; raises `DataError` where none states it."""
        if self.units or not files:
            return ()
        stated = {file.facts.units: file for file in files}
        if list(stated) == [0]:
            largest = max(file.facts.largest for file in files)
            raise DataError(
                f"{self.path} does not say how many units there are (the largest is {largest})",
                "the number of units",
                f"Use source.units={max(largest, 0) + 1}, or more.",
            )
        common = max(stated, key=lambda units: sum(file.facts.units == units for file in files))
        fix = f"use source.units={max(stated)}"
        others = [file for file in files if file.facts.units != common]
        return [BadFile(f.file_id, f"has {f.facts.units} units, not {common}", fix) for f in others]

    def _notes(self, files: Sequence[CheckedFile[SpikeFacts]]) -> Sequence[str]:
        """Return what was decided from the data, such as the unit of times."""
        return list(dict.fromkeys(file.facts.note for file in files if file.facts.note))

    def _findings(self, files: Sequence[CheckedFile[SpikeFacts]]) -> Sequence[str]:
        """Return what deserves attention: spikes dropped or sorted, silent recordings, coarse times."""
        findings = []
        if spikes := sum(file.facts.dropped for file in files):
            of = [file for file in files if file.facts.dropped]
            findings.append(f"spikes dropped, of wrong times or units: {spikes:,}, in {_shown(of)}")
        for what, of in (
            ("times out of order, which were sorted", [file for file in files if file.facts.unsorted]),
            ("no spikes", [file for file in files if not file.facts.spikes]),
            ("float16 times with steps of more than 1 ms", [file for file in files if coarse(file.facts)]),
        ):
            if of:
                findings.append(f"recordings with {what}: {_shown(of)} of {len(files):,}")
        return findings

    def read(self, split: str, index: int) -> Sample:
        """Return one recording; its id is the file's path inside the source and, of many, its number in the file."""
        file = self._file(split, index)
        if file.interval:
            events = self._events(self._opened(file.file), _number(file), _where(file))
        else:
            opened = self._open(file.file)
            try:
                events = self._events(opened, 0, f"{file.file}")
                if opened.sha256() != file.sha256:
                    raise changed(file.file)
            finally:
                opened.close()
        return Sample(events, file.label, file.id)

    def _events(self, opened: SpikeFile, number: int, where: str) -> Events:
        rules = self._rules(opened)
        events, facts = events_of(opened.read(number), rules, where)
        size = (rules.units or max(facts.largest, 0) + 1, 1)
        return Events((events,), size, 1, duration=facts.length, checked=True)

    def outline(self, split: str, index: int) -> Events:
        """Return a recording's size and duration without its spikes, from the check of the file."""
        facts = self._file(split, index).facts
        size = (facts.units or max(facts.largest, 0) + 1, 1)
        return Events((empty_events(),), size, 1, duration=facts.length, checked=True)

    @property
    def file_endings(self) -> Sequence[str]:
        """Endings of the names of files of spikes."""
        return self.suffixes

    def signals_of(self, file: Path, note: str) -> Sequence[Any]:
        """See `Source.signals_of`: every recording of the file; labels are not needed."""
        opened = self._open(file)
        try:
            where = f"{file}" if opened.count == 1 else f"{file}, recording {{}}"
            return [self._events(opened, n, where.format(n)) for n in range(opened.count)]
        finally:
            opened.close()


def _number(recording: Recording) -> int:
    """Return the number of a recording in its file."""
    assert recording.interval
    return recording.interval[0]


def _where(recording: Recording) -> str:
    return f"{recording.file}, recording {_number(recording)}"


def _shown(files: Sequence[Recording]) -> str:
    return listed([file.id for file in files], _SHOWN)
