"""The text header of Prophesee's .raw and .dat files: lines of ``% key value``."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import DataError
from ..input_files import InputFile
from .base import ByteDecoder

_MAX_HEADER = 1 << 16  # bytes: real ones have less than 2000

# pattern in the header's description of the camera → sensor size; the first match counts
_SENSORS = (
    (r"genx320|generation 320", (320, 320)),
    (r"gen_?4|generation 4|imx636|evk[34]|system_id 4[89]\b", (1280, 720)),
    (r"gen_?3|generation 3|system_id 2\d\b", (640, 480)),
)


def header_of(data: bytes) -> tuple[dict[str, str], int]:
    """Return a header's keys, in lower case, with their values, and its length in bytes.

    It ends after the line ``% end``, or before the first line that does not begin with ``%``.
    """
    fields: dict[str, str] = {}
    at = 0
    while data.startswith(b"%", at):
        line, newline, _ = data[at:].partition(b"\n")
        # an event can begin with the byte '%'; a line of the header is text
        if not newline or not re.fullmatch(rb"%[\t\r -~]*", line):
            break
        at += len(line) + 1
        key, _, value = line[1:].decode("ascii").strip().partition(" ")
        fields[key.lower()] = value.strip()
        if key.lower() == "end":
            break
    return fields, at


def encoding_of(data: bytes) -> str:
    """Return the encoding that a header states: ``"2.0"``, ``"2.1"``, ``"3.0"``; empty where it states none.

    Another one, such as that of frames, is returned as it is stated: ``"HISTO3D"``.
    """
    fields, _ = header_of(data)
    stated = fields.get("format", "").partition(";")[0]
    if match := re.match(r"EVT(\d)(\d?)\b", stated):
        return f"{match[1]}.{match[2] or 0}"
    return stated or fields.get("evt", "")


def has_encoding(data: bytes, encoding: str) -> bool | None:
    """Return whether a .raw file's first bytes state `encoding`; None where its header states none, as old ones do."""
    if stated := encoding_of(data):
        return stated == encoding
    fields, length = header_of(data)
    return None if length and "version" not in fields else False


def endianness_of(fields: dict[str, str]) -> str:
    """Return the order of bytes that a header states, empty where it states none."""
    match = re.search(r"endianness=(\w+)", fields.get("format", ""))
    return match[1] if match else fields.get("endianness", "")


def sensor_of(fields: dict[str, str]) -> tuple[int, int] | None:
    """Return (width, height) of the sensor from the header, or of the camera that it names, else None."""
    if match := re.fullmatch(r"(\d+)x(\d+)", fields.get("geometry", "")):
        return int(match[1]), int(match[2])
    sides = dict(re.findall(r"(height|width)=(\d+)", fields.get("format", "")))
    sides |= {key: fields[key] for key in ("width", "height") if fields.get(key, "").isdigit()}
    if len(sides) == 2:
        return int(sides["width"]), int(sides["height"])
    description = "\n".join(f"{key} {value}".lower() for key, value in fields.items())
    return next((size for pattern, size in _SENSORS if re.search(pattern, description)), None)


def raw_decoder(
    file: InputFile, encoding: str, decoder: Callable[[InputFile, int], ByteDecoder]
) -> ByteDecoder:
    """Return a decoder of a .raw file's events, with the sensor's size if the header states it."""
    path, head = file.path, file.head(_MAX_HEADER)
    fields, begin = header_of(head)
    if (stated := encoding_of(head)) not in ("", encoding):
        raise DataError(f"{path} has events in {stated}", f"EVT {encoding}")
    if "big" in endianness_of(fields):
        raise DataError(
            f"{path} is big-endian",
            "little-endian words, the default of the cameras",
            "Convert it with Prophesee's tools, for example to HDF5 with metavision_file_to_hdf5.",
        )
    events = decoder(file, begin)
    events.size = sensor_of(fields)
    return events
