"""Which format a file has: its first bytes decide, then the ending of its name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ..errors import CapabilityError, DataError
from ..input_files import InputFile
from ..registry import EVENT_FORMATS
from .base import EventFormat
from .checks import Changes, Invalid


@cache
def formats() -> tuple[type[EventFormat], ...]:
    """Return every format that can be imported; looked up once, as every file of a data set needs it."""
    formats = []
    for name in EVENT_FORMATS.names():
        try:
            formats.append(EVENT_FORMATS.get(name))
        except CapabilityError:  # a plugin that cannot be imported must not break the others
            continue
    return tuple(formats)


def _quote(head: bytes) -> str:
    return repr(head[:16])[1:] if head else "nothing"


def build_format(name: str, options: Mapping[str, Any]) -> EventFormat | None:
    """Return the format of that name with its options; None where the name is empty; raises `UsageError`."""
    return EVENT_FORMATS.build({"name": name, **options}) if name else None


def find_format(
    file: InputFile,
    named: EventFormat | None,
    options: Mapping[str, Any],
    invalid: Invalid,
    changes: Changes,
) -> EventFormat:
    """Return the format of a file: `named`, or the one that is detected, built with `options`.

    Raises
    ------
    DataError
        The file is missing or empty; it does not have the format `named`; no format matches; or its content and its
        ending belong to different formats and `invalid` is "fail".
    UsageError
        An option is unknown, or its value is not allowed.
    """
    path, head = file.path, file.head()
    if not head:
        raise DataError(f"{path} is empty (0 bytes)", "a recording", "Fetch the file again, or leave it out.")
    if named:
        matches = named.matches(head)
        others = [] if matches else [f.title for f in formats() if f.matches(head)]
        if matches is False or others:
            looks = f": {others[0]}" if others else ""
            raise DataError(
                f"{path} begins with {_quote(head)}{looks}",
                named.title,
                "Leave out the format to have it detected.",
            )
        return named
    by_content = [f for f in formats() if f.matches(head)]
    by_ending = [f for f in formats() if path.name.lower().endswith(f.extensions)]
    if not by_content:
        # formats without a signature are recognised by the ending alone
        by_content = [f for f in by_ending if f.matches(head) is None]
        if not by_content:
            expected = " or ".join(f.title for f in by_ending) or "an event recording"
            known = ", ".join(EVENT_FORMATS.names())
            raise DataError(
                f"{path} begins with {_quote(head)}", expected, f"Name its format, one of: {known}."
            )
    elif by_ending and by_content[0] not in by_ending:
        titles = " or ".join(f.title for f in by_ending)
        mismatch = f"holds {by_content[0].title}, but its name ends like {titles}"
        if invalid == "fail":
            raise DataError(
                f"{path} {mismatch}",
                "",
                f"Pass format={by_content[0].name!r} if that is intended, or rename the file.",
            )
        changes.other = mismatch
    return by_content[0].from_config(options)
