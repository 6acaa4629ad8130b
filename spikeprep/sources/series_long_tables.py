"""Long tables of series: a row per step, or per value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, printable
from ..text import listed
from ..time_units import split_unit, unit_named
from .series_csv import ISO_DATES, TIME_NUMBERS, is_number, note_on_rate, rate_of_times
from .series_data import Series, SeriesFile
from .series_table_columns import (
    TableSettings,
    as_classes,
    meaning_of,
    note_on_spaces,
    single,
    split_of,
    unclear,
)
from .series_text import TextColumns

LONG_NOTE = "a table with a row per step (long)"
"""Note on what a file is, by which `predict` reads others alike."""

_SHOWN = 40  # characters of a text in a message
_UNEVEN = 0.01  # of a rate, by which those of two series may differ


def read_long(table: TextColumns, settings: TableSettings, labels: tuple[Path, bytes] | None) -> SeriesFile:
    """Return the series of a table with a row per step; see `spikeprep.sources.series_tables.read_series_table`."""
    if not table.header:
        raise unclear(table)
    roles = [meaning_of(name, settings) for name in table.header]
    columns = single(table, roles, ("series", "time", "step", "kind", "value", "label", "split", "group"))
    if "series" not in columns:
        raise DataError(
            f"{table.path} has no column of the series, among {listed([*map(repr, table.header)], 8)}",
            "one such as id or series_id, the same in every row of a series",
            "Say which: use source.columns.NAME=series.",
        )
    if ("kind" in columns) != ("value" in columns):
        raise DataError(
            f"{table.path} has a column {'kind' if 'kind' in columns else 'value'} alone", "kind and value", "Add it."
        )  # fmt: skip
    clock = "time" if "time" in columns else "step" if "step" in columns else ""
    plain = [n for n, role in enumerate(roles) if role in ("", "channel")]
    if "kind" in columns and (more := [table.header[n] for n in plain]):
        raise DataError(
            f"{table.path} has values in one column, and beside it {listed(more)}",
            "a column per channel, or one of their names and one of their values",
            "Say what they mean: use source.columns.NAME=ignore.",
        )
    texts = [role for role in ("series", "kind", "label", "split", "group") if role in columns]
    numeric = [columns["value"]] if "kind" in columns else plain
    if not numeric:
        raise DataError(f"{table.path} has no column of values", "at least one channel", "Add it.")
    times: NDArray[np.float64] | None = None
    timed = clock and is_number(table.first[columns[clock]], table.decimal)
    wanted = [*numeric, columns[clock]] if timed else numeric
    words_wanted = [columns[role] for role in texts] + ([columns[clock]] if clock and not timed else [])
    values, words = table.read(wanted, words_wanted)
    text: dict[str, NDArray[np.str_]] = dict(zip(texts, words, strict=False))
    unit = ""
    if timed:
        values, times = values[:, :-1], values[:, -1]
        unit = unit_named(table.header[columns[clock]]) or split_unit(table.header[columns[clock]])[1]
    elif clock:
        times, unit = _dates(table, words[-1], table.header[columns[clock]]), "s"
    if times is not None and np.isnan(times).any():
        row = int(np.argmax(np.isnan(times)))
        got = f"{table.path}: row {row} has no {table.header[columns[clock]]}"
        raise DataError(got, "a time in every row", "Correct it.")
    for role, column in text.items():
        empty = np.flatnonzero(column == "")
        if len(empty):
            got = f"{table.path}: row {empty[0]} has no {table.header[columns[role]]}"
            raise DataError(got, "one in every row", "Correct it, or remove the row.")
    names = tuple(printable(table.header[n]) for n in plain)
    by_group = _repeats_in_groups(text, times)
    if by_group:
        text["series"] = _of_groups(text["group"], text["series"])
    if "kind" in text:
        values, times, text, names = _unstacked(table, values[:, 0], times, text)
    ids, first, number = np.unique(text["series"], return_index=True, return_inverse=True)
    rank = np.empty(len(ids), np.int64)  # in the order in which they begin
    rank[np.argsort(first, kind="stable")] = np.arange(len(ids))
    number = rank[number]
    order = np.argsort(number, kind="stable") if times is None else np.lexsort((times, number))
    bounds = np.searchsorted(number[order], np.arange(len(ids) + 1))
    values, ids = values[order], ids[np.argsort(first, kind="stable")]
    starts = bounds[:-1]
    rate, note = 0.0, ""
    if times is not None:
        name = table.header[columns[clock]]
        rate = _check_times(table, times[order], bounds, ids, clock == "time", unit, name)
        note = note_on_rate(times[order], unit, name, rate)
    facts: dict[str, Sequence[str]] = {}
    for role in ("label", "split", "group"):
        if role in text:
            column = text[role][order]
            facts[role] = _constant(table, column, starts, bounds, ids, role)
    if labels is not None:
        facts |= _labels_beside(*labels, settings, ids.tolist(), table, by_group)
    given = as_classes(table.path, facts["label"]) if "label" in facts else [""] * len(ids)
    series = [
        Series(
            values[start:stop],
            given[n],
            split_of(table.path, facts["split"][n]) if "split" in facts else "",
            printable(facts["group"][n]) if "group" in facts else "",
        )
        for n, (start, stop) in enumerate(zip(starts, bounds[1:], strict=True))
    ]
    what = LONG_NOTE + (note_on_spaces(table, columns["label"]) if "label" in columns else "")
    if by_group:
        series_name, group_name = (printable(table.header[columns[role]]) for role in ("series", "group"))
        what += (
            f", a series per {group_name} and {series_name}, as {series_name} repeats in each {group_name}"
        )
    return SeriesFile(
        series, rate, labelled="label" in facts, channels=names, rate_note=note, table_note=what
    )


def _repeats_in_groups(text: Mapping[str, NDArray[np.str_]], times: NDArray[np.float64] | None) -> bool:
    """Whether names of series are of a group alone, as the numbers of trials of each subject are.

    Most of them occur in several groups; or one does at the same time.
    """
    if "group" not in text or not len(text["series"]):
        return False
    series, groups = text["series"], text["group"]
    begins = np.ones(len(series), bool)  # of what lasts for many rows: few texts are compared
    begins[1:] = (series[1:] != series[:-1]) | (groups[1:] != groups[:-1])
    run = np.cumsum(begins) - 1
    ids, number = np.unique(series[begins], return_inverse=True)
    _, group = np.unique(groups[begins], return_inverse=True)
    groups_of = np.bincount(np.unique(np.stack([number, group]), axis=1)[0])
    repeated = int((groups_of > 1).sum())
    if times is None or 2 * repeated > len(ids) or not repeated:
        return 2 * repeated > len(ids)
    number, group = number[run], group[run]
    order = np.lexsort((group, times, number))
    same = (np.diff(number[order]) == 0) & (np.diff(times[order]) == 0) & (np.diff(group[order]) != 0)
    return bool(same.any())


def _of_groups(groups: NDArray[np.str_], series: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return names of series that are the same in no two groups: ``s1/3``."""
    return np.char.add(np.char.add(groups, "/"), series)


def _dates(table: TextColumns, words: NDArray[np.str_], name: str) -> NDArray[np.float64]:
    """Return dates and times of day, such as ``2020-01-31 12:00:00.25``, as seconds since the first."""
    try:
        dates = words.astype("datetime64[ns]")
    except ValueError as error:
        word = next((str(word) for word in words if not _is_date(str(word))), str(words[0]))
        raise DataError(
            f"{table.path} has {printable(word[:_SHOWN])!r} in column {printable(name)}, which is a time",
            f"{TIME_NUMBERS}, {ISO_DATES}",
            f"Correct it, or leave the column out: use source.columns.{printable(name)}=ignore.",
        ) from error
    return np.asarray((dates - dates.min()) / np.timedelta64(1, "s"))


def _is_date(word: str) -> bool:
    try:
        np.datetime64(word, "ns")
    except ValueError:
        return False
    return True


def _unstacked(
    table: TextColumns,
    values: NDArray[np.float64],
    times: NDArray[np.float64] | None,
    text: dict[str, NDArray[np.str_]],
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, dict[str, NDArray[np.str_]], tuple[str, ...]]:
    """Return values (row, channel), and times and texts of these rows, of one value per row."""
    kinds, first, kind = np.unique(text["kind"], return_index=True, return_inverse=True)
    order_of_kinds = np.argsort(first, kind="stable")
    kind = np.argsort(order_of_kinds)[kind]
    _, series = np.unique(text["series"], return_inverse=True)
    if times is None:  # the rows of a channel are its steps
        steps = np.empty(len(values), np.int64)
        pairs = series * len(kinds) + kind
        order = np.argsort(pairs, kind="stable")
        starts = np.searchsorted(pairs[order], pairs[order])
        steps[order] = np.arange(len(values)) - starts
        clock: NDArray[Any] = steps
    else:
        clock = times
    order = np.lexsort((clock, series))
    new = np.ones(len(values), bool)
    new[1:] = (np.diff(series[order]) != 0) | (np.diff(clock[order]) != 0)
    row = np.empty(len(values), np.int64)
    row[order] = np.cumsum(new) - 1
    cells = row * len(kinds) + kind
    if len(np.unique(cells)) < len(cells):
        _, counts_ = np.unique(cells, return_counts=True)
        cell = np.unique(cells)[int(np.argmax(counts_ > 1))]
        n = int(np.flatnonzero(cells == cell)[1])
        raise DataError(
            f"{table.path}: row {n} gives the channel {printable(str(text['kind'][n]))} of the series "
            f"{printable(str(text['series'][n]))} a second value at one time",
            "one",
            "Remove the row.",
        )
    result = np.full((int(row.max()) + 1, len(kinds)), np.nan)
    result[row, kind] = values
    chosen = order[new]
    texts = {role: column[chosen] for role, column in text.items() if role != "kind"}
    for role in ("label", "split", "group"):
        if role in text and len(other := np.flatnonzero(text[role] != text[role][chosen][row])):
            series_id = printable(str(text["series"][other[0]]))
            got = f"{table.path}: the series {series_id} has several values in the column of the {role}"
            raise DataError(got, "one for each series", "Cut the series where it changes.")
    names = tuple(printable(str(name)) for name in kinds[order_of_kinds])
    return result, None if times is None else times[chosen], texts, names


def _check_times(
    table: TextColumns,
    times: NDArray[np.float64],
    bounds: NDArray[Any],
    ids: NDArray[np.str_],
    timed: bool,
    unit: str,
    name: str,
) -> float:
    """Return the rate in Hz of sorted times; 0 of a column that counts steps, or of single steps.

    Raises `DataError` where two rows of a series have one time, or steps are not equally far apart.
    """
    rates = []
    steps = np.diff(times)
    inner = np.ones(len(steps), bool)
    inner[bounds[1:-1] - 1] = False
    wrong = inner & ((steps == 0) | (False if timed else steps != 1))
    if wrong.any():
        n = int(np.argmax(wrong))
        of = printable(str(ids[int(np.searchsorted(bounds, n, side="right")) - 1]))
        twice = steps[n] == 0
        what = "twice" if twice else f"and then {times[n + 1]:g}"
        raise DataError(
            f"{table.path}: the series {of} has {printable(name)} {times[n]:g} {what}",
            "a row for each step",
            "Give each series a name of its own; where numbers of series repeat, as those of trials do for each "
            "subject, say which column has the subjects: use source.columns.NAME=group."
            if twice
            else "Add the steps that are missing, with empty values; or, if the column counts no steps, use "
            f"source.columns.{name}=ignore.",
        )
    if not timed:
        return 0.0
    for start, stop, one in zip(bounds[:-1], bounds[1:], ids, strict=True):
        of_one = Path(f"{table.path}, series {printable(str(one))}")
        if rate := rate_of_times(of_one, times[start:stop], unit, name):
            rates.append(rate)
    if not rates:
        return 0.0
    rate = float(np.median(rates))
    other = int(np.argmax(np.abs(np.array(rates) / rate - 1)))
    if abs(rates[other] / rate - 1) > _UNEVEN:
        raise DataError(
            f"{table.path} has series of {rates[other]:g} Hz and of {rate:g} Hz, by their times",
            "one rate",
            f"Resample them; or use source.rate=HZ and source.columns.{name}=ignore.",
        )
    return rate


def _constant(
    table: TextColumns,
    column: NDArray[np.str_],
    starts: NDArray[Any],
    bounds: NDArray[Any],
    ids: NDArray[np.str_],
    role: str,
) -> list[str]:
    """Return the one text that a column has in each series; raises `DataError` where it has several."""
    first = column[starts]
    differs = column != np.repeat(first, np.diff(bounds))
    if differs.any():
        n = int(np.argmax(differs))
        of = int(np.searchsorted(bounds, n, side="right")) - 1
        raise DataError(
            f"{table.path}: the series {printable(str(ids[of]))} has the {role} {printable(str(first[of])[:_SHOWN])} "
            f"and then {printable(str(column[n])[:_SHOWN])}",
            f"one {role} for each series",
            "Cut the series where it changes: give each piece a name of its own in the column of the series, and its "
            "recording's in a column group.",
        )
    return [str(text) for text in first]


def _labels_beside(
    path: Path,
    content: bytes,
    settings: TableSettings,
    ids: Sequence[str],
    series: TextColumns,
    by_group: bool,
) -> dict[str, list[str]]:
    """Return the labels of series, and their groups, from a table of its own.

    Of `by_group`, a series is named by its group too, see `_of_groups`.
    """
    table = TextColumns.of(path, content)
    roles = [meaning_of(name, settings) for name in table.header]
    columns = single(table, roles, ("series", "label", "split", "group"))
    if missing := [role for role in ("series", "label") if role not in columns]:
        raise DataError(
            f"{path} has {listed([*map(repr, table.header)], 8) or 'no names of columns'}: none of the "
            f"{' and none of the '.join(missing)}",
            "columns such as series_id and label",
            f"Say which: use source.columns.NAME={missing[0]}.",
        )
    wanted = [role for role in ("series", "label", "split", "group") if role in columns]
    _, words = table.read((), [columns[role] for role in wanted])
    text = dict(zip(wanted, words, strict=True))
    if by_group and "group" not in columns:
        raise DataError(
            f"{path} has no column of the group, and names of series repeat in the groups of {series.path}",
            "the columns of the series and of its group in both",
            "Add it, or say which it is: use source.columns.NAME=group.",
        )
    if by_group:
        text["series"] = _of_groups(text["group"], text["series"])
    rows = {str(one): n for n, one in enumerate(text["series"])}
    if len(rows) < len(text["series"]):
        raise DataError(f"{path} names a series twice", "a row for each", "Remove one.")
    if {*ids} != {*rows}:
        lacking = sorted({*ids} ^ {*rows})
        where = f"{path} has no row" if lacking[0] in ids else f"{series.path} has no values"
        got = f"{where} for {len(lacking):,} series, such as {printable(lacking[0])}"
        raise DataError(got, "the same series in both", "Add or remove them.")
    chosen = [rows[one] for one in ids]
    return {role: [str(text[role][n]) for n in chosen] for role in wanted if role != "series"}
