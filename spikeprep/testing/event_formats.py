"""The check that every format of event files passes."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT, Events
from ..errors import DataError
from ..eventfiles import EventFormat, open_events, outline, read, write
from ..registry import EVENT_FORMATS
from .plugins import check_plugin, conformance, require
from .signals import require_same

_HEAD = 4096  # bytes that `matches` gets
_START = 1_605_537_493_718_345  # µs, a Unix time: of the recording that a writer gets


@conformance
def check_event_format(
    format: EventFormat, path: str | Path, events: NDArray[np.void], size: tuple[int, int] | None = None
) -> None:
    """Check a format: a file is recognised and gives its events, whole, in pieces of any length, again and again.

    A copy of the file that ends early raises `DataError` or gives the beginning of the recording, never another error.
    One that ends within its last record raises `DataError` where `invalid` is "fail".
    Where the format has a writer, what it writes reads back equal, whatever the pieces; what cannot be written leaves
    no file.

    Parameters
    ----------
    format
        The format with the options of the test. It is registered: by an entry point, or by `spikeprep.register`.
    path
        A file of the format with at least ten events.
    events
        Its events, dtype `spikeprep.data.EVENT`, (event,). Of formats whose stamps are a camera's clock, t may be
        either the stamps or µs since the first event.
    size
        (width, height) of the sensor in pixels, where the file does not state it.

    Raises
    ------
    AssertionError
        The format breaks its contract; the message says how.
    """
    name, path = format.name, Path(path)
    require(isinstance(format, EventFormat), f"{format!r} is no EventFormat")
    check_plugin(format)
    require(
        name in EVENT_FORMATS.names() and EVENT_FORMATS.get(name) is type(format),
        f"{name}: it is not registered: call spikeprep.register({type(format).__qualname__}) first",
    )
    require(format.title, f"{name}: its title is empty")
    require(len(events) >= 10 and events.dtype == EVENT, f"{name}: give at least ten events of dtype EVENT")
    _check_matching(format, path)
    settings: dict[str, Any] = {"format": name, "size": size} | asdict(format)
    recording = read(path, **settings)
    _check_events(recording, events, name)
    for length in (1, 7, len(events), len(events) + 1):
        pieces = open_events(path, piece_events=length, **settings)
        for walk in ("once", "again"):
            message = f"{name}: read in pieces of {length} events, {walk}"
            require_same(replace(pieces, pieces=(pieces.array,)), recording, message)
    last = outline(path, **settings)
    for fact in ("size", "polarities", "start"):
        require(getattr(last, fact) == getattr(recording, fact), f"{name}: the outline has another {fact}")
    require(last.length() == recording.length(), f"{name}: the outline has another duration")
    _check_truncated(format, path, recording, settings)
    _check_incomplete_end(format, path, len(recording.array), settings)
    if type(format).writer is not None:
        _check_writer(format, recording)


def _check_matching(format: EventFormat, path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    answers = {type(format).matches(head[:n]) for n in (len(head), len(head) // 2)}
    require(type(format).matches(head) is not False, f"{format.name}: matches() denies the file {path.name}")
    require(
        answers <= {True, False, None},
        f"{format.name}: matches() returned {answers}; expected a bool or None",
    )
    for other in (b"", b"\0" * _HEAD, b"neither header nor events\n" * 9):
        require(
            type(format).matches(other) is not True,
            f"{format.name}: matches() claims the bytes {other[:9]!r}…",
        )


def _check_events(recording: Events, events: NDArray[np.void], name: str) -> None:
    found = recording.array
    require(found.dtype == EVENT, f"{name}: its events are {found.dtype}; expected spikeprep.data.EVENT")
    require(len(found) == len(events), f"{name}: it has {len(found)} events; expected {len(events)}")
    for field in ("x", "y", "p"):
        wrong = np.flatnonzero(found[field] != events[field])
        require(not len(wrong), f"{name}: {field} differs, first of event {wrong[:1]}")
    same = any(np.array_equal(found["t"], events["t"] - first) for first in (0, events["t"][0]))
    require(same, f"{name}: t differs: {found['t'][:3]}… µs; expected {events['t'][:3]}…")


def _check_truncated(format: EventFormat, path: Path, recording: Events, settings: dict[str, Any]) -> None:
    data, whole = path.read_bytes(), recording.array
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for length in sorted({*range(0, len(data), max(1, len(data) // 16)), len(data) - 1}):
            copy.write_bytes(data[:length])
            for invalid in ("fail", "drop"):
                try:
                    found = read(copy, invalid=invalid, report=lambda changes: None, **settings).array
                except DataError:
                    continue
                except Exception as error:
                    what = f"{format.name}: the first {length} bytes of {path.name} raise"
                    raise AssertionError(
                        f"{what} {type(error).__name__}: {error}; expected DataError"
                    ) from error
                if length < len(data) // 2:  # perhaps a shorter header, which means something else
                    continue
                same = len(found) <= len(whole) and np.array_equal(found, whole[: len(found)])
                require(same, f"{format.name}: the first {length} bytes of {path.name} give other events")


def _check_incomplete_end(format: EventFormat, path: Path, events: int, settings: dict[str, Any]) -> None:
    """Check that a file that is cut within its last event's record is refused, not read without this event."""
    data = path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name

        def count(length: int) -> int | None:
            copy.write_bytes(data[:length])
            try:
                return len(read(copy, **settings).array)
            except DataError:
                return None

        low, high = 0, len(data)  # of the lengths that give fewer events or an error, and all events
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if count(middle) == events else (middle, high)
        found = count(low)
        # where one byte less gives as many, the file ends within a record, not behind one
        require(
            found is None or low < 2 or count(low - 1) != found,
            f"{format.name}: the first {low} bytes of {path.name}, which end within a record, give {found} events and "
            "no error; expected DataError: let the decoder's incomplete_end() describe what is left at the end",
        )


def _check_writer(format: EventFormat, recording: Events) -> None:
    name, events, writer = format.name, recording.array, type(format).writer
    assert writer is not None  # and a class of a writer: `register` and entry points have checked it
    require(
        writer.from_json(writer().to_json()) == writer(), f"{name}: its writer's options do not survive JSON"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"written{writer.extensions[0]}"
        contents = []
        for pieces in ((events,), [events[n : n + 7] for n in range(0, len(events), 7)]):
            written = write(path, replace(recording, pieces=pieces), format=name, overwrite=True)
            require(written.events == len(events), f"{name}: its writer got {written.events} events")
            contents.append(path.read_bytes())
        require(contents[0] == contents[1], f"{name}: events in other pieces are written as other bytes")
        again = read(path, format=name, origin="first", size=recording.size)
        shifted = events.copy()
        shifted["t"] -= events["t"][0]
        _check_events(again, shifted, f"{name}, written")
        write(path, replace(recording, pieces=(events,), start=_START), format=name, overwrite=True)
        clock = read(path, format=name, size=recording.size)
        got, first = clock.start + int(clock.array["t"][0]), int(events["t"][0])
        lap = writer.start_range
        expected = _START + first if lap is None else (_START + first) % lap if lap else first
        require(
            got == expected,
            f"{name}: of the start {_START} it reads back {got - first}; expected {expected - first}, as the writer's "
            f"start_range = {lap} says",
        )
        path.unlink()
        off = events.copy()
        off["x"][-1] = recording.size[0]
        try:
            write(path, replace(recording, pieces=(off,)), format=name)
        except DataError:
            require(not any(Path(folder).iterdir()), f"{name}: its writer left a file behind an error")
        else:
            raise AssertionError(f"{name}: an event off the sensor was written")
