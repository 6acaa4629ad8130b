"""Columns of tables of series: what they mean, and their labels, splits and groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError, near_miss, printable
from ..text import listed
from ..time_units import words_of
from .series_csv import is_time
from .series_text import TextColumns
from .split_names import KNOWN_NAMES, split_named
from .table_columns import role_of

Form = Literal["", "files", "long", "wide"]
LabelColumn = Literal["", "first", "last"]

_NAMES = {
    "series": (
        "id", "series", "seriesid", "case", "caseid", "instance", "instanceid", "sampleid", "sequence", "sequenceid",
        "trial", "trialid", "recording", "recordingid", "segment", "segmentid",
    ),
    "step": ("step", "timestep", "reading", "readingid", "measurement", "measurementnumber", "sort", "frame", "sample"),
    "kind": ("kind", "dim", "dimid", "dimension", "channel", "channelid", "variable", "signal"),
    "value": ("value", "values"),
}  # fmt: skip
_ROLES = {name: role for role, names in _NAMES.items() for name in names}
MEANINGS = ("series", "time", "step", "channel", "kind", "value", "label", "split", "group", "ignore")
"""What a column of such a table can mean, as the setting `columns` of the source names it."""

NUMBERED = re.compile(r"(?P<stem>.*?)(?P<number>\d+)")
"""A name of a column of steps: of which channel, and the step."""

_SHOWN = 40  # characters of a text in a message


@dataclass(frozen=True)
class TableSettings:
    """What the user says of tables of series.

    Attributes
    ----------
    form
        ``"long"`` or ``"wide"``; ``"files"``: it lists files; empty: as its columns say.
    label_column
        Which column of a wide table has the classes; empty: as its columns say.
    columns
        Column → its meaning, one of `MEANINGS`, where its name does not say so.
    """

    form: Form = ""
    label_column: LabelColumn = ""
    columns: Mapping[str, Any] = field(default_factory=dict)


def check_columns(table: TextColumns, settings: TableSettings) -> None:
    """Raise `UsageError` where the setting `columns` has an unknown meaning, `DataError` for an absent column."""
    for name, meaning in settings.columns.items():
        if meaning not in MEANINGS:
            raise UsageError(
                f"got source.columns.{name} = {meaning!r}",
                f"one of {', '.join(MEANINGS)}",
                near_miss(str(meaning), MEANINGS),
            )
        if name not in table.header:
            got = f"{table.path} has no column {name!r}, which source.columns names"
            raise DataError(
                got, f"one of {listed([*map(repr, table.header)]) or 'none'}", near_miss(name, table.header)
            )


def meaning_of(name: str, settings: TableSettings) -> str:
    """Return what a column means, one of `MEANINGS`; empty where its name does not say so."""
    if given := settings.columns.get(name):
        return str(given)
    words = "".join(words_of(name))
    if role := _ROLES.get(words):
        return role
    if is_time(name):
        return "time"
    role = role_of(name)
    return role if role in ("label", "split", "group") else ""


def is_numbered(header: Sequence[str], roles: Sequence[str]) -> bool:
    """Whether most columns are one channel's steps, or several channels': ``t0, t1, …``, ``ax_0, …, ay_0, …``."""
    names = [name for name, role in zip(header, roles, strict=True) if not role]
    numbered = [name for name in names if NUMBERED.fullmatch(name.strip())]
    return len(numbered) > 2 and len(numbered) >= len(names) - 1


def is_unknown(table: TextColumns) -> bool:
    """Whether no column has a meaning by its name, in a table of files or of series."""
    return not any(role_of(name) or meaning_of(name, TableSettings()) for name in table.header if name)


def unclear(table: TextColumns) -> DataError:
    """Return the error for a text file that may be any table."""
    columns = (
        listed([*map(repr, table.header)], 6) if table.header else f"{table.width} columns without names"
    )
    return DataError(
        f"{table.path} has {columns}: it is not clear what they mean",
        "a table of files (path,label), one row per step with columns of the series, the time and the label, or one "
        "row per series with its label first or last",
        "Say which: use source.table=long or source.table=wide, and source.columns.NAME=series, time, label, group, "
        "split or ignore for a column NAME.",
    )


def single(table: TextColumns, roles: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    """Return meaning → number of its column; raises `DataError` where two columns have it."""
    columns = {}
    for role in wanted:
        same = [n for n, other in enumerate(roles) if other == role]
        if len(same) > 1:
            names = [table.header[n] for n in same]
            raise DataError(
                f"{table.path} has {len(same)} columns of the {role}: {listed([*map(repr, names)])}",
                "one",
                f"Say what the others mean: use source.columns.{names[-1]}=ignore, or channel.",
            )
        if same:
            columns[role] = same[0]
    return columns


def note_on_spaces(table: TextColumns, column: int) -> str:
    """Return a note, to follow another, on labels that are one but for spaces around them; empty: there are none."""
    names = table.spaced(column)
    return (
        f"; labels that differ by spaces around them are one class: {listed([*map(ascii, names)], 6)}"
        if names
        else ""
    )


def as_classes(path: Path, labels: Sequence[str] | NDArray[np.str_]) -> list[str]:
    """Return names of classes: of ``1.0000e+00`` 1; raises `DataError` where they are fractions."""
    names: dict[str, str] = {}
    for label in {str(label) for label in labels}:
        try:
            value = float(label)
        except ValueError:
            names[label] = printable(label)
            continue
        if not value.is_integer():
            got = f"{path} has the label {printable(label[:_SHOWN])}"
            fix = "Say which column has them: use source.label_column=first or last."
            raise DataError(got, "a class: a text or a whole number", fix)
        names[label] = str(int(value)) if abs(value) < 1 << 53 else printable(label)
    return [names[str(label)] for label in labels]


def split_of(path: Path, name: str) -> str:
    """Return which split a name means; raises `DataError` where it means none."""
    split = split_named(name)
    if split is None:
        raise DataError(f"{path} has the split {printable(name[:_SHOWN])!r}", KNOWN_NAMES, "Rename it.")
    return split
