"""Ctrl-C in the middle of long work: finish a step, save, and say how to resume."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Work was interrupted by Ctrl-C, or by SIGTERM, and can be resumed.

    Parameters
    ----------
    message
        What happened.
    arguments
        What to pass, beside the same arguments, to the function that was interrupted to resume its work.
    """

    def __init__(self, message: str, arguments: Mapping[str, Any]) -> None:
        self.arguments = dict(arguments)
        more = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        hint = f"Call it again with {more} to resume." if more else "Call it again to resume."
        super().__init__(f"{message}. {hint}")


@contextmanager
def delayed_interrupt() -> Iterator[list[int]]:
    """Yield a list that the first SIGINT or SIGTERM appends to, instead of interrupting; a second one interrupts.

    Outside the main thread signals cannot be handled: the list then stays empty.
    """
    received: list[int] = []

    def handle(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous: dict[int, Any] = {}
    try:
        for asked in (signal.SIGINT, signal.SIGTERM):
            previous[asked] = signal.signal(asked, handle)
    except ValueError:  # not the main thread
        pass
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)
