"""What all sources of event recordings in files share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..data import EVENT, Events, Sample
from ..errors import DataError, UsageError
from ..eventfiles import Changes, Invalid, open_events
from .base import file_sha256
from .checked_files import Checked, CheckedFiles
from .labelled_files import Fault, Recording, refusal

_PIECE = 1 << 16  # events of a piece while checking: 1 MiB, which stays in a core's cache
WHOLE = (
    1 << 18
)  # events of the largest recording that is handed out in one piece, and of a piece of others: 4 MiB
_SHOWN = 3  # changed files in one note


@dataclass(frozen=True)
class Facts:
    """What a recording is like: its last event (see `spikeprep.eventfiles.outline`), how many, what was changed."""

    outline: Events
    events: int
    changes: Changes | None


@dataclass(frozen=True)
class EventFiles(CheckedFiles[Facts]):
    """Base of the readers of event recordings; a sample's signal is `Events`, streamed where they are many.

    Parameters
    ----------
    size
        (width, height) of the sensor in pixels, for files that do not tell it or tell it wrong.
    invalid
        What is done about events that cannot be, and files that are cut off: "fail", "clip" or "drop", see
        `spikeprep.eventfiles.Invalid`. What was changed is recorded with the store.
    format
        A name in `spikeprep.registry.EVENT_FORMATS`; each file's own content and ending decide where it is empty.
    options
        Settings of the format, for what its files do not tell, e.g. an HDF5 file's names.
    """

    size: tuple[int, ...] = ()
    invalid: Invalid = "fail"
    format: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(self.size))
        whole = all(type(side) is int and side > 0 for side in self.size)
        if self.size and not (len(self.size) == 2 and whole):
            raise UsageError(f"{self.name}: got size {list(self.size)}", "[width, height] in pixels")
        if not isinstance(self.options, Mapping):
            hint = 'For example: --set source.options={camera="DAVIS346"}'
            raise UsageError(f"{self.name}: got options {self.options!r}", "a table of settings", hint)

    def _open(self, recording: Recording, piece_events: int, report: Any) -> Events:
        return open_events(
            recording.file, format=self.format, size=self._sensor, invalid=self.invalid, report=report,
            piece_events=piece_events, **self.options,
        )  # fmt: skip

    @property
    def _sensor(self) -> tuple[int, int] | None:
        return (self.size[0], self.size[1]) if self.size else None

    def _look(self, recording: Recording) -> tuple[str, Facts]:
        changed: list[Changes] = []
        if not recording.file.is_file():
            raise Fault(recording.id, "is not there", "correct the table, or fetch the file")
        try:
            events = self._open(recording, _PIECE, changed.append)
            count, last = 0, np.empty(0, EVENT)
            for piece in events.pieces:
                count, last = count + len(piece), piece[-1:].copy()
        except DataError as error:
            raise _fault(recording, error) from error
        walked = int(last["t"][0]) + 1 if count else 0
        outline = replace(events, pieces=(last,), duration=events.length(walked))
        facts = Facts(outline, count, changed[0] if changed else None)
        return file_sha256(recording.file), facts

    def _refusal(self, faults: Sequence[Fault]) -> DataError:
        hint = (
            "Or go on, keeping a record of it in the store: --set source.invalid=drop leaves such events out, "
            "=clip mends them, --set source.skip_bad=true leaves the files out."
        )
        return refusal(self.path, faults, hint)

    def _remarks(self, checked: Sequence[Checked[Facts]]) -> str:
        """Say what was changed in files whose events were clipped or dropped."""
        changes = [(c.id, c.facts.changes) for c in checked if c.facts.changes is not None]
        if not changes:
            return ""
        totals = {
            "clipped": sum(c.clipped for _, c in changes),
            "dropped": sum(c.dropped for _, c in changes),
            "left out ahead of the first time stamp": sum(c.undated for _, c in changes),
        }
        said = [f"events {what}: {number:,}" for what, number in totals.items() if number]
        said += [f"files cut off: {number:,}" for number in [sum(bool(c.rest) for _, c in changes)] if number]
        shown = ", ".join(where for where, _ in changes[:_SHOWN])
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        return f"{', '.join(said) or 'named as another format'} (in {shown}{more})"

    def read(self, split: str, index: int) -> Sample:
        """Return one recording; its id is its path inside the source."""
        found = self._at(split, index)
        try:
            events = replace(self._open(found, WHOLE, _known), duration=found.facts.outline.duration)
            if found.facts.events <= WHOLE:
                events = replace(events, pieces=(events.array,))
        except DataError as error:  # it has changed since it was checked
            raise self._refusal([_fault(found, error)]) from error
        return Sample(events, found.label, found.id)

    def outline(self, split: str, index: int) -> Events:
        """Return a recording's last event alone, as it was when it was checked."""
        return self._at(split, index).facts.outline


def _known(changes: Changes) -> None:
    """Let a change pass: it was noted when the file was checked."""


def _fault(recording: Recording, error: DataError) -> Fault:
    what = error.got.removeprefix(str(recording.file)).lstrip(": ")
    if error.expected:
        what += f" (expected {error.expected})"
    # the reader speaks to Python; here its arguments are settings
    hint = re.sub(r"([Pp]ass )?\b(format|invalid)='(\w+)'", r"--set source.\2=\3", error.hint)
    hint = hint.replace("Give size=(width, height)", "--set source.size=[width,height]")
    return Fault(recording.id, what, hint.rstrip("."))
