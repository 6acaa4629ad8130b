"""Events in the order of their stamps, for recordings whose file has another order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data import EVENT
from .base import BLOCK, Decoder
from .chunks import Chunk, ChunkDecoder

_BYTES = 80  # of memory per event: the event, its fields in 64 bits, and copies while they are sorted


class SortedDecoder(ChunkDecoder):
    """All events of another decoder in memory, sorted by t; events of one t stay in the file's order."""

    def __init__(self, decoder: Decoder) -> None:
        self.file, self.path, self._decoder = decoder.file, decoder.path, decoder
        self.size, self.camera_clock, self.flip_y = decoder.size, decoder.camera_clock, decoder.flip_y
        self.offset_of_start, self.late_hint = decoder.offset_of_start, decoder.late_hint
        self.polarity_hint, self.size_hint = decoder.polarity_hint, decoder.size_hint
        super().__init__()

    def chunks(self) -> Iterator[Chunk]:
        """Yield all events at once."""
        self._decoder.rewind()
        parts, wide = [], {name: [] for name in "xyp"}  # type: ignore[var-annotated]
        count = 0
        while True:
            block = np.empty(self._decoder.buffer_length(BLOCK), EVENT)
            if not (decoded := self._decoder.fill(block)):
                break
            parts.append(block[:decoded].copy())
            for name, values in wide.items():
                values.append(self._decoder.raw_field(name, parts[-1]))
            count += decoded
            self.file.limits.check_bytes(f"{self.path}: sorting its events", _BYTES * count, so_far=True)
        self.undated, self.notes = self._decoder.undated, self._decoder.notes
        self.camera_clock, self.offset_of_start = self._decoder.camera_clock, self._decoder.offset_of_start
        if not parts:
            return
        events = np.empty(count, parts[0].dtype)
        np.concatenate(parts, out=events)
        self.sorted = int(np.count_nonzero(events["t"] < np.maximum.accumulate(events["t"])))
        order = np.argsort(events["t"], kind="stable")
        yield Chunk(events[order], wide={name: np.concatenate(v)[order] for name, v in wide.items()})

    def max_events(self) -> int | None:
        """Return the other decoder's bound."""
        return self._decoder.max_events()

    def incomplete_end(self) -> str:
        """Return what the other decoder found."""
        return self._decoder.incomplete_end()

    def check_times(self, events: int, duration: int, pixels: int) -> None:
        """Check as the other decoder does."""
        self._decoder.check_times(events, duration, pixels)
        self.findings += self._decoder.findings

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()
