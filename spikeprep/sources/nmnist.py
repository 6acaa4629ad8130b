"""N-MNIST: the digits of MNIST, seen by an event camera that moved in three saccades."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..errors import DataError
from .checked_files import Listing
from .event_recordings import EventFiles
from .labelled_files import Fault, Recording, check_share, files_under

_LAYOUT = "Train/DIGIT/NUMBER.bin and Test/DIGIT/NUMBER.bin, such as Train/5/00001.bin"
_COMPLETE = {"train": 60_000, "test": 10_000}


@dataclass(frozen=True)
class Nmnist(EventFiles):
    """N-MNIST as it is published: ``Train/DIGIT/NUMBER.bin`` and ``Test/DIGIT/NUMBER.bin``.

    Samples are in the order of the numbers, which are those of MNIST's images: any run of them mixes the digits. Where
    there is no ``Test`` folder the last recordings by number are the test split.

    Parameters
    ----------
    test_share
        Share of the recordings that is test where there is no ``Test`` folder: of 1 000 at 0.2, the last 200.
    """

    name: ClassVar[str] = "nmnist"

    format: str = "nmnist"
    test_share: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.name, self.test_share)

    @property
    def classes(self) -> tuple[str, ...]:
        """The digits."""
        return tuple("0123456789")

    @cached_property
    def _folders(self) -> dict[str, Path]:
        """Split → its folder, whatever the case of the name."""
        root = Path(self.path)
        inside = sorted(root.iterdir()) if self.path and root.is_dir() else []
        folders = {f.name.lower(): f for f in inside if f.name.lower() in _COMPLETE and f.is_dir()}
        if "train" not in folders:
            there = ", ".join(f.name for f in inside[:5]) or "nothing"
            got = f"{self.path or 'no folder'} has no folder Train (there is {there})"
            raise DataError(got, _LAYOUT, "Give the folder that holds Train as --source.")
        return {split: folders[split] for split in _COMPLETE if split in folders}

    def listing(self) -> Listing:
        """Find the recordings, and the test split where there is only Train."""
        found, faults = [], []
        for split, folder in self._folders.items():
            numbers: dict[int, Recording] = {}
            for file in files_under(folder, (".bin",)):
                where = file.relative_to(self.path).as_posix()
                digit, number = file.parent.name, file.stem
                if digit not in self.classes or not (number.isascii() and number.isdigit()):
                    faults.append(Fault(where, "is not DIGIT/NUMBER.bin", "rename or remove it"))
                elif twin := numbers.get(int(number)):
                    faults.append(Fault(where, f"has the number of {twin.id}", "remove one of the two"))
                else:
                    numbers[int(number)] = Recording(split, file, int(digit), where)
            if missing := sorted(set(self.classes) - {str(r.label) for r in numbers.values()}):
                hint = "Copy the data set again, or give the folder that holds Train as --source."
                raise DataError(f"{folder} has no recordings of {', '.join(missing)}", _LAYOUT, hint)
            found += [numbers[n] for n in sorted(numbers)]
        if len(self._folders) > 1:
            return Listing(found, faults, _short(found))
        test = round(self.test_share * len(found))
        first = len(found) - test
        kept = [
            Recording("train" if n < first else "test", r.file, r.label, r.id) for n, r in enumerate(found)
        ]
        note = f"there is no folder Test: the last {test:,} of {len(found):,} recordings are the test split"
        return Listing(kept, faults, note if test else "")


def _short(found: list[Recording]) -> str:
    """Return a note where the data set is not complete."""
    have = Counter(recording.split for recording in found)
    short = [f"{have[s]:,} of {number:,} {s}" for s, number in _COMPLETE.items() if have[s] < number]
    return f"{' and '.join(short)} recordings" if short else ""
