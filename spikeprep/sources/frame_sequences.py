"""Folders of numbered pictures, each of them the frames of one video."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..errors import printable
from ..text import listed
from .labelled_files import BadFile, files_in, has_ending, is_hidden

STILLS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""Endings of the names of pictures that can be frames."""

_NUMBER = re.compile(r"(.*?)(\d{1,18})(\D*)", re.DOTALL)  # the last number of a name


class FrameFiles(NamedTuple):
    """The frames of a folder in the order of their numbers, and what is strange about these; empty: nothing."""

    files: Sequence[Path]
    finding: str


def with_sequences(root: Path, files: Sequence[Path]) -> list[Path]:
    """Return files with each folder of pictures below `root` in place of its pictures; those in `root` itself stay."""
    members: dict[Path, None] = {}
    for file in files:
        is_frame = file.parent != root and has_ending(file.name, STILLS)
        members[file.parent if is_frame else file] = None
    return list(members)


def frame_files(folder: Path, name: str) -> FrameFiles:
    """Return the frames in a folder.

    Parameters
    ----------
    folder
        The folder.
    name
        Of the video, for messages.

    Raises
    ------
    BadFile
        It has no pictures, or their names have no order: no number, several texts around it, or one number twice.
    DataError
        It cannot be read.
    """
    files = [f for f in files_in(folder) if has_ending(f.name, STILLS) and not is_hidden(f.name)]
    if not files:
        raise BadFile(
            name, f"has no pictures (expected files ending in {' '.join(STILLS)})", "add its frames"
        )
    by_number: dict[int, Path] = {}
    around: dict[tuple[str, str], Path] = {}
    for file in files:
        match = _NUMBER.fullmatch(file.stem)
        if not match:
            fix = "number the frames in their order, as 0001.png, or move other pictures away"
            raise BadFile(name, f"has {printable(file.name)}, which has no number", fix)
        around.setdefault((match[1], match[3]), file)
        if len(around) > 1:
            two = listed([printable(f.name) for f in around.values()])
            fix = "put the frames of each video into a folder of its own, all with one name and a number"
            raise BadFile(name, f"has frames of several names, {two}", fix)
        if (number := int(match[2])) in by_number:
            two = listed([printable(f.name) for f in (by_number[number], file)])
            raise BadFile(name, f"has two frames of one number, {two}", "remove one of them")
        by_number[number] = file
    numbers = sorted(by_number)
    return FrameFiles([by_number[n] for n in numbers], _gaps(numbers))


def _gaps(numbers: Sequence[int]) -> str:
    """Return which numbers are missing; frames that are equally far apart have none."""
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps or max(steps) == min(steps):
        return ""
    usual = min(steps)
    first = next(n for n, step in zip(numbers, steps, strict=False) if step > usual)
    lacking = sum(step // usual - 1 for step in steps)
    return f"lacks {lacking:,} of its numbers, such as {first + usual}"
