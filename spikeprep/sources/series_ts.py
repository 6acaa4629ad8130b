"""sktime's and aeon's text format of labelled series, ``.ts``.

Lines of comments (``#``) and of a header (``@dimensions 12``), then, after ``@data``, one series per line: channels
separated by colons, their values by commas, the class last. Source:
https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, printable
from .list_files import decode_text
from .series_data import Series, SeriesFile

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")
_ABSENT = ("?", "nan", "")
_SHOWN = 40  # characters of a value in a message


def read_ts(path: Path, content: bytes) -> SeriesFile:
    """Read the bytes of a ``.ts`` file.

    Raises
    ------
    DataError
        It is no such file; or it has time stamps, a regression target or no classes; or a line does not fit its header.
    """
    text, _ = decode_text(path, content, "a .ts file", else_="cp1252")
    header: dict[str, list[str]] = {}
    lines = text.splitlines()
    begin = len(lines)
    for number, line in enumerate(lines):
        line = line.strip()
        if line.lower() == "@data":
            begin = number + 1
            break
        if line.startswith("@"):
            key, *words = line[1:].split() or [""]
            header[key.lower()] = words
        elif line and not line.startswith(("#", "%")):
            raise DataError(
                f"{path} line {number + 1} is {printable(line[:_SHOWN])!r}",
                "comments, lines such as @dimensions 12, and @data",
                "Give a .ts file as sktime and aeon write it.",
            )
    if begin == len(lines):
        raise DataError(f"{path} has no series after a line @data", "one per line", "Fetch the file again.")
    classes = _classes(path, header)
    dimensions = _number(path, header, "dimensions")
    if _flag(header, "univariate"):
        dimensions = dimensions or 1
    length = _number(path, header, "serieslength") if _flag(header, "equallength") else 0
    series = []
    for number, line in enumerate(lines[begin:], begin + 1):
        if line.strip():
            series.append(_series(path, number, line.strip(), classes, dimensions, length))
            dimensions = dimensions or series[0].values.shape[1]
    if not series:
        raise DataError(f"{path} has no series after @data", "one per line", "Fetch the file again.")
    return SeriesFile(series, classes=tuple(classes), labelled=True)


def _flag(header: dict[str, list[str]], key: str) -> bool:
    words = header.get(key, [])
    return bool(words) and words[0].lower() in _TRUE


def _number(path: Path, header: dict[str, list[str]], key: str) -> int:
    """Return a whole number of the header; 0 where it is not there."""
    words = header.get(key, [])
    if not words:
        return 0
    if not words[0].isdecimal() or not int(words[0]):
        got = f"{path} has @{key} {printable(words[0][:_SHOWN])}"
        raise DataError(got, "a whole number of at least 1", "Correct the header.")
    return int(words[0])


def _classes(path: Path, header: dict[str, list[str]]) -> Sequence[str]:
    if _flag(header, "timestamps"):
        raise DataError(
            f"{path} has time stamps (@timeStamps true)",
            "series whose values are equally far apart",
            "Resample them, and write values alone.",
        )
    label = header.get("classlabel", [])
    if not label or label[0].lower() in _FALSE:
        target = " but a target of regression" if "targetlabel" in header else ""
        raise DataError(
            f"{path} has no classes{target}", "@classLabel true and their names", "Give labelled series."
        )
    classes = label[1:]
    if len(set(classes)) < len(classes):
        raise DataError(f"{path} names a class twice in @classLabel", "different names", "Remove one.")
    if not classes:
        raise DataError(f"{path} names no classes in @classLabel", "their names", "Correct the header.")
    return [printable(name) for name in classes]


def _series(
    path: Path, number: int, line: str, classes: Sequence[str], dimensions: int, length: int
) -> Series:
    *channels, label = line.split(":")
    where = f"{path} line {number}"
    label = printable(label.strip())
    if label not in classes:
        raise DataError(
            f"{where} ends in the class {label[:_SHOWN]!r}",
            f"one of {', '.join(classes[:20])}, as @classLabel says",
            "Correct the line or the header.",
        )
    if not channels or (dimensions and len(channels) != dimensions):
        raise DataError(
            f"{where} has {len(channels)} channels", f"{dimensions or 'at least 1'}", "Correct the line."
        )
    lengths = {channel.count(",") + 1 for channel in channels}
    if len(lengths) > 1:
        raise DataError(
            f"{where} has channels of {min(lengths)} to {max(lengths)} values",
            "as many in each",
            "Correct the line, with ? for what is missing.",
        )
    if length and lengths != {length}:
        raise DataError(
            f"{where} has {lengths.pop()} values in each channel", f"{length}, as @seriesLength says",
            "Correct the line or the header.",
        )  # fmt: skip
    values = _values(where, channels).reshape(len(channels), -1)
    return Series(np.ascontiguousarray(values.T), label)


def _values(where: str, channels: Sequence[str]) -> NDArray[np.float64]:
    """Return the values of channels of one length, one channel behind the other."""
    fields = ",".join(channels).split(",")
    try:
        return np.fromiter(map(float, fields), np.float64, len(fields))
    except ValueError:
        pass
    values = []
    for n, field in enumerate(fields):
        field = field.strip()
        try:
            values.append(np.nan if field.lower() in _ABSENT else float(field))
        except ValueError as error:
            raise DataError(
                f"{where} has {printable(field[:_SHOWN])!r} in channel {n * len(channels) // len(fields)}",
                "a number, or ? for a missing one",
                "Correct the line.",
            ) from error
    return np.array(values, np.float64)
