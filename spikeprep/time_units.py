"""Units of time, as files and tables name them."""

from __future__ import annotations

import re

UNITS = {
    "ns": ("ns", "nsec", "nsecs", "nanos", "nanosecond", "nanoseconds"),
    "us": ("us", "usec", "usecs", "µs", "μs", "micros", "microsecond", "microseconds"),
    "ms": ("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
}
"""Unit → its usual names, in lower case."""

_NAMED = {name: unit for unit, names in UNITS.items() for name in names}


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case: ``startTime_usec`` has start, time and usec."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return [word for word in re.split(r"[\W_]+", split) if word]


def unit_named(text: str) -> str:
    """Return the unit, a key of `UNITS`, that a text names, such as ``us since 2020-01-01``; else an empty text."""
    return _NAMED.get(text.lower().partition(" since ")[0].strip(" []()."), "")


def split_unit(name: str) -> tuple[str, str]:
    """Return a name without the unit at its end, and the unit: ``t_ms`` and ``t [ms]`` are ``t`` and ``ms``.

    Without one, these are the name in lower case and an empty text.
    """
    words = words_of(name)
    if len(words) > 1 and (unit := _NAMED.get(words[-1], "")):
        return "_".join(words[:-1]), unit
    return name.lower(), ""
