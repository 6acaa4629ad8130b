"""Read a recording: `read` into memory, `open_events` in pieces, `outline` for its duration, `scan` to check it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT, Events
from ..errors import DataError, PluginError, UsageError
from ..input_files import LIMITS, Digests, InputFile, Limits
from .base import BLOCK, Decoder, EventFormat, empty_events
from .checked_pass import CheckedPass
from .checks import Changes, Invalid, warn
from .clocks import origin_of
from .detect import build_format, find_format
from .sorting import SortedDecoder

_PIECE = 1 << 20
MAX_SIDE = 65535
"""Most pixels of a sensor's side: `EVENT`'s x and y have 16 bits, of which the largest value means "off the sensor"."""

_INVALID = get_args(Invalid)

Report = Callable[[Changes], None]
See = Callable[[NDArray[np.void]], None]


def read(
    path: str | os.PathLike[str],
    *,
    format: str | EventFormat = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    report: Report = warn,
    limits: Limits = LIMITS,
    **options: Any,
) -> Events:
    """Read a recording into memory.

    Time stamps of camera clocks (AEDAT, EVT2, EVT3) become µs from the first event's stamp, which is `Events.start`;
    formats whose stamps count from the recording's start keep them.

    Parameters
    ----------
    path
        The file.
    format
        A name in `spikeprep.registry.EVENT_FORMATS`, or a format with its options; detected by content and extension
        where empty.
    size
        (width, height) of the sensor in pixels, for a file that does not state it or states it wrong.
    invalid
        What happens to invalid events and truncated files: see `spikeprep.eventfiles.Invalid`.
    report
        Called with `Changes` where something was changed or left out; warns with `ChangedEvents` by default.
    limits
        What the file may take of memory, and how far it may expand: ``Limits(max_bytes=2_000_000_000)``, of
        `spikeprep.eventfiles`.
    options
        Settings of the format, such as ``camera="DAVIS346"``.

    Raises
    ------
    DataError
        The file is missing, of another format, damaged, without events, beyond the limits, or does not state its
        sensor's size.
    UsageError
        A setting is unknown or not allowed.
    CapabilityError
        The format needs a library that is not installed.
    """
    recording, decoder = open_recording(path, format, size, invalid, options, limits, report)
    with decoder:
        return recording.read(decoder)


def open_events(
    path: str | os.PathLike[str],
    *,
    format: str | EventFormat = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    report: Report = warn,
    limits: Limits = LIMITS,
    piece_events: int = _PIECE,
    **options: Any,
) -> Events:
    """Open a recording whose `pieces` are decoded again on every pass, `piece_events` events (16 bytes each) at a time.

    Whatever their length, the pieces together are what `read` returns. Errors and reports come with the pass; see
    `read` for the other parameters.
    """
    if piece_events < 1:
        raise UsageError(f"got piece_events {piece_events}", "at least 1")
    recording, decoder = open_recording(path, format, size, invalid, options, limits, report, piece_events)
    with decoder:
        return Events(recording, recording.size_of(decoder), start=recording.start_of(decoder))


def outline(
    path: str | os.PathLike[str],
    *,
    format: str | EventFormat = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    limits: Limits = LIMITS,
    **options: Any,
) -> Events:
    """Return a recording's last event alone, exactly as `read` has it: it decides the duration.

    Formats whose time stamps cannot wrap read it from the end of the file, unchecked; for the others every event is
    decoded, in a buffer that stays in the cache. Changes are not reported: `read` does.
    """
    recording, decoder = open_recording(path, format, size, invalid, options, limits)
    with decoder:
        last = decoder.last_event() if invalid == "fail" else None
        if last is None:
            last = recording.check(decoder)[0]
        return Events((last,), recording.size_of(decoder), start=recording.start_of(decoder))


@dataclass(frozen=True, slots=True)
class Scan:
    """The result of one checked pass over a recording: enough to read it later without looking at its header.

    Attributes
    ----------
    outline
        The last event alone, with the recording's size, start and duration.
    events
        Number of events that remain after the checks.
    changes
        What the checks changed; None where nothing.
    sha256
        Digest of the file in hexadecimal.
    notes
        What was decided from the data, in words that name no file.
    findings
        What deserves attention, in words that name no file.
    """

    outline: Events
    events: int
    changes: Changes | None
    sha256: str
    _recording: RecordingFile
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    def read(self) -> Events:
        """Read the recording into memory, without a report; raises `DataError` where it has changed since the scan."""
        recording = self._recording
        with recording.begin() as decoder:
            events = recording.read(decoder)
            recording.check_digests(decoder)
        return replace(events, duration=self.outline.duration)

    def open(self, piece_events: int) -> Events:
        """Return the recording in pieces that are decoded on every pass, without a report."""
        return replace(self.outline, pieces=replace(self._recording, piece_events=piece_events))


def scan(
    path: str | os.PathLike[str],
    *,
    format: str | EventFormat = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    limits: Limits = LIMITS,
    **options: Any,
) -> Scan:
    """Decode and check every event of a recording, and digest the file, opening it once; see `read` for the rest."""
    recording, decoder = open_recording(path, format, size, invalid, options, limits, ignore_changes)
    with decoder:
        found = scanned(recording, decoder)
        recording = replace(recording, digests=decoder.file.digests())
        return replace(found, sha256=decoder.file.sha256(), _recording=recording)


def scanned(recording: RecordingFile, decoder: Decoder, see: See | None = None) -> Scan:
    """Decode and check every event, which `see` is called with, block by block; the digest is left empty."""
    last, events, changes = recording.check(decoder, see)
    pixels, start = recording.size_of(decoder), recording.start_of(decoder)
    duration = int(last["t"][0]) + 1 if len(last) else 0
    outlined = Events((last,), pixels, start=start, duration=duration, checked=True)
    notes, findings = decoder.notes, decoder.findings
    return Scan(outlined, events, changes if changes else None, "", recording, notes, findings)


def ignore_changes(changes: Changes) -> None:
    """Drop a report that an earlier pass has made."""


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A file and how it is read; iterating decodes it."""

    path: Path
    format: EventFormat
    size: tuple[int, int] | None
    invalid: Invalid
    report: Report = warn
    piece_events: int = _PIECE
    limits: Limits = field(default=LIMITS, kw_only=True)
    digests: Digests | None = field(default=None, kw_only=True)  # of the file, once it was read
    other: str = field(default="", kw_only=True)

    def begin(self, file: InputFile | None = None) -> Decoder:
        """Open the file; return a decoder positioned before its first event, with what its times count from set."""
        return self.begun(self.format.open_file(file or InputFile(self.path, self.limits, self.digests)))

    def begun(self, decoder: Decoder) -> Decoder:
        """Set what the times of a decoder count from; an error closes it."""
        try:
            self.size_of(decoder)
            if self.format.order == "sort":
                decoder = SortedDecoder(decoder)
            if origin := origin_of(self.format, decoder):
                decoder.set_origin(origin)
        except BaseException:
            decoder.close()
            raise
        return decoder

    def size_of(self, decoder: Decoder) -> tuple[int, int]:
        """Return (width, height) of the sensor in pixels; raises `DataError` where it is not known, or impossible."""
        size = self.size or decoder.size
        hint = "Give size=(width, height), in pixels."
        if not size:
            raise DataError(f"{self.path} does not state the size of its sensor", "", hint)
        if not (0 < size[0] <= MAX_SIDE and 0 < size[1] <= MAX_SIDE):
            raise DataError(
                f"{self.path} states a sensor of {size[0]} × {size[1]}",
                f"sides between 1 and {MAX_SIDE} pixels",
                hint,
            )
        return size

    def start_of(self, decoder: Decoder) -> int:
        """Return what the events' times count from, in µs of the file's own clock."""
        return decoder.origin + decoder.offset_of_start

    def check_digests(self, decoder: Decoder) -> None:
        """Raise `DataError` where the file has changed, for decoders that read it by a library of their own."""
        if self.digests and not decoder.file.was_read:
            decoder.file.digests()

    def checked_pass(self, decoder: Decoder, changes: Changes) -> CheckedPass:
        """Return a pass that is at its beginning."""
        return CheckedPass(decoder, self.size_of(decoder), self.invalid, self.format.gaps, changes)

    def new_changes(self) -> Changes:
        """Return an empty record of what a pass changes."""
        return Changes(self.path, other=self.other)

    def read(self, decoder: Decoder) -> Events:
        """Return all events in one array."""
        changes = self.new_changes()
        checked = self.checked_pass(decoder, changes)
        if (bound := decoder.max_events()) is None:
            events = Events(tuple(checked.pieces(_PIECE)), (0, 0)).array
        else:
            events = np.empty(bound, EVENT)
            count = checked.fill(events)
            if count == bound and checked.fill(np.empty(1, EVENT)):
                raise PluginError(
                    f"{self.path} has more events than the {bound:,} that max_events() of the event format "
                    f"{self.format.name} says",
                    "at most so many",
                    f"Correct {type(decoder).__module__}.{type(decoder).__qualname__}.max_events.",
                )
            events.resize(count, refcheck=False)  # returns memory that was reserved and never touched
        checked.finish()
        if changes:
            self.report(changes)
        size, start = self.size_of(decoder), self.start_of(decoder)
        return Events((events,), size, start=start, checked=True)

    def check(self, decoder: Decoder, see: See | None = None) -> tuple[NDArray[np.void], int, Changes]:
        """Decode and check every event; return the last one (1,), or none (0,), their number, and what was changed.

        `see` is called with the events of each block.
        """
        changes = self.new_changes()
        checked = self.checked_pass(decoder, changes)
        last, buffer = empty_events(), np.empty(decoder.buffer_length(BLOCK), EVENT)
        while count := checked.fill(buffer):
            last = buffer[count - 1 : count].copy()
            if see:
                see(buffer[:count])
        checked.finish()
        return last, checked.events, changes

    def walk(self, decoder: Decoder, changes: Changes) -> Iterator[NDArray[np.void]]:
        """Yield the events of a pass, checked; what only its end tells is raised there."""
        checked = self.checked_pass(decoder, changes)
        yield from checked.pieces(self.piece_events)
        checked.finish()
        self.check_digests(decoder)

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        with self.begin() as decoder:
            changes = self.new_changes()
            yield from self.walk(decoder, changes)
            if changes:
                self.report(changes)


def open_recording(
    path: str | os.PathLike[str],
    format: str | EventFormat,
    size: tuple[int, int] | None,
    invalid: Invalid,
    options: Mapping[str, Any],
    limits: Limits,
    report: Report = warn,
    piece_events: int = _PIECE,
) -> tuple[RecordingFile, Decoder]:
    """Check the arguments, detect the format and open the file, once."""
    if invalid not in _INVALID:
        raise UsageError(f"got invalid {invalid!r}", f"one of {', '.join(_INVALID)}")
    if size is not None:
        given = size
        try:
            size = (int(size[0]), int(size[1])) if len(size) == 2 and not isinstance(size, str) else (0, 0)
        except (TypeError, ValueError):
            size = (0, 0)
        if not (0 < size[0] <= MAX_SIDE and 0 < size[1] <= MAX_SIDE):
            raise UsageError(f"got size {given!r}", f"(width, height) between 1 and {MAX_SIDE}")
    if isinstance(format, EventFormat) and options:
        raise UsageError(f"got the options {sorted(options)} beside a format that is built", "no options")
    named = build_format(format, options) if isinstance(format, str) else format
    file = InputFile(path if isinstance(path, Path) else Path(path), limits)
    try:
        changes = Changes(file.path)
        built = find_format(file, named, options, invalid, changes)
        recording = RecordingFile(
            file.path, built, size, invalid, report, piece_events, limits=limits, other=changes.other
        )
        return recording, recording.begin(file)
    except BaseException:
        file.close()
        raise
