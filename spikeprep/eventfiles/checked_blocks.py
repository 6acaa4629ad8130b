"""Events on the way into a file: in blocks of one length, each event checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._jit import jit
from ..data import EVENT, Events
from ..errors import DataError
from .base import BLOCK, LATEST, Words, as_words
from .writer import EventWriter


@jit
def _first_bad(events: Words, width: int, height: int, earliest: int, latest: int) -> int:
    """Return the first event that is off the sensor, of no polarity, before the one ahead of it or too late; or −1."""
    before = np.int64(earliest)
    for n in range(len(events)):
        packed, t = np.int64(events[n, 0]), np.int64(events[n, 1])
        off = (packed & 0xFFFF >= width) | (packed >> 16 & 0xFFFF >= height) | (packed >> 32 & 0xFF > 1)
        if off | (t < before) | (t > latest):
            return n
        before = t
    return -1


@dataclass
class CheckedBlocks:
    """The events of a recording, `BLOCK` at a time, as `EventWriter.write` gets them; `events` counts them.

    Iterating raises `DataError` at the first event that the writer's format cannot hold, or that none should.
    """

    recording: Events
    writer: EventWriter
    events: int = field(default=0, init=False)
    _latest: int = field(default=0, init=False)
    first: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        """Yield the blocks: parts of a piece where that is possible, else one buffer that is used again."""
        buffer, held = np.empty(BLOCK, EVENT), 0
        for piece in self.recording.pieces:
            piece = self._piece(piece)
            at = 0
            while at < len(piece):
                if not held and at + BLOCK <= len(piece):
                    block = piece[at : at + BLOCK]
                    at += BLOCK
                    yield self._checked(block)
                    continue
                count = min(BLOCK - held, len(piece) - at)
                as_words(buffer)[held : held + count] = as_words(piece[at : at + count])
                held, at = held + count, at + count
                if held == BLOCK:
                    held = 0
                    yield self._checked(buffer)
        if held:
            yield self._checked(buffer[:held])

    def _piece(self, piece: Any) -> NDArray[np.void]:
        if not (isinstance(piece, np.ndarray) and piece.dtype == EVENT and piece.ndim == 1):
            got = f"{piece.dtype} {piece.shape}" if isinstance(piece, np.ndarray) else type(piece).__name__
            raise DataError(
                f"a piece of the recording is {got}",
                "an array of spikeprep.data.EVENT, (event,)",
                "Fill one: events = numpy.zeros(count, spikeprep.data.EVENT); events['x'] = …",
            )
        return np.ascontiguousarray(piece)

    def _checked(self, block: NDArray[np.void]) -> NDArray[np.void]:
        if not self.events and len(block):
            self.first = max(int(block["t"][0]), 0)
        last_t = self._plausible if self.writer.last_t is None else min(self.writer.last_t, self._plausible)
        bad = int(_first_bad(as_words(block), *self.recording.size, self._latest, last_t))
        if bad >= 0:
            raise self._refusal(block, bad)
        self._latest = int(block["t"][-1])
        self.events += len(block)
        return block

    @property
    def _plausible(self) -> int:
        """The latest plausible t: readers take no later one."""
        return self.first + LATEST

    def _refusal(self, block: NDArray[np.void], n: int) -> DataError:
        """Return the error for event `n` of a block."""
        (width, height), (x, y, t, p) = self.recording.size, block[n].item()
        before = int(block["t"][n - 1]) if n else self._latest
        where = f"event {self.events + n:,} has"
        if x >= width or y >= height:
            return DataError(
                f"{where} x {x}, y {y}",
                f"x below {width} and y below {height}, as the sensor has {width} × {height} pixels",
                "Give the sensor's size, or leave such events out.",
            )
        if p > 1:
            return DataError(f"{where} p {p}", "0 (OFF) or 1 (ON)", "Set p to 0 and 1.")
        if t < 0 or t < before:
            fix = "Subtract the first event's t, and give it as Events.start." if t < 0 else ""
            return DataError(
                f"{where} t {t:,} µs",
                f"at least {max(before, 0):,} µs, " + ("the event's before" if before > 0 else "the start"),
                fix or "Sort the events: events[numpy.argsort(events['t'], kind='stable')].",
            )
        if self.writer.last_t is not None and t <= self._plausible:
            fix = "Write AEDAT 4 (format='aedat4') or HDF5 (format='hdf5'), or the recording in parts."
            if self.first and t - self.first <= self.writer.last_t:
                fix = (
                    "Write AEDAT 4 (format='aedat4') or text (format='text'), or count t from the first event, whose "
                    "time is Events.start then, as recordings have it that are read without origin='stored'."
                )
            return DataError(
                f"{where} t {t:,} µs", f"at most {self.writer.last_t:,} µs: {self.writer.limit}", fix
            )
        return DataError(
            f"{where} t {t:,} µs, {(t - self.first) / 86_400e6:,.0f} days after the first event",
            f"at most {self._plausible:,} µs, 11.6 days after it",
            "Leave such events out, or give t in µs.",
        )
