"""Base of the sources of event recordings in files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

from ..data import Events, Sample
from ..errors import DataError, UsageError, near_miss
from ..eventfiles import EventFormat, IntervalScan, Invalid, Scan, scan, scan_intervals
from ..eventfiles.detect import build_format, formats
from ..registry import EVENT_FORMATS
from ..text import listed
from .base import Size
from .checked_files import CheckedFile, CheckedFiles
from .labelled_files import BadFile, Recording

IN_MEMORY_EVENTS = 1 << 18
"""Events (16 bytes each, 4 MiB) of the largest recording that is read into memory, and of a piece of larger ones."""

_SHOWN = 3  # changed files in one note
_ARGUMENT = re.compile(
    r"(?<![.\w])([a-z_]+)=(\([^)]*\)|'[^']*'|-?[\w…]+)"
)  # in hints of `spikeprep.eventfiles`


Facts = Scan | IntervalScan
"""What the check of a recording, or of an interval of one, finds."""


@dataclass(frozen=True)
class EventFiles(CheckedFiles[Facts]):
    """Base of the sources of event recordings; a sample's signal is `Events`, streamed where they are many.

    Parameters
    ----------
    size
        (width, height) of the sensor in pixels, for files that do not state it or state it wrong.
    invalid
        What happens to invalid events and truncated files: "fail", "clip" or "drop", see
        `spikeprep.eventfiles.Invalid`. What was changed is recorded in the store.
    format
        A name in `spikeprep.registry.EVENT_FORMATS`; empty: each file's content and ending decide.
    options
        Settings of the format, for facts that its files do not state, e.g. an HDF5 file's names.
    """

    choice_settings: ClassVar[tuple[str, ...]] = ("format",)  # as content says, or for files of any name

    size: Size = ()
    invalid: Invalid = "fail"
    format: str = ""
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.size) == 1:
            raise UsageError(f"got {self.name}.size = {list(self.size)}", "[width, height] in pixels")
        if self.format:
            form = EVENT_FORMATS.get(self.format)
            try:
                form.from_config(self.options)
            except UsageError as error:
                got = f"got {self.name}.options = {self.options}: {error.got}"
                raise UsageError(got, error.expected, error.hint) from error
        elif self.options:
            known = {option.name for form in formats() for option in fields(form)}
            if unknown := [key for key in self.options if key not in known]:
                got = (
                    f"got {self.name}.options = {self.options}: no event format has the option {unknown[0]!r}"
                )
                raise UsageError(got, "", near_miss(unknown[0], known))

    @property
    def file_endings(self) -> Sequence[str]:
        """Endings of the names of files of the format, or of all formats."""
        return EVENT_FORMATS.get(self.format).extensions if self.format else event_suffixes()

    @cached_property
    def _named_format(self) -> EventFormat | None:
        """The format with its options, built once for all files; None where files decide."""
        return build_format(self.format, self.options)

    @cached_property
    def _arguments(self) -> dict[str, Any]:
        """Arguments of `scan` and `scan_intervals`."""
        form = self._named_format
        size = (self.size[0], self.size[1]) if self.size else None
        options = {} if form else self.options
        return {"format": form or "", "size": size, "invalid": self.invalid, "limits": self.limits, **options}

    def _check_file(self, recording: Recording) -> tuple[str, Facts]:
        with _bad_files(recording):
            result = scan(recording.file, **self._arguments)
        return result.sha256, result

    def _check_intervals(self, recordings: Sequence[Recording]) -> Sequence[tuple[str, Facts] | BadFile]:
        first = recordings[0]
        with _bad_files(first):
            intervals = [recording.interval for recording in recordings if recording.interval]
            results = scan_intervals(first.file, intervals, **self._arguments)
        return [
            _bad_interval(recording, result) if isinstance(result, DataError) else (result.sha256, result)
            for recording, result in zip(recordings, results, strict=True)
        ]

    def _notes(self, files: Sequence[CheckedFile[Facts]]) -> Sequence[str]:
        """Return what was decided from the data, such as the unit of times."""
        return _decisions(files)

    def _findings(self, files: Sequence[CheckedFile[Facts]]) -> Sequence[str]:
        """Return what was changed, what is strange in a file, and which intervals go beyond their recordings."""
        return (*_changes_findings(files), *_file_findings(files), *_interval_findings(files))

    def read(self, split: str, index: int) -> Sample:
        """Return one recording; its id is its path inside the source."""
        file = self._file(split, index)
        return Sample(events_of(file.facts), file.label, file.id)

    def outline(self, split: str, index: int) -> Events:
        """Return a recording's last event alone, with its size and duration, from the check of the file."""
        return self._file(split, index).facts.outline


def events_of(facts: Facts) -> Events:
    """Return a recording that was checked, in memory or, where it is large, in pieces."""
    large = facts.events > IN_MEMORY_EVENTS
    return facts.open(IN_MEMORY_EVENTS) if large else facts.read()


def event_suffixes() -> tuple[str, ...]:
    """Return the endings of the names of event files, without those of other files too."""
    return tuple(
        sorted({ending for form in formats() if not form.common_endings for ending in form.extensions})
    )


@contextmanager
def _bad_files(recording: Recording) -> Iterator[None]:
    """Turn what the readers raise into a `BadFile`."""
    try:
        yield
    except DataError as error:
        if not recording.file.exists():
            fix = "correct the table, or fetch the file"
            raise BadFile(recording.file_id, "does not exist", fix) from error
        raise bad_file(recording, error) from error


def _changes_findings(files: Sequence[CheckedFile[Facts]]) -> Sequence[str]:
    """Return what was changed in files whose events were clipped or dropped."""
    by_file = {file.file_id: file.facts.changes for file in files if file.facts.changes is not None}
    changes = list(by_file.items())
    if not changes:
        return ()
    totals = {
        "clipped": sum(c.clipped for _, c in changes),
        "dropped": sum(c.dropped for _, c in changes),
        "sorted, as they were out of order": sum(c.sorted for _, c in changes),
        "left out ahead of the first time stamp": sum(c.undated for _, c in changes),
    }
    parts = [f"events {what}: {number:,}" for what, number in totals.items() if number]
    if truncated := sum(bool(c.rest) for _, c in changes):
        parts.append(f"files cut off: {truncated:,}")
    shown = ", ".join(id_ for id_, _ in changes[:_SHOWN])
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return (f"{', '.join(parts) or 'named as another format'} (in {shown}{more})",)


def _file_findings(files: Sequence[CheckedFile[Facts]]) -> Sequence[str]:
    """Return what is strange in files, of the first few that have something, and how many more have."""
    by_text: dict[str, dict[str, None]] = {}  # text → ids of files
    for file in files:
        for text in file.facts.findings:
            by_text.setdefault(_settings(text), {})[file.file_id] = None
    texts = [f"{listed(list(ids), _SHOWN)}: {text}" for text, ids in by_text.items()]
    return (listed(texts, _SHOWN, "; ", "findings like these"),) if texts else ()


def _gap(interval: IntervalScan) -> int:
    """Return how long an interval may go beyond its recording without a finding, in µs: a scene may be still."""
    return interval.outline.length() // 10


def _interval_findings(files: Sequence[CheckedFile[Facts]]) -> Sequence[str]:
    """Return which intervals start before their recording's first event, or end after its last one."""
    findings = []
    for where, side in (("start before the first event", "before"), ("end after the last event", "after")):
        beyond = [
            (getattr(file.facts, side), file)
            for file in files
            if isinstance(file.facts, IntervalScan) and getattr(file.facts, side) > _gap(file.facts)
        ]
        if beyond:
            shown = ", ".join(f"{file.id} by {time:,} µs" for time, file in beyond[:_SHOWN])
            more = f" and {len(beyond) - _SHOWN} more" if len(beyond) > _SHOWN else ""
            findings.append(f"intervals that {where} of their recording: {shown}{more}")
    return findings


def bad_file(recording: Recording, error: DataError, path: str = "") -> BadFile:
    """Return what an error of `spikeprep.eventfiles` says of a file, with settings of the source; see `BadFile.of`."""
    bad = BadFile.of(recording, error, path)
    return BadFile(bad.file, bad.what, with_settings(bad.fix))


def with_settings(fix: str) -> str:
    """Return a fix of `spikeprep.eventfiles` with settings of the source in place of arguments."""
    return re.sub(r"\b(Pass|pass|Give|give) ", "use ", _settings(fix))


def _settings(text: str) -> str:
    """Return a text with the arguments of `spikeprep.eventfiles` as settings of the source."""
    return _ARGUMENT.sub(_as_setting, text)


def _as_setting(argument: re.Match[str]) -> str:
    name, value = argument[1], argument[2].strip("'")
    value = {"True": "true"}.get(value, value)
    if value.startswith("("):
        value = f"[{value[1:-1].replace(' ', '')}]"
    return f"source.{name if name in ('format', 'invalid', 'size') else f'options.{name}'}={value}"


def _bad_interval(recording: Recording, error: DataError) -> BadFile:
    bad = bad_file(recording, error)
    return BadFile(f"{bad.file} ({recording.where})" if recording.where else bad.file, bad.what, bad.fix)


def _decisions(files: Sequence[CheckedFile[Facts]]) -> list[str]:
    """Return what was decided from the data, a text each, with the files."""
    notes: dict[str, dict[str, float]] = {}  # note → id of a file → how long the recording is, in s
    for file in files:
        for note in file.facts.notes:
            notes.setdefault(_settings(note), {})[file.file_id] = file.facts.outline.length() / 1e6
    if not notes:
        return []
    number = len({file.file_id for file in files})
    return [
        f"{note} ({listed(list(ids), _SHOWN)}{f' of {number} files' if number > 1 else ''}: {_range(ids.values())})"
        for note, ids in notes.items()
    ]


def _range(seconds: Collection[float]) -> str:
    """Return how long recordings are."""
    low, high = min(seconds), max(seconds)
    return f"{low:,.4g} s" if f"{low:.4g}" == f"{high:.4g}" else f"{low:,.4g} to {high:,.4g} s"
