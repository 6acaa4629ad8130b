"""How long work shows itself: a bar on a terminal, one line every few seconds elsewhere; always on stderr."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self, TextIO


class Progress:
    """A progress callback ``(done, total)`` with rate and time left; may be called from any thread.

    What the first call says was done before: it counts in no rate. Leaving the context wipes the bar; the
    result is the command's to say.

    Parameters
    ----------
    label
        What is being done, one word.
    unit
        What is counted, in the plural.
    stream
        Where to write; stderr by default. A bar is drawn where it is a terminal.
    every
        Seconds between two lines where there is no terminal.
    """

    REDRAW = 0.1  # seconds between two drawings of the bar
    WINDOW = 20.0  # seconds over which the rate is taken: it forgets a slow start

    def __init__(
        self, label: str, unit: str = "samples", *, stream: TextIO | None = None, every: float = 5.0
    ) -> None:
        self.label, self.unit = label, unit
        self._stream = stream or sys.stderr
        self._bar = self._stream.isatty()
        self._every = self.REDRAW if self._bar else every
        self._lock = threading.Lock()
        self._shown = time.monotonic()
        self._done = self._total = 0
        self._recent: deque[tuple[float, int]] = deque()

    def __call__(self, done: int, total: int) -> None:
        """Take note that `done` of `total` are done, and show it if it is time to."""
        with self._lock:
            now = time.monotonic()
            self._done, self._total = max(done, self._done), total
            self._recent.append((now, done))
            while now - self._recent[0][0] > self.WINDOW and len(self._recent) > 2:
                self._recent.popleft()
            if now - self._shown >= self._every:
                self._shown = now
                self._write(self._line())

    def note(self, text: str) -> None:
        """Write a line of its own, above the bar where there is one."""
        with self._lock:
            self._wipe()
            self._stream.write(text + "\n")
            self._stream.flush()

    def _rate(self) -> float:
        (then, before), (now, done) = self._recent[0], self._recent[-1]
        return (done - before) / (now - then) if now > then else 0.0

    def _line(self) -> str:
        rate, done, total = self._rate(), self._done, self._total
        left = f", {clock((total - done) / rate)} left" if rate > 0 else ""
        text = f"{done:,} of {total:,} {self.unit}, {_per_second(rate)}{left}"
        if not self._bar:
            return f"{self.label}: {text}"
        share = done / total if total else 1.0
        width = max(0, min(30, shutil.get_terminal_size().columns - len(self.label) - len(text) - 12))
        bar = ("█" * round(share * width)).ljust(width, "░")
        return f"{self.label} {bar} {share:4.0%}  {text}"

    def _wipe(self) -> None:
        if self._bar:
            self._stream.write("\r\x1b[K")

    def _write(self, line: str) -> None:
        self._wipe()
        self._stream.write(line if self._bar else line + "\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._wipe()  # so that a result, or an error's message, starts a line of its own
            self._stream.flush()


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def clock(seconds: float) -> str:
    """Return a duration for a person: ``"4.2 s"``, ``"3:07"`` (minutes) or ``"2:03:07"`` (hours)."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
