"""What a source of samples is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import Sample
from ..registry import Plugin


@dataclass(frozen=True)
class Source(Plugin, ABC):
    """Reads samples of one format.

    Its fields are its configuration; a field `path`, if it has one, is where the raw files are. Opening is
    lazy: nothing is read before `splits`, and samples are read one at a time, from any thread.
    """

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Name of each class, in label order."""

    @abstractmethod
    def splits(self) -> Mapping[str, int]:
        """Return split name → number of samples, in the order in which they are stored."""

    @abstractmethod
    def read(self, split: str, index: int) -> Sample:
        """Return one sample; raises `DataError` naming the file and the hint where it is damaged."""

    def outline(self, split: str, index: int) -> Any:
        """Return a signal of the shape of a sample's; overridden where that costs less than reading the sample."""
        return self.read(split, index).signal

    def limited(self, samples: int) -> Source:
        """Return a source of the first `samples` samples of each split; overridden where that saves reading."""
        return self

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Return ``{"licence", "files": {name: sha256}}``, or one ``"sha256"`` digest over many files.

        A ``"note"`` is added where a person should know what was decided from the data.
        """


def file_sha256(path: Path) -> str:
    """Return a file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
