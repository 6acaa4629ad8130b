"""scikit-learn's digits: 1 797 real handwritten digits of 8 × 8 pixels (Alpaydın & Kaynak 1998, UCI)."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import Sample
from ..errors import CapabilityError
from .base import Source


@dataclass(frozen=True)
class Digits(Source):
    """The digits that come with scikit-learn; intensities are sixteenths, k / 16.

    The data have no split. Here every fifth sample of each class, in file order, is test (355), the others are
    train (1 442): fixed, stratified, without random numbers. The same writers are in both.
    """

    name: ClassVar[str] = "digits"
    file_source: ClassVar[str] = "idx"

    @cached_property
    def _data(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]]:
        table = _table()
        images, labels = table[:, :64].reshape(-1, 8, 8), table[:, 64].astype(np.int64)
        position = np.empty(len(labels), np.int64)  # of a sample in its class
        for label in range(10):
            members = labels == label
            position[members] = np.arange(members.sum())
        numbers = {"train": np.flatnonzero(position % 5 != 4), "test": np.flatnonzero(position % 5 == 4)}
        return {split: (images[n] / 16, labels[n], n) for split, n in numbers.items()}

    @property
    def classes(self) -> tuple[str, ...]:
        """``"0"`` … ``"9"``."""
        return tuple("0123456789")

    def splits(self) -> Mapping[str, int]:
        """Return ``{"train": 1442, "test": 355}``."""
        return {split: len(labels) for split, (_, labels, _) in self._data.items()}

    def read(self, split: str, index: int) -> Sample:
        """Return one image, float64 (8, 8) in [0, 1]; its id is its number in scikit-learn's order."""
        images, labels, numbers = self._data[split]
        return Sample(images[index], int(labels[index]), str(numbers[index]))

    def takes(self, head: bytes) -> bool:
        """Return False: it has no files."""
        return False

    def provenance(self) -> dict[str, Any]:
        """Return the licence note and a digest over the images and labels."""
        digest = hashlib.sha256()
        for images, labels, _ in self._data.values():
            digest.update(np.rint(images * 16).astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes())
        return {
            "licence": "CC BY 4.0 (UCI Optical Recognition of Handwritten Digits)",
            "sha256": digest.hexdigest(),
        }


def _table() -> NDArray[np.float64]:
    """Return the digits, (sample, 65): 64 pixels from 0 to 16, and the label.

    Raises `CapabilityError` where scikit-learn is not installed.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None:
        raise CapabilityError(
            "the digits come with scikit-learn, which is not installed",
            "",
            "Run: pip install 'spikeprep[digits]'.",
        )
    for folder in found.submodule_search_locations or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.exists():  # to import scikit-learn takes two seconds
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])
