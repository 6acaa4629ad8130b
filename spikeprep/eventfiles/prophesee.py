"""What Prophesee's files share: the text header of .raw and .dat, lines of ``% key value``, and the .raw formats."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..input_files import InputFile
from .base import ByteDecoder, EventFormat

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


def raw_header(encoding: str, form: str, size: tuple[int, int]) -> bytes:
    """Return the header of a .raw file: its encoding, its sensor, and the plugin by which Prophesee's tools open it."""
    width, height = size
    lines = (
        f"evt {encoding}",
        f"format {form};height={height};width={width}",
        f"geometry {width}x{height}",
        "plugin_integrator_name Prophesee",
        "plugin_name hal_plugin_prophesee",
        "end",
    )
    return "".join(f"% {line}\n" for line in lines).encode()


_ENCODINGS = {"2.0": "3.0", "3.0": "2.0"}  # that are mistaken for each other


@dataclass(frozen=True)
class RawFormat(EventFormat):
    """Base of the encodings of .raw files; subclasses state `encoding`, as headers do, and implement `_decoder`."""

    extensions: ClassVar[tuple[str, ...]] = (".raw",)
    begins: ClassVar[tuple[bytes, ...]] = (b"%",)
    encoding: ClassVar[str]

    @classmethod
    def matches(cls, head: bytes) -> bool | None:
        """Return whether a Prophesee header states this encoding; None where it states none, as old ones do."""
        if stated := encoding_of(head):
            return stated == cls.encoding
        fields, length = header_of(head)
        return None if length and "version" not in fields else False

    @abstractmethod
    def _decoder(self, file: InputFile, begin: int) -> ByteDecoder:
        """Return the decoder of the words from byte `begin` on."""

    def decoder(self, file: InputFile) -> ByteDecoder:
        """Read the header, with the sensor's size if it states it; see `EventFormat.decoder`."""
        path, head = file.path, file.head(_MAX_HEADER)
        fields, begin = header_of(head)
        if (stated := encoding_of(head)) not in ("", self.encoding):
            raise DataError(f"{path} has events in {stated}", f"EVT {self.encoding}")
        if "big" in endianness_of(fields):
            raise DataError(
                f"{path} is big-endian",
                "little-endian words, the default of the cameras",
                "Convert it with Prophesee's tools, for example to HDF5 with metavision_file_to_hdf5.",
            )
        events = self._decoder(file, begin)
        events.size = sensor_of(fields)
        if stated in _ENCODINGS:
            other = _ENCODINGS[stated]
            events.size_hint = f"state EVT {other} in the header if the words are of that, not EVT {stated}"
        return events


class VectorDecoder(ByteDecoder):
    """Base of the decoders of words of which each may hold several events, at most `most_events`."""

    most_events: ClassVar[int]

    @abstractmethod
    def count(self, raw: NDArray[np.uint8]) -> int:
        """Return the number of events in whole words."""

    def buffer_length(self, events: int) -> int:
        """Return the length for as many events as the words could hold."""
        return max(min(events, super().max_events() * self.most_events), 1)

    def max_events(self) -> int:
        """Return the number of events, those before the first stamp included, from a pass of its own."""
        count = 0
        self.rewind()
        while self._low < self._high or self._refill():
            count += self.count(self._buffer[: self._high])
            self._low = self._high
        self.rewind()
        return count
