"""Folders of recordings with a table of labelled intervals beside each, as DVS128 Gesture has them.

``NAME.aedat`` and ``NAME_labels.csv``, with columns such as ``class,startTime_usec,endTime_usec``, see
`spikeprep.sources.tables`. Where they exist, ``gesture_mapping.csv`` (``action,label``) names the classes, and
``trials_to_train.txt`` and ``trials_to_test.txt`` list the recordings of each split, one per line. Recordings named
``userNN_…`` are of the group ``userNN``, others are each a group of its own.
Source: Amir et al. 2017, A low power, fully event-based gesture recognition system, CVPR; the README of its data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import DataError, printable
from ..input_files import Limits
from ..store.outputs import is_store
from ..text import listed
from .labelled_files import BadFile, Entry, file_id, files_in, files_under, is_hidden
from .list_files import plain_path, read_list
from .table_rows import read_rows
from .tables import Table, TableRules, read_table

_LABELS = "_labels.csv"
_MAPPING = "gesture_mapping.csv"
_LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
_USER = re.compile(r"(user\d+)_")
_SHOWN = 3  # files in one finding


def labels_of(folder: Path) -> list[Path]:
    """Return the tables of labelled intervals in a folder, sorted; none where it is another layout."""
    return sorted(path for path in folder.glob(f"*{_LABELS}") if not _is_left_out(path) and path.is_file())


def check_no_intervals_below(root: Path) -> None:
    """Raise `DataError` where a folder in a folder of classes has recordings with tables: they are no class."""
    for folder in files_in(root):
        if folder.is_dir() and (tables := labels_of(folder)):
            raise DataError(
                f"{folder} has recordings with tables of intervals, such as {tables[0].name}",
                "a folder of them, or folders of classes",
                f"Give source='{folder}'.",
            )


def read_interval_folder(folder: Path, suffixes: Sequence[str], rules: TableRules) -> Table:
    """List the intervals of the recordings in a folder.

    Parameters
    ----------
    folder
        Folder of the recordings and their tables.
    suffixes
        Endings of the recordings' names; empty: any.
    rules
        What the source takes from tables.

    Raises
    ------
    DataError
        A table, the mapping or a list of recordings cannot be read, or two of them contradict each other.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not _is_left_out(path)]
    recordings = [path for path in files if _is_recording(path, suffixes)]
    splits, bad = _split_lists(folder, recordings, rules.limits)
    findings: list[str] = []
    entries: list[Entry] = []
    labelled = set()
    for table in labels_of(folder):
        name = table.name.removesuffix(_LABELS)
        of_table = [path for path in recordings if path.name.partition(".")[0] == name]
        if len(of_table) != 1:
            what = f"belongs to {len(of_table)} recordings, named {name}.…"
            bad.append(BadFile(table.name, what, "keep one recording for each table"))
            continue
        recording = of_table[0]
        labelled.add(recording)
        if splits and recording.name not in splits:
            continue
        intervals = read_table(table, rules, recording)
        user = _USER.match(name)
        entries += [
            entry._replace(
                split=splits.get(recording.name, entry.split),
                group=entry.group or (user[1] if user else name),
            )
            for entry in intervals.entries
        ]
        bad += intervals.bad
        findings += intervals.findings
    if left_out := [path.name for path in recordings if path not in labelled]:
        findings.append(f"left out, as no {_LABELS} is beside them: {listed(left_out, _SHOWN)}")
    below = [
        file_id(file, folder)
        for path in files_in(folder)
        if path.is_dir() and not _is_left_out(path) and not is_store(path)
        for file in files_under(path, suffixes)
    ]
    if below:
        findings.append(f"left out, as they are in folders below: {listed(below, _SHOWN)}")
    if splits and (
        others := [path.name for path in recordings if path in labelled and path.name not in splits]
    ):
        findings.append(
            f"left out, as neither {' nor '.join(_LISTS.values())} lists them: {listed(others, _SHOWN)}"
        )
    names = _class_names(folder, rules)
    labels = {entry.label for entry in entries}
    if names and (unknown := sorted(labels - set(names))):
        got = f"{folder / _MAPPING} has no name for the label {printable(unknown[0])}"
        raise DataError(got, "one for each label", "Correct it, or remove it.")
    entries = [entry._replace(label=names.get(entry.label, entry.label)) for entry in entries]
    classes = tuple(name for label, name in names.items() if label in labels)
    return Table(entries, bad, findings, classes)


def _is_left_out(path: Path) -> bool:
    """Whether a file or a folder is not meant, by its name."""
    return path.name.startswith((".", "_"))


def _is_recording(path: Path, suffixes: Sequence[str]) -> bool:
    if path.name in (_MAPPING, *_LISTS.values()) or path.name.endswith(_LABELS) or is_hidden(path.name):
        return False
    return path.name.lower().endswith(tuple(suffixes)) if suffixes else True


def _split_lists(
    folder: Path, recordings: Sequence[Path], limits: Limits
) -> tuple[dict[str, str], list[BadFile]]:
    """Return name of a recording → its split, and listed names without a file; empty where there are no lists."""
    splits: dict[str, str] = {}
    bad = []
    present = {plain_path(path.name): path.name for path in recordings}
    for split, name in _LISTS.items():
        path = folder / name
        if not path.is_file():
            continue
        for line in read_list(path, "recordings, one per line", "", limits):
            recording = present.get(plain_path(line), line)
            if splits.setdefault(recording, split) != split:
                got = f"{folder} lists {printable(recording)} in both {' and '.join(_LISTS.values())}"
                raise DataError(got, "one of them", "Correct the lists.")
            if recording not in present.values():
                what = f"lists {printable(recording)}, which does not exist"
                bad.append(BadFile(name, what, "fetch the file"))
    return splits, bad


def _class_names(folder: Path, rules: TableRules) -> Mapping[str, str]:
    """Return label → name of its class, by label, from the mapping; empty where there is none."""
    path = folder / _MAPPING
    if not path.is_file():
        return {}
    header, rows, _ = read_rows(path, rules.limits, {"action": "label", "label": "label"})
    if sorted(header) != ["action", "label"] or not all(len(row.fields) == 2 for row in rows):
        raise DataError(
            f"{path} has the columns {', '.join(header)}", "action,label", "Correct it, or remove it."
        )
    action, label = header.index("action"), header.index("label")
    names = {row.fields[label]: printable(row.fields[action]) for row in rows}
    if len(set(names.values())) < len(rows):
        raise DataError(
            f"{path} names a label or an action twice", "a line per class", "Correct it, or remove it."
        )
    numeric = all(label.isdecimal() for label in names)
    return dict(sorted(names.items(), key=lambda pair: (int(pair[0]) if numeric else 0, pair[0])))
