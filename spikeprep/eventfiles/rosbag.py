"""ROS 1 bags (.bag): messages of events, of one topic, read with rosbags.

A message (``dvs_msgs/EventArray``, and any other of the same definition) has a header (number, time, name of the
frame), the sensor's height and width, and events of 13 bytes: x, y, the seconds and nanoseconds of t, p.
Source: https://wiki.ros.org/Bags/Format/2.0, https://wiki.ros.org/msg, github.com/uzh-rpg/rpg_dvs_ros (dvs_msgs)
"""

from __future__ import annotations

import bz2
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import EVENT
from ..errors import CapabilityError, DataError, near_miss
from ..input_files import InputFile
from . import decompression
from .base import Decoder, EventFormat
from .chunks import Chunk, ChunkDecoder
from .decompression import Decompress

_SIGNATURE = b"#ROSBAG V2.0\n"
DEFINITION = "5e8beee5a6c107e504c2e78903c224b8"
"""Digest of the definition of a message of events, which bags state; a definition's name is no part of it."""

_EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
_COPIES = 3  # of a part of a bag while it is decoded: its messages, one of them, and its events
_US = 1_000_000  # in a second


def decode_message(raw: bytes) -> tuple[NDArray[np.void], tuple[int, int]]:
    """Decode a message: events of dtype `EVENT`, t in µs of ROS's clock, and (width, height) of the sensor.

    t is rounded down to µs, which keeps events in order. Raises `ValueError` where its bytes are others than it states.
    """
    (name,) = struct.unpack_from("<I", raw, 12)
    height, width, count = struct.unpack_from("<III", raw, at := 16 + name)
    if len(raw) != (begin := at + 12) + count * _EVENT.itemsize:
        raise ValueError(f"{count:,} events in {len(raw):,} bytes")
    stored = np.frombuffer(raw, _EVENT, count, begin)
    events = np.empty(count, EVENT)
    events["x"], events["y"], events["p"] = stored["x"], stored["y"], stored["p"]
    events["t"] = stored["s"].astype(np.int64) * _US + stored["ns"] // 1000
    return events, (width, height)


class _Bag:
    """The file of a bag, as rosbags opens it: by `InputFile`, which checks its bytes, and stays open."""

    def __init__(self, file: InputFile) -> None:
        self._file = file

    def exists(self) -> bool:
        return True

    def open(self, mode: str) -> IO[bytes]:
        self._file.stream.seek(0)
        return self._file.stream  # type: ignore[return-value]


class _Decoder(ChunkDecoder):
    camera_clock = True

    def __init__(self, file: InputFile, reader: Any, connections: Sequence[Any]) -> None:
        self.file, self.path = file, file.path
        self._reader = reader
        self._connections = connections  # of one topic: one for each program that wrote to it
        super().__init__()
        if (first := next(self._messages(), None)) is not None:
            self.size = self._decode(first[1])[1]

    def _messages(self, start: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield (time in the bag, bytes) of the messages from a time on."""
        messages = self._reader.messages(self._connections, start)
        size = 0
        while (message := _safely(self.file, lambda: next(messages, None))) is not None:
            _, time, raw = message
            size += len(raw)
            self.file.limits.check_ratio(f"{self.path}", size, self.file.length(), so_far=True)
            yield time, raw

    def _decode(self, raw: bytes) -> tuple[NDArray[np.void], tuple[int, int]]:
        return _safely(self.file, lambda: decode_message(raw))  # type: ignore[no-any-return]

    def chunks(self) -> Iterator[Chunk]:
        """Decode message after message."""
        return self._chunks(None, 0)

    def chunks_from(self, place: tuple[int, int]) -> Iterator[Chunk]:
        """Decode from a message on: its time, and how many before it have the same one."""
        return self._chunks(*place)

    def _chunks(self, start: int | None, skip: int) -> Iterator[Chunk]:
        before, same = None, 0
        for time, message in self._messages(start):
            before, same = time, same + 1 if time == before else 0
            if time == start and same < skip:
                continue
            events, size = self._decode(message)
            if size != self.size:
                raise DataError(
                    f"{self.path}: the message of {time / 1e9:.6f} s is of a sensor of {_pixels(size)}",
                    f"{_pixels(self.size)}, as the first one of {self._connections[0].topic}",
                    "Record each camera to a topic of its own.",
                )
            yield Chunk(events, place=(time, same))

    def last_event(self) -> NDArray[np.void] | None:
        """Return the last event, where the last message has one."""
        indexes = (self._reader.indexes[connection.id] for connection in self._connections)
        end = max((index[-1].time for index in indexes if index), default=0)
        events = np.empty(0, EVENT)
        for _, message in self._messages(end):
            events, _ = self._decode(message)
        events["t"] -= self.origin
        return events[-1:] if len(events) else None

    def max_events(self) -> None:
        """Return None: only decompressing tells."""

    def incomplete_end(self) -> str:
        """Return an empty text: a bag that is truncated has no index, and cannot be opened."""
        return ""

    def close(self) -> None:
        """Close the bag."""
        self._remaining = iter(())
        with suppress(Exception):  # it is closed where opening it failed
            self._reader.close()
        super().close()


def _pixels(size: tuple[int, int] | None) -> str:
    return " × ".join(map(str, size or ()))


def _safely(file: InputFile, call: Callable[[], Any]) -> Any:
    """Return what a function returns; its errors, and those of rosbags, become `DataError`."""
    try:
        return call()
    except DataError:
        raise
    except Exception as error:  # its own, and those of struct, bz2, lz4, dictionaries and assertions
        if file.stream.error is not None:
            raise file.stream.error from error
        hint = "Fetch it again, or repair it: rosbag reindex, or rosbag fix."
        raise DataError(
            f"{file.path} cannot be read ({error or type(error).__name__})", "a complete ROS bag", hint
        ) from error


def _bounded(file: InputFile, decompress: Decompress) -> Callable[[bytes], bytes]:
    """Return a decompression that keeps to the limits of a file."""

    def expand(data: bytes) -> bytes:
        what = f"{file.path}: a part of it"
        file.limits.check_bytes(what, len(data) * (1 + _COPIES))
        return decompression.expand(data, decompress, _COPIES, file.limits, what)

    return expand


def _expansions(file: InputFile) -> Mapping[Any, Callable[[bytes], bytes]]:
    """Return what replaces the decompressions of rosbags, which expand parts without a bound."""
    import lz4.frame

    return {
        bz2.decompress: _bounded(file, decompression.bz2),
        lz4.frame.decompress: _bounded(file, decompression.lz4),
    }


@dataclass(frozen=True)
class RosBag(EventFormat):
    """ROS 1 bags (.bag) with messages of events, such as dvs_msgs/EventArray.

    Parameters
    ----------
    topic
        Topic of the events, such as ``/dvs/events``; detected where it is the only one.
    """

    name: ClassVar[str] = "rosbag"
    title: ClassVar[str] = "ROS 1 bag"
    extensions: ClassVar[tuple[str, ...]] = (".bag",)
    begins: ClassVar[tuple[bytes, ...]] = (_SIGNATURE,)

    topic: str = ""

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the first line is that of version 2.0."""
        return head.startswith(_SIGNATURE)

    def decoder(self, file: InputFile) -> Decoder:
        """Read the index, and find the topic; see `EventFormat.decoder`."""
        try:
            from rosbags.rosbag1 import Reader
        except ImportError as error:
            raise CapabilityError(
                f"{file.path} is a ROS bag, and rosbags is not installed", "", "Install spikeprep[ros]."
            ) from error
        reader = Reader(_Bag(file))  # type: ignore[arg-type]
        _safely(file, reader.open)
        expansions = _expansions(file)
        reader.chunks = {
            at: chunk._replace(decompressor=expansions.get(chunk.decompressor, chunk.decompressor))
            for at, chunk in reader.chunks.items()
        }
        return _Decoder(file, reader, self._connections(file, reader))

    def _connections(self, file: InputFile, reader: Any) -> Sequence[Any]:
        """Return the connections of the topic of events."""
        events: dict[str, list[Any]] = {}
        for connection in reader.connections:
            if connection.digest == DEFINITION:
                events.setdefault(connection.topic, []).append(connection)
        if not events:
            types = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in reader.connections})) or "no topics"
            raise DataError(
                f"{file.path} has no topic of events: {types}",
                "messages like dvs_msgs/EventArray",
                "Record the camera's events, or convert messages of another type.",
            )
        if self.topic and self.topic not in events:
            raise DataError(
                f"{file.path} has no events in the topic {self.topic!r}",
                " or ".join(events),
                near_miss(self.topic, events),
            )
        if not self.topic and len(events) > 1:
            which = " or ".join(f"topic={topic!r}" for topic in events)
            raise DataError(
                f"{file.path} has events in {', '.join(events)}", "one topic of events", f"Pass {which}."
            )
        return events[self.topic or next(iter(events))]
