"""Variants of a store's training samples, encoded from the source with the bits that a stored copy would have."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..errors import DataError, UsageError
from ..recipes import COPIED_SPLIT
from ..store import SpikeStore
from ..store.attributes import differences
from .plan import open_encoder, source_attributes
from .reencode import originals_limit, recipe_of
from .samples import SampleEncoder, Shape

_TRIED_SAMPLES = 8  # of which one must vary, where the chain has no augmentation


@dataclass(frozen=True)
class Variants:
    """Encodes copies 0, 1, 2, … of the training samples of a store, which need not be stored.

    It pickles as its attributes; the source is opened, and compared with the store, when it is first used in a process.

    Attributes
    ----------
    store
        Path or URL of the store: its chain, its seed, and the digests of its source.
    source_path
        The raw data, for sources that need them.
    """

    store: str
    source_path: str | None = None

    def __reduce__(self) -> Any:
        return Variants, (self.store, self.source_path)

    @cached_property
    def _opened(self) -> tuple[SampleEncoder, Shape]:
        store = SpikeStore.open(self.store)
        about, reader = store.attributes, store[COPIED_SPLIT]
        try:
            recipe = recipe_of(about)
        except UsageError as error:
            raise UsageError(error.got, error.expected, "Leave augment out.") from error
        try:
            encoder = open_encoder(recipe, self.source_path, about["seed"], originals_limit(about))
        except DataError as error:
            if self.source_path is not None:
                raise
            raise UsageError(
                f"augment = true encodes the samples of {self.store} anew, and their raw data are not named",
                "their folder, which a store does not keep",
                "Give it as source=FOLDER.",
            ) from error
        self._compare(encoder, about)
        shape = Shape(reader.unit_shape, reader.units, reader.max_steps, True)
        return encoder, shape

    def _compare(self, encoder: SampleEncoder, about: dict[str, Any]) -> None:
        """Raise `DataError` where the source has not what the store was encoded from."""
        stored = {"source": _data(about["source"]), **{key: about[key] for key in ("classes", "samples")}}
        found = {
            "source": _data(source_attributes(encoder.source)),
            "classes": list(encoder.source.classes),
            "samples": encoder.samples,
        }
        if unlike := differences(stored, json.loads(json.dumps(found))):  # a store has lists for tuples
            keys = ", ".join(line.partition(": ")[0] for line in unlike[:4])
            where = "the source" if self.source_path is None else self.source_path
            raise DataError(
                f"{where} has not the data that {self.store} was encoded from: {keys} differ",
                "files, labels and names that have not changed since",
                "Give the folder of those files as source=FOLDER, or encode the store again.",
            )

    def check(self) -> None:
        """Open the source, and compare it with the store.

        Raises
        ------
        UsageError
            The store was not encoded from a source, the source needs a path, or nothing in the chain varies samples.
        DataError
            The raw data are missing, damaged, or have changed.
        """
        encoder, shape = self._opened
        samples = np.arange(min(encoder.originals[COPIED_SPLIT], _TRIED_SAMPLES))
        steps = SpikeStore.open(self.store)[COPIED_SPLIT].steps[samples]
        self._check_lengths(samples, steps)
        if encoder.chain.augmentations:
            return
        first, second = np.zeros((2, len(samples), shape.units, shape.width), np.uint8)
        for copy, out in enumerate((first, second), 1):
            self.encode(samples, copy, steps, out)
        if np.array_equal(first, second):
            chain = ", ".join(step["name"] for step in encoder.chain.to_config())
            raise UsageError(
                f"got augment = true for {self.store}, whose chain ({chain}) varies nothing",
                "a transform that varies copies, or an encoder that draws",
                "Encode the store with one (`spikeprep list transforms`), or leave augment out.",
            )

    def _check_lengths(self, samples: NDArray[np.int64], steps: NDArray[np.uint32]) -> None:
        """Raise `UsageError` where a variant has other steps than its original: a batch holds what the store has."""
        encoder, _ = self._opened
        numbers = samples + encoder.originals[COPIED_SPLIT]  # of copy 1
        varied = [encoder.describe(COPIED_SPLIT, number).steps for number in numbers.tolist()]
        if varied == steps.tolist():
            return
        chain = ", ".join(step.name for step in encoder.chain.augmentations)
        raise UsageError(
            f"got augment = true for {self.store}, whose chain ({chain}) changes the length of samples: one of "
            f"{steps[0]} steps becomes one of {varied[0]}",
            "variants as long as their originals",
            "Encode the store with one length: for sounds set speed.keep_length=true or fix_length.seconds; or store "
            "copies.",
        )

    def encode(self, samples: NDArray[np.int64], copy: int, steps: NDArray[np.uint32], out: Bits) -> None:
        """Write copy `copy` of samples to zeroed `out`; see `spikeprep.feed.variants.VariantEncoder`.

        Raises
        ------
        DataError
            A sample is damaged, has changed, or its variant has not the steps of the original.
        """
        encoder, shape = self._opened
        numbers = (samples + copy * encoder.originals[COPIED_SPLIT]).tolist()
        encoder.encode_into(COPIED_SPLIT, numbers, steps, shape, out)


def _data(source: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the samples: without the licence, which a store keeps apart from the reader's settings."""
    return {key: value for key, value in source.items() if key not in ("licence", "note", "findings")}


def variants_of(store: SpikeStore, source_path: str | os.PathLike[str] | None) -> Variants:
    """Return the variants of a store's training samples, checked; raises as `Variants.check`."""
    path = None if source_path is None else os.path.abspath(os.path.expanduser(source_path))
    variants = Variants(str(store.path), path)
    variants.check()
    return variants
