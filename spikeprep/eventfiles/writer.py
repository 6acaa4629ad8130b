"""What a writer of an event-file format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Settings
from ..errors import PluginError
from ..registry import check_attributes


@dataclass(frozen=True)
class EventWriter(Settings, ABC):
    """How recordings are written in a format; its fields are options.

    Class attributes: `name` is the format's, as in `spikeprep.registry.EVENT_FORMATS`; `extensions` are the endings of
    the files' names, the usual one first; these two have to be set. `by_ending` says whether these endings alone choose
    the format. What a file
    can hold is checked before `write` gets it: `most_side` is the most pixels of a sensor's side, `last_t` the latest
    t, in µs (None: any), and `limit` says in words which of its fields are that narrow. `start_range` is how much of
    the start of the recording's own clock a file holds: it is stored modulo so many µs; None: it is stored as it is;
    0: it is not stored. What is lost is a note of the file that was written.
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    by_ending: ClassVar[bool] = True
    most_side: ClassVar[int] = 65535
    last_t: ClassVar[int | None] = None
    limit: ClassVar[str] = ""
    start_range: ClassVar[int | None] = 0

    def start_note(self, start: int) -> str:
        """Return what is lost of a recording's start, in µs, in words that name no file; empty where nothing is."""
        if self.start_range is None or start == (start % self.start_range if self.start_range else 0):
            return ""
        how = f"modulo {self.start_range:,} µs" if self.start_range else "not at all"
        return (
            f"{self.name} holds the start of the recording's own clock {how}: t and the order of events are kept; "
            "write AEDAT 4 or HDF5 where the clock matters"
        )

    @classmethod
    def check_class(cls, what: str) -> None:
        """Raise `PluginError` unless a writer can be made of the class; `what` names it."""
        check_attributes(cls, EventWriter, what)
        check_extensions(cls, what)
        if not cls.extensions:
            raise PluginError(f"{what} has no extensions", "one ending at least, such as ('.tiny',)")
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            raise PluginError(
                f"{what} lacks {', '.join(missing)}", "every method of EventWriter", "Define them."
            )

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


def check_extensions(cls: type[Any], what: str) -> None:
    """Raise `PluginError` unless `extensions` of a class are endings of files' names."""
    endings = cls.extensions
    if not isinstance(endings, tuple) or not all(
        isinstance(e, str) and e[:1] == "." and e[1:] for e in endings
    ):
        raise PluginError(
            f"{what} has extensions = {endings!r}",
            "a tuple of the endings of its files' names, such as ('.tiny',)",
            f"Correct {cls.__module__}.{cls.__qualname__}.extensions.",
        )
