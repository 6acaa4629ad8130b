"""Base of the writers whose files are a header and then records that a kernel encodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .base import Words, as_words
from .writer import EventWriter

_BUFFER = 1 << 20  # bytes that are encoded at a time


@dataclass(frozen=True)
class KernelWriter(EventWriter):
    """A header, then records; subclasses implement `header`, `initial_state` and `encode`."""

    @abstractmethod
    def header(self, size: tuple[int, int]) -> bytes:
        """Return what is ahead of the first record."""

    def initial_state(self, start: int) -> NDArray[np.int64]:
        """Return the kernel's state before the first event."""
        return np.zeros(1, np.int64)

    @abstractmethod
    def encode(self, events: Words, out: NDArray[np.uint8], state: NDArray[np.int64]) -> tuple[int, int]:
        """Encode events as far as `out` has room, changing `state`; return how many, and the bytes written."""

    def write(
        self, file: IO[bytes], blocks: Iterator[NDArray[np.void]], size: tuple[int, int], start: int
    ) -> None:
        """Write header and records; see `EventWriter.write`."""
        file.write(self.header(size))
        out, state = np.empty(_BUFFER, np.uint8), self.initial_state(start)
        for block in blocks:
            words: Any = as_words(block)
            while len(words):
                used, length = self.encode(words, out, state)
                file.write(out[:length].data)
                words = words[used:]
