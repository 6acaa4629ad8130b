"""Which format a file is of: what its first bytes say counts, then what its name ends in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import CapabilityError, DataError
from ..registry import EVENT_FORMATS
from .base import EventFormat, head_of
from .checks import Changes, Invalid


@cache
def _formats() -> tuple[type[EventFormat], ...]:
    """Return every format that can be imported; looked up once, as a data set asks for each of its files."""
    found = []
    for name in EVENT_FORMATS.names():
        try:
            found.append(EVENT_FORMATS.get(name))
        except CapabilityError:  # a broken plugin of another package breaks no other
            continue
    return tuple(found)


def _shown(head: bytes) -> str:
    return repr(head[:16])[1:] if head else "nothing"


def find_format(
    path: Path, name: str, options: Mapping[str, Any], invalid: Invalid, changes: Changes
) -> EventFormat:
    """Return the format of a file, built with `options`.

    Raises
    ------
    DataError
        The file is missing or empty; it is not of the format `name`; no format fits; or the bytes are of one format
        and the extension is of another, which counts as `invalid`.
    UsageError
        `name` or an option is unknown.
    """
    head = head_of(path)
    if not head:
        raise DataError(f"{path} is empty (0 bytes)", "a recording", "Fetch the file again, or leave it out.")
    if name:
        asked: type[EventFormat] = EVENT_FORMATS.get(name)
        fits = asked.matches(head)
        others = [] if fits else [f.title for f in _formats() if f.matches(head)]
        if fits is False or others:
            looks = f": {others[0]}" if others else ""
            raise DataError(
                f"{path} begins with {_shown(head)}{looks}",
                asked.title,
                "Leave out the format to have it found.",
            )
        return asked.from_config(options)
    fitting = [f for f in _formats() if f.matches(head)]
    claiming = [f for f in _formats() if path.name.lower().endswith(f.extensions)]
    if not fitting:
        # formats without a mark of their own are known by the name alone
        fitting = [f for f in claiming if f.matches(head) is None]
        if not fitting:
            wanted = " or ".join(f.title for f in claiming) or "an event recording"
            known = ", ".join(EVENT_FORMATS.names())
            raise DataError(
                f"{path} begins with {_shown(head)}", wanted, f"Name its format, one of: {known}."
            )
    elif claiming and fitting[0] not in claiming:
        wrong = f"holds {fitting[0].title}, and its name is that of {' or '.join(f.title for f in claiming)}"
        if invalid == "fail":
            raise DataError(
                f"{path} {wrong}",
                "",
                f"Pass format={fitting[0].name!r} if that is meant, or rename the file.",
            )
        changes.other = wrong
    return fitting[0].from_config(options)
