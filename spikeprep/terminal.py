"""Writing for a person to read: on a terminal, with its width and the width of a text in it, or elsewhere."""

from __future__ import annotations

import os
import unicodedata
from contextlib import suppress
from typing import TextIO

_COLUMNS = 80  # of a terminal that does not say


def tell(stream: TextIO, text: str) -> None:
    """Write what nobody has to read, such as progress: work goes on where a stream takes no more.

    Its reader may have ended, the terminal may be gone, or the disk of a log may be full.
    """
    with suppress(OSError):
        stream.write(text)
        stream.flush()


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be written again."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def columns(stream: TextIO) -> int:
    """Return the width of the terminal that a stream writes to, in characters; `COLUMNS` in the environment counts."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except (OSError, ValueError):  # no terminal, or no file
        return _COLUMNS


def display_width(text: str) -> int:
    """Return how many columns a text takes: East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def shortened(text: str, width: int) -> str:
    """Return a text in at most `width` columns, ``…`` in place of its end."""
    if display_width(text) <= width:
        return text
    while text and display_width(text) > width - 1:
        text = text[:-1]
    return text + "…" if width > 0 else ""
