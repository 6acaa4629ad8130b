"""Bits of a large recording: written in order of time to a temporary file, read one range of units after another."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..errors import CapabilityError
from .event_bits import StagedBits, zero_bits


class _Part(NamedTuple):
    """What a block has of a range of units: where it is in the file, from which byte of a unit on, and its words."""

    offset: int
    first: int
    words: int
    filled: int  # words that are not zero


class SpilledBits(StagedBits):
    """Bits that are written as to `StagedBits`: a block goes to a temporary file as soon as it is full.

    Memory holds one block, once by time and once by units. The file has, of each block and range of units, a bit for
    each 64 steps of a unit, and those that are not silent: at most 1 / 64 more than the bits themselves.

    Parameters
    ----------
    units, steps
        How many there are.
    ranges
        Ranges [start, stop) of units that are wanted; the others are not kept.
    """

    def __init__(self, units: int, steps: int, ranges: Sequence[tuple[int, int]]) -> None:
        self._ranges = ranges
        self._parts: list[list[_Part]] = [[] for _ in ranges]
        self._end = 0
        super().__init__(units, None, steps)
        self._by_unit = zero_bits(units, self._block_steps)
        with _file_errors():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def advance(self, step: int) -> None:
        """Go on with the block that holds `step`, which is past this one."""
        self._spill()
        self._begin(step)

    def _spill(self) -> None:
        self._by_unit[:] = 0
        self._transpose(self._by_unit, self.block, 0, self.cleared)
        words = self._by_unit.view(np.uint64)
        for parts, (start, stop) in zip(self._parts, self._ranges, strict=True):
            those = words[start:stop].reshape(-1)
            filled = those != 0
            data = np.packbits(filled).tobytes(), those[filled].tobytes()
            parts.append(_Part(self._end, self.first // 8, len(those), len(data[1]) // 8))
            with _file_errors():
                for each in data:
                    self._end += self._file.write(each)

    def finish(self, steps: int) -> Bits:
        """Write the last block; returns no bits, see `range`."""
        self._spill()
        with _file_errors():
            self._file.flush()
        return np.empty((0, -(-steps // 8)), np.uint8)

    def range(self, number: int, steps: int) -> Bits:
        """Return the bits (unit, byte) of a range, after `finish`."""
        start, stop = self._ranges[number]
        bits = zero_bits(stop - start, steps)
        for part in self._parts[number]:
            block = np.zeros(part.words, np.uint64)
            flags = np.unpackbits(self._read(part.offset, -(-part.words // 8)), count=part.words)
            block[flags.view(bool)] = self._read(None, 8 * part.filled).view(np.uint64)
            width = min(self._by_unit.shape[1], bits.shape[1] - part.first)
            if width > 0:
                bits[:, part.first : part.first + width] = block.view(np.uint8).reshape(stop - start, -1)[
                    :, :width
                ]
        return bits

    def _read(self, offset: int | None, size: int) -> NDArray[np.uint8]:
        """Read from a place of the file, or on from where reading ended."""
        if offset is not None:
            self._file.seek(offset)
        return np.frombuffer(self._file.read(size), np.uint8)


@contextmanager
def _file_errors() -> Iterator[None]:
    """Turn errors of the system, such as that of a full disk, into `CapabilityError`."""
    try:
        yield
    except OSError as error:
        raise CapabilityError(
            f"cannot write a temporary file in {tempfile.gettempdir()} ({error.strerror or error})",
            "room for the recording's spikes, a bit per unit and step",
            "Free some space, name another folder with TMPDIR, or widen the bins.",
        ) from error
