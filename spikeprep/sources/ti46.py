"""TI 46-Word (LDC93S9): isolated letters, digits and command words of 16 speakers."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from ..errors import DataError
from .checked_files import Listing
from .group_splits import by_speakers
from .labelled_files import BadFile, Recording, file_id, files_under, shuffled
from .sound_decoder import SUFFIXES
from .sound_files import SoundFiles

_LETTERS = {f"0{letter}": letter for letter in "abcdefghijklmnopqrstuvwxyz"}
_DIGITS = {f"0{digit}": digit for digit in "0123456789"}
_WORDS = {
    "en": "enter", "er": "erase", "go": "go", "hp": "help", "no": "no",
    "rb": "rubout", "rp": "repeat", "sp": "stop", "st": "start", "ys": "yes",
}  # fmt: skip
Subset = Literal["alphabet", "digits", "words", "all"]

PROMPTS: dict[Subset, dict[str, str]] = {
    "alphabet": _LETTERS,
    "digits": _DIGITS,
    "words": _WORDS,
    "all": _DIGITS | _WORDS | _LETTERS,
}
"""Subset → prompt code → class."""

SPEAKERS = tuple(f"{sex}{n}" for sex in "fm" for n in range(1, 9))
_COMPLETE: dict[Subset, dict[str, int]] = {
    "alphabet": {"train": 4142, "test": 6628}  # 18 and 28 letters of the plan were not recorded
}
_REPETITIONS = {
    "train": 10,
    "test": 16,
}  # of a prompt by a speaker: tokens 0 to 9; sessions 1 to 8, two tokens each

_NAME = re.compile(r"(..)([fm][1-8])(se|s[1-8])t([0-9])", re.IGNORECASE)
_EXPECTED = (
    "{ti20,ti_alpha}/{train,test}/{f1 … f8,m1 … m8}/NAME.wav or .sph, NAME of prompt, speaker, session and token, "
    "such as 0af1set0 (training) or 0am1s1t0 (test)"
)


@dataclass(frozen=True)
class Ti46(SoundFiles):
    """TI 46-Word, from a directory or a mounted image, in any case and at any depth.

    A file's name defines it: ``0af1set0`` is the letter a by speaker f1, training, token 0; ``0am1s1t0`` is from m1's
    test session 1. The ids keep the speakers.

    Parameters
    ----------
    subset
        ``"alphabet"`` (26 letters, HM2-BP's task), ``"digits"``, ``"words"`` (10 commands), or ``"all"`` 46.
    test_speakers
        Speakers (f1 to f8, m1 to m8) whose utterances are the test split in place of the corpus' own, and all others
        training; each speaker is then a group, so that the validation samples of training are of other speakers too.
    """

    name: ClassVar[str] = "ti46"
    native_rate: ClassVar[int] = 12500
    later_settings: ClassVar[tuple[str, ...]] = ("test_speakers",)
    choice_settings: ClassVar[tuple[str, ...]] = ("subset", *later_settings)

    subset: Subset = "alphabet"
    test_speakers: tuple[str, ...] = ()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Letters, digits or words, in the order of the alphabet, of their value, or of the corpus' codes."""
        return tuple(PROMPTS[self.subset].values())

    def listing(self) -> Listing:
        """List the utterances below `path`, in any layout."""
        root, codes = Path(self.path), list(PROMPTS[self.subset])
        if not self.path or not root.is_dir():
            raise DataError(
                f"no folder {self.path!r}", _EXPECTED, "Give the corpus' folder as source=FOLDER."
            )
        utterances: dict[tuple[str, ...], Recording] = {}
        bad, others = [], 0
        for file in files_under(root, SUFFIXES):
            id_ = file_id(file, root)
            parts = _NAME.fullmatch(file.stem.lower())
            if parts is None or parts[1] not in PROMPTS["all"]:
                fix = "give it its corpus name, such as 0af1set0, or remove it"
                bad.append(BadFile(id_, "has no TI46 name", fix))
                continue
            if parts[1] not in codes:
                others += 1
                continue
            if (twin := utterances.get(parts.groups())) is not None:
                bad.append(BadFile(id_, f"is the same utterance as {twin.id}", "remove one of the two"))
                continue
            split = "train" if parts[3] == "se" else "test"
            utterances[parts.groups()] = Recording(split, file, codes.index(parts[1]), id_)
        if not utterances and not others:
            raise DataError(
                f"{self.path} has no utterances of TI46",
                _EXPECTED,
                "Give the corpus' folder as source=FOLDER.",
            )
        if not utterances:
            raise DataError(
                f"{self.path} has {others} utterances of TI46, none of the subset {self.subset}",
                "the folder of that subset (ti_alpha: alphabet; ti20: digits and words)",
                "Give the folder of the entire corpus, or choose another source.subset.",
            )
        note = self._completeness(utterances)
        chosen = by_speakers(((key[1], one) for key, one in utterances.items()), self.test_speakers)
        return Listing(shuffled(chosen), bad, note)

    def _completeness(self, utterances: dict[tuple[str, ...], Recording]) -> str:
        """Return a note where utterances of the corpus are missing."""
        planned = {split: 16 * n * len(self.classes) for split, n in _REPETITIONS.items()}
        complete = _COMPLETE.get(self.subset, planned)
        present = Counter(recording.split for recording in utterances.values())
        if all(present[split] >= number for split, number in complete.items()):
            return ""
        about = "" if self.subset in _COMPLETE else "at most "
        counts = " and ".join(f"{present[split]:,} of {about}{n:,} {split}" for split, n in complete.items())
        speakers = sorted(set(SPEAKERS) - {key[1] for key in utterances})
        missing = f" (no speaker {', '.join(speakers)})" if speakers else ""
        return f"{counts} utterances of TI46's {self.subset} are here{missing}"
