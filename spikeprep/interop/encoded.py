"""Samples of a data set that are encoded when they are read, without a store."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import PackedBatch
from ..encoders.base import Encoder
from ..encoding.plan import StorePlan
from ..errors import UsageError, near_miss
from ..recipes import COPIED_SPLIT, Recipe, configured_recipe
from ..store.reader import sample_numbers


class EncodedSplit:
    """The samples of one split of a data set, encoded whenever they are read; with the bits that a store would have.

    Of N training samples, number n + c N is copy c of sample n, for any c: copies that the recipe's augmentations vary,
    or that its encoder draws anew. Of other splits there are originals alone.

    It can be pickled; a copy, as in another process, opens the raw data when it is first used.

    Parameters
    ----------
    recipe, source, front_end, encoder, settings, seed, limit
        See `spikeprep.encode`.
    split
        Name of the split.

    Raises
    ------
    UsageError
        A name, a setting or a value does not exist or does not fit; or there is no such split.
    DataError
        The raw data are missing or damaged.
    """

    def __init__(
        self,
        recipe: str | os.PathLike[str] | Recipe,
        split: str = "train",
        *,
        source: str | os.PathLike[str] | None = None,
        front_end: str | None = None,
        encoder: str | Encoder | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        limit: int | None = None,
    ) -> None:
        path = None if source is None else os.path.abspath(os.path.expanduser(source))
        self.split = split
        self._arguments = configured_recipe(recipe, encoder, settings, front_end), path, seed, limit
        if split not in self._plan.encoder.originals:
            raise UsageError(
                f"got split = {split!r}",
                "a split of the data set",
                near_miss(split, self._plan.encoder.originals),
            )

    @cached_property
    def _plan(self) -> StorePlan:
        return StorePlan(*self._arguments)

    def __getstate__(self) -> dict[str, Any]:
        return {"split": self.split, "_arguments": self._arguments}

    def __len__(self) -> int:
        return self._plan.encoder.originals[self.split]

    @property
    def unit_shape(self) -> tuple[int, ...]:
        """Shape of a sample's units."""
        return self._plan.shape.unit_shape

    @property
    def max_steps(self) -> int:
        """Time steps of the longest sample of the data set."""
        return self._plan.shape.steps

    @property
    def steps(self) -> NDArray[np.uint32]:
        """Each sample's own length in time steps, uint32 (sample,)."""
        return self._plan.steps(self.split, 0, len(self))

    @property
    def has_copies(self) -> bool:
        """Whether samples have copies."""
        return self.split == COPIED_SPLIT

    @property
    def dt(self) -> float:
        """Seconds per time step."""
        return self._plan.dt

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class."""
        return self._plan.source.classes

    def packed(self, index: NDArray[np.int64]) -> PackedBatch:
        """Encode samples by number, (sample,), and return them in the order of `index`.

        Raises
        ------
        IndexError
            There is no such sample.
        DataError
            A sample is damaged, or of another size than the first one.
        """
        index = sample_numbers(index, math.inf if self.has_copies else len(self))
        plan, shape = self._plan, self._plan.shape
        steps = self.steps[index % len(self)]
        bits = np.zeros((len(index), shape.units, shape.width), np.uint8)
        labels = np.zeros(len(index), np.int32)
        if index.size:
            samples = plan.encoder.encode_into(self.split, index.tolist(), steps, shape, bits)
            labels[:] = [sample.label for sample in samples]
        return PackedBatch(bits, steps, labels, index)
