"""Progress of long work: a bar on a terminal or in a notebook, one line every few seconds elsewhere.

No library draws it: tqdm and rich show no lines where there is no terminal, need ipywidgets in a notebook, and would
add half to the time in which the command line starts (benchmarks/RESULTS.md); only `_Bar` would go.
"""

from __future__ import annotations

import html
import importlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from . import compilation
from .terminal import columns, is_terminal, shortened, tell
from .text import format_duration

WINDOW = 20.0
"""Seconds over which the rate is taken, so that it forgets a slow start."""

PATIENCE = 0.5
"""Seconds that kernels may take to compile before it is shown."""


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

    The first call says what was done before; it does not count in the rate, and neither does compiling kernels, which
    is shown as such. Leaving the context removes the bar.

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
        self._context = ExitStack()
        self._compiling: threading.Timer | None = None  # shows it, unless it is over before
        self._compiled = compilation.seconds()  # of which has been told
        self._announced = False

    def __call__(self, done: int, total: int) -> None:
        """Record that `done` of `total` are done; show it when `interval` has passed."""
        with self._lock:
            now = time.monotonic()
            worked = now - compilation.seconds()
            self._done, self._total = max(done, self._done), total
            self._recent.append((worked, done))
            while worked - self._recent[0][0] > WINDOW and len(self._recent) > 2:
                self._recent.popleft()
            if now - self._last_shown >= self._output.interval:
                self._last_shown = now
                self._show(self._rate())

    def note(self, text: str) -> None:
        """Show a line that stays, above the bar where there is one."""
        with self._lock:
            self._output.note(text)

    def note_compilation(self) -> None:
        """Note how long kernels were compiled since the last note of it, if that took a second or more."""
        now = compilation.seconds()
        if now - self._compiled >= 1:
            self.note(f"compiled in {format_duration(now - self._compiled)}, once; not counted as speed")
            self._compiled = now

    def _show(self, rate: str) -> None:
        share = self._done / self._total if self._total else 0.0
        count = f"{self._done:,} of {self._total:,} {self.unit}" if self._total else ""
        self._output.show(self.label, share, ", ".join(filter(None, (count, rate))))

    def _rate(self) -> str:
        (first, before), (last, done) = self._recent[0], self._recent[-1]
        rate = (done - before) / (last - first) if last > first else 0.0
        if rate <= 0:
            return ""
        return f"{_per_second(rate)}, {format_duration((self._total - self._done) / rate)} left"

    def _on_compilation(self, begins: bool) -> None:
        if self._compiling is not None:
            self._compiling.cancel()
            self._compiling = None
        if begins:
            self._compiling = threading.Timer(PATIENCE, self._show_compilation)
            self._compiling.daemon = True
            self._compiling.start()

    def _show_compilation(self) -> None:
        with self._lock:
            now = time.monotonic()
            if self._compiling and (not self._announced or now - self._last_shown >= self._output.interval):
                self._announced, self._last_shown = True, now
                so_far = format_duration(compilation.seconds() - self._compiled)
                self._show(f"compiling, once: {so_far} so far")

    def __enter__(self) -> Self:
        self._context.enter_context(compilation.listening(self._on_compilation))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.close()
        self._on_compilation(False)
        if error is None:
            self.note_compilation()
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def progress_for(
    progress: bool | Callable[[int, int], None] | None, label: str, unit: str = "samples"
) -> Progress:
    """Return what the argument `progress` of an API function asks for: True or None shows, False is silent."""
    if progress is None or progress is True:
        return Progress(label, unit)
    return Silent(progress or None)


def choose_output(stream: TextIO | None, interval: float) -> Output:
    """Return a notebook's cell, a bar on a terminal, or lines, whichever fits where the code runs."""
    if stream is None and (display := _notebook_display()):
        return _Cell(display)
    stream = stream or sys.stderr
    return _Bar(stream) if is_terminal(stream) else _Lines(stream, interval)


class _Lines:
    def __init__(self, stream: TextIO, interval: float) -> None:
        self.stream, self.interval = stream, interval

    def show(self, label: str, share: float, text: str) -> None:
        self.note(f"{label}: {text}")

    def note(self, text: str) -> None:
        tell(self.stream, text + "\n")

    def close(self) -> None:
        pass


class _Bar:
    """A bar in the terminal's last line, written without escape sequences: every terminal and its log shows it."""

    interval = 0.1

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._shown = 0  # characters of the bar
        self._full, self._empty = "█░" if _has_blocks(stream) else "#."

    def show(self, label: str, share: float, text: str) -> None:
        room = columns(self.stream) - 1  # a full line would wrap
        line = f"{label} {share:4.0%}  {text}"
        width = min(30, room - len(line) - 1)
        if width >= 5:
            filled = round(share * width)
            bar = self._full * filled + self._empty * (width - filled)
            line = f"{label} {bar} {share:4.0%}  {text}"
        self._write(shortened(line, room))

    def note(self, text: str) -> None:
        self.close()
        tell(self.stream, text + "\n")

    def close(self) -> None:
        if self._shown:
            self._write("")
            tell(self.stream, "\r")

    def _write(self, line: str) -> None:
        tell(self.stream, "\r" + line.ljust(self._shown))
        self._shown = len(line)


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


def _has_blocks(stream: TextIO) -> bool:
    """Whether a stream's encoding has the characters of a bar."""
    try:
        "█░".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
