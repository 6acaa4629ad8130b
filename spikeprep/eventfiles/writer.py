"""What a writer of an event-file format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Settings


@dataclass(frozen=True)
class EventWriter(Settings, ABC):
    """How recordings are written in a format; its fields are options.

    Class attributes: `name` is the format's, as in `spikeprep.registry.EVENT_FORMATS`; `extensions` are the endings of
    the files' names, the usual one first; `by_ending` says whether these endings alone choose the format. What a file
    can hold is checked before `write` gets it: `most_side` is the most pixels of a sensor's side, `last_t` the latest
    t, in µs (None: any), and `limit` says in words which of its fields are that narrow.
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    by_ending: ClassVar[bool] = True
    most_side: ClassVar[int] = 65535
    last_t: ClassVar[int | None] = None
    limit: ClassVar[str] = ""

    @abstractmethod
    def write(
        self, file: IO[bytes], blocks: Iterator[NDArray[np.void]], size: tuple[int, int], start: int
    ) -> None:
        """Write a whole recording to an empty file, which is open for reading and writing.

        Parameters
        ----------
        file
            The file, at its beginning; any position can be sought.
        blocks
            The events, `spikeprep.eventfiles.base.BLOCK` of them at a time, fewer in the last block alone: contiguous
            arrays of dtype `EVENT`, (event,), which are reused. Every event is on the sensor, has p 0 or 1, and is not
            earlier than the one before it; t counts from the recording's start and is at most `last_t`.
        size
            (width, height) of the sensor in pixels.
        start
            Time of the recording's own clock at t = 0, in µs: see `Events.start`.

        Raises
        ------
        CapabilityError
            A library is not installed.
        """
