"""N-MNIST: the digits of MNIST, recorded by an event camera that moved in three saccades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..config import Share
from ..errors import DataError
from .checked_files import Listing
from .event_recordings import EventFiles
from .labelled_files import BadFile, Recording, file_id, files_in, files_under
from .split_names import SPLITS, split_named

_LAYOUT = "Train/DIGIT/NUMBER.bin and Test/DIGIT/NUMBER.bin, such as Train/5/00001.bin"
_COMPLETE = {"train": 60_000, "test": 10_000}


@dataclass(frozen=True)
class Nmnist(EventFiles):
    """N-MNIST as published: ``Train/DIGIT/NUMBER.bin`` and ``Test/DIGIT/NUMBER.bin``.

    The folders may have other names of these splits (``training``), and there may be one of validation.

    Samples are in the order of the numbers, which are those of MNIST's images, so that any range of them mixes the
    digits. Where there is no ``Test`` folder, the last recordings by number are the test split.

    Parameters
    ----------
    test_share
        Share of the recordings that is test where there is no ``Test`` folder: of 1 000 at 0.2, the last 200.
    """

    name: ClassVar[str] = "nmnist"
    choice_settings: ClassVar[tuple[str, ...]] = ("test_share",)

    format: str = "nmnist"
    test_share: Share = 0.2

    @property
    def classes(self) -> tuple[str, ...]:
        """The digits."""
        return tuple("0123456789")

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """Split → its folder, by any name that the split has."""
        root = Path(self.path)
        entries = files_in(root) if self.path and root.is_dir() else []
        folders: dict[str, Path] = {}
        for folder in entries:
            split = split_named(folder.name)
            if split is None or not folder.is_dir():
                continue
            if split in folders:
                fix = "Move one of them away, or give the folder of one data set as source=FOLDER."
                raise DataError(
                    f"{root} has two {split} folders, {folders[split].name} and {folder.name}", "one", fix
                )
            folders[split] = folder
        if "train" not in folders:
            names = ", ".join(f.name for f in entries[:5]) or "nothing"
            got = f"{self.path or 'no folder'} has no folder Train (it has {names})"
            raise DataError(got, _LAYOUT, "Give the folder that holds Train as source=FOLDER.")
        return {split: folders[split] for split in SPLITS if split in folders}

    def listing(self) -> Listing:
        """List the recordings, and choose the test split where there is only Train."""
        recordings: list[Recording] = []
        bad: list[BadFile] = []
        for split, folder in self._folders.items():
            recordings += self._split(split, folder, bad)
        self._check_digits(recordings)
        if "test" in self._folders:
            return Listing(recordings, bad, _incomplete(recordings))
        train = sum(recording.split == "train" for recording in recordings)  # the first ones
        test = round(self.test_share * train)
        recordings[train - test : train] = [
            replace(r, split="test") for r in recordings[train - test : train]
        ]
        note = f"there is no folder Test: the last {test:,} of {train:,} recordings are the test split"
        return Listing(recordings, bad, note if test else "")

    def _check_digits(self, recordings: Sequence[Recording]) -> None:
        """Raise `DataError` where train lacks digits that other splits have; else it may be some digits alone."""
        train = {r.label for r in recordings if r.split == "train"}
        if lacking := sorted({r.label for r in recordings} - train):
            digits, folder = ", ".join(map(str, lacking)), self._folders["train"]
            raise DataError(
                f"{folder} has no recordings of {digits}, which other folders have",
                _LAYOUT,
                "Copy the data set again, or move the folders of these digits away.",
            )

    def _split(self, split: str, folder: Path, bad: list[BadFile]) -> list[Recording]:
        """Return the recordings of a folder by number; files that cannot be used are added to `bad`."""
        numbers: dict[int, Recording] = {}
        for file in files_under(folder, (".bin",)):
            id_ = file_id(file, Path(self.path))
            digit, number = file.parent.name, file.stem
            if digit not in self.classes or not (number.isascii() and number.isdigit()):
                bad.append(BadFile(id_, "is not DIGIT/NUMBER.bin", "rename or remove it"))
            elif twin := numbers.get(int(number)):
                bad.append(BadFile(id_, f"has the number of {twin.id}", "remove one of the two"))
            else:
                numbers[int(number)] = Recording(split, file, int(digit), id_)
        if not numbers and not bad:
            fix = "Copy the data set again, or give the folder that holds Train as source=FOLDER."
            raise DataError(f"{folder} has no recordings", _LAYOUT, fix)
        return [numbers[n] for n in sorted(numbers)]


def _incomplete(recordings: Sequence[Recording]) -> str:
    """Return a note where recordings of the data set are missing."""
    number = Counter(recording.split for recording in recordings)
    short = [f"{number[s]:,} of {total:,} {s}" for s, total in _COMPLETE.items() if number[s] < total]
    return f"{' and '.join(short)} recordings" if short else ""
