"""What a format of event recordings is, and how one is walked from its first event to its last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from ..errors import DataError
from ..registry import Plugin

Words = NDArray[np.uint64]
"""Events as kernels see them: uint64 (event, 2), x | y << 16 | p << 32 and then t."""

CHUNK = 1 << 18
"""Bytes of a file that are held at a time: with the events that they become they stay in a core's own cache."""


def as_words(events: NDArray[np.void]) -> Words:
    """Return a contiguous array of dtype `EVENT` as `Words`, without a copy."""
    return events.view(np.uint64).reshape(-1, 2)


@dataclass(frozen=True)
class EventFormat(Plugin, ABC):
    """One file format. Its fields are its options, for what a file does not tell of itself.

    Class attributes: `title` is what people call the format, `extensions` what its files' names end in.
    """

    title: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def matches(cls, head: bytes) -> bool | None:
        """Say whether a file that begins with `head` (up to 4 KiB) is of this format; None: its bytes cannot tell."""

    @abstractmethod
    def open(self, path: Path) -> Decoder:
        """Read the header and return a decoder that stands before the first event.

        Raises
        ------
        DataError
            The header is damaged, or says that the file is something else.
        """


class Decoder(ABC):
    """One walk over a recording, in the order of the file; a context manager that closes the file.

    Attributes
    ----------
    size
        (width, height) of the sensor, None where neither the file nor its format tells.
    camera_clock
        Whether stamps are of the camera's own clock, so that the first one has to be subtracted.
    origin
        What is subtracted from every stamp, in µs.
    offset_of_start
        What the file says that its own stamps count from, in µs.
    flip_y
        Whether y is to be counted from the other side of the sensor.
    undated
        How many events came ahead of the first word that tells the time: they are left out.
    """

    path: Path
    size: tuple[int, int] | None = None
    camera_clock: bool = False
    offset_of_start: int = 0
    origin: int = 0
    flip_y: bool = False
    undated: int = 0

    @abstractmethod
    def fill(self, out: NDArray[np.void]) -> int:
        """Decode the next events into `out` (event,), which has room for one at least.

        Returns how many there are: 0 at the end of the recording only, and otherwise any number that fits.
        """

    @abstractmethod
    def offset(self, count: int, index: int) -> int:
        """Return the byte offset in the file of event `index` of the `count` that `fill` returned last; −1 if none."""

    @abstractmethod
    def most(self) -> int | None:
        """Return an upper bound of how many events there are; None where it cannot be had without decoding."""

    def room(self, wanted: int) -> int:
        """Return how long an array needs to be for `wanted` events, if there are as many: a little recording's less."""
        most = self.most()
        return wanted if most is None else max(min(wanted, most), 1)

    @abstractmethod
    def rewind(self) -> None:
        """Go back to before the first event."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def rest(self) -> str:
        """Say, at the end, what is left of a record that was cut off; empty where all are whole."""
        return ""

    def last(self) -> NDArray[np.void] | None:
        """Return the last event (1,) where it can be had without the others, else None."""
        return None

    def stored(self, name: str, events: NDArray[np.void]) -> NDArray[np.int64]:
        """Return field `name` of the last `fill`'s `events` as the file has it, where `EVENT` is too narrow for it.

        A value that does not fit stands in `events` as the largest that does: it is off any sensor.
        """
        return events[name].astype(np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ByteDecoder(Decoder):
    """A decoder of a stream of records of `record` bytes each, by a kernel with a state of a few numbers.

    Subclasses implement `decode`, and set `record`, `fresh` and what `Decoder` has.
    """

    record: ClassVar[int]
    fresh: ClassVar[tuple[int, ...]] = (0,)
    """The kernel's state before the first record; its first number is t, less `origin`."""

    def __init__(self, path: Path, begin: int, end: int | None = None) -> None:
        self.path, self._begin = path, begin
        self._file = path.open("rb", buffering=0)
        length = self._file.seek(0, 2) if end is None else end
        self._end = max(length, begin)
        self._buffer = np.empty(min(CHUNK, self._end - begin) // self.record * self.record, np.uint8)
        self.rewind()

    def rewind(self) -> None:
        """Go back to before the first event."""
        self._at = self._file.seek(self._begin)  # of the first byte in the buffer
        self._low = self._high = 0  # what of the buffer is still to be decoded
        self.state = np.array(self.fresh, np.int64)
        self.state[0] -= self.origin

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @abstractmethod
    def decode(
        self, raw: NDArray[np.uint8], out: Words, where: NDArray[np.int64], state: NDArray[np.int64]
    ) -> tuple[int, int]:
        """Decode whole records `raw` into `out` until either ends.

        Returns how many records were used and how many events they became. `where`, unless it is empty, receives the
        number of each event's record.
        """

    def _refill(self) -> bool:
        """Read on, behind what is left of the buffer; return whether there is more."""
        left = self._high - self._low
        self._buffer[:left] = self._buffer[self._low : self._high]
        self._at += self._low
        self._low, self._high = 0, left
        whole = (self._end - self._begin) // self.record * self.record
        wanted = min(self._buffer.size, self._begin + whole - self._at)
        while self._high < wanted:
            got = self._file.readinto(self._buffer[self._high : wanted].data)
            if not got:
                raise DataError(
                    f"{self.path} ends at byte {self._at + self._high}",
                    f"{self._end} bytes, as when it was opened",
                    "Do not change a file that is being read.",
                )
            self._high += got
        return wanted > left

    def fill(self, out: NDArray[np.void]) -> int:
        """Decode the next events, out of one buffer."""
        while True:
            if self._low < self._high or self._pending():
                self._before = self._low, self.state.copy()
                raw = self._buffer[self._low : self._high]
                used, made = self.decode(raw, as_words(out), _NOWHERE, self.state)
                self._low += used * self.record
                if made:
                    return made
                if used:
                    continue
            # what a kernel leaves is a record of variable length that is not whole yet
            if not self._refill():
                return 0

    def _pending(self) -> bool:
        """Return whether events of a record that was used are still to come."""
        return False

    def offset(self, count: int, index: int) -> int:
        """Decode the last events once more, this time with the number of each one's record."""
        low, state = self._before
        records = np.empty(count, np.int64)
        self.decode(self._buffer[low : self._high], np.empty((count, 2), np.uint64), records, state.copy())
        return int(self._at + low + records[index] * self.record)

    def most(self) -> int:
        """Return how many events there are if every record is one."""
        return (self._end - self._begin) // self.record

    def rest(self) -> str:
        """Say how many bytes of a record are there at the end."""
        if left := (self._end - self._begin) % self.record:
            return f"the record at byte {self._end - left} has {left} of its {self.record} bytes"
        return ""


_NOWHERE = np.empty(0, np.int64)


def head_of(path: Path, size: int = 4096) -> bytes:
    """Return the first bytes of a file; raises `DataError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error})", "", "Check the path.") from error


def empty_events() -> NDArray[np.void]:
    """Return no events."""
    return np.empty(0, EVENT)
