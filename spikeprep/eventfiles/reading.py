"""Read a recording: `read` whole, `open_events` in pieces, `outline` for its duration alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT, Events
from ..errors import DataError, UsageError
from .base import Decoder, EventFormat, as_words, empty_events
from .checks import Changes, Invalid, hint, warn
from .detect import find_format
from .kernels import all_sound

_TILE = 1 << 15  # events that are decoded and then checked, while they are in a core's own cache
_PIECE = 1 << 20
_LIMIT = 65535  # pixels of a side: EVENT's x and y are 16 bits, of which the largest value stands for "off"

Report = Callable[[Changes], None]


def read(
    path: str | os.PathLike[str],
    *,
    format: str = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    report: Report = warn,
    **options: Any,
) -> Events:
    """Read a recording whole.

    Stamps of camera clocks (AEDAT, EVT2, EVT3) become µs from the first event's stamp, which is `Events.start`; formats
    whose stamps count from the recording's start already keep them.

    Parameters
    ----------
    path
        The file.
    format
        A name in `spikeprep.registry.EVENT_FORMATS`; found by content and extension where empty.
    size
        (width, height) of the sensor in pixels, for a file that does not tell it or tells it wrong.
    invalid
        What is done about events that cannot be, and files cut off: see `spikeprep.eventfiles.Invalid`.
    report
        Called with `Changes` where something was changed or left out; warns with `ChangedEvents` unless given.
    options
        Settings of the format, such as ``camera="DAVIS346"``.

    Raises
    ------
    DataError
        The file is missing, of another format, damaged, without events, or does not tell its sensor's size.
    UsageError
        A setting is unknown or does not fit.
    CapabilityError
        The format needs a library that is not installed.
    """
    recording = _Recording.of(path, format, size, invalid, options)
    with recording.begin() as decoder:
        changes = recording.new_changes()
        walk = _Walk(recording, decoder, changes)
        if (most := decoder.most()) is None:
            events = Events(tuple(walk.pieces(_PIECE)), (0, 0)).array
        else:
            events = np.empty(most, EVENT)
            count = walk.fill(events)
            events.resize(count, refcheck=False)  # gives back what was asked for and never touched
        walk.end()
        if changes:
            report(changes)
        return Events((events,), recording.size_of(decoder), start=recording.start_of(decoder))


def open_events(
    path: str | os.PathLike[str],
    *,
    format: str = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    report: Report = warn,
    piece_events: int = _PIECE,
    **options: Any,
) -> Events:
    """Open a recording whose `pieces` are decoded anew on every walk, `piece_events` events (16 bytes each) at a time.

    Whatever their number, the pieces together are what `read` returns. Errors and reports come with the walk; see
    `read` for the other parameters.
    """
    if piece_events < 1:
        raise UsageError(f"got piece_events {piece_events}", "at least 1")
    recording = _Recording.of(path, format, size, invalid, options, report, piece_events)
    with recording.begin() as decoder:
        return Events(recording, recording.size_of(decoder), start=recording.start_of(decoder))


def outline(
    path: str | os.PathLike[str],
    *,
    format: str = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    **options: Any,
) -> Events:
    """Return a recording's last event alone, exactly as `read` has it: what decides the duration.

    Formats with stamps that cannot wrap tell it from their tail, unchecked; of the others every event is decoded, in
    a buffer that stays in the cache. What was changed is not reported: `read` does.
    """
    recording = _Recording.of(path, format, size, invalid, options)
    with recording.begin() as decoder:
        last = decoder.last() if invalid == "fail" else None
        if last is None:
            walk = _Walk(recording, decoder, recording.new_changes())
            last, buffer = empty_events(), np.empty(decoder.room(_TILE), EVENT)
            while count := walk.fill(buffer):
                last = buffer[count - 1 : count].copy()
            walk.end()
        return Events((last,), recording.size_of(decoder), start=recording.start_of(decoder))


@dataclass(frozen=True, slots=True)
class _Recording:
    """A file, and how it is read; iterating decodes it."""

    path: Path
    format: EventFormat
    size: tuple[int, int] | None
    invalid: Invalid
    report: Report = warn
    piece_events: int = _PIECE
    other: str = field(default="", kw_only=True)

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        format: str,
        size: tuple[int, int] | None,
        invalid: Invalid,
        options: Mapping[str, Any],
        report: Report = warn,
        piece_events: int = _PIECE,
    ) -> _Recording:
        if invalid not in get_args(Invalid):
            raise UsageError(f"got invalid {invalid!r}", f"one of {', '.join(get_args(Invalid))}")
        if size is not None:
            size = (int(size[0]), int(size[1]))
            if not (0 < size[0] <= _LIMIT and 0 < size[1] <= _LIMIT):
                raise UsageError(f"got size {size}", f"(width, height) between 1 and {_LIMIT}")
        path = Path(path)
        changes = Changes(path)
        built = find_format(path, format, options, invalid, changes)
        return cls(path, built, size, invalid, report, piece_events, other=changes.other)

    def begin(self) -> Decoder:
        """Open the file; return a decoder before its first event that counts from it where it should."""
        decoder = self.format.open(self.path)
        try:
            self.size_of(decoder)
            if decoder.camera_clock:
                first = np.empty(1, EVENT)
                if decoder.fill(first):
                    decoder.origin = int(first["t"][0])
                decoder.rewind()
        except BaseException:
            decoder.close()
            raise
        return decoder

    def size_of(self, decoder: Decoder) -> tuple[int, int]:
        size = self.size or decoder.size
        hint = "Give size=(width, height), in pixels."
        if not size:
            raise DataError(f"{self.path} does not tell the size of its sensor", "", hint)
        if not all(0 < side <= _LIMIT for side in size):
            raise DataError(
                f"{self.path} says a sensor of {size[0]} × {size[1]}",
                f"sides between 1 and {_LIMIT} pixels",
                hint,
            )
        return size

    def start_of(self, decoder: Decoder) -> int:
        return decoder.origin + decoder.offset_of_start

    def new_changes(self) -> Changes:
        return Changes(self.path, other=self.other)

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        with self.begin() as decoder:
            changes = self.new_changes()
            walk = _Walk(self, decoder, changes)
            yield from walk.pieces(self.piece_events)
            walk.end()
            if changes:
                self.report(changes)


class _Walk:
    """One walk over a recording: decode a tile, check it, hint it where it does not pass."""

    def __init__(self, recording: _Recording, decoder: Decoder, changes: Changes) -> None:
        self.decoder, self.changes, self.invalid = decoder, changes, recording.invalid
        self.size = recording.size_of(decoder)
        self.index = self.kept = self.latest = 0

    def fill(self, events: NDArray[np.void]) -> int:
        """Decode and check the next events into `events`; return how many: fewer than fit at the end only."""
        count = 0
        while count < len(events):
            tile = events[count : count + _TILE]
            made = self.decoder.fill(tile)
            if not made:
                break
            tile, kept = tile[:made], made
            if not all_sound(as_words(tile), *self.size, self.latest):
                kept = hint(
                    self.decoder, tile, self.size, self.latest, self.invalid, self.changes, self.index
                )
            if self.decoder.flip_y:
                rows = tile["y"][:kept]
                np.subtract(self.size[1] - 1, rows, out=rows)
            if kept:
                self.latest = int(tile["t"][kept - 1])
            self.index += made
            count += kept
        self.kept += count
        return count

    def pieces(self, most: int) -> Iterator[NDArray[np.void]]:
        """Yield what is left, `most` events at a time."""
        most = self.decoder.room(most)
        while True:
            piece = np.empty(most, EVENT)
            if not (count := self.fill(piece)):
                break
            yield piece[:count]

    def end(self) -> None:
        """Look at what there is only when all has been decoded."""
        self.changes.undated = self.decoder.undated
        rest = self.decoder.rest()
        if self.invalid != "fail":
            self.changes.rest = rest
            return
        path = self.decoder.path
        if rest:
            raise DataError(
                f"{path} is truncated: {rest}",
                "",
                "Fetch it again, or pass invalid='drop' to keep the whole records.",
            )
        if not self.kept:
            raise DataError(
                f"{path} has no events", "", "Leave it out, or pass invalid='drop' to take it as silence."
            )
