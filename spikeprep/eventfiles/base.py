"""What an event-file format and its decoder are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from ..errors import DataError, PluginError, SpikeprepError, broken_plugin
from ..input_files import InputFile
from ..registry import Plugin
from .writer import EventWriter, check_extensions

Words = NDArray[np.uint64]
"""Events as kernels read and write them: uint64 (event, 2), x | y << 16 | p << 32 and then t."""

LATEST = 10**12
"""The latest plausible time of an event after its recording's start, in µs: 11.6 days.

Where `origin` keeps a clock's stamps, it is after the first event.
Recordings last minutes to hours. Beyond it lie today's date as Unix time in ms, µs and ns (1.7 · 10¹² and more), and
recordings in ns of more than 17 minutes: what is meant is another unit, or a clock that does not start at 0.
"""

Origin = Literal["", "first", "stored"]
"""What times count from, see `EventFormat.origin`."""

HEAD = 33
"""Number of events whose stamps `Decoder.first_stamps` returns: more than a few wrong ones."""

BLOCK = 1 << 15
"""Events that are decoded, checked and looked at while they are in a core's own cache."""

CHUNK = 1 << 18
"""Bytes of a file that are decoded at a time: with the events they become they fit into a core's own cache."""


def as_words(events: NDArray[np.void]) -> Words:
    """Return a contiguous array of dtype `EVENT` as `Words`, without a copy."""
    return events.view(np.uint64).reshape(-1, 2)


@dataclass(frozen=True)
class EventFormat(Plugin, ABC):
    """A file format of event recordings; its fields are options, for facts that the files do not state.

    Class attributes: `title` is the format's usual name, `extensions` are the endings of its files' names, these two
    and `name` have to be set;
    `common_endings` says that other files have them too: in a folder, such files are recordings only where the format
    is named; `begins` are the bytes that files of the format begin with, one of these: `matches` is asked of such files
    alone, or of all where it is empty; `other_text` is what to do about a file of text that is not of the format;
    `writer` is how files of the format are written, None where they are only read.

    Parameters
    ----------
    origin
        What times count from. ``"first"``: the first event, whose stamp is a camera's clock; ``"stored"``: the zero of
        the file's stamps. Where empty, the format decides; where it does not say, stamps that begin below 0 or more
        than 1 s after it are a clock's.
    order
        ``"sort"``: events are sorted by their stamps, in memory. Where empty, they have to be in order.
    gaps
        Whether silence of any length is real: otherwise a few events that are far from all others are refused, as
        stamps that are wrong.
    """

    title: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    common_endings: ClassVar[bool] = False
    other_text: ClassVar[str] = ""
    begins: ClassVar[tuple[bytes, ...]] = ()
    writer: ClassVar[type[EventWriter] | None] = None

    origin: Origin = field(default="", kw_only=True)
    order: Literal["", "sort"] = field(default="", kw_only=True)
    gaps: bool = field(default=False, kw_only=True)

    @classmethod
    def check_class(cls, what: str) -> None:
        """Raise `PluginError` where endings are no endings, or the writer lacks something; `what` names the class."""
        check_extensions(cls, what)
        if not isinstance(cls.begins, tuple) or not all(isinstance(b, bytes) and b for b in cls.begins):
            raise PluginError(
                f"{what} has begins = {cls.begins!r}",
                "a tuple of the bytes that its files begin with, such as (b'TINY',)",
                f"Correct {cls.__module__}.{cls.__qualname__}.begins.",
            )
        writer: Any = cls.writer
        if writer is None:
            return
        if not (isinstance(writer, type) and issubclass(writer, EventWriter)):
            raise PluginError(
                f"{what} has the writer {writer!r}",
                "a class that inherits from spikeprep.eventfiles.EventWriter",
            )
        writer.check_class(f"{what} has a writer, {writer.__module__}.{writer.__qualname__}, which")
        if writer.name != cls.name:
            raise PluginError(
                f"{what} has a writer with name = {writer.name!r}",
                f"the format's: {cls.name!r}",
                f"Correct {writer.__module__}.{writer.__qualname__}.name.",
            )

    @classmethod
    @abstractmethod
    def matches(cls, head: bytes) -> bool | None:
        """Return whether a file that begins with `head` (at most 4 KiB) has this format; None: bytes cannot decide."""

    @abstractmethod
    def decoder(self, file: InputFile) -> Decoder:
        """Read the header and return a decoder positioned before the first event.

        The decoder reads `file.stream`, or gives it to a library: bytes that change between two passes are then an
        error. One that opens `file.path` itself is checked by the file's digest after each pass.

        Raises
        ------
        DataError
            The header is damaged, or belongs to another format.
        """

    def open(self, path: Path) -> Decoder:
        """Open a file and return its decoder, which closes the file; raises like `decoder`."""
        return self.open_file(InputFile(path))

    def open_file(self, file: InputFile) -> Decoder:
        """Return the decoder of a file, which closes the file; an error closes it too.

        Raises `PluginError` where another package's format raises anything but `SpikeprepError`.
        """
        try:
            decoder = self.decoder(file)
        except BaseException as error:
            file.close()
            if not isinstance(error, Exception) or isinstance(error, SpikeprepError | MemoryError):
                raise
            if type(self).__module__.startswith("spikeprep."):
                raise  # a bug of ours, or an error of the operating system
            # TypeError names the methods that a decoder lacks
            got = f"{file.path}: the event format {self.name!r} raised {type(error).__name__}: {error}"
            raise broken_plugin(type(self), got, "a decoder, or DataError") from error
        decoder.file, decoder.path = file, file.path
        return decoder


class Decoder(ABC):
    """One pass over a recording, in file order; a context manager that closes the file.

    Attributes
    ----------
    file, path
        The file; `EventFormat.open_file` sets both.
    size
        (width, height) of the sensor in pixels, None where neither the file nor its format states it.
    camera_clock
        Whether time stamps come from the camera's own clock, so that the first one has to be subtracted; None where the
        format does not say, so that the first stamp decides.
    origin
        What is subtracted from every time stamp, in µs.
    latest
        The latest plausible time of an event, in µs.
    offset_of_start
        What the file's own time stamps count from, in µs, where the file states it.
    flip_y
        Whether y counts from the opposite side of the sensor.
    undated
        Number of events before the first word that sets the time: they are left out.
    sorted
        Number of events that were out of order, and were sorted.
    notes
        What was decided from the data, in words that name no file.
    findings
        What deserves attention, in words that name no file.
    """

    file: InputFile
    path: Path
    size: tuple[int, int] | None = None
    camera_clock: bool | None = None
    offset_of_start: int = 0
    origin: int = 0
    latest: int = LATEST
    flip_y: bool = False
    undated: int = 0
    sorted: int = 0
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    polarity_hint: str = "They have another meaning: save p as 0 (OFF) and 1 (ON)"
    size_hint: str = ""  # what else events off the sensor may mean, as a clause: "pass …"
    late_hint: str = "Check that the file is of this format"  # for a time stamp beyond `latest`

    @abstractmethod
    def fill(self, out: NDArray[np.void]) -> int:
        """Decode the next events into `out`, dtype `EVENT`, (event,), at least one long.

        Returns the number of events: 0 only at the end of the recording, otherwise any number that fits.
        """

    @abstractmethod
    def offset(self, count: int, index: int) -> int:
        """Return the byte offset in the file of event `index` of the last `fill`'s `count` events; −1 if none."""

    @abstractmethod
    def max_events(self) -> int | None:
        """Return an upper bound of the number of events; None where only decoding can tell."""

    def buffer_length(self, events: int) -> int:
        """Return the length of a buffer for `events` events: less where the recording is shorter."""
        bound = self.max_events()
        return events if bound is None else max(min(events, bound), 1)

    @abstractmethod
    def rewind(self) -> None:
        """Go back to before the first event."""

    def first_stamps(self) -> NDArray[np.int64]:
        """Return the stamps of the first events, at most `HEAD`, and go back to before the first one."""
        first = np.empty(HEAD, EVENT)
        count = self.fill(first)
        self.rewind()
        return first["t"][:count] + self.origin

    def set_origin(self, origin: int) -> None:
        """Subtract `origin`, in µs, from every stamp; the decoder is before its first event."""
        self.origin = origin
        self.rewind()

    def check_times(self, events: int, duration: int, pixels: int) -> None:  # noqa: B027  # for those who know better
        """Raise `DataError` where the times of a whole recording cannot be meant; add what is strange to `findings`.

        Parameters
        ----------
        events
            Number of its events.
        duration
            From the first to the last, in µs.
        pixels
            Of the sensor.
        """

    def close(self) -> None:
        """Close the file; a decoder that holds more overrides this and calls it too."""
        self.file.close()

    def mark(self) -> Any:
        """Return what `resume` goes back to the place before the next event with; None: only `rewind` is possible."""
        return None

    def resume(self, mark: Any) -> None:
        """Go to a place that `mark` returned for the same file, with the same `origin`."""
        raise NotImplementedError

    @abstractmethod
    def incomplete_end(self) -> str:
        """Return, after the last event, a description of an incomplete record at the end; empty where there is none.

        It is where a truncated file shows: one that is cut within a record has whole records and then a few bytes.
        Return an empty text where decoding refuses such files, as libraries do.
        """

    def last_event(self) -> NDArray[np.void] | None:
        """Return the last event (1,) where it can be read without the others, else None."""
        return None

    def raw_field(self, name: str, events: NDArray[np.void]) -> NDArray[np.int64]:
        """Return field `name` of the last `fill`'s `events` as the file has it, where `EVENT` is too narrow for it.

        In `events`, a value that does not fit is replaced by the largest that does: it lies off any sensor.
        """
        values = events[name].astype(np.int64)
        return np.where(values == 255, -1, values) if name == "p" else values  # −1 as a byte

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ByteDecoder(Decoder):
    """A decoder of records of `record` bytes each, by a kernel whose state is a few numbers.

    Subclasses implement `decode`, and set `record`, `initial_state` and the attributes of `Decoder`.
    """

    record: ClassVar[int]
    initial_state: ClassVar[tuple[int, ...]] = (0,)
    """The kernel's state before the first record; its first number is t minus `origin`."""

    def __init__(self, file: InputFile, begin: int) -> None:
        self.file, self.path, self._begin = file, file.path, begin
        self._end = max(file.length(), begin)
        self._records_end = begin + (self._end - begin) // self.record * self.record
        self._buffer = np.empty(min(CHUNK, self._end - begin) // self.record * self.record, np.uint8)
        self._at, self._high = -1, 0
        self.rewind()

    def rewind(self) -> None:
        """Go back to before the first event."""
        if self._at != self._begin:  # otherwise the buffer still has the first bytes
            self._at = self.file.stream.seek(self._begin)  # offset in the file of the buffer's first byte
            self._high = 0
        self._low = 0  # bytes of the buffer from here to `_high` are not decoded yet
        self.state = np.array(self.initial_state, np.int64)
        self.state[0] -= self.origin

    def mark(self) -> tuple[int, tuple[int, ...]]:
        """Return the byte offset of the next record, and the kernel's state there."""
        return self._at + self._low, tuple(self.state.tolist())

    def resume(self, mark: tuple[int, tuple[int, ...]]) -> None:
        """Go to a record, with the kernel's state."""
        self._at = self.file.stream.seek(mark[0])
        self._low = self._high = 0
        self.state = np.array(mark[1], np.int64)

    @abstractmethod
    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        """Decode whole records `raw` into `out` until either ends.

        Returns the number of records used and of events written. `where`, unless it is empty, receives the number of
        each event's record.
        """

    def _refill(self) -> bool:
        """Read on behind the undecoded bytes of the buffer; return whether there was more to read."""
        if self._at + self._high >= self._records_end:
            return False
        undecoded = self._high - self._low
        self._buffer[:undecoded] = self._buffer[self._low : self._high]
        self._at += self._low
        self._low, self._high = 0, undecoded
        wanted = min(self._buffer.size, self._records_end - self._at)
        while self._high < wanted:
            count = self.file.stream.readinto(self._buffer[self._high : wanted].data)
            if not count:
                raise DataError(
                    f"{self.path} ends at byte {self._at + self._high}",
                    f"{self._end} bytes, as when it was opened",
                    "Do not change a file while it is read.",
                )
            self._high += count
        return wanted > undecoded

    def fill(self, out: NDArray[np.void]) -> int:
        """Decode the next events, from one buffer."""
        while True:
            if self._low < self._high or self._pending():
                self._before = self._low, self.state.copy()
                raw = self._buffer[self._low : self._high]
                used, events = self.decode(raw, as_words(out), _NO_INDICES, self.state)
                self._low += used * self.record
                if events:
                    return events
                if used:
                    continue
            # bytes that the kernel did not use are a record of variable length that is incomplete so far
            if not self._refill():
                return 0

    def _pending(self) -> bool:
        """Return whether a record that was used still has events to write."""
        return False

    def offset(self, count: int, index: int) -> int:
        """Decode the last events again, now with the number of each event's record."""
        low, state = self._before
        records = np.empty(count, np.int64)
        self.decode(self._buffer[low : self._high], np.empty((count, 2), np.uint64), records, state.copy())
        return int(self._at + low + records[index] * self.record)

    def max_events(self) -> int:
        """Return the number of events if every record is one."""
        return (self._end - self._begin) // self.record

    def incomplete_end(self) -> str:
        """Return how many bytes of an incomplete record are at the end."""
        if left := (self._end - self._begin) % self.record:
            return f"the record at byte {self._end - left} has {left} of its {self.record} bytes"
        return ""


_NO_INDICES = np.empty(0, np.int64)


def empty_events() -> NDArray[np.void]:
    """Return an array of no events."""
    return np.empty(0, EVENT)
