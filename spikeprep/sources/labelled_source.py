"""Base of the sources of the user's own files: a folder per class, or a table of files and labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ..config import Share
from ..errors import DataError, UsageError
from ..text import listed
from .base import LimitedFiles
from .checked_files import Listing
from .class_folders import ClassFolders
from .class_names import (
    alike_names,
    check_classes,
    check_spellings,
    read_class_names,
    shown,
    sorted_classes,
)
from .group_splits import check_pattern, with_groups, with_test_groups
from .interval_folders import check_no_intervals_below, labels_of, read_interval_folder
from .labelled_files import LabelledFiles, cut_groups
from .list_files import files_by_name, plain_path, read_list
from .loose_lists import tables_in, unused_lists
from .table_columns import role_of
from .tables import Table, TableRules, read_table

_RULES = TableRules()


@dataclass(frozen=True)
class LabelledSource(LimitedFiles):
    """Base of the sources of the user's own files with labels.

    Parameters
    ----------
    path
        The folder, or the CSV file.
    test_share
        Share of each class that is test where the data have no split; may be 0. Of groups, whole ones are chosen.
    split_seed
        Seed of that choice, and of the order.
    outside
        Whether a CSV file may name files that are not below its own folder, links resolved.
    class_names
        Names of the classes in their order, which are then all there may be; a list ``[cat,dog]``, or a file inside the
        folder with one name per line. Empty: the folders or labels, sorted; as numbers where all are numbers.
    test_list
        A file inside the folder that names the test files, one per line (Speech Commands' ``testing_list.txt``).
    validation_list
        A file inside the folder that names the validation files (``validation_list.txt``). With `test_list` all other
        files are for training.
    group_pattern
        A regular expression that finds a file's group (its speaker, its subject) in its path inside the folder: what it
        matches, or its first group in parentheses. No split that is chosen here or in training cuts through a group.
    test_groups
        Groups (speakers, subjects) whose samples are the test split, where the data have none; all others are for
        training.
    columns
        Column of a CSV file → what it means, where its name does not say so: ``"path"``, ``"label"``, ``"split"``,
        ``"group"``, ``"ignore"``, or ``"start_us"`` and ``"stop_us"`` or ``"duration_us"``, of an interval of an event
        recording.
    """

    files_are: ClassVar[str] = "recordings"  # plural noun, for messages
    other_layouts: ClassVar[str] = ""  # beside folders of classes and tables, for messages
    intervals: ClassVar[bool] = False  # whether a sample may be an interval of a file
    sequences: ClassVar[bool] = False  # whether a folder of pictures below that of a class is one sample

    later_settings: ClassVar[tuple[str, ...]] = (
        "class_names",
        "validation_list",
        "group_pattern",
        "columns",
        "test_groups",
    )
    choice_settings: ClassVar[tuple[str, ...]] = (*later_settings, "test_list", "test_share", "split_seed")

    path: str = ""
    test_list: str = field(default="", kw_only=True)
    test_share: Share = field(default=0.2, kw_only=True)
    split_seed: int = field(default=0, kw_only=True)
    outside: bool = field(default=False, kw_only=True)
    class_names: str | tuple[str | int, ...] = field(default=(), kw_only=True)
    validation_list: str = field(default="", kw_only=True)
    group_pattern: str = field(default="", kw_only=True)
    test_groups: tuple[str | int, ...] = field(default=(), kw_only=True)
    columns: dict[str, Any] = field(default_factory=dict, hash=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pattern(self.group_pattern, self.name)

    @property
    @abstractmethod
    def suffixes(self) -> Sequence[str]:
        """Endings of the files' names; empty: any."""

    @cached_property
    def _files(self) -> LabelledFiles:
        root = Path(self.path)
        folder = root.parent if root.is_file() else root
        names = self.named_classes(folder)
        rules = TableRules(self.outside, self.table_columns, self.intervals, self.limits)
        files = find_labelled_files(
            self.path, self.files_are, self.suffixes, rules, names, self.other_layouts, self.sequences
        )
        files = self._with_lists(files, folder)
        return self._with_groups(files)

    @property
    def table_columns(self) -> Mapping[str, Any]:
        """Those of `columns` that are of the table that lists the files."""
        return self.columns

    def named_classes(self, folder: Path) -> tuple[str, ...]:
        """Return the names of classes that `class_names` gives, empty where it is empty."""
        return read_class_names(self.class_names, folder, self.limits) if self.path else ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, or the labels, in the order of `class_names`, or sorted."""
        return self._files.classes

    def listing(self) -> Listing:
        """List the files, and choose the test share where the data have no split."""
        files = self._with_test_groups(self._files)
        recordings = files.recordings(self.test_share, self.split_seed)
        findings = [*files.findings, *cut_groups(recordings)]
        if alike := alike_names({r.group for r in recordings}):
            findings.append(
                f"groups whose names differ in spelling alone are different groups: {shown(alike)}"
            )
        if (
            self.test_share
            and not any(r.split == "test" for r in recordings)
            and "" in {e.split for e in files.entries}
        ):
            findings.append(f"no test samples: there are too few for a test share of {self.test_share:g}")
        return Listing(recordings, files.bad, "; ".join(files.notes), findings)

    def _with_lists(self, files: LabelledFiles, folder: Path) -> LabelledFiles:
        """Return the files with the splits that the list files give."""
        settings = {"validation": "validation_list", "test": "test_list"}
        lists = {split: name for split, setting in settings.items() if (name := getattr(self, setting))}
        if not lists:
            if any(entry.interval for entry in files.entries):
                return files  # of a folder whose lists are used, or of a table
            return replace(files, findings=[*files.findings, *unused_lists(Path(self.path), files.entries)])
        if any(entry.split for entry in files.entries):
            raise DataError(
                f"{self.path} has splits of its own, and the lists {listed(list(lists.values()))} give others",
                "one of the two",
                f"Leave {' and '.join(f'source.{settings[split]}' for split in lists)} empty, or give a folder of "
                "CLASS/… without splits as source=FOLDER.",
            )
        others = "train" if self.test_list else ""
        splits = dict.fromkeys((entry.file_id for entry in files.entries), others)
        findings, files_named = list(files.findings), files_by_name(splits)
        for split, name in lists.items():
            what = f"the {split} files, one per line"
            lines = read_list(folder / name, what, settings[split], self.limits)
            ids = _listed_files(lines, splits, files_named)
            known = dict.fromkeys(filter(None, ids.values()))
            if ids and not known:
                raise DataError(
                    f"{folder / name} names files none of which is there, such as {next(iter(ids))}",
                    f"paths inside {folder}, such as {next(iter(splits), 'CLASS/FILE')}",
                    f"Correct the list, or leave source.{settings[split]} empty.",
                )
            if twice := [line for line in known if splits[line] != others]:
                raise DataError(
                    f"{listed(list(lists.values()))} both name {listed(twice)}",
                    "each file in one of them",
                    "Remove it from one list.",
                )
            splits |= dict.fromkeys(known, split)
            if not ids:
                findings.append(f"{name} names no files")
            if absent := [line for line, id_ in ids.items() if not id_]:
                number = f"{len(absent):,} of the {len(ids):,}"
                findings.append(f"not there: {number} files that {name} names, such as {absent[0]}")
        entries = [entry._replace(split=splits[entry.file_id]) for entry in files.entries]
        return replace(files, entries=entries, findings=findings)

    def _with_test_groups(self, files: LabelledFiles) -> LabelledFiles:
        """Return the files with the split that `test_groups` gives."""
        if not self.test_groups:
            return files
        if any(entry.split for entry in files.entries):
            raise DataError(
                f"{self.path} has splits of its own, and source.test_groups gives others",
                "one of the two",
                "Leave source.test_groups empty, or give data without splits.",
            )
        return replace(files, entries=with_test_groups(files.entries, self.test_groups, "test_groups"))

    def _with_groups(self, files: LabelledFiles) -> LabelledFiles:
        """Return the files with the group that `group_pattern` finds in each id."""
        if not self.group_pattern:
            return files
        return replace(files, entries=with_groups(files.entries, self.group_pattern))


def _listed_files(
    lines: Sequence[str], ids: Collection[str], files_named: Mapping[str, str]
) -> dict[str, str]:
    """Return each line of a list → the id of the file that it names, empty where that is not there.

    Comments, and the name of a column ahead of all others, are no names of files, unless a file has that name.
    """
    files = {line: line if line in ids else files_named.get(plain_path(line), "") for line in lines}
    heading = next((line for line in files if not line.startswith("#")), "")
    return {
        line: id_
        for line, id_ in files.items()
        if id_ or not (line.startswith("#") or (line == heading and role_of(line) == "path"))
    }


def find_labelled_files(
    path: str,
    what: str,
    suffixes: Sequence[str],
    rules: TableRules = _RULES,
    class_names: Sequence[str] = (),
    other_layouts: str = "",
    sequences: bool = False,
) -> LabelledFiles:
    """List the files of a folder per class, or of a table.

    The folder holds ``CLASS/…``, or ``train/CLASS/…``, ``validation/CLASS/…`` and ``test/CLASS/…``, see
    `ClassFolders`; or a table of intervals beside each recording, see `read_interval_folder`. For a table see
    `read_table`.

    Parameters
    ----------
    path
        The folder or the table.
    what
        Plural noun for the files in messages, e.g. ``"images"``.
    suffixes
        Endings of their names; empty: any.
    rules
        What is taken from tables.
    class_names
        The classes in their order; empty: those that occur, sorted, as numbers where all are numbers.
    other_layouts
        What else the source reads, for messages.
    sequences
        Whether a folder of pictures below that of a class is one sample.

    Raises
    ------
    DataError
        There is no such folder, or its classes are not clear, or a class has no files, or is not in `class_names`; or
        the table has other columns.
    """
    name = f"{what.upper().rstrip('S')}{suffixes[0] if suffixes else ''}"
    layout = f"CLASS/{name}, train/CLASS/{name} and test/CLASS/{name}, or a CSV file of path,label[,split]"
    layout += f", or {other_layouts}" if other_layouts else ""
    root = Path(path)
    if path and root.is_file():
        table = read_table(root, rules)
    elif path and root.is_dir() and rules.intervals and labels_of(root):
        table = read_interval_folder(root, suffixes, rules)
    elif rules.columns:
        raise UsageError(
            f"got source.columns = {dict(rules.columns)}, and {path!r} is no table", "a CSV file"
        )
    elif not path or not root.is_dir():
        raise DataError(f"no folder {path!r}", layout, f"Give the folder of the {what} as source=FOLDER.")
    else:
        if rules.intervals:
            check_no_intervals_below(root)
        folders = ClassFolders(root, what, suffixes, class_names, sequences)
        table = Table(folders.read(), (), folders.findings, notes=folders.notes)
    present = {entry.label for entry in table.entries}
    if not present and not table.bad:
        ending = f"files ending in {' '.join(suffixes)}" if suffixes else "at least one file"
        tables = tables_in(root) if root.is_dir() else []
        fix = (
            f"Give the table that lists them: source={tables[0]}"
            if tables
            else f"Put each class's {what} in a folder"
        )
        raise DataError(f"{path} has no class folders", f"{layout}; {ending}", f"{fix}.")
    if class_names:
        check_classes(present, class_names, path)
    findings = [] if class_names else check_spellings(present, path)
    classes = tuple(class_names) or table.classes or sorted_classes(present)
    return LabelledFiles(table.entries, classes, table.bad, [*table.findings, *findings], table.notes)
