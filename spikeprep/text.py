"""Numbers, settings and tables as text, for terminals, messages and notebooks."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from .terminal import display_width

_LEAST = 16
"""Columns to which those of a column of texts are reduced, at most."""


def table(
    rows: Sequence[Sequence[str]], align: str = "l", *, indent: int = 2, width: int | None = None
) -> str:
    """Return rows of cells in aligned columns.

    Parameters
    ----------
    rows
        Rows of as many cells each.
    align
        ``l`` or ``r`` for each column, the last letter standing for all further ones.
    indent
        Spaces before each line.
    width
        Columns of the terminal that it must fit; None: any number. Long texts in a last column of texts go on in more
        lines; columns that still do not fit follow below, each part beginning with the first column.
    """
    if not rows:
        return ""
    columns = [list(column) for column in zip(*rows, strict=True)]
    letters = align.ljust(len(columns), align[-1])[: len(columns)]
    widths = [max(map(display_width, column)) for column in columns]
    if width is None:
        return _lines(columns, letters, widths, indent)
    excess = indent + sum(widths) + 2 * (len(widths) - 1) - width
    if excess > 0 and letters[-1] == "l":
        widths[-1] = max(widths[-1] - excess, min(widths[-1], _LEAST))
    parts: list[list[int]] = [[]]
    for n in range(1, len(columns)):
        if parts[-1] and indent + widths[0] + sum(2 + widths[m] for m in [*parts[-1], n]) > width:
            parts.append([])
        parts[-1].append(n)
    texts = []
    for part in parts:
        chosen = [0, *part]
        texts.append(
            _lines(
                [columns[n] for n in chosen],
                "".join(letters[n] for n in chosen),
                [widths[n] for n in chosen],
                indent,
            )
        )
    return "\n\n".join(texts)


def _lines(columns: Sequence[Sequence[str]], letters: str, widths: Sequence[int], indent: int) -> str:
    """Return columns as lines; the last one's texts go on in further lines where they are wider than it is."""
    lines = []
    for row in zip(*columns, strict=True):
        last = [row[-1]]
        if display_width(row[-1]) > widths[-1]:
            last = textwrap.wrap(row[-1], widths[-1]) or [""]
        for cells in zip_longest(*([cell] for cell in row[:-1]), last, fillvalue=""):
            padded = (_padded(*cell) for cell in zip(cells, letters, widths, strict=True))
            lines.append((" " * indent + "  ".join(padded)).rstrip())
    return "\n".join(lines)


def _padded(text: str, letter: str, width: int) -> str:
    space = " " * (width - display_width(text))
    return space + text if letter == "r" else text + space


def format_settings(settings: Mapping[str, Any]) -> str:
    """Return settings as ``"steps=400, dt=0.001"``."""
    words = {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in settings.items()}
    return ", ".join(f"{key}={value!r}" if value == "" else f"{key}={value}" for key, value in words.items())


def format_bytes(n_bytes: float) -> str:
    """Return a number of bytes for a person: ``"4.2 kB"``, powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}" if unit != "B" else f"{n_bytes:.0f} B"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def format_duration(seconds: float) -> str:
    """Return a duration for a person: ``"4.2 s"``, ``"3:07"`` (minutes) or ``"2:03:07"`` (hours)."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def samples_by_split(samples: Mapping[str, int]) -> str:
    """Return numbers of samples as ``"1,442 train + 355 test samples"``."""
    return " + ".join(f"{number:,} {split}" for split, number in samples.items()) + " samples"


def listed(texts: Sequence[str], most: int = 10, separator: str = ", ", what: str = "") -> str:
    """Return texts in a row, the first `most` of many: ``"a, b and 3 more"``; `what` names those that are left out."""
    more = f" and {len(texts) - most:,} more{f' {what}' if what else ''}" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def html_table(rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Return an HTML table for a notebook; the first row is its head, the caption stands above it."""
    head, *body = [[html.escape(cell) for cell in row] for row in rows]
    lines = ["".join(f"<th>{cell}</th>" for cell in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
