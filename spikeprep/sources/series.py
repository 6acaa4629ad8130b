"""Time series of the user: files with many labelled series, a folder per class, or a table of files and labels."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config import Natural, NonNegative
from ..data import Frames, Sample
from ..errors import DataError, UsageError, printable
from ..text import listed
from .base import sample_digest
from .checked_files import CheckedFile, CheckedFiles
from .class_names import check_classes, check_spellings, read_class_names, sorted_classes
from .labelled_files import BadFile, Entry, GroupNumbers, LabelledFiles, Recording
from .labelled_source import LabelledSource
from .series_annotations import annotated_intervals, has_annotations
from .series_arrays import check_arrays
from .series_channels import MixedRates
from .series_data import Missing, Series, Window, filled, rising_evenly, windows
from .series_files import SUFFIXES, ReadingSettings, SeriesReader, find_collections, form_of_file
from .series_long_tables import LONG_NOTE
from .series_pairs import SplitFile
from .series_table_columns import Form, LabelColumn, TableSettings
from .series_wfdb import SUFFIX as WFDB_SUFFIX
from .series_wide_tables import WIDE_NOTE

_SHOWN = 6  # channels in a message


class SeriesFacts(NamedTuple):
    """Steps, channels and rate (Hz; 0: not stated) of a series, and how many of its values were missing.

    Names and units are those of its channels; empty where they have none. `rising` are the numbers of those that rise
    by the same in every step. The notes are those of their `SeriesFile`.
    """

    steps: int
    channels: int
    rate: float
    missing: int
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    rising: tuple[int, ...] = ()
    rate_note: str = ""
    table_note: str = ""


class _Member(NamedTuple):
    """A sample: its id, a recording or an interval of one, and its steps where it is a window of that."""

    id: str
    recording: CheckedFile[SeriesFacts]
    window: Window | None

    @property
    def steps(self) -> int:
        return self.window.stop - self.window.start if self.window else self.recording.facts.steps


@dataclass(frozen=True)
class SeriesSource(LabelledSource, CheckedFiles[SeriesFacts]):
    """Multi-channel time series: `Frames` (time, channel), of one length or of many.

    `path` is one of:

    - sktime's and aeon's ``PROBLEM_TRAIN.ts`` and ``PROBLEM_TEST.ts``, by their folder, or one ``.ts`` file;
    - a ``.npz`` or HDF5 file of arrays ``X`` (series, time[, channel]) and ``y`` (series,), or ``X_train``,
      ``y_train``, ``X_test``, ``y_test``; with ``groups``, ``split``, ``lengths`` of padded series, ``rate``; or a
      folder of ``train.npz`` and ``test.npz``;
    - a folder of values and labels in files of their own: ``X_train.npy``, ``y_train.npy``, ``X_test.npy``,
      ``y_test.npy``, or UCI HAR's, see `spikeprep.sources.series_pairs`;
    - a text file of many series, a row per step or a row per series, or two of them, ``PROBLEM_TRAIN.tsv`` and
      ``PROBLEM_TEST.tsv``, see `spikeprep.sources.series_tables`;
    - a folder per class, ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``, with a file per series: ``.npy``,
      ``.npz``, HDF5, EDF, BDF, a record of WFDB (``.hea``), or a text file of a line per step and a column per channel;
    - a CSV file with the columns ``path``, ``label`` and, where they are known, ``split`` and ``group``, or of
      intervals of recordings, with ``start_s`` and ``stop_s``;
    - with `annotations`, a recording of EDF, BDF or WFDB (``mit/100``, or its header), or a folder of them:
      the annotated intervals are the samples.

    Samples may be windows of the series: those of one series are one group, so that no split that is chosen, here or in
    training, cuts through it.

    Parameters
    ----------
    rate
        Steps per second, in Hz, ahead of what files state; 0: as they state, 1 Hz where none does. Nothing is
        resampled: the transform `resample` does.
    time_axis
        Whether time is the ``"first"`` or the ``"last"`` axis of a series in an array: (time, channel) or
        (channel, time).
    missing
        What stands in place of missing values: ``"refuse"`` (an error), ``"linear"`` (interpolated in time, the
        nearest at the ends), ``"previous"`` (the value before, the first one at the start) or ``"zero"``.
    window
        Steps of a sample that is a window of a series; 0: whole series. What remains at the end of a series is left
        out.
    overlap
        Steps that a window shares with the one before, fewer than `window`.
    problem
        Name of the data set in a folder that has several (``PROBLEM_TRAIN.ts``).
    arrays
        What an array means → its name, where names do not say so: ``values``, ``labels``, ``groups``, ``splits``,
        ``lengths``, ``rate``.
    channels
        Channels to take, in this order, by their names or by their numbers from 0; empty: all.
    mixed_rates
        What happens to the channels of a recording that have several rates: ``"refuse"`` (an error), or ``"linear"``:
        those of lower rates are interpolated to the highest.
    table
        What a text file is: ``"long"`` (a row per step), ``"wide"`` (a row per series), ``"files"`` (a table of files);
        empty: as its columns say. `columns` may then name ``"series"``, ``"time"``, ``"step"``, ``"channel"``,
        ``"kind"``, ``"value"``, ``"label"``, ``"split"``, ``"group"`` and ``"ignore"``; in text files of one series
        each, ``"time"``, ``"channel"`` and ``"ignore"``.
    label_column
        Which column of a wide table has the classes, ``"first"`` or ``"last"``; empty: as names and values say.
    annotations
        Labels of the annotations that are samples; ``["*"]``: all; empty: annotations are not used. The intervals of a
        recording are one group.
    around
        Seconds before and after an annotation of a moment, such as a heart beat, which are its sample.
    annotator
        Ending of the annotations beside records of WFDB.
    """

    name: ClassVar[str] = "series"
    other_layouts: ClassVar[str] = (
        "PROBLEM_TRAIN.ts and PROBLEM_TEST.ts, or a .npz or HDF5 file of X and y, or X_train.npy and y_train.npy, or a "
        "text file of many series"
    )
    intervals: ClassVar[bool] = True
    endings: ClassVar[str] = " ".join((*SUFFIXES, ".ts"))
    later_settings: ClassVar[tuple[str, ...]] = (
        "channels",
        "mixed_rates",
        "table",
        "label_column",
        "annotations",
        "around",
        "annotator",
    )
    choice_settings: ClassVar[tuple[str, ...]] = (
        "problem",
        "arrays",
        "table",
        "label_column",
        "annotations",
        "annotator",
    )

    rate: NonNegative = 0.0
    time_axis: Literal["first", "last"] = "first"
    missing: Missing = "refuse"
    window: Natural = 0
    overlap: Natural = 0
    problem: str = ""
    arrays: dict[str, Any] = field(default_factory=dict, hash=False)
    channels: tuple[str | int, ...] = ()
    mixed_rates: MixedRates = "refuse"
    table: Form = ""
    label_column: LabelColumn = ""
    annotations: tuple[str, ...] = ()
    around: tuple[NonNegative, ...] = ()
    annotator: str = "atr"

    def __post_init__(self) -> None:
        super().__post_init__()
        header = f"{self.path}{WFDB_SUFFIX}"
        if (
            self.path and not Path(self.path).exists() and Path(header).is_file()
        ):  # a record, as WFDB names it
            object.__setattr__(self, "path", header)
        check_arrays(self.arrays)
        if self.overlap and self.overlap >= self.window:
            got = f"got {self.name}.overlap = {self.overlap} and {self.name}.window = {self.window}"
            raise UsageError(got, "an overlap of fewer steps than the window")
        if self.around and (len(self.around) != 2 or not sum(self.around)):
            got = f"got {self.name}.around = {[*self.around]}"
            raise UsageError(got, "the seconds before and after a moment, such as [0.25,0.45]")
        if self.annotations and not (self.annotator.isalnum() and self.annotator.isascii()):
            got = f"got {self.name}.annotator = {self.annotator!r}"
            raise UsageError(got, "the ending of a file's name, such as atr")

    @property
    def table_columns(self) -> Mapping[str, Any]:
        """Those of `columns` that are of the table that lists the files: not those of a series."""
        of_series = ("time", "channel") if Path(self.path).is_file() else ("time", "channel", "ignore")
        return {name: meaning for name, meaning in self.columns.items() if meaning not in of_series}

    @property
    def suffixes(self) -> Sequence[str]:
        """Endings of files of one series."""
        return SUFFIXES

    @property
    def file_endings(self) -> Sequence[str]:
        """Endings of files of series."""
        return (*SUFFIXES, ".ts")

    @cached_property
    def _reader(self) -> SeriesReader:
        return SeriesReader(self._reading, self._collections if self.path else ())

    @property
    def _reading(self) -> ReadingSettings:
        return ReadingSettings(
            self.arrays,
            self.time_axis,
            self._tables,
            self.channels,
            self.mixed_rates,
            self.annotator if self.annotations else "",
            self.limits,
        )

    @property
    def _tables(self) -> TableSettings:
        return TableSettings(self.table, self.label_column, self.columns)

    @cached_property
    def _collections(self) -> Sequence[SplitFile]:
        """The files with many series that `path` means; none where it has a file per series."""
        return () if self.annotations else find_collections(self.path, self.problem, self._tables)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Id → number of the series in its file, of files with many series; filled with `_files`."""
        return {}

    @cached_property
    def _files(self) -> LabelledFiles:
        if self.annotations:
            return self._annotated()
        if not self._collections:
            try:
                return super()._files
            except DataError as error:
                if not has_annotations(self.path, self.annotator):
                    raise
                fix = 'To make samples of the annotated intervals, use source.annotations=["*"].'
                raise DataError(error.got, error.expected, f"{error.hint} {fix}".strip()) from error
        root = Path(self.path)
        folder = root.parent if root.is_file() else root
        entries: list[Entry] = []
        named: dict[Path, tuple[str, ...]] = {}
        for collection in self._collections:
            split, path = collection.split, collection.path
            file = self._reader.read(path)
            if not file.labelled:
                raise DataError(
                    f"{path} has {len(file.series):,} series and no labels",
                    "arrays X and y, or a folder per class with a file per series",
                    "Add the labels, or say which array has them: use source.arrays.labels=NAME.",
                )
            named[path] = file.classes
            for n, one in enumerate(file.series):
                if split and one.split and split != one.split:
                    got = f"{path} has series of the split {one.split}, and is of {split} by its name"
                    raise DataError(got, "one split", "Rename the file.")
                # the name alone: a store is the same, whichever folder above the files is given
                id_ = f"{collection.name or printable(path.name)}:{n}"
                self._numbers[id_] = n
                entries.append(Entry(split or one.split, path, one.label, id_, one.group))
        if any(e.split for e in entries) and not all(e.split for e in entries):
            raise DataError(
                f"{self.path} has splits of some series only", "of all or none", "Add the others."
            )
        classes = self._class_order(named, {entry.label for entry in entries}, folder)
        findings = [] if self.class_names else check_spellings(classes, self.path)
        return self._with_groups(self._with_lists(LabelledFiles(entries, classes, findings=findings), folder))

    def _annotated(self) -> LabelledFiles:
        """Return the annotated intervals of recordings, in steps."""
        entries, findings = annotated_intervals(
            self.path, self._reader.read, self.annotations, self.around, self.rate
        )
        root = Path(self.path)
        folder = root.parent if root.is_file() else root
        present = {entry.label for entry in entries}
        classes = read_class_names(self.class_names, folder, self.limits)
        if classes:
            check_classes(present, classes, self.path)
        files = LabelledFiles(entries, classes or sorted_classes(present), findings=findings)
        return self._with_groups(self._with_lists(files, folder))

    def _class_order(
        self, named: dict[Path, tuple[str, ...]], present: set[str], folder: Path
    ) -> tuple[str, ...]:
        if given := read_class_names(self.class_names, folder, self.limits):
            check_classes(present, given, self.path)
            return given
        (path, first), *others = named.items()
        for other, classes in others:
            if set(classes) != set(first):
                raise DataError(
                    f"{path} has the classes {listed(first)}, and {other} has {listed(classes)}",
                    "the same classes",
                    "Give files of one data set.",
                )
        return first or sorted_classes(present)

    def _series(self, recording: Recording) -> Series:
        """Return the series of a recording, and its file's rate; raises `BadFile`, `DataError`."""
        series = self._reader.read(recording.file).series
        if self._collections:
            return series[self._numbers[recording.id]]
        if not series:
            fix = "remove it, or use source.annotations=[…]"
            raise BadFile(recording.file_id, "has annotations, and no signals", fix)
        if len(series) > 1:
            fix = "save one series per file, or all of them in one .npz file of X and y"
            raise BadFile(recording.file_id, f"has {len(series):,} series, not one", fix)
        return series[0]

    def _values(self, recording: Recording) -> NDArray[np.float64]:
        """Return the values of a recording, or of an interval of one, NaN where one is missing; raises as `_series`."""
        values = self._series(recording).values
        if not recording.interval:
            return values
        start, stop = recording.interval
        if not self.annotations:  # of a table, in µs
            rate = self.rate or self._reader.read(recording.file).rate
            if not rate:
                fix = "state it in Hz: use source.rate=HZ"
                raise BadFile(recording.file_id, "states no rate, and the table has times", fix)
            # a step lies at or after a time, as an event does; times of steps are rounded to 1 ns
            start, stop = (math.ceil(round(time * rate / 1e6, 6)) for time in recording.interval)
        if stop > len(values) or start >= stop:
            end = f"ends at step {stop:,}" if stop > len(values) else "has no step"
            what = f"{end}, and the recording has {len(values):,}"
            raise BadFile(recording.id, what, "correct the times, or leave the interval out")
        return values[start:stop]

    def _check_intervals(
        self, recordings: Sequence[Recording]
    ) -> Sequence[tuple[str, SeriesFacts] | BadFile]:
        checked: list[tuple[str, SeriesFacts] | BadFile] = []
        for recording in recordings:
            try:
                checked.append(self._check_file(recording))
            except BadFile as bad:
                checked.append(bad)
            except DataError as error:
                checked.append(replace(BadFile.of(recording, error), file=recording.id))
        return checked

    def _check_file(self, recording: Recording) -> tuple[str, SeriesFacts]:
        """Return the sha256 of a series' values and its facts."""
        raw = self._values(recording)
        values, missing = filled(raw, self.missing, str(recording.file))
        steps, channels = values.shape
        if self.window > steps:
            fix = "lower source.window, or remove it"
            raise BadFile(recording.id, f"has {steps} steps, fewer than a window's {self.window}", fix)
        digest = hashlib.sha256(f"{raw.shape}".encode() + raw.tobytes()).hexdigest()
        file = self._reader.read(recording.file)
        return digest, SeriesFacts(
            steps,
            channels,
            file.rate,
            missing,
            file.channels,
            file.units,
            rising_evenly(values),
            file.rate_note,
            file.table_note,
        )

    def _find_outliers(self, files: Sequence[CheckedFile[SeriesFacts]]) -> Sequence[BadFile]:
        """Return the series of other channels than most, by number, name or unit, or of another rate."""
        if not files:
            return ()
        bad = []
        channels = Counter(file.facts.channels for file in files).most_common(1)[0][0]
        rates = Counter(file.facts.rate for file in files).most_common(1)[0][0]
        names = Counter(file.facts.names for file in files if file.facts.names).most_common(1)
        units = Counter(file.facts.units for file in files if file.facts.units).most_common(1)
        for file in files:
            if file.facts.channels != channels:
                what = f"has {file.facts.channels} channels, not {channels}"
                bad.append(BadFile(file.id, what, "give all series the same channels"))
            elif not self.rate and file.facts.rate != rates:
                what = f"states {_hertz(file.facts.rate)}, and most others {_hertz(rates)}"
                bad.append(
                    BadFile(file.id, what, "resample it, or use source.rate=HZ, which states one for all")
                )
            elif file.facts.names and file.facts.names != names[0][0]:
                what = (
                    f"has the channels {listed(file.facts.names, _SHOWN)}, not {listed(names[0][0], _SHOWN)}"
                )
                bad.append(
                    BadFile(file.id, what, "choose them by name, in one order: use source.channels=[…]")
                )
            elif file.facts.units and file.facts.units != units[0][0]:
                what = f"is in {listed(file.facts.units, _SHOWN)}, and most others in {listed(units[0][0], _SHOWN)}"
                bad.append(BadFile(file.id, what, "convert it, or leave it out"))
        return bad

    def _notes(self, files: Sequence[CheckedFile[SeriesFacts]]) -> Sequence[str]:
        notes = sorted({file.facts.table_note for file in files if file.facts.table_note})
        if self.rate:
            return notes
        if any(file.facts.rate for file in files):
            return [*notes, *sorted({file.facts.rate_note for file in files if file.facts.rate_note})]
        return (
            *notes,
            "no rate is stated: a step of a series is taken as 1 s (source.rate=HZ states it)",
        )

    def _findings(self, files: Sequence[CheckedFile[SeriesFacts]]) -> Sequence[str]:
        return [*super()._findings(files), *self._series_findings(files)]

    def _series_findings(self, files: Sequence[CheckedFile[SeriesFacts]]) -> Iterator[str]:
        filled_files = [file for file in files if file.facts.missing]
        if filled_files:
            values = sum(file.facts.missing for file in filled_files)
            names = listed([file.id for file in filled_files], 3)
            yield f"missing values filled ({self.missing}): {values:,} in {len(filled_files):,} series: {names}"
        if all(file.facts.steps < file.facts.channels for file in files):
            steps, channels = files[0].facts[:2]
            other = "last" if self.time_axis == "first" else "first"
            yield (
                f"every series has fewer steps than channels, such as {files[0].id} of {steps:,} steps and "
                f"{channels:,} channels: if these are the other way round, use source.time_axis={other}"
            )
        if rising := self._rising(files):
            channels_named = files[0].facts.names
            shown = listed([channels_named[n] if channels_named else f"number {n}" for n in rising], _SHOWN)
            others = [n for n in range(files[0].facts.channels) if n not in rising]
            fix = f"source.channels={others}".replace(" ", "") + " leaves them out"
            if channels_named:
                fix += "; in text files, source.columns.NAME=time takes the rate from one, =channel keeps it"
            yield f"channels that rise evenly in every series, as times and counters do: {shown}: {fix}"
        if self.window:
            stride = self.window - self.overlap
            rest = sum((file.facts.steps - self.window) % stride for file in files)
            total = sum(file.facts.steps for file in files)
            if rest > total / 10:
                yield f"steps at the ends of series that fill no window: {rest:,} of {total:,}"

    def _rising(self, files: Sequence[CheckedFile[SeriesFacts]]) -> list[int]:
        """Return the numbers of channels that rise by the same in every step, but for those that the user names."""
        if not files or self.channels:
            return []
        rising = set.intersection(*(set(file.facts.rising) for file in files))
        kept = {name for name, meaning in self.columns.items() if meaning == "channel"}
        names = files[0].facts.names
        return [n for n in sorted(rising) if not (names and names[n] in kept)]

    @cached_property
    def _members(self) -> dict[str, list[_Member]]:
        """Split → its samples: the series, or their windows, one series after another."""
        splits = {}
        for split, files in self._scan.files.items():
            members: list[_Member] = []
            for file in files:
                places = windows(file.facts.steps, self.window, self.overlap) if self.window else [None]
                members += [_Member(self._id(file, place), file, place) for place in places]
            splits[split] = members[: self.limit]
        return splits

    def _id(self, recording: Recording, window: Window | None) -> str:
        """Return the id of a sample: a file's path, ``:`` the number of its series, ``@`` an interval, ``@`` a window.

        Windows of an annotated interval, which is counted in steps, have those of the recording.
        """
        if not window:
            return recording.id
        if self.annotations and recording.interval:
            begin = recording.interval[0]
            return f"{recording.file_id}@{begin + window.start}-{begin + window.stop}"
        return f"{recording.id}@{window.start}-{window.stop}"

    def splits(self) -> dict[str, int]:
        """Return split name → number of samples."""
        return {split: len(members) for split, members in self._members.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one series, an interval of one, or a window of that."""
        member = self._members[split][index]
        recording = member.recording
        values, _ = filled(self._values(recording), self.missing, str(recording.file))
        if member.window:
            values = values[member.window.start : member.window.stop]
        return Sample(Frames(values, self._rate(recording.facts.rate)), recording.label, member.id)

    def outline(self, split: str, index: int) -> Frames:
        """Return zeros of a sample's shape, from the check of the file."""
        member = self._members[split][index]
        facts = member.recording.facts
        return Frames(_zeros(member.steps, facts.channels), self._rate(facts.rate))

    def _rate(self, stated: float) -> float:
        return self.rate or stated or 1.0

    @cached_property
    def _groups(self) -> GroupNumbers:
        recordings = self._listing.recordings
        if self.window:
            recordings = [replace(r, group=r.group or r.id) for r in recordings]
        return GroupNumbers(recordings)

    def group(self, split: str, index: int) -> int | None:
        """Return the number of a sample's group: of its series' group, or of the series of a window."""
        recording: Recording = self._members[split][index].recording
        if self.window:
            recording = replace(recording, group=recording.group or recording.id)
        return self._groups[recording]

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of what a sample was read from."""
        member = self._members[split][index]
        recording = member.recording
        return sample_digest(recording.sha256, recording.label, member.id, recording.group)

    def signals_of(self, file: Path, note: str) -> Sequence[Any]:
        """See `Source.signals_of`: one signal for each series of the file, or for each window of them."""
        reading = replace(self._reading, annotator="")
        encoded = "long" if LONG_NOTE in note else "wide" if WIDE_NOTE in note else ""
        if encoded and (form := form_of_file(file, self._tables)) == encoded:
            reading = replace(reading, tables=replace(self._tables, form=form))
        reader = SeriesReader(reading)
        content = reader.read(file)
        signals = []
        for one in content.series:
            values, _ = filled(one.values, self.missing, str(file))
            parts = [Window(0, len(values))]
            if self.window:
                parts = windows(len(values), self.window, self.overlap)
            rate = self._rate(content.rate)
            signals += [Frames(values[start:stop], rate) for start, stop in parts]
        if not signals:
            raise DataError(
                f"{file} has no window of {self.window} steps", "a longer series", "Leave it out."
            )
        return signals


def _zeros(steps: int, channels: int) -> NDArray[np.float64]:
    return np.broadcast_to(0.0, (steps, channels))


def _hertz(rate: float) -> str:
    return f"{rate:g} Hz" if rate else "no rate"
