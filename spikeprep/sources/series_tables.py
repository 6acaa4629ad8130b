"""Many labelled series in one text file: a row per step (the long form), or a row per series (the wide form).

Long tables are those of tsfresh and sktime: a column of the series, one of the time, and a column per channel, or one
of the channel's name (``kind``) and one of its ``value``. Wide ones are UCR's ``PROBLEM_TRAIN.tsv``, whose first column
is the class, and Kaggle's ``mitbih_train.csv``, whose last one is.
Sources: https://tsfresh.readthedocs.io/en/latest/text/data_formats.html;
https://www.sktime.net/en/stable/api_reference/data_format.html (``from_long_to_nested``);
Dau et al. 2018, The UCR time series archive, arXiv:1810.07758.
"""

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
from ..time_units import split_unit, unit_named, words_of
from .series_csv import TIMES, counts, is_number, rate_of_times
from .series_data import Series, SeriesFile
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

_NUMBERED = re.compile(r"(?P<stem>.*?)(?P<number>\d+)")
_SHOWN = 40  # characters of a text in a message
_UNEVEN = 0.01  # of a rate, by which those of two series may differ
_REPEATED = 2  # rows of a class, on average, so that a column of whole numbers is one of classes


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


def form_of(table: TextColumns, settings: TableSettings) -> Form:
    """Return what a text file is; empty where it is neither a table of files nor clearly one of series."""
    if settings.form:
        return settings.form
    roles = [_role(name, settings) for name in table.header]
    if any(settings.columns.get(name) == "path" or role_of(name) == "path" for name in table.header):
        return "files"
    if "series" in roles and {"time", "step", "kind"} & {*roles}:
        return "long"
    if "series" in roles and "label" in roles:
        _, (ids,) = table.read((), [roles.index("series")])
        return "wide" if _numbered(table.header, roles) and len(np.unique(ids)) == len(ids) else "long"
    if table.header and (_numbered(table.header, roles) or table.header[0].isdecimal()):
        return "wide"
    # a label that is a text is no number in every line
    return "wide" if not table.header and table.width > 2 else ""


def read_series_table(
    path: Path, content: bytes, settings: TableSettings, labels: tuple[Path, bytes] | None = None
) -> SeriesFile:
    """Read the bytes of a long or a wide table.

    Parameters
    ----------
    path
        The file, for messages.
    content
        Its bytes.
    settings
        What the user says of it.
    labels
        A further table, of the series and their labels, and its bytes; None: they are in this one.

    Raises
    ------
    DataError
        It is not clear which columns mean what, or they do not fit each other.
    """
    table = TextColumns.of(path, content)
    form = form_of(table, settings)
    check_columns(table, settings)
    if form == "long":
        return _read_long(table, settings, labels)
    if form == "wide" and labels is None:
        return _read_wide(table, settings)
    raise unclear(table)


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


def _role(name: str, settings: TableSettings) -> str:
    """Return what a column means, one of `MEANINGS`; empty where its name does not say so."""
    if given := settings.columns.get(name):
        return str(given)
    words = "".join(words_of(name))
    if role := _ROLES.get(words):
        return role
    stem, _ = split_unit(name)
    if stem in TIMES or unit_named(name):
        return "time"
    role = role_of(name)
    return role if role in ("label", "split", "group") else ""


def _numbered(header: Sequence[str], roles: Sequence[str]) -> bool:
    """Whether most columns are one channel's steps, or several channels': ``t0, t1, …``, ``ax_0, …, ay_0, …``."""
    names = [name for name, role in zip(header, roles, strict=True) if not role]
    numbered = [name for name in names if _NUMBERED.fullmatch(name.strip())]
    return len(numbered) > 2 and len(numbered) >= len(names) - 1


def is_unknown(table: TextColumns) -> bool:
    """Whether no column has a meaning by its name, in a table of files or of series."""
    return not any(role_of(name) or _role(name, TableSettings()) for name in table.header if name)


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


# ------------------------------------------------------------ long tables


def _read_long(table: TextColumns, settings: TableSettings, labels: tuple[Path, bytes] | None) -> SeriesFile:
    if not table.header:
        raise unclear(table)
    roles = [_role(name, settings) for name in table.header]
    columns = _single(table, roles, ("series", "time", "step", "kind", "value", "label", "split", "group"))
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
        unit = unit_named(table.header[columns[clock]]) or split_unit(table.header[columns[clock]])[1] or "s"
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
    rate = 0.0
    if times is not None:
        rate = _check_times(
            table, times[order], bounds, ids, clock == "time", unit, table.header[columns[clock]]
        )
    facts: dict[str, Sequence[str]] = {}
    for role in ("label", "split", "group"):
        if role in text:
            column = text[role][order]
            facts[role] = _constant(table, column, starts, bounds, ids, role)
    if labels is not None:
        facts |= _labels_beside(*labels, settings, ids.tolist(), table)
    given = as_classes(table.path, facts["label"]) if "label" in facts else [""] * len(ids)
    series = [
        Series(
            values[start:stop],
            given[n],
            _split(table.path, facts["split"][n]) if "split" in facts else "",
            printable(facts["group"][n]) if "group" in facts else "",
        )
        for n, (start, stop) in enumerate(zip(starts, bounds[1:], strict=True))
    ]
    return SeriesFile(series, rate, labelled="label" in facts, channels=names)


def _single(table: TextColumns, roles: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
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


def _dates(table: TextColumns, words: NDArray[np.str_], name: str) -> NDArray[np.float64]:
    """Return dates and times of day, such as ``2020-01-31 12:00:00.25``, as seconds since the first."""
    try:
        dates = words.astype("datetime64[ns]")
    except ValueError as error:
        raise DataError(
            f"{table.path} has {printable(str(words[0])[:_SHOWN])!r} in column {printable(name)}",
            "numbers, or dates and times such as 2020-01-31 12:00:00.25",
            "Correct it, or leave the column out: use source.columns.NAME=ignore.",
        ) from error
    return np.asarray((dates - dates.min()) / np.timedelta64(1, "s"))


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
        what = "twice" if steps[n] == 0 else f"and then {times[n + 1]:g}"
        raise DataError(
            f"{table.path}: the series {of} has {printable(name)} {times[n]:g} {what}",
            "a row for each step",
            "Remove rows that are there twice, and add those that are missing, with empty values; or, if the column is "
            f"no time, use source.columns.{name}=ignore.",
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
    path: Path, content: bytes, settings: TableSettings, ids: Sequence[str], series: TextColumns
) -> dict[str, list[str]]:
    """Return the labels of series, and their groups, from a table of its own."""
    table = TextColumns.of(path, content)
    roles = [_role(name, settings) for name in table.header]
    columns = _single(table, roles, ("series", "label", "split", "group"))
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


# ------------------------------------------------------------ wide tables


def _read_wide(table: TextColumns, settings: TableSettings) -> SeriesFile:
    roles = [_role(name, settings) for name in table.header] or [""] * table.width
    columns = _single(table, roles, ("series", "label", "split", "group"))
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
            _split(table.path, str(text["split"][n])) if "split" in text else "",
            printable(str(text["group"][n])) if "group" in text else "",
        )
        for n, (one, length) in enumerate(zip(values, lengths, strict=True))
    ]
    channels = tuple(groups) if len(groups) > 1 else ()
    return SeriesFile(series, labelled=True, channels=channels)


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
        match = _NUMBERED.fullmatch(table.header[n].strip())
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


def _split(path: Path, name: str) -> str:
    split = split_named(name)
    if split is None:
        raise DataError(f"{path} has the split {printable(name[:_SHOWN])!r}", KNOWN_NAMES, "Rename it.")
    return split
