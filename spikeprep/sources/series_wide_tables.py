"""Wide tables of series: a row per series, of a column per step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, printable
from .series_csv import counts, is_number
from .series_data import Series, SeriesFile
from .series_table_columns import (
    NUMBERED,
    TableSettings,
    as_classes,
    meaning_of,
    note_on_spaces,
    single,
    split_of,
    unclear,
)
from .series_text import TextColumns

WIDE_NOTE = "a table with a row per series (wide)"
"""Note on what a file is, by which `predict` reads others alike."""

_REPEATED = 2  # rows of a class, on average, so that a column of whole numbers is one of classes


def read_wide(table: TextColumns, settings: TableSettings) -> SeriesFile:
    """Return the series of a table with a row per series; see `spikeprep.sources.series_tables.read_series_table`."""
    roles = [meaning_of(name, settings) for name in table.header] or [""] * table.width
    columns = single(table, roles, ("series", "label", "split", "group"))
    if "label" not in columns:
        columns["label"] = _label_column(table, roles, settings)
    others = {*columns.values(), *(n for n, role in enumerate(roles) if role == "ignore")}
    plain = [n for n in range(table.width) if n not in others]
    if table.header and plain and not table.header[plain[0]]:  # pandas' index
        numbers, _ = table.read([plain[0]], ())
        plain = plain[1:] if counts(numbers[:, 0]) else plain
    groups = _channels(table, plain)
    wanted = [role for role in ("label", "split", "group") if role in columns]
    values, words = table.read(
        [n for numbers in groups.values() for n in numbers], [columns[r] for r in wanted]
    )
    text = dict(zip(wanted, words, strict=True))
    for role, column in text.items():
        empty = np.flatnonzero(column == "")
        if len(empty):
            got = f"{table.path}: row {empty[0]} has no {role}"
            raise DataError(got, "one in every row", "Correct it, or remove the row.")
    labels = as_classes(table.path, text["label"])
    steps = len(next(iter(groups.values())))
    values = values.reshape(len(values), len(groups), steps).transpose(0, 2, 1)
    present = np.asarray(~np.isnan(values).all(axis=2))
    # empty fields at the end: the series is shorter than others
    lengths = np.where(present.any(axis=1), steps - np.argmax(present[:, ::-1], axis=1), 0)
    if not lengths.all():
        row = int(np.argmin(lengths))
        raise DataError(f"{table.path}: row {row} has no values", "a series in every row", "Remove the row.")
    series = [
        Series(
            np.ascontiguousarray(one[:length]),
            labels[n],
            split_of(table.path, str(text["split"][n])) if "split" in text else "",
            printable(str(text["group"][n])) if "group" in text else "",
        )
        for n, (one, length) in enumerate(zip(values, lengths, strict=True))
    ]
    channels = tuple(groups) if len(groups) > 1 else ()
    return SeriesFile(
        series,
        labelled=True,
        channels=channels,
        table_note=WIDE_NOTE + note_on_spaces(table, columns["label"]),
    )


def _channels(table: TextColumns, plain: Sequence[int]) -> dict[str, list[int]]:
    """Return channel → its columns, in the order of their numbers; one channel without a name where they have none.

    Raises `DataError` where columns are not numbered alike.
    """
    if not plain:
        raise DataError(f"{table.path} has no column of values", "a column per step", "Add them.")
    if not table.header:
        return {"": list(plain)}
    groups: dict[str, dict[int, int]] = {}
    for n in plain:
        match = NUMBERED.fullmatch(table.header[n].strip())
        if not match:
            raise DataError(
                f"{table.path} has the column {table.header[n]!r} among columns of steps",
                "steps such as t0, t1, …, or of several channels ax_0, …, ay_0, …",
                f"Say what it means: use source.columns.{table.header[n]}=label, group, split or ignore.",
            )
        steps = groups.setdefault(match["stem"].strip("_-. ["), {})
        if int(match["number"]) in steps:
            raise DataError(f"{table.path} has two columns {table.header[n]!r}", "one", "Remove one.")
        steps[int(match["number"])] = n
    first = next(iter(groups.values()))
    for name, steps in groups.items():
        if {*steps} != {*first}:
            raise DataError(
                f"{table.path} has {len(first)} steps of {next(iter(groups)) or 'the first channel'!r}, and "
                f"{len(steps)} of {name or 'another'!r}, or others by their numbers",
                "the same steps of every channel",
                "Correct the names of the columns.",
            )
    ordered = sorted(first)
    if ordered != [*range(ordered[0], ordered[0] + len(ordered))]:
        missing = next(n for n in range(ordered[0], ordered[-1]) if n not in first)
        raise DataError(f"{table.path} has no column of step {missing}", "all steps", "Add it.")
    return {printable(name): [steps[n] for n in ordered] for name, steps in groups.items()}


def _label_column(table: TextColumns, roles: Sequence[str], settings: TableSettings) -> int:
    """Return the column of the classes: the first or the last one, which the setting or its values tell apart."""
    free = [n for n, role in enumerate(roles) if not role]
    if len(free) < 2:
        raise unclear(table)
    ends = {"first": free[0], "last": free[-1]}
    if settings.label_column:
        return ends[settings.label_column]
    _, words = table.read((), [*ends.values()])
    fits = [end for end, column in zip(ends, words, strict=True) if _are_classes(column, table.decimal)]
    if len(fits) == 1:
        return ends[fits[0]]
    what = (
        "the first and the last column may both be it"
        if fits
        else "neither the first nor the last one seems to be"
    )
    raise DataError(
        f"{table.path} does not say which column has the classes: {what}",
        "the class of each series, first or last in its row",
        "Say which: use source.label_column=first or source.label_column=last; or source.columns.NAME=label.",
    )


def _are_classes(column: NDArray[np.str_], decimal: bool) -> bool:
    """Whether a column may have classes: texts or whole numbers that repeat themselves."""
    names = np.unique(column)
    if len(names) * _REPEATED > len(column):
        return False
    numbers = [str(name) for name in names if is_number(str(name), decimal)]
    if len(numbers) < len(names):
        return True
    return all(float(n.replace(",", ".")).is_integer() for n in numbers if n)
