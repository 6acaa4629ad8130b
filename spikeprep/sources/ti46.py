"""TI 46-Word (LDC93S9): isolated letters, digits and command words of 16 speakers."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..errors import DataError, UsageError, near_miss
from .checked_files import Listing
from .labelled_files import Fault, Recording, files_under, mixed
from .sound_files import SUFFIXES, Sounds

_LETTERS = {f"0{letter}": letter for letter in "abcdefghijklmnopqrstuvwxyz"}
_DIGITS = {f"0{digit}": digit for digit in "0123456789"}
_WORDS = {
    "en": "enter", "er": "erase", "go": "go", "hp": "help", "no": "no",
    "rb": "rubout", "rp": "repeat", "sp": "stop", "st": "start", "ys": "yes",
}  # fmt: skip
PROMPTS = {"alphabet": _LETTERS, "digits": _DIGITS, "words": _WORDS, "all": _DIGITS | _WORDS | _LETTERS}
"""Subset → prompt code → class."""

SPEAKERS = tuple(f"{sex}{n}" for sex in "fm" for n in range(1, 9))
_COMPLETE = {"alphabet": {"train": 4142, "test": 6628}}  # 18 and 28 letters of the plan were not recorded
_REPETITIONS = {
    "train": 10,
    "test": 16,
}  # of a prompt by a speaker: tokens 0 to 9; sessions 1 to 8, two tokens each

_NAME = re.compile(r"(..)([fm][1-8])(se|s[1-8])t([0-9])", re.IGNORECASE)
_EXPECTED = (
    "{ti20,ti_alpha}/{train,test}/{f1 … f8,m1 … m8}/NAME.wav or .sph, NAME of prompt, speaker, session and token, "
    "such as 0af1set0 (training) or 0am1s1t0 (test)"
)
_SUFFIXES = (".wav", ".sph")


@dataclass(frozen=True)
class Ti46(Sounds):
    """TI 46-Word, from a directory or a mounted image, in any case and any depth.

    A file's name alone says what it is: ``0af1set0`` is the letter a by speaker f1, training, token 0; ``0am1s1t0`` is
    of m1's test session 1. Speakers stay readable in the ids.

    Parameters
    ----------
    subset
        ``"alphabet"`` (26 letters, HM2-BP's task), ``"digits"``, ``"words"`` (10 commands), or ``"all"`` 46.
    """

    name: ClassVar[str] = "ti46"
    own_rate: ClassVar[int] = 12500

    subset: str = "alphabet"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subset not in PROMPTS:
            raise UsageError(f"ti46: got subset {self.subset!r}", "", near_miss(str(self.subset), PROMPTS))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Letters, digits or words, in the order of the alphabet, of their value, or of the corpus's codes."""
        return tuple(PROMPTS[self.subset].values())

    def listing(self) -> Listing:
        """Find the utterances below `path`, whatever its layout."""
        root, codes = Path(self.path), list(PROMPTS[self.subset])
        if not self.path or not root.is_dir():
            raise DataError(f"no folder {self.path!r}", _EXPECTED, "Give the corpus's folder as --source.")
        found: dict[tuple[str, ...], Recording] = {}
        faults, others = [], 0
        for file in files_under(root, SUFFIXES):
            where = file.relative_to(root).as_posix()
            stem, _, ending = file.name.lower().rpartition(".")
            parts = _NAME.fullmatch(stem)
            if f".{ending}" not in _SUFFIXES:
                continue
            if parts is None or parts[1] not in PROMPTS["all"]:
                faults.append(
                    Fault(
                        where, "has no TI46 name", "give it its corpus name, such as 0af1set0, or remove it"
                    )
                )
                continue
            if parts[1] not in codes:
                others += 1
                continue
            if (twin := found.get(parts.groups())) is not None:
                faults.append(Fault(where, f"is the same utterance as {twin.id}", "remove one of the two"))
                continue
            split = "train" if parts[3] == "se" else "test"
            found[parts.groups()] = Recording(split, file, codes.index(parts[1]), where)
        if not found and not others:
            raise DataError(
                f"{self.path} holds no utterance of TI46", _EXPECTED, "Give the corpus's folder as --source."
            )
        if not found:
            raise DataError(
                f"{self.path} holds {others} utterances of TI46, none of the subset {self.subset}",
                "the folder of that subset (ti_alpha: alphabet; ti20: digits and words)",
                "Give the corpus's whole folder, or another --set source.subset.",
            )
        return Listing(mixed(found.values()), faults, self._note(found))

    def _note(self, found: dict[tuple[str, ...], Recording]) -> str:
        """Return what is there of what the corpus has, where that is not all."""
        planned = {split: 16 * n * len(self.classes) for split, n in _REPETITIONS.items()}
        whole = _COMPLETE.get(self.subset, planned)
        here = Counter(recording.split for recording in found.values())
        if all(here[split] >= number for split, number in whole.items()):
            return ""
        about = "" if self.subset in _COMPLETE else "at most "
        counts = " and ".join(f"{here[split]:,} of {about}{n:,} {split}" for split, n in whole.items())
        speakers = sorted(set(SPEAKERS) - {key[1] for key in found})
        missing = f" (no speaker {', '.join(speakers)})" if speakers else ""
        return f"{counts} utterances of TI46's {self.subset} are here{missing}"
