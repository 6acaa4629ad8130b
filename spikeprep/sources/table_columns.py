"""What the columns of a table mean: the names that are understood, and what a user says of the others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ..errors import DataError, UsageError, near_miss
from ..text import listed
from ..time_units import unit_named, words_of

_NAMES = {
    "path": ("path", "file", "filename", "filepath"),
    "label": ("label", "class", "target", "category", "classname", "classid", "labelid"),
    "split": ("split", "subset", "partition", "set"),
    "group": ("group", "speaker", "subject", "user", "participant", "patient"),
    # what describes a file without changing what its sample is
    "ignore": (
        "index", "id", "unnamed0", "sha256", "sha1", "md5", "size", "bytes", "filesize", "duration", "url", "licence",
        "license", "comment", "note", "remark", "age", "sex", "gender",
    ),
}  # fmt: skip
_ROLES = {name: role for role, names in _NAMES.items() for name in names}
_ENDS = {
    "start": ("start", "begin", "onset", "tstart", "starttime", "begintime", "startstamp", "starttimestamp"),
    "stop": ("stop", "end", "tend", "tstop", "endtime", "stoptime", "endtimestamp", "stoptimestamp"),
}
_END_NAMES = {name: end for end, names in _ENDS.items() for name in names}
_DURATIONS = ("duration", "dur")
MICROSECONDS = {"ns": Decimal("0.001"), "us": Decimal(1), "ms": Decimal(1000), "s": Decimal(1_000_000)}
"""µs per unit of time."""

_INDICES = ("", "index", "id", "unnamed0")  # a number of the line
_TIMES = (*_ENDS, "duration")
INTERVAL_ROLES = tuple(f"{time}_{unit}" for time in _TIMES for unit in MICROSECONDS)
ROLES = (*_NAMES, *INTERVAL_ROLES)
"""What a column can mean, as the setting `columns` of a source names it."""

_FLAGS = {
    f"{before}{name}{after}": split
    for before in ("is", "in", "for")
    for after in ("", "set", "image", "sample")
    for name, split in (
        ("train", "train"), ("training", "train"), ("test", "test"), ("testing", "test"),
        ("val", "validation"), ("valid", "validation"), ("validation", "validation"),
    )
}  # fmt: skip

_SHOWN, _FIXES = 6, 20  # columns, and settings, in one message


@dataclass(frozen=True)
class Columns:
    """Which column of a table means what.

    Attributes
    ----------
    header
        Names of the columns.
    of
        Meaning, see `ROLES` → number of the column; ``"start"``, ``"stop"`` and ``"duration"`` stand for these in any
        unit.
    units
        ``"start"`` and ``"stop"``, or ``"duration"`` in place of it → their unit, a key of `MICROSECONDS`.
    ignored
        Names of columns that describe files and are not used; none that a setting names, or that number the lines.
    flag
        The split of lines where the column of the split is true, as in ``is_train``; empty where it names the splits.
    """

    header: Sequence[str]
    of: Mapping[str, int]
    units: Mapping[str, str]
    ignored: Sequence[str]
    flag: str = ""

    def name_of(self, role: str) -> str:
        """Return the name of the column of a meaning, a key of `of`."""
        return self.header[self.of[role]]


def role_of(name: str) -> str:
    """Return what a column's name means, see `ROLES`; ``"start"`` and ``"stop"`` without a unit; else empty.

    Case, spaces and underscores make no difference: ``startTime_usec`` and ``Start time [us]`` are ``start_us``.
    """
    words = words_of(name)
    if not words:
        return "ignore"  # pandas writes an index without a name
    whole = "".join(words)
    if role := _ROLES.get(whole) or _END_NAMES.get(whole):
        return role
    if whole in _FLAGS:
        return "split"
    rest, unit = "".join(words[:-1]), unit_named(words[-1])
    if unit and rest in _END_NAMES:
        return f"{_END_NAMES[rest]}_{unit}"
    if rest in _DURATIONS and unit:
        return "ignore"
    return _ROLES["group"] if words[-1] == "id" and _ROLES.get(rest) == "group" else ""


def understand(
    table: Path, header: Sequence[str], settings: Mapping[str, str], needs: Sequence[str], intervals: bool
) -> Columns:
    """Return which column means what; `settings` has the meaning of columns by name, ahead of what names mean.

    A duration describes a file; beside a start, and no stop, it gives the stop.

    Parameters
    ----------
    needs
        Meanings that must be there; one that is not is not allowed where it is ``path``: the file is known.
    intervals
        Whether a sample may be an interval of a file.

    Raises
    ------
    UsageError
        A setting is none of `ROLES`.
    DataError
        A column is missing, has no meaning or no unit, or two have the same one. All columns are named together. Or
        there are intervals, and a sample cannot be one.
    """
    _check_settings(table, header, settings)
    roles = [settings.get(name) or role_of(name) for name in header]
    times = {name: role for name, role in zip(header, roles, strict=True) if _general(role) in _TIMES}
    if times and not intervals:
        raise _no_intervals(table, list(times))
    if {*map(_general, times.values())} == {"start"}:
        durations = {name: _duration(name) for name in header if name not in settings}
        roles = [durations.get(name) or role for name, role in zip(header, roles, strict=True)]
    problems, fixes = [], []
    unknown = [name for name, role in zip(header, roles, strict=True) if not role]
    if unknown:
        named = f"the column{'s' * (len(unknown) > 1)} {listed(unknown, _SHOWN)}"
        problems.append(f"{named} that no meaning is known of")
        fixes += [(name, "ignore") for name in unknown]
    for end in _TIMES:
        if bare := [name for name, role in zip(header, roles, strict=True) if role == end]:
            problems.append(f"the column {bare[0]} without a unit")
            fixes.append((bare[0], f"{end}_us"))
    general = [_general(role) for role in roles]
    for role in ("path", "label", "split", "group", *_ENDS):
        alike = ("stop", "duration") if role == "stop" else (role,)
        same = [name for name, other in zip(header, general, strict=True) if other in alike]
        if len(same) > 1:
            problems.append(f"{len(same)} columns of the {role}: {listed(same)}")
            # of a number and a name of the class, the name usually comes last
            kept = same[-1 if role == "label" else 0]
            fixes += [(name, "ignore") for name in dict.fromkeys(same) if name != kept]
    missing = [role for role in needs if role not in general]
    if len(ends := {"stop" if role == "duration" else role for role in general if role in _TIMES}) == 1:
        missing.append("stop" if "start" in ends else "start")
    if missing or problems:
        raise _misunderstood(table, header, missing, problems, fixes)
    flags = [
        _FLAGS.get("".join(words_of(n)), "")
        for n, role in zip(header, general, strict=True)
        if role == "split"
    ]
    return Columns(
        header,
        {role: n for n, role in enumerate(general) if role != "ignore"},
        {role.partition("_")[0]: role.partition("_")[2] for role in roles if role in INTERVAL_ROLES},
        [
            name
            for name, role in zip(header, roles, strict=True)
            if role == "ignore" and name not in settings and "".join(words_of(name)) not in _INDICES
        ],
        "".join(flags),
    )


def _general(role: str) -> str:
    """Return a meaning without a unit."""
    return role.partition("_")[0]


def _duration(name: str) -> str:
    """Return which duration a column's name means, with its unit or without; empty where it means none."""
    words = words_of(name)
    if "".join(words) in _DURATIONS:
        return "duration"
    unit = unit_named(words[-1]) if words else ""
    return f"duration_{unit}" if unit and "".join(words[:-1]) in _DURATIONS else ""


def _no_intervals(table: Path, names: Sequence[str]) -> DataError:
    settings = " ".join(f"source.columns.{n}=ignore" for n in names if re.fullmatch(r"[A-Za-z]\w*", n))
    return DataError(
        f"{table} lists intervals of files: it has the column{'s' * (len(names) > 1)} {listed(names, _SHOWN)}",
        "a file for each sample",
        f"Cut the files, one file per interval; if these are no intervals, use {settings}."
        if settings
        else "Cut the files, one file per interval.",
    )


def _check_settings(table: Path, header: Sequence[str], settings: Mapping[str, str]) -> None:
    for name, role in settings.items():
        if role not in ROLES:
            raise UsageError(
                f"got source.columns.{name} = {role!r}",
                f"one of {', '.join(ROLES)}",
                near_miss(str(role), ROLES),
            )
        if name not in header:
            got = f"{table} has no column {name!r}, which source.columns names"
            raise DataError(got, f"one of {', '.join(map(repr, header))}", near_miss(name, header))


def _misunderstood(
    table: Path,
    header: Sequence[str],
    missing: Sequence[str],
    problems: Sequence[str],
    fixes: Sequence[tuple[str, str]],
) -> DataError:
    shown = listed(header, _SHOWN)
    if missing:
        names = {
            "path": "path, file, filename or filepath", "label": "label, class, target or category",
            "start": "start_us, start_ms or start_s", "stop": "stop_us, stop_ms or stop_s, or duration_us",
        }  # fmt: skip
        got = f"{table} has the columns {shown}: none of the {' and none of the '.join(missing)}"
        expected = " and ".join(f"a column {names[role]}" for role in missing)
        fix = f"Rename the column in the first line, or use source.columns.NAME={missing[0]} for the column NAME."
        if missing[0] in _ENDS:
            fix = fix.replace(f"={missing[0]}", f"={missing[0]}_us")
            fix = fix.replace("=stop_us", "=stop_us or source.columns.NAME=duration_us")
        return DataError(f"{got}{'; it has ' if problems else ''}{'; '.join(problems)}", expected, fix)
    settings = [f"source.columns.{n}={role}" for n, role in fixes if re.fullmatch(r"[A-Za-z]\w*", n)]
    fix = " ".join(f"use {setting}" if not n else setting for n, setting in enumerate(settings[:_FIXES]))
    rename = "rename or remove such columns in the table"
    return DataError(
        f"{table} has {'; '.join(problems)}",
        f"columns that mean one of {', '.join(ROLES)}",
        f"To say what a column means, {fix}, or {rename}." if settings else f"{rename.capitalize()}.",
    )
