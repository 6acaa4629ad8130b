"""Sources of recordings in files: every file is read once and checked before anything is encoded."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import DataError, printable
from ..system import cores
from .base import FileSource, LimitedFiles, sample_digest
from .labelled_files import (
    BadFile,
    GroupNumbers,
    Recording,
    SeenFiles,
    bad_files_error,
    bad_files_findings,
    by_split,
    lines_digest,
)
from .repeated_files import repeated_files

Facts = TypeVar("Facts")
"""What a source keeps of the check of a file."""


@dataclass(frozen=True)
class Listing:
    """The recordings of a source, by name alone.

    Attributes
    ----------
    recordings
        The files.
    bad
        Files that cannot be used.
    note
        What was decided from the data, for the user.
    findings
        What deserves the user's attention, one text each.
    """

    recordings: Sequence[Recording]
    bad: Sequence[BadFile] = ()
    note: str = ""
    findings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class CheckedFile(Recording, Generic[Facts]):
    """A recording that can be used: its sha256, and the facts of its check."""

    sha256: str
    facts: Facts


@dataclass(frozen=True)
class _Scan(Generic[Facts]):
    """The files of every split that can be used, those that cannot, and what deserves the user's attention."""

    files: dict[str, list[CheckedFile[Facts]]]
    bad: Sequence[BadFile]
    findings: Sequence[str]


@dataclass(frozen=True)
class CheckedFiles(FileSource, LimitedFiles, Generic[Facts]):
    """Base of the sources of recordings in files.

    Parameters
    ----------
    path
        Folder of the files.
    skip_bad
        Whether to leave out files that cannot be used, with a record in the store, instead of refusing.
    licence
        Licence note kept with the store.
    """

    endings: ClassVar[str] = ""  # of the files' names, for messages
    choice_settings: ClassVar[tuple[str, ...]] = ("skip_bad",)

    path: str = ""
    skip_bad: bool = False
    licence: str = ""

    @abstractmethod
    def listing(self) -> Listing:
        """List the files of `path` without opening them; raises `DataError` where there are none."""

    @abstractmethod
    def _check_file(self, recording: Recording) -> tuple[str, Facts]:
        """Read and check one file; return its sha256 and facts; raises `BadFile`."""

    def _check_intervals(self, recordings: Sequence[Recording]) -> Sequence[tuple[str, Facts] | BadFile]:
        """Read and check a file once for all of its intervals that are given; as `_check_file` for each of them.

        Sources that list intervals implement this.
        """
        raise NotImplementedError

    def _check_members(self, recordings: Sequence[Recording]) -> Sequence[tuple[str, Facts] | BadFile]:
        """Read and check recordings that a file has by name, some of them or all; as `_check_file` for each of them.

        Sources that list such recordings implement this.
        """
        raise NotImplementedError

    def _find_outliers(self, files: Sequence[CheckedFile[Facts]]) -> Sequence[BadFile]:
        """Return the files that do not go with the others."""
        return ()

    def _notes(self, files: Sequence[CheckedFile[Facts]]) -> Sequence[str]:
        """Return what was decided from the content of files that can be used, one text each."""
        return ()

    def _findings(self, files: Sequence[CheckedFile[Facts]]) -> Sequence[str]:
        """Return what deserves the user's attention in files that can be used, one text each."""
        return ()

    _given: ClassVar[Listing | None] = None  # set on the copies that `signals_of` makes

    @cached_property
    def _listing(self) -> Listing:
        return self._given or self.listing()

    @cached_property
    def _listed(self) -> dict[str, list[Recording]]:
        return by_split(self._listing.recordings)

    @cached_property
    def _scan(self) -> _Scan[Facts]:
        """Read every file once; raises `DataError` for all bad files together unless `skip_bad`.

        With a limit, files are checked in their order until each split has enough that can be used.
        """
        unchecked = list(self._listing.recordings)
        good: list[CheckedFile[Facts]] = []
        bad: list[BadFile] = []
        outliers: Sequence[BadFile] = ()
        with ThreadPoolExecutor(cores()) as pool:
            while batch := self._next_batch(unchecked, good, outliers):
                for result in self._check_all(pool, batch):
                    if isinstance(result, BadFile):
                        bad.append(result)
                    else:
                        good.append(result)
                outliers = self._find_outliers(good)
                if not self.skip_bad and (bad or outliers):
                    break
        outlier_ids = {file.file for file in outliers}
        good = [file for file in good if file.id not in outlier_ids]
        # a file that is damaged is so for each of its intervals: it is named once
        bad = list(dict.fromkeys([*self._listing.bad, *bad, *outliers]))
        if bad and (not self.skip_bad or not good):
            raise self._refusal(bad, skippable=not self.skip_bad and bool(good or unchecked))
        if not good:
            hint = "Give their folder as source=FOLDER."
            raise DataError(f"{self.path} has no recordings", f"files ending in {self.endings}", hint)
        findings = [
            *self._listing.findings,
            *self._findings(good),
            *repeated_files((file.sha256, file) for file in good),
        ]
        return _Scan(by_split(good, self.limit), bad, [*findings, *bad_files_findings(bad)])

    def _next_batch(
        self,
        unchecked: list[Recording],
        good: Sequence[CheckedFile[Facts]],
        outliers: Sequence[BadFile],
    ) -> list[Recording]:
        """Take the recordings to check next from `unchecked`, as many as the splits lack."""
        outlier_ids = {file.file for file in outliers}
        number = Counter(file.split for file in good if file.id not in outlier_ids)
        batch, rest = [], []
        for recording in unchecked:
            if self.limit is None or number[recording.split] < self.limit:
                batch.append(recording)
                number[recording.split] += 1
            else:
                rest.append(recording)
        unchecked[:] = rest
        return batch

    def _check_all(
        self, pool: ThreadPoolExecutor, recordings: Sequence[Recording]
    ) -> list[CheckedFile[Facts] | BadFile]:
        """Check recordings, the intervals of a file in one pass; return what each is."""
        files: dict[object, list[int]] = {}
        for n, recording in enumerate(recordings):
            files.setdefault(recording.file if recording.interval or recording.member else n, []).append(n)
        checked = pool.map(self._try_check, ([recordings[n] for n in numbers] for numbers in files.values()))
        results = dict(pair for pairs in map(zip, files.values(), checked) for pair in pairs)
        return [results[n] for n in range(len(recordings))]

    def _try_check(self, recordings: Sequence[Recording]) -> Sequence[CheckedFile[Facts] | BadFile]:
        """Check one file: the recordings are it, or intervals of it."""
        first = recordings[0]
        checked: Sequence[tuple[str, Facts] | BadFile]
        try:
            if first.member:
                checked = self._check_members(recordings)
            elif first.interval:
                checked = self._check_intervals(recordings)
            else:
                checked = [self._check_file(first)]
        except BadFile as bad:
            return [bad] * len(recordings)
        except DataError as error:
            return [BadFile.of(first, error)] * len(recordings)
        except OSError as error:
            fix = "check the disk and the permissions"
            return [BadFile(first.file_id, f"cannot be read ({error.strerror})", fix)] * len(recordings)
        return [
            found
            if isinstance(found, BadFile)
            else CheckedFile(**vars(recording), sha256=found[0], facts=found[1])
            for recording, found in zip(recordings, checked, strict=True)
        ]

    def _refusal(self, bad: Sequence[BadFile], skippable: bool = True) -> DataError:
        """Return one error for all bad files; `skippable`: whether others are there, and bad ones can be left out."""
        hint = "Or leave such files out, with a record in the store: use source.skip_bad=true."
        hint = hint if skippable else ""
        return bad_files_error(self.path, bad, hint)

    def _recording(self, split: str, index: int) -> Recording:
        """Return a sample's file; without a scan before, as in another process, the list of files decides."""
        if self.skip_bad or "_scan" in vars(self):
            return self._scan.files[split][index]
        if self._listing.bad:
            raise self._refusal(self._listing.bad)
        return self._listed[split][index]

    @cached_property
    def _seen(self) -> SeenFiles:
        return SeenFiles()

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of what a sample was read from."""
        recording = self._recording(split, index)
        sha256 = recording.sha256 if isinstance(recording, CheckedFile) else self._seen.get(recording)
        return sample_digest(sha256, recording.label, recording.id, recording.group) if sha256 else b""

    @cached_property
    def _groups(self) -> GroupNumbers:
        return GroupNumbers(self._listing.recordings)

    def group(self, split: str, index: int) -> int | None:
        """Return the number of a sample's group, by the names of the files alone; None where there are no groups."""
        return self._groups[self._recording(split, index)]

    def _file(self, split: str, index: int) -> CheckedFile[Facts]:
        """Return a sample's file with its facts; without a scan before, it alone is checked."""
        recording = self._recording(split, index)
        result = recording if isinstance(recording, CheckedFile) else self._check_alone(recording)
        if isinstance(result, BadFile):
            raise self._refusal([result])
        self._seen.check(result, result.sha256)
        return result

    def _check_alone(self, recording: Recording) -> CheckedFile[Facts] | BadFile:
        """Check a file without a scan before; of one with intervals, all of them, once."""
        if not recording.interval:
            return self._try_check([recording])[0]
        with self._lock:
            if recording.id not in self._checked_intervals:
                intervals = self._intervals[recording.file]
                results = self._try_check(intervals)
                self._checked_intervals.update(zip((i.id for i in intervals), results, strict=True))
            return self._checked_intervals[recording.id]

    @cached_property
    def _lock(self) -> Lock:
        return Lock()

    @cached_property
    def _checked_intervals(self) -> dict[str, CheckedFile[Facts] | BadFile]:
        """Id → the check of an interval, where there was no scan."""
        return {}

    @cached_property
    def _intervals(self) -> dict[Path, list[Recording]]:
        """File → its intervals."""
        intervals: dict[Path, list[Recording]] = {}
        for recording in self._listing.recordings:
            intervals.setdefault(recording.file, []).append(recording)
        return intervals

    def signals_of(self, file: Path, note: str) -> Sequence[Any]:
        """See `Source.signals_of`: one signal; the file is checked like every other one."""
        alone = copy.copy(self)  # without caches
        recording = Recording("test", file, 0, printable(file.name))
        result = alone._try_check([recording])[0]
        if isinstance(result, BadFile):
            raise DataError(f"{file} {result.what}", "", f"Fix: {result.fix}.")
        for name, value in (("skip_bad", False), ("_given", Listing([result]))):
            object.__setattr__(alone, name, value)
        return [alone.read("test", 0).signal]

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of recordings."""
        return {split: len(files) for split, files in self._scan.files.items()}

    def provenance(self) -> dict[str, Any]:
        """Return the licence note, one sha256 over the sha256 and id of every file, findings and files left out."""
        scan = self._scan
        lines = (f"{file.sha256}  {file.id}\n" for files in scan.files.values() for file in files)
        facts: dict[str, Any] = {"licence": self.licence, "sha256": lines_digest(lines)}
        notes = [self._listing.note] if self._listing.note else []
        notes += self._notes([file for files in scan.files.values() for file in files])
        if notes:
            facts["note"] = "; ".join(notes)
        if scan.findings:
            facts["findings"] = list(scan.findings)
        if scan.bad:
            facts["left_out"] = [str(file) for file in scan.bad]
        return facts
