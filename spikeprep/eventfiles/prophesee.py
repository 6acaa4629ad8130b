"""The text header of Prophesee's .raw and .dat files: lines of ``% key value``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ..errors import DataError
from .base import ByteDecoder, head_of

_LONGEST = 1 << 16  # bytes of a header: real ones have less than 2000

# what a header says of its camera → the sensor; the first that fits counts
_SENSORS = (
    (r"genx320|generation 320", (320, 320)),
    (r"gen_?4|generation 4|imx636|evk[34]|system_id 4[89]\b", (1280, 720)),
    (r"gen_?3|generation 3|system_id 2\d\b", (640, 480)),
)


def header_of(data: bytes) -> tuple[dict[str, str], int]:
    """Return a header's keys, in lower case, with their values, and the number of its bytes.

    It ends behind the line ``% end``, or ahead of the first line that does not begin with ``%``.
    """
    fields: dict[str, str] = {}
    at = 0
    while data.startswith(b"%", at):
        line, newline, _ = data[at:].partition(b"\n")
        # a word of events can begin with the byte of a percent sign; a line of the header is text
        if not newline or not re.fullmatch(rb"%[\t\r -~]*", line):
            break
        at += len(line) + 1
        key, _, value = line[1:].decode("ascii").strip().partition(" ")
        fields[key.lower()] = value.strip()
        if key.lower() == "end":
            break
    return fields, at


def encoding_of(data: bytes) -> str:
    """Return what a header says of the encoding: ``"2.0"``, ``"2.1"``, ``"3.0"``; empty where it says nothing."""
    fields, _ = header_of(data)
    if named := re.match(r"EVT(\d)(\d?)\b", fields.get("format", "")):
        return f"{named[1]}.{named[2] or 0}"
    return fields.get("evt", "")


def sensor_of(fields: dict[str, str]) -> tuple[int, int] | None:
    """Return (width, height) of the sensor as the header tells it, or as the camera it names has it, else None."""
    if found := re.fullmatch(r"(\d+)x(\d+)", fields.get("geometry", "")):
        return int(found[1]), int(found[2])
    said = dict(re.findall(r"(height|width)=(\d+)", fields.get("format", "")))
    said |= {key: fields[key] for key in ("width", "height") if fields.get(key, "").isdigit()}
    if len(said) == 2:
        return int(said["width"]), int(said["height"])
    told = "\n".join(f"{key} {value}".lower() for key, value in fields.items())
    return next((size for pattern, size in _SENSORS if re.search(pattern, told)), None)


def open_raw(path: Path, encoding: str, decoder: Callable[[Path, int], ByteDecoder]) -> ByteDecoder:
    """Return a decoder of a .raw file's events, with the sensor's size if the header tells it."""
    head = head_of(path, _LONGEST)
    fields, begin = header_of(head)
    if (found := encoding_of(head)) != encoding:
        raise DataError(f"{path} says {f'EVT {found}' if found else 'no encoding'}", f"EVT {encoding}")
    if "big" in fields.get("endianness", "little"):
        raise DataError(
            f"{path} is big-endian", "little-endian words, as cameras send them unless set otherwise"
        )
    opened = decoder(path, begin)
    opened.size = sensor_of(fields)
    return opened
