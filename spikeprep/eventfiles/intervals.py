"""Intervals of recordings: one checked pass finds where each begins, and reading one starts there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT, Events
from ..errors import DataError
from ..input_files import LIMITS, InputFile, Limits, changed
from .base import BLOCK, Decoder, EventFormat, as_words, empty_events
from .checked_pass import CheckedPass
from .checks import Changes, Invalid
from .reading import RecordingFile, ignore_changes, open_recording
from .sorting import SortedDecoder

Interval = tuple[int, int]
"""Start and end in µs of a file's own clock, half open: an event at t is in it where start <= t < end."""


@dataclass(frozen=True, slots=True)
class IntervalScan:
    """The result of a checked pass over a recording, for one of its intervals: enough to read it later.

    Attributes
    ----------
    outline
        The interval's last event alone, with the sensor's size, the interval's start and its duration.
    events
        Number of events of the interval that remain after the checks.
    changes
        What the checks changed in the whole recording; None where nothing.
    sha256
        Digest of the file in hexadecimal.
    before, after
        How much earlier than the recording's first event the interval starts, and how much later than its last event
        it ends, in µs; 0 where it does not.
    """

    outline: Events
    events: int
    changes: Changes | None
    sha256: str
    before: int
    after: int
    _events: _IntervalEvents
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    def read(self) -> Events:
        """Read the interval into memory; raises `DataError` where the file has changed since the scan."""
        pieces = tuple(replace(self._events, piece_events=max(self.events, 1)))
        return replace(self.outline, pieces=pieces or (empty_events(),))

    def open(self, piece_events: int) -> Events:
        """Return the interval in pieces that are decoded on every pass."""
        return replace(self.outline, pieces=replace(self._events, piece_events=piece_events))


def scan_intervals(
    path: str | os.PathLike[str],
    intervals: Sequence[Interval],
    *,
    format: str | EventFormat = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    limits: Limits = LIMITS,
    **options: Any,
) -> list[IntervalScan | DataError]:
    """Decode and check every event of a recording in one pass, and digest the file, for several of its intervals.

    Intervals are in the file's own clock: time stamps as the file has them, with nothing subtracted, in µs. Those of
    an interval's events are in µs from its start, which is `Events.start`, and its duration is that of the interval,
    whatever its last event. Reading an interval decodes from the block of events on in which its first event is, unless
    the format cannot begin there.

    Parameters
    ----------
    path
        The file.
    intervals
        The intervals, in any order; they may overlap.
    format, size, invalid, limits, options
        As for `spikeprep.eventfiles.read`.

    Returns
    -------
    list
        For each interval, its scan, or the error of one without events; where `invalid` is not "fail", it is silence.

    Raises
    ------
    DataError
        The recording cannot be used, as for `spikeprep.eventfiles.read`.
    """
    recording, decoder = open_recording(path, format, size, invalid, options, limits, ignore_changes)
    with decoder:
        start, origin, latest = recording.start_of(decoder), decoder.origin, decoder.latest
        pixels = recording.size_of(decoder)
        found = [_Found(a - start, b - start) for a, b in intervals]
        changes = recording.new_changes()
        checked = recording.checked_pass(decoder, changes)
        first, last = _find(checked, found)
        checked.finish()
        recording = replace(recording, digests=decoder.file.digests())
        sha256 = decoder.file.sha256()
    results: list[IntervalScan | DataError] = []
    for (a, b), part in zip(intervals, found, strict=True):
        if not part.events and invalid == "fail":
            results.append(_no_events(recording, (a, b), (first + start, last + start)))
            continue
        events = _IntervalEvents(recording, part.start, part.stop, origin, latest, part.events, part.mark)
        results.append(
            IntervalScan(
                outline=Events((part.last,), pixels, start=a, duration=b - a, checked=True),
                events=part.events,
                changes=changes if changes else None,
                sha256=sha256,
                before=max(first - part.start, 0),
                after=max(part.stop - 1 - last, 0),
                _events=events,
                notes=decoder.notes,
                findings=decoder.findings,
            )
        )
    return results


def _no_events(recording: RecordingFile, interval: Interval, span: Interval) -> DataError:
    return DataError(
        f"{recording.path} has no events from {interval[0]:,} to {interval[1]:,} µs",
        f"an interval with events, of which it has some from {span[0]:,} to {span[1]:,} µs of its own clock",
        "Check the unit of the interval and its clock, or leave it out, or pass invalid='drop' to read it as silence.",
    )


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place in a recording, and what the checks knew there; `place` is that of `Decoder.mark`."""

    place: Any = None
    latest: int = 0
    decoded: int = 0

    @classmethod
    def of(cls, checked: CheckedPass) -> _Mark:
        place = checked.decoder.mark() if checked.settled else None
        return cls() if place is None else cls(place, checked.latest, checked.decoded)


@dataclass(slots=True)
class _Found:
    """What a pass finds of an interval; `start` and `stop` are in the decoder's time."""

    start: int
    stop: int
    events: int = 0
    last: NDArray[np.void] = field(default_factory=empty_events)
    mark: _Mark = field(default_factory=_Mark)


def _find(checked: CheckedPass, intervals: Sequence[_Found]) -> Interval:
    """Go through a recording and fill in `intervals`; return t of the recording's first and last event."""
    waiting = sorted(intervals, key=lambda interval: interval.start, reverse=True)
    current: list[_Found] = []
    first, last, before = 0, 0, True
    buffer = np.empty(checked.decoder.buffer_length(BLOCK), EVENT)
    while True:
        mark = _Mark.of(checked)
        if not (count := checked.fill(buffer)):
            return first, last
        begin, last = int(buffer["t"][0]), int(buffer["t"][count - 1])
        first, before = (begin if before else first), False
        while waiting and waiting[-1].start <= last:
            current.append(waiting.pop())
        current = [interval for interval in current if interval.stop > begin]
        if not current:
            continue
        t = np.ascontiguousarray(buffer["t"][:count])
        for interval in current:
            low, high = np.searchsorted(t, (interval.start, interval.stop)).tolist()
            if low < high:
                interval.mark = interval.mark if interval.events else mark
                interval.events += high - low
                interval.last = buffer[high - 1 : high].copy()
                interval.last["t"] -= interval.start


@dataclass(frozen=True, slots=True)
class _IntervalEvents:
    """The events of an interval; iterating decodes them, `piece_events` at a time."""

    recording: RecordingFile
    start: int
    stop: int
    origin: int  # of the decoder, as is `latest`
    latest: int
    events: int
    mark: _Mark
    piece_events: int = 1

    def length(self) -> int:
        """Return the interval's duration in µs."""
        return self.stop - self.start

    def _begin(self) -> Decoder:
        recording = self.recording
        file = InputFile(recording.path, recording.limits, recording.digests)
        decoder = recording.format.open_file(file)
        try:
            if recording.format.order == "sort":
                decoder = SortedDecoder(decoder)
            decoder.origin, decoder.latest = self.origin, self.latest
            if self.mark.place is None:
                decoder.rewind()
            else:
                decoder.resume(self.mark.place)
        except BaseException:
            decoder.close()
            raise
        return decoder

    def _blocks(self, decoder: Decoder) -> Iterator[NDArray[np.void]]:
        """Yield the events block by block, as parts of one buffer, t from the interval's start."""
        checked = self.recording.checked_pass(decoder, self.recording.new_changes())
        checked.latest, checked.decoded = self.mark.latest, self.mark.decoded
        buffer, left = np.empty(BLOCK, EVENT), self.events
        while left:
            if not (count := checked.fill(buffer)):
                raise changed(self.recording.path)
            t = np.ascontiguousarray(buffer["t"][:count])
            low, high = np.searchsorted(t, (self.start, self.stop)).tolist()
            if low < high:
                left -= high - low
                block = buffer[low:high]
                block["t"] -= self.start
                yield block
        self.recording.check_digests(decoder)

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        left = self.events
        piece, filled = np.empty(min(self.piece_events, left), EVENT), 0
        with self._begin() as decoder:
            for block in self._blocks(decoder):
                while len(block):
                    part = block[: len(piece) - filled]
                    as_words(piece[filled : filled + len(part)])[:] = as_words(part)
                    filled, block = filled + len(part), block[len(part) :]
                    if filled == len(piece):
                        yield piece
                        left -= filled
                        piece, filled = np.empty(min(self.piece_events, left), EVENT), 0
