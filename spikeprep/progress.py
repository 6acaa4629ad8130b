"""Progress of long work: a bar on a terminal or in a notebook, one line every few seconds elsewhere."""

from __future__ import annotations

import html
import importlib
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from .text import format_duration

WINDOW = 20.0
"""Seconds over which the rate is taken, so that it forgets a slow start."""


class Output(Protocol):
    """Where progress is shown.

    Attributes
    ----------
    interval
        Seconds between two calls of `show`, at least.
    """

    interval: float

    def show(self, label: str, share: float, text: str) -> None:
        """Show how far the work is: `share` in [0, 1], `text` with the numbers."""

    def note(self, text: str) -> None:
        """Show a line that stays."""

    def close(self) -> None:
        """Remove the bar, if there is one."""


class Progress:
    """A progress callback ``(done, total)`` that shows rate and time left; thread-safe.

    The first call says what was done before; it does not count in the rate. Leaving the context removes the bar.

    Parameters
    ----------
    label
        What is being done, one word.
    unit
        What is counted, in the plural.
    stream
        Where to write. By default a notebook's cell where the code runs in one, else standard error.
    interval
        Seconds between two lines where there is neither a terminal nor a notebook.
    """

    def __init__(
        self, label: str, unit: str = "samples", *, stream: TextIO | None = None, interval: float = 5.0
    ) -> None:
        self.label, self.unit = label, unit
        self._output = choose_output(stream, interval)
        self._lock = threading.Lock()
        self._last_shown = time.monotonic()
        self._done = self._total = 0
        self._recent: deque[tuple[float, int]] = deque()

    def __call__(self, done: int, total: int) -> None:
        """Record that `done` of `total` are done; show it when `interval` has passed."""
        with self._lock:
            now = time.monotonic()
            self._done, self._total = max(done, self._done), total
            self._recent.append((now, done))
            while now - self._recent[0][0] > WINDOW and len(self._recent) > 2:
                self._recent.popleft()
            if now - self._last_shown >= self._output.interval:
                self._last_shown = now
                self._output.show(self.label, done / total if total else 1.0, self._numbers())

    def note(self, text: str) -> None:
        """Show a line that stays, above the bar where there is one."""
        with self._lock:
            self._output.note(text)

    def _numbers(self) -> str:
        (first, before), (last, done) = self._recent[0], self._recent[-1]
        rate = (done - before) / (last - first) if last > first else 0.0
        left = f", {format_duration((self._total - self._done) / rate)} left" if rate > 0 else ""
        return f"{self._done:,} of {self._total:,} {self.unit}, {_per_second(rate)}{left}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._output.close()


class Silent(Progress):
    """Shows nothing; passes ``(done, total)`` on to a callback, if there is one."""

    def __init__(self, callback: Callable[[int, int], None] | None = None) -> None:
        super().__init__("", stream=sys.stderr)
        self._callback = callback

    def __call__(self, done: int, total: int) -> None:
        """Call the callback."""
        if self._callback:
            self._callback(done, total)

    def note(self, text: str) -> None:
        """Do nothing."""

    def __exit__(self, *_: object) -> None:
        pass


def progress_for(progress: bool | Callable[[int, int], None] | None, label: str) -> Progress:
    """Return what the argument `progress` of an API function asks for: True or None shows, False is silent."""
    if progress is None or progress is True:
        return Progress(label)
    return Silent(progress or None)


def choose_output(stream: TextIO | None, interval: float) -> Output:
    """Return a notebook's cell, a bar on a terminal, or lines, whichever fits where the code runs."""
    if stream is None and (display := _notebook_display()):
        return _Cell(display)
    stream = stream or sys.stderr
    return _Bar(stream) if stream.isatty() else _Lines(stream, interval)


class _Lines:
    def __init__(self, stream: TextIO, interval: float) -> None:
        self.stream, self.interval = stream, interval

    def show(self, label: str, share: float, text: str) -> None:
        self.note(f"{label}: {text}")

    def note(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()

    def close(self) -> None:
        self.stream.flush()


class _Bar:
    CLEAR = "\r\x1b[K"
    interval = 0.1

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def show(self, label: str, share: float, text: str) -> None:
        width = max(0, min(30, shutil.get_terminal_size().columns - len(label) - len(text) - 12))
        bar = ("█" * round(share * width)).ljust(width, "░")
        self._write(f"{label} {bar} {share:4.0%}  {text}")

    def note(self, text: str) -> None:
        self._write(text + "\n")

    def close(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        self.stream.write(self.CLEAR + text)
        self.stream.flush()


class _Cell:
    """One output of a notebook's cell, updated in place: the notes, and below them the bar.

    It needs IPython's display alone, no widgets, so it works in Jupyter, VS Code and Colab, and a saved notebook keeps
    the last state.
    """

    interval = 0.3
    most_notes = 40  # lines that stay; a cell's output is sent whole at every update

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display, self._handle = display, None
        self._notes: list[str] = []

    def show(self, label: str, share: float, text: str) -> None:
        self._update(label, share, text)

    def note(self, text: str) -> None:
        self._notes.append(text)
        self._update()

    def close(self) -> None:
        if self._handle is not None:
            self._update()

    def _update(self, label: str = "", share: float = 0.0, text: str = "") -> None:
        notes = self._notes[-self.most_notes :]
        if len(notes) < len(self._notes):
            notes.insert(0, f"… {len(self._notes) - len(notes)} earlier lines")
        parts = [f"<pre>{html.escape(chr(10).join(notes))}</pre>"] if notes else []
        if label:
            parts.append(
                f'{html.escape(label)} <progress max="1" value="{share:.3f}"></progress> '
                f"{share:.0%} {html.escape(text)}"
            )
        plain = [*notes, *([f"{label} {share:.0%} {text}"] if label else [])]
        data = {"text/html": "".join(parts), "text/plain": "\n".join(plain)}
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _notebook_display() -> Callable[..., Any] | None:
    """Return IPython's `display` where this code runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    display: Callable[..., Any] = importlib.import_module("IPython.display").display
    return display


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
