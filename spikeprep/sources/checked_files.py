"""Sources of recordings in files: every file is read once and checked before anything is encoded."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import DataError
from ..system import cores
from .base import Source
from .labelled_files import Fault, Recording, by_split, digest_of, left_out, refusal

Facts = TypeVar("Facts")
"""What a source wants to know of a file."""


@dataclass(frozen=True)
class Listing:
    """What a source found: its recordings, what is wrong with names, and what a person should know."""

    recordings: Sequence[Recording]
    faults: Sequence[Fault] = ()
    note: str = ""


@dataclass(frozen=True)
class Checked(Recording, Generic[Facts]):
    """A recording that can be read: its sha256, and what it is like."""

    sha256: str
    facts: Facts


@dataclass(frozen=True)
class CheckedFiles(Source, Generic[Facts]):
    """Base of the readers of recordings.

    Parameters
    ----------
    path
        Where the files are.
    skip_bad
        Whether to go on without files that cannot be used, and to record them, instead of refusing.
    licence
        Note kept with the store.
    """

    endings: ClassVar[str] = ""  # of the files' names, for messages

    path: str = ""
    skip_bad: bool = False
    licence: str = ""

    @abstractmethod
    def listing(self) -> Listing:
        """Find the files of `path`; raises `DataError` where there is nothing to find."""

    @abstractmethod
    def _look(self, recording: Recording) -> tuple[str, Facts]:
        """Read and check one file; return its sha256 and what it is like; raises `Fault`."""

    def _unlike(self, checked: Sequence[Checked[Facts]]) -> Sequence[Fault]:
        """Say which files do not go with the others."""
        return ()

    def _remarks(self, checked: Sequence[Checked[Facts]]) -> str:
        """Return what a person should know about files that can be used."""
        return ""

    @cached_property
    def _scan(self) -> tuple[dict[str, list[Checked[Facts]]], list[Fault], str]:
        """Read every file once; raises `DataError` for all faults together unless `skip_bad`."""
        listing = self.listing()
        with ThreadPoolExecutor(cores()) as pool:
            results = list(pool.map(self._check, listing.recordings, chunksize=16))
        good = [result for result in results if isinstance(result, Checked)]
        faults = [*listing.faults, *(result for result in results if isinstance(result, Fault))]
        unlike = self._unlike(good)
        odd = {fault.file for fault in unlike}
        good = [checked for checked in good if checked.id not in odd]
        faults += unlike
        if faults and (not self.skip_bad or not good):
            raise self._refusal(faults)
        if not good:
            hint = "Give their folder."
            raise DataError(f"{self.path} has no recordings", f"files ending in {self.endings}", hint)
        return by_split(good), faults, "; ".join(filter(None, (listing.note, self._remarks(good))))

    def _check(self, recording: Recording) -> Checked[Facts] | Fault:
        try:
            sha256, facts = self._look(recording)
        except Fault as fault:
            return fault
        except OSError as error:
            hint = "check the disk and the permissions"
            return Fault(recording.id, f"cannot be read ({error.strerror})", hint)
        return Checked(recording.split, recording.file, recording.label, recording.id, sha256, facts)

    def _refusal(self, faults: Sequence[Fault]) -> DataError:
        hint = "Or go on without, keeping a record of what is left out: --set source.skip_bad=true."
        return refusal(self.path, faults, hint)

    def _at(self, split: str, index: int) -> Checked[Facts]:
        return self._scan[0][split][index]

    def splits(self) -> Mapping[str, int]:
        """Return split name → number of recordings."""
        return {split: len(recordings) for split, recordings in self._scan[0].items()}

    def provenance(self) -> dict[str, Any]:
        """Return the licence note, one sha256 over the sha256 and id of every file, and what was left out."""
        found, faults, note = self._scan
        lines = (f"{checked.sha256}  {checked.id}\n" for files in found.values() for checked in files)
        note = "; ".join(filter(None, (note, left_out(faults))))
        facts = {"licence": self.licence, "sha256": digest_of(lines)}
        more = {"left_out": [str(fault) for fault in faults]} if faults else {}
        return facts | ({"note": note} if note else {}) | more
