"""The Free Spoken Digit Dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..errors import DataError
from .checked_files import Listing
from .labelled_files import Fault, Recording, files_under, mixed
from .sound_files import SUFFIXES, Sounds

_NAME = re.compile(r"([0-9])_([A-Za-z]+)_([0-9]+)\.wav")
_TEST = 5  # recordings 0 to 4 of each digit and speaker are the test split, as upstream defines


@dataclass(frozen=True)
class Fsdd(Sounds):
    """Spoken digits in files ``DIGIT_SPEAKER_NUMBER.wav``; numbers 0 to 4 are test, the others training."""

    name: ClassVar[str] = "fsdd"
    own_rate: ClassVar[int] = 8000

    @property
    def classes(self) -> tuple[str, ...]:
        """The digits."""
        return tuple("0123456789")

    def listing(self) -> Listing:
        """Find the recordings below `path`."""
        root = Path(self.path)
        found: dict[tuple[str, ...], Recording] = {}
        faults = []
        for file in files_under(root, SUFFIXES) if self.path else ():
            where = file.relative_to(root).as_posix()
            parts = _NAME.fullmatch(file.name)
            if parts is None:
                faults.append(Fault(where, "is not named DIGIT_SPEAKER_NUMBER.wav", "rename or remove it"))
            elif (twin := found.get(parts.groups())) is not None:
                faults.append(Fault(where, f"is the same recording as {twin.id}", "remove one of the two"))
            else:
                split = "test" if int(parts[3]) < _TEST else "train"
                found[parts.groups()] = Recording(split, file, int(parts[1]), where)
        if not found:
            raise DataError(
                f"{self.path or 'no folder'} has no recordings of FSDD",
                "recordings/DIGIT_SPEAKER_NUMBER.wav, such as 7_jackson_32.wav",
                "Give the data set's folder as --source.",
            )
        return Listing(mixed(found.values()), faults)
