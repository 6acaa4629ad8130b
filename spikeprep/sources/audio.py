"""Your own recordings: a folder per class, or a table of files and labels."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..errors import DataError, UsageError
from ._recordings import SUFFIXES, Fault, Listing, Recording, Recordings, files_under, hashed, mixed

_SPLITS = ("train", "test")
_LAYOUT = (
    "CLASS/SOUND.wav, train/CLASS/SOUND.wav and test/CLASS/SOUND.wav, or a CSV file of path,label[,split]"
)


@dataclass(frozen=True)
class AudioFiles(Recordings):
    """Sound files (WAV, FLAC, SPHERE, AIFF, Ogg) in a folder per class, or named in a CSV file.

    The folder holds ``CLASS/…``, or ``train/CLASS/…`` and ``test/CLASS/…``; folders whose names begin with ``_`` or
    ``.`` are passed over. A CSV file has the columns ``path`` (from its own folder on), ``label`` and, where the data
    has its own split, ``split`` (train or test). Without a split of its own a share of each class is test, chosen by a
    seeded hash of the path, so that the choice is the same on every machine.

    Parameters
    ----------
    test_list
        A file inside the folder that names the test files, one a line (Speech Commands' ``testing_list.txt``).
    test_share
        Share of each class that is test where nothing else says so; may be 0.
    split_seed
        Another number gives another choice.
    """

    name: ClassVar[str] = "audio"

    test_list: str = ""
    test_share: float = 0.2
    split_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.test_share < 1:
            raise UsageError(f"audio: got test_share {self.test_share}", "a share in [0, 1)")

    @cached_property
    def _entries(self) -> tuple[list[tuple[str, Path, str, str]], list[Fault]]:
        """(split or nothing, file, class, id) of every file, and what is wrong with names."""
        root = Path(self.path)
        if self.path and root.is_file():
            return self._table(root)
        if not self.path or not root.is_dir():
            raise DataError(
                f"no folder {self.path!r}", _LAYOUT, "Give the folder of the recordings as --source."
            )
        own = {split: root / split for split in _SPLITS if (root / split).is_dir()}
        if "train" not in own:
            own = {"": root}
        entries = [
            (split, file, folder.name, file.relative_to(root).as_posix())
            for split, top in own.items()
            for folder in sorted(top.iterdir())
            if folder.is_dir() and not folder.name.startswith(("_", "."))
            for file in files_under(folder)
        ]
        if self.test_list:
            listed = root / self.test_list
            if not listed.is_file():
                raise DataError(
                    f"{listed} is not there", "a file that names the test files, one a line",
                    "Add it, or leave source.test_list empty.",
                )  # fmt: skip
            test = {line.strip() for line in listed.read_text(encoding="utf-8").splitlines()}
            entries = [("test" if e[3] in test else "train", *e[1:]) for e in entries]
        return entries, []

    def _table(self, table: Path) -> tuple[list[tuple[str, Path, str, str]], list[Fault]]:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
        columns = set(rows[0]) if rows else set()
        if not {"path", "label"} <= columns:
            raise DataError(
                f"{table} has {f'the columns {sorted(map(str, columns))}' if rows else 'no rows'}",
                "a first line path,label or path,label,split, and a line a file",
                "Add the first line.",
            )
        entries: dict[Path, tuple[str, Path, str, str]] = {}
        faults = []
        for line, row in enumerate(rows, 2):
            where, label, split = (row.get(key) or "" for key in ("path", "label", "split"))
            file = table.parent / where
            if not where or not label or ("split" in columns and split not in _SPLITS):
                faults.append(
                    Fault(f"{table.name} line {line}", f"says {row}", "name path, label, and train or test")
                )
            elif file in entries:
                faults.append(
                    Fault(f"{table.name} line {line}", f"names {where} again", "keep one of the lines")
                )
            else:
                entries[file] = (split, file, label, where)
        return list(entries.values()), faults

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders, or the labels, sorted."""
        names = sorted({label for _, _, label, _ in self._entries[0]})
        if not names:
            raise DataError(
                f"{self.path} has no recordings in class folders", f"{_LAYOUT}; files ending in {' '.join(SUFFIXES)}",
                "Put each class's recordings in a folder.",
            )  # fmt: skip
        return tuple(names)

    def listing(self) -> Listing:
        """Find the recordings, and choose the test share where the data has no split."""
        entries, faults = self._entries
        if faults and not entries:
            return Listing((), faults)
        label_of = {name: n for n, name in enumerate(self.classes)}
        found = []
        for name in self.classes:
            members = [entry for entry in entries if entry[2] == name]
            loose = sorted(
                (e for e in members if not e[0]), key=lambda e: hashed(self.split_seed, "split", e[3])
            )
            test = {entry[3] for entry in loose[: round(self.test_share * len(loose))]}
            found += [
                Recording(split or ("test" if where in test else "train"), file, label_of[name], where)
                for split, file, _, where in members
            ]
        return Listing(mixed(found, self.split_seed), faults)
