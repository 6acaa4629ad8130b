"""What a file is that a source does not read, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from ..file_kinds import HEAD, TEXT, FileKind, kind_of
from ..input_files import open_input


def other_kind(data: bytes, group: str) -> FileKind | None:
    """Return what a file is that begins with `data`; None where that is unknown, or a kind of `group`.

    `group` is what the source reads, as in `FileKind.group` (empty: none of them): a file of that kind is damaged, not
    another one.
    """
    kind = kind_of(data[:HEAD])
    return None if kind and group and kind.group == group else kind


def describe_other(files: Sequence[Path], group: str) -> tuple[str, str]:
    """Return what there is where a source finds none of its files, and the fix; empty where there is nothing."""
    if not files:
        return "", ""
    try:
        with open_input(files[0]) as file:
            kind = other_kind(file.read(HEAD) or b"", group)
    except DataError:
        kind = None
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    what = f": it has {files[0].name}{f', {kind.name}' if kind else ''}{more}"
    if kind == TEXT and group == "events":
        return what, "To read lines of x, y, t and p use source.format=text."
    return what, f"{kind.fix}." if kind else ""
