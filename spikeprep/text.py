"""Numbers, settings and tables as text, for terminals, messages and notebooks."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Sequence[str]], align: str = "l", *, indent: int = 2) -> str:
    """Align columns: `align` has ``l`` or ``r`` for each, its last letter standing for all further ones."""
    columns = list(zip(*rows, strict=True))
    letters = align.ljust(len(columns), align[-1])[: len(columns)]
    padded = []
    for column, letter in zip(columns, letters, strict=True):
        width = max(map(len, column))
        padded.append([cell.rjust(width) if letter == "r" else cell.ljust(width) for cell in column])
    return "\n".join((" " * indent + "  ".join(row)).rstrip() for row in zip(*padded, strict=True))


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
