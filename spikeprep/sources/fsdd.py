"""The Free Spoken Digit Dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..errors import DataError
from .checked_files import Listing
from .group_splits import by_speakers
from .labelled_files import BadFile, Recording, file_id, files_under, shuffled
from .sound_decoder import SUFFIXES
from .sound_files import SoundFiles

_NAME = re.compile(r"([0-9])_([A-Za-z]+)_([0-9]+)\.[A-Za-z0-9]+")
_TEST_NUMBERS = 5  # recordings 0 to 4 of each digit and speaker are the test split, as upstream defines


@dataclass(frozen=True)
class Fsdd(SoundFiles):
    """Spoken digits in files ``DIGIT_SPEAKER_NUMBER.wav``; numbers 0 to 4 are test, the others training.

    Parameters
    ----------
    test_speakers
        Speakers whose recordings are the test split in place of these, and all others training; each speaker is then a
        group, so that the validation samples of training are of other speakers too.
    """

    name: ClassVar[str] = "fsdd"
    native_rate: ClassVar[int] = 8000
    later_settings: ClassVar[tuple[str, ...]] = ("test_speakers",)
    choice_settings: ClassVar[tuple[str, ...]] = later_settings

    test_speakers: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The digits."""
        return tuple("0123456789")

    def listing(self) -> Listing:
        """List the recordings below `path`."""
        root = Path(self.path)
        recordings: dict[tuple[str, ...], Recording] = {}
        bad = []
        for file in files_under(root, SUFFIXES) if self.path else ():
            id_ = file_id(file, root)
            parts = _NAME.fullmatch(file.name)
            if parts is None:
                bad.append(BadFile(id_, "is not named DIGIT_SPEAKER_NUMBER.wav", "rename or remove it"))
            elif (twin := recordings.get(parts.groups())) is not None:
                bad.append(BadFile(id_, f"is the same recording as {twin.id}", "remove one of the two"))
            else:
                split = "test" if int(parts[3]) < _TEST_NUMBERS else "train"
                recordings[parts.groups()] = Recording(split, file, int(parts[1]), id_)
        if not recordings:
            raise DataError(
                f"{self.path or 'no folder'} has no recordings of FSDD",
                "recordings/DIGIT_SPEAKER_NUMBER.wav, such as 7_jackson_32.wav",
                "Give the data set's folder as source=FOLDER.",
            )
        chosen = by_speakers(
            ((key[1].lower(), recording) for key, recording in recordings.items()), self.test_speakers
        )
        return Listing(shuffled(chosen), bad)
