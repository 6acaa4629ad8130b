"""Tables that list files, or intervals of files, and their labels: CSV files."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError, printable
from ..input_files import LIMITS, Limits
from ..text import listed
from .labelled_files import BadFile, Entry
from .split_names import KNOWN_NAMES, is_split_word, split_named
from .table_columns import MICROSECONDS, Columns, understand
from .table_rows import Row, read_rows

_TRUE, _FALSE = ("1", "1.0", "true", "yes", "y", "t"), ("0", "0.0", "false", "no", "n", "f")
_SHOWN, _SHOWN_TEXT = 3, 60  # labels or lines in one finding; characters of a line in one message
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_LATEST = 1 << 62  # µs, of what a time can be

_NO_LABELS = ("?", "??", "nan", "null", "n/a", "#n/a", "<na>", "unlabelled", "unlabeled", "tbd", "todo")
_DOUBTFUL = ("-1", "na", "none", "-", "unknown", "undefined", "missing")


@dataclass(frozen=True)
class TableRules:
    """What a source takes from tables.

    Attributes
    ----------
    outside
        Whether they may name files that are not below their own folder.
    columns
        Column → its meaning, one of `spikeprep.sources.table_columns.ROLES`.
    intervals
        Whether a sample may be an interval of a file.
    limits
        What reading a table may take.
    """

    outside: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    intervals: bool = False
    limits: Limits = LIMITS


class Table(NamedTuple):
    """What a table lists, or several: entries, lines that cannot be used, and what deserves the user's attention.

    `classes` are in label order where the data have an order, else empty; `notes` say what was decided from the data.
    """

    entries: Sequence[Entry]
    bad: Sequence[BadFile] = ()
    findings: Sequence[str] = ()
    classes: tuple[str, ...] = ()
    notes: Sequence[str] = ()


def read_table(table: Path, rules: TableRules, recording: Path | None = None) -> Table:
    """Return what a table lists.

    The first line names the columns, see `spikeprep.sources.table_columns`; for separators and encodings see
    `spikeprep.sources.table_rows`.

    Parameters
    ----------
    table
        The CSV file.
    rules
        What the source takes.
    recording
        The file that all lines are of, where the table has no column of files.

    Raises
    ------
    DataError
        It cannot be read, has no line of column names, or its columns are not understood.
    """
    header, rows, findings = read_rows(table, rules.limits, rules.columns)
    needs = ("label",) if recording else ("path", "label")
    columns = understand(table, header, rules.columns, needs, rules.intervals)
    if recording and "path" in columns.of:
        what = f"{table} has a column of files, and belongs to {recording.name} by its name"
        raise DataError(what, "one of them", "Rename the table, or remove the column.")
    if columns.ignored:
        findings.append(f"{table.name}: columns that are not used: {listed(columns.ignored)}")
    lines = _Lines(table, columns, rules.outside, recording)
    for row in rows:
        lines.add(row)
    lines.check_splits()
    return Table(lines.entries, lines.bad, [*findings, *lines.findings()])


class _Lines:
    """The lines of a table, as entries or as what is wrong with them."""

    def __init__(self, table: Path, columns: Columns, outside: bool, recording: Path | None) -> None:
        self._table, self._columns, self._recording = table, columns, recording
        self._inside = None if outside else _Inside(table.parent)
        self._taken: dict[tuple[str, tuple[int, int] | None], Entry] = {}
        self._splits: dict[str, dict[str, None]] = {}  # split → how the table names it
        self.bad: list[BadFile] = []

    @property
    def entries(self) -> list[Entry]:
        return list(self._taken.values())

    def add(self, row: Row) -> None:
        """Take a line, as an entry or as a bad one."""
        where = f"{self._table.name} line {row.line}"
        try:
            entry = self._entry(row, where)
        except _Unusable as error:
            self.bad.append(BadFile(where, error.what, error.fix))
            return
        self._taken[os.path.normpath(entry.file), entry.interval] = entry

    def check_splits(self) -> None:
        """Raise `DataError` where names that are more than a word for a split are one split: parts of it, or folds."""
        for split, names in self._splits.items():
            if len(names) > 1 and not all(map(is_split_word, names)):
                column = self._columns.name_of("split")
                raise DataError(
                    f"{self._table} has the splits {listed(list(names))}, each of which would be {split}",
                    f"one name for each split ({KNOWN_NAMES})",
                    f"Name the lines of each part train, validation or test in the column {column}, or leave all "
                    f"splits out: use source.columns.{column}=ignore.",
                )

    def _entry(self, row: Row, where: str) -> Entry:
        fields, columns = row.fields, self._columns
        if len(fields) != len(columns.header):
            what = f"has {len(fields)} field{'s' * (len(fields) != 1)}, the first line {len(columns.header)}"
            fix = "quote fields that contain the separator, and fill in those that are missing"
            raise _Unusable(
                what, "remove comments below the first line" if fields[0].startswith("#") else fix
            )
        values = {role: fields[n] for role, n in columns.of.items()}
        if broken := next((text for text in values.values() if _CONTROLS.search(text)), ""):
            what = f"has a line break, or another control, in {printable(broken[:_SHOWN_TEXT])}"
            raise _Unusable(what, "correct its quotes, or remove the control")
        name = values.get("path", self._recording.name if self._recording else "")
        if not name:
            raise _Unusable("has no path", "name path and label on each line")
        label = values["label"]
        if not label or label.lower() in _NO_LABELS:
            raise _Unusable(
                f"has {f'the label {printable(label)}' if label else 'no label'} for {printable(name)}",
                "name a class on each line (if it is one, give it another name), or remove the line",
            )
        if values.get("group") == "":
            column = self._columns.name_of("group")
            fix = f"name a group on each line, or use source.columns.{column}=ignore"
            raise _Unusable(f"has no group for {printable(name)}", fix)
        split = self._split(values)
        file = self._recording or self._file(name, where)
        interval = self._interval(values)
        id_ = printable(
            name if "\\" not in name or not file.is_file() else _relative(file, self._table.parent)
        )
        if interval:
            id_ = f"{id_}@{interval[0]}-{interval[1]}"
        if (os.path.normpath(file), interval) in self._taken:
            what = "names the same interval again" if interval else f"names {id_} again"
            raise _Unusable(what, "keep one of the lines")
        return Entry(split, file, printable(label), id_, printable(values.get("group", "")), interval, where)

    def _split(self, values: Mapping[str, str]) -> str:
        if "split" not in values:
            return ""
        if flag := self._columns.flag:
            value = values["split"].lower()
            if value in _TRUE or value in _FALSE:
                return flag if value in _TRUE else "test" if flag == "train" else "train"
            column = self._columns.name_of("split")
            what = f"has {printable(column)} {printable(values['split']) or 'empty'}"
            raise _Unusable(what, f"give 1 or 0, true or false, or use source.columns.{column}=ignore")
        split = split_named(values["split"])
        if split is None:
            got = f"has the split {printable(values['split'])}" if values["split"] else "has no split"
            column = self._columns.name_of("split")
            fix = f"name a split on each line ({KNOWN_NAMES}), or use source.columns.{column}=ignore"
            raise _Unusable(got, fix)
        self._splits.setdefault(split, {})[values["split"].lower()] = None
        return split

    def _file(self, name: str, where: str) -> Path:
        file = _existing(self._table.parent, name)
        if self._inside and not self._inside(file):
            fix = "list files below the table's folder, or allow others: use source.outside=true"
            raise _Unusable(f"names {printable(name)}, which is not below {self._table.parent}", fix)
        return file

    def _interval(self, values: Mapping[str, str]) -> tuple[int, int] | None:
        if not self._columns.units:
            return None
        times = {time: self._time(time, unit, values[time]) for time, unit in self._columns.units.items()}
        if "duration" in times:
            times["stop"] = times["start"] + times["duration"]
        # an event, at a whole µs, lies at or after a time where it does so of the next whole µs
        start, stop = (int(times[end].to_integral_value(ROUND_CEILING)) for end in ("start", "stop"))
        if start >= stop:
            raise _Unusable(
                f"has an interval from {start} to {stop} µs", "start each interval before its end"
            )
        return start, stop

    def _time(self, role: str, unit: str, text: str) -> Decimal:
        """Return a time in µs."""
        try:
            time = Decimal(text) * MICROSECONDS[unit]
            if abs(time) < _LATEST:
                return time
        except (InvalidOperation, ValueError):
            pass
        name = self._columns.name_of(role)
        what = f"has {printable(name)} {printable(text) or 'empty'}"
        raise _Unusable(what, f"give a number, in {unit}, as 12.5")

    def findings(self) -> Iterator[str]:
        """Yield what deserves attention in lines that can be used."""
        entries = self.entries
        labels = {entry.label for entry in entries}
        if doubtful := sorted(label for label in labels if label.lower() in _DOUBTFUL):
            numbers = {label for label in labels if label.removeprefix("-").isdecimal()}
            if doubtful != ["-1"] or len(numbers - {"-1"}) > 1:
                yield f"{self._table.name}: the label {listed(doubtful, _SHOWN)} is a class like the others"
        if self._columns.units:
            yield from _overlaps(entries)
            if not self._recording and not any(entry.split or entry.group for entry in entries):
                why = "intervals of one recording may be in different splits"
                yield f"{self._table.name}: no column split or group: {why}"


def _overlaps(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield which intervals overlap."""
    overlaps, last = [], None
    order = [(entry.file, entry.interval, entry) for entry in entries if entry.interval]
    for _, _, entry in sorted(order, key=lambda item: item[:2]):
        assert entry.interval
        if last and last.interval and last.file == entry.file and entry.interval[0] < last.interval[1]:
            overlaps.append(f"{last.where} and {entry.where.rpartition(' ')[2]}")
        if not (last and last.interval and last.file == entry.file and last.interval[1] > entry.interval[1]):
            last = entry
    if overlaps:
        yield f"intervals that overlap: {listed(overlaps, _SHOWN)}"


class _Unusable(Exception):
    """A line of a table that cannot be used: what is wrong, and the fix."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


def _existing(folder: Path, name: str) -> Path:
    """Return a file's path: as it is written, or else with another form of its accents or of its separators."""
    file = folder / name
    if name.isascii() and "\\" not in name:
        return file
    forms = [name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)]
    with contextlib.suppress(UnicodeEncodeError):
        forms.append(os.fsdecode(name.encode("cp1252")))
    for form in (*forms, *(form.replace("\\", "/") for form in forms)):
        try:
            if (folder / form).is_file():
                return folder / form
        except (OSError, ValueError):  # a name that is too long
            continue
    return file


def _relative(file: Path, folder: Path) -> str:
    return (
        os.path.relpath(file, folder).replace(os.sep, "/") if file.is_relative_to(folder) else file.as_posix()
    )


class _Inside:
    """Tells whether files are below a folder, links resolved; folders are resolved once."""

    def __init__(self, folder: Path) -> None:
        self._top, self._folders = os.path.realpath(folder), dict[str, bool]()

    def __call__(self, file: Path) -> bool:
        try:
            if file.name == ".." or file.is_symlink():
                return self._holds(os.path.realpath(file))
            folder = os.path.dirname(file)
            if folder not in self._folders:
                self._folders[folder] = self._holds(os.path.realpath(folder))
            return self._folders[folder]
        except (OSError, ValueError):  # a name that is too long: reading it reports that
            return True

    def _holds(self, path: str) -> bool:
        return os.path.commonpath([self._top, path]) == self._top
