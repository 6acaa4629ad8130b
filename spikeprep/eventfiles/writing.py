"""Write a recording to a file: `write`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..data import Events
from ..errors import DataError, UsageError, near_miss
from ..output_files import check_new_file, write_file
from ..registry import EVENT_FORMATS
from ..urls import local_path, redacted
from .checked_blocks import CheckedBlocks
from .detect import broken_formats, formats
from .reading import MAX_SIDE
from .units import LARGEST
from .writer import EventWriter


@dataclass(frozen=True, slots=True)
class Written:
    """A recording that was written.

    Attributes
    ----------
    path
        The file.
    format
        Name of its format, in `spikeprep.registry.EVENT_FORMATS`.
    events
        Number of events.
    bytes
        Size of the file.
    notes
        What the format cannot hold of the recording's own clock.
    """

    path: Path
    format: str
    events: int
    bytes: int
    notes: tuple[str, ...] = ()


def write(
    path: str | os.PathLike[str],
    events: Events,
    *,
    format: str | EventWriter = "",
    overwrite: bool = False,
    **options: Any,
) -> Written:
    """Write a recording, in memory or in pieces, to a file; what is written reads back equal.

    The file is there whole or not at all. AEDAT 4, EVT2 and EVT3 have the stamps of the recording's own clock,
    `Events.start` + t (EVT2 modulo 2³⁴, EVT3 modulo 2²⁴ µs); HDF5 has both; DAT and text have t alone. What is lost of
    the start is said in `Written.notes`.

    Parameters
    ----------
    path
        The file.
    events
        The recording: what `read` or `open_events` returned, or ``Events.of(array, (width, height))``. Its pieces are
        walked through once.
    format
        Name of a format that can be written, or a writer with its options; chosen by the ending where empty.
    overwrite
        Whether a file that is there may be replaced.
    options
        Options of the format's writer, such as ``compression="none"``.

    Raises
    ------
    UsageError
        No format has this ending or name, an option is unknown or not allowed, or a file is there already.
    DataError
        The format cannot hold an event or the sensor; events are not in order of time, off the sensor, or none.
    CapabilityError
        A library is not installed, the disk is full or a permission is missing.
    """
    target = local_path(path)
    if target is None:
        raise UsageError(
            f"got path = {redacted(path)!r}", "a path of this machine", "Copy the file there afterwards."
        )
    writer = find_writer(target, format, options)
    check_new_file(target, overwrite)
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "a folder that exists", "Make it first.")
    size, start = _sensor(target, events, writer), _start(events)
    blocks = CheckedBlocks(events, writer)
    length = 0

    def fill(file: IO[bytes]) -> None:
        nonlocal length
        writer.write(file, iter(blocks), size, start)
        length = file.seek(0, os.SEEK_END)
        if not blocks.events:
            raise DataError(
                f"{target} would have no events",
                "at least one",
                "Leave the recording out: readers refuse it.",
            )

    write_file(target, fill, overwrite=overwrite)
    # a part of the clock's stamps is kept: those of the events, which begin at start + first
    note = writer.start_note(start + blocks.first if writer.start_range else start)
    return Written(target, writer.name, blocks.events, length, (note,) if note else ())


def writable_formats() -> dict[str, type[EventWriter]]:
    """Return name → writer of every format that can be written."""
    return {form.name: form.writer for form in formats() if form.writer is not None}


def find_writer(path: Path, format: str | EventWriter, options: Mapping[str, Any]) -> EventWriter:
    """Return the writer of a file: of the format named, or of the one whose ending the path has.

    Raises
    ------
    UsageError
        There is none, an option is unknown or not allowed, or the ending is that of another format.
    """
    if isinstance(format, EventWriter):
        if options:
            raise UsageError(f"got the options {sorted(options)} beside a writer that is built", "no options")
        type(format).check_class(f"the writer {type(format).__module__}.{type(format).__qualname__}")
        _check_ending(path, type(format))
        return format
    writer = writer_class(format or _by_ending(path))
    _check_ending(path, writer)
    return writer.from_json(options)


def _check_ending(path: Path, writer: type[EventWriter]) -> None:
    """Raise `UsageError` where a file's ending is that of another format."""
    others = [form for form in formats() if path.name.lower().endswith(form.extensions)]
    if others and all(form.name != writer.name for form in others):
        raise UsageError(
            f"{path} ends like {' or '.join(form.title for form in others)}, and {writer.name} is to be written",
            f"a name that ends in {' or '.join(writer.extensions)}",
            "Readers would refuse it: rename it.",
        )


def writer_class(name: str) -> type[EventWriter]:
    """Return the writer of a format by its name.

    Raises
    ------
    UsageError
        There is no such format, or it cannot be written.
    CapabilityError
        It is another package's, and cannot be used.
    """
    known = writable_formats()
    if name in known:
        return known[name]
    if name in EVENT_FORMATS.names():
        EVENT_FORMATS.get(name)  # a plugin that cannot be used says why
        raise UsageError(f"{name} is read, but not written", f"one of {', '.join(known)}")
    raise UsageError(f"there is no event format {name!r}", "", near_miss(name, known))


def _by_ending(path: Path) -> str:
    """Return the name of the format that a path's ending chooses."""
    known = writable_formats()
    for name, writer in known.items():
        if writer.by_ending and path.name.lower().endswith(writer.extensions):
            return name
    endings = ", ".join(f"{w.extensions[0]} ({name})" for name, w in known.items() if w.by_ending)
    raise UsageError(
        f"{path} has the ending of no format that is written",
        endings,
        f"Rename it, or give its format.{broken_formats()}",
    )


def _sensor(path: Path, events: Events, writer: EventWriter) -> tuple[int, int]:
    """Return (width, height); raises `DataError` where it is none, or more than the format can hold."""
    try:
        width, height = (int(side) for side in events.size)
    except (TypeError, ValueError):
        raise DataError(
            f"the recording's size is {events.size!r}", "(width, height) in pixels", "Give the sensor's size."
        ) from None
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise DataError(
            f"the recording's sensor has {width} × {height} pixels", f"sides between 1 and {MAX_SIDE} pixels"
        )
    if max(width, height) > writer.most_side:
        raise DataError(
            f"{path}: the sensor has {width} × {height} pixels",
            f"sides up to {writer.most_side:,}: {writer.limit}",
            "Write HDF5 (format='hdf5') or text (format='text'), or crop or downsample the recording.",
        )
    return width, height


def _start(events: Events) -> int:
    start = int(events.start)
    if abs(start) > LARGEST:  # of what readers take
        raise DataError(
            f"the recording's start is {start} µs", "a number that fits into 62 bits", "Set Events.start."
        )
    return start
