"""Decoders of files that hold events in packets or columns, not as a stream of words."""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..input_files import InputFile
from .base import HEAD, Decoder, as_words


@dataclass(frozen=True)
class Chunk:
    """Events that are decoded together.

    Attributes
    ----------
    events
        Dtype `EVENT`, (event,), t as the file has it, in µs.
    at
        Byte offset in the file of the first event, or of the block they are compressed in; −1 where there is none.
    stride
        Bytes from one event to the next; 0 where all have one offset.
    wide
        Fields with values that `EVENT` is too narrow for, int64 (event,); in `events` they lie off any sensor.
    place
        What `ChunkDecoder.chunks_from` begins again with this chunk from; None where it cannot.
    """

    events: NDArray[np.void]
    at: int = -1
    stride: int = 0
    wide: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    place: Any = None


class ChunkDecoder(Decoder):
    """A decoder that copies events from one chunk after the other; subclasses implement `chunks`."""

    def __init__(self) -> None:
        self.rewind()

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks of the recording, from its beginning."""

    def chunks_from(self, place: Any) -> Iterator[Chunk]:
        """Yield the chunks of the recording from the one with this `Chunk.place` on; needed where chunks have one."""
        raise NotImplementedError

    def rewind(self) -> None:
        """Go back to before the first event."""
        self._remaining = self.chunks()
        self._chunk: Chunk | None = None
        self._low = self._high = 0

    def mark(self) -> tuple[Any, int] | None:
        """Return the chunk's place, and how many of its events were taken."""
        return None if self._chunk is None or self._chunk.place is None else (self._chunk.place, self._high)

    def resume(self, mark: tuple[Any, int]) -> None:
        """Go to a chunk, and past some of its events."""
        self._remaining = self.chunks_from(mark[0])
        self._chunk = next(self._remaining, None)
        self._low = self._high = mark[1]

    def first_stamps(self) -> NDArray[np.int64]:
        """Return the stamps of the first events, of one chunk, which the next `fill` continues with."""
        self.rewind()
        while self._chunk is None or not len(self._chunk.events):
            if (chunk := next(self._remaining, None)) is None:
                return np.empty(0, np.int64)
            self._chunk = chunk
        return self._chunk.events["t"][:HEAD].copy()

    def set_origin(self, origin: int) -> None:
        """Subtract `origin` from every stamp as it is copied."""
        self.origin = origin

    def fill(self, out: NDArray[np.void]) -> int:
        """Copy the next events, from one chunk."""
        while self._chunk is None or self._high == len(self._chunk.events):
            self._chunk = next(self._remaining, None)
            self._low = self._high = 0
            if self._chunk is None:
                return 0
        self._low = self._high
        self._high = min(self._low + len(out), len(self._chunk.events))
        count = self._high - self._low
        words = as_words(out[:count])  # copying field by field would leave the padding bytes as they were
        words[:] = as_words(self._chunk.events[self._low : self._high])
        if self.origin:
            words[:, 1] -= np.uint64(self.origin % 2**64)  # a negative one as its complement
        return count

    def offset(self, count: int, index: int) -> int:
        """Return the byte offset of an event of the last `fill`, −1 where the file has none."""
        assert self._chunk is not None
        return self._chunk.at + self._chunk.stride * (self._low + index)

    def raw_field(self, name: str, events: NDArray[np.void]) -> NDArray[np.int64]:
        """Return a field as the file has it."""
        assert self._chunk is not None
        if name in self._chunk.wide:
            return self._chunk.wide[name][self._low : self._high]
        return super().raw_field(name, events)


_LAST = 64  # packets in which the last event is searched for

P = TypeVar("P")
"""What a format knows of a packet before decoding it."""


class PacketDecoder(ChunkDecoder, Generic[P]):
    """A decoder of consecutive packets, each with a header of its own, with time stamps of a camera's clock.

    Subclasses implement `packets`, which describes an incomplete last packet in `cut`, and `read`.
    """

    camera_clock = True
    cut = ""

    def __init__(self, file: InputFile) -> None:
        self.file, self.path = file, file.path
        self._length = file.length()
        super().__init__()

    @abstractmethod
    def packets(self) -> Iterable[P]:
        """Yield the packets of events, reading only their headers."""

    @abstractmethod
    def read(self, packet: P) -> Chunk:
        """Decode a packet."""

    def header(self, at: int, form: struct.Struct) -> tuple[Any, ...] | None:
        """Return the fields of the header at byte `at`; None, with `cut` set, where the file ends within it."""
        raw = self.bytes_at(at, form.size)
        if len(raw) == form.size:
            return form.unpack(raw)
        self.cut = f"the packet at byte {at} has {len(raw)} of the {form.size} bytes of its header"
        return None

    def bytes_at(self, at: int, size: int) -> bytes:
        """Return bytes of the file, fewer at its end."""
        self.file.stream.seek(at)
        return self.file.stream.read(size)

    def chunks(self) -> Iterator[Chunk]:
        """Decode packet after packet."""
        for packet in self.packets():
            yield self.read(packet)

    def incomplete_end(self) -> str:
        """Return a description of an incomplete last packet."""
        return self.cut

    def last_event(self) -> NDArray[np.void] | None:
        """Return the last event, from the last packet that has one."""
        packets = deque(self.packets(), _LAST)
        if self.cut:
            return None
        for packet in reversed(packets):
            events = self.read(packet).events[-1:]
            if len(events):
                events["t"] -= self.origin
                return events
        return None
