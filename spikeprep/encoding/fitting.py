"""Chains whose transforms have the statistics of the training samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..encoders.base import Chain, Transform, fitted_transform, is_fitted
from ..errors import UsageError
from ..random import SampleKey
from ..recipes import COPIED_SPLIT
from ..sources.base import CheckedSource
from .samples import naming


def fitted_chain(chain: Chain, source: CheckedSource, seed: int = 0) -> Chain:
    """Return a chain whose transforms have what they compute from training samples, see `Transform.fit`.

    Each gets the originals of the training split, after the transforms ahead of it. A chain that needs nothing is
    returned as it is, and no sample is read.

    Raises
    ------
    UsageError
        A transform needs training samples, and the source has none.
    DataError
        A sample is damaged, or not what a transform takes.
    PluginError
        A transform is not fitted after its `fit`, or its `is_fitted` is no bool.
    """
    transforms: list[Transform] = []
    for transform in chain.transforms:
        if not is_fitted(transform):
            if not (number := source.splits().get(COPIED_SPLIT, 0)):
                raise UsageError(
                    f"{transform.name} needs the statistics of training samples, and {source.name} has none",
                    f"a split {COPIED_SPLIT!r}, or the statistics as settings of {transform.name}",
                    f"Its splits are {', '.join(source.splits())}.",
                )
            with naming(transform, f"0 to {number - 1} of {COPIED_SPLIT}"):
                transform = fitted_transform(transform, _signals(transforms, source, seed))
        transforms.append(transform)
    return replace(chain, transforms=tuple(transforms))


def _signals(transforms: list[Transform], source: CheckedSource, seed: int) -> Iterator[Any]:
    """Yield the signal of each training sample after some transforms."""
    for n in range(source.splits()[COPIED_SPLIT]):
        sample = source.read(COPIED_SPLIT, n)
        signal, key = sample.signal, SampleKey(seed, COPIED_SPLIT, n)
        for transform in transforms:
            with naming(transform, sample.id):
                signal = transform.apply(signal, key)
        yield signal
