"""What deserves attention in a store: what its source found, and what its samples show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..encoders.base import Chain, Encoder
from ..errors import DataError, SpikeprepError
from ..recipes import load_recipe, recipe_names
from ..sources.base import CheckedSource
from ..store import SpikeStore
from ..store.reader import SplitReader
from ..text import listed

FEW = 10
"""A class is small where the median class has more than so many times its samples."""

LONG = 10
"""A sample is long where it has more than so many times the steps of the median sample."""

SHORT = 16
"""A sample is short where the median sample has more than so many times its steps: files of mixed units are."""

UNUSUAL = 3
"""A density is unusual beyond so many times what is usual for the recipe, and below that part of it."""

DENSE = 0.75
"""A density above which an encoding without a known largest one is unusual: nearly all bits are spikes."""

BRIGHT = 0.75
"""Images are mostly white where the median sample has more than this part of the spikes of a white image."""

APART = 4
"""Splits are of different data where one has more than so many times the density of another."""

_FEWEST = 3  # samples of a split whose density is compared
_SHOWN = 3  # samples or classes in one text


class _White(NamedTuple):
    """The share of bits that would be spikes of white images, None if not known, and what to do about such images."""

    density: float | None
    advice: str


def rows_remark(encoder: Encoder, source: CheckedSource, split: str) -> str:
    """Return a remark where an encoder of series gets images, whose rows it takes for time steps; else nothing."""
    if not (encoder.takes_rows_as_time and isinstance(source.outline(split, 0), np.ndarray)):
        return ""
    return (
        f"{encoder.name} is an encoder of series: it takes the rows of an image for time steps; latency, phase and "
        "poisson encode each pixel"
    )


def store_findings(store: SpikeStore) -> list[str]:
    """Return what deserves attention in a complete store, one text each; the same whenever it is asked for.

    Beside the source's own findings, such as events that were dropped and files left out, these are: no training
    samples, samples without a spike, a single class, classes with few samples or none, samples far longer or shorter
    than the median, a density far from the recipe's usual or from another split's, and images that are mostly bright.
    """
    found = [*store.attributes["source"].get("findings", ())]
    found += untrained({name: len(store[name]) for name in store})
    classes, usual, white = store.attributes["classes"], _usual_density(store), _white_images(store)
    if len(classes) == 1:
        found.append(f"all samples are of one class, {classes[0]}: a network has nothing to tell apart")
    for name in store:
        split = store[name]
        if len(split):
            found += [f"{name}: {text}" for text in _split_findings(split, classes, usual, white)]
    return [*found, *_unlike_splits(store)]


def untrained(samples: Mapping[str, int]) -> list[str]:
    """Return one text where no sample is for training; `samples` is split → their number."""
    if samples.get("train"):
        return []
    return [f"no training samples: all are in the split {listed([name for name, n in samples.items() if n])}"]


def refuse(findings: Sequence[str], path: str = "") -> None:
    """Raise `DataError` where there are findings; `path` is that of the store, if it was written."""
    if findings:
        raise DataError(
            f"{len(findings)} finding{'s' if len(findings) > 1 else ''} with strict: {'; '.join(findings)}",
            "nothing that deserves attention",
            f"The store at {path} is complete. Correct the data, or leave strict out."
            if path
            else "Nothing was written. Correct the data, or leave strict out.",
        )


def _split_findings(
    split: SplitReader, classes: Sequence[str], usual: float | None, white: _White
) -> Iterator[str]:
    counts, steps = split.counts, split.steps
    if (silent := np.flatnonzero(counts == 0)).size:
        yield f"{_samples(silent.size, len(split))} no spike: {_ids(split, silent)}"
    yield from _class_findings(np.bincount(split.labels, minlength=len(classes)), classes)
    median = float(np.median(steps))
    if (long := np.flatnonzero(steps > LONG * median)).size:
        longest = (
            f"{_samples(long.size, len(split))} more than {LONG} times the median of {median:,.0f} steps"
        )
        yield f"{longest}, up to {int(steps.max()):,}: {_ids(split, long)}"
    if (short := np.flatnonzero(steps * SHORT < median)).size:
        shortest = (
            f"{_samples(short.size, len(split))} less than 1/{SHORT} of the median of {median:,.0f} steps"
        )
        yield f"{shortest}, down to {int(steps.min()):,}: {_ids(split, short)}"
    density = _density(split)
    if usual and not usual / UNUSUAL <= density <= usual * UNUSUAL:
        yield f"{density:.2%} of the bits are spikes; with this recipe about {usual:.2%} are"
    elif white.density:
        if density and np.median(_densities(split)) > BRIGHT * white.density:
            yield (
                f"{density:.2%} of the bits are spikes, where {white.density:.2%} would be of white images: "
                f"{white.advice}"
            )
    elif density > DENSE:
        yield f"{density:.0%} of the bits are spikes: the input may be scaled wrong, or inverted"


def _density(split: SplitReader) -> float:
    """Return the share of all bits that are spikes."""
    slots = split.units * int(split.steps.sum(dtype=np.int64))
    return int(split.counts.sum(dtype=np.int64)) / slots if slots else 0.0


def _densities(split: SplitReader) -> NDArray[np.float64]:
    """Return the share of bits that are spikes in each sample."""
    return split.counts / (split.units * split.steps.astype(np.float64))


def _unlike_splits(store: SpikeStore) -> Iterator[str]:
    """Yield a text where the sparsest and the densest split differ by far, and so do most of their samples."""
    mean: dict[str, float] = {}
    middle: dict[str, NDArray[np.float64]] = {}  # quartiles of the samples' densities
    for name in store:
        split = store[name]
        if len(split) >= _FEWEST and split.units and split.steps.all():
            mean[name] = _density(split)
            middle[name] = np.quantile(_densities(split), (0.25, 0.75))
    if not any(mean.values()):
        return
    low, high = min(mean, key=lambda name: mean[name]), max(mean, key=lambda name: mean[name])
    if APART * mean[low] < mean[high] and middle[low][1] < middle[high][0]:
        yield (
            f"{mean[high]:.2%} of the bits of {high} are spikes, and {mean[low]:.2%} of those of {low}: "
            "one of them may be inverted, or on another scale"
        )


def _class_findings(numbers: NDArray[np.int64], classes: Sequence[str]) -> Iterator[str]:
    if (empty := np.flatnonzero(numbers == 0)).size:
        yield f"no sample of {listed([classes[n] for n in empty.tolist()], _SHOWN, what='classes')}"
    median = float(np.median(numbers))
    few = np.flatnonzero((numbers > 0) & (numbers * FEW < median))
    if few.size:
        named = listed([f"{classes[n]} ({numbers[n]:,})" for n in few.tolist()], _SHOWN, what="classes")
        yield f"few samples of {named}; the median class has {median:,.0f}"


def _samples(number: int, total: int) -> str:
    return f"{number:,} of {total:,} samples {'has' if number == 1 else 'have'}"


def _ids(split: SplitReader, samples: NDArray[np.intp]) -> str:
    return listed(split.ids[samples].tolist(), _SHOWN)


def _white_images(store: SpikeStore) -> _White:
    try:
        chain = Chain.from_config(store.attributes["chain"])
    except SpikeprepError:  # written without an encoder, or by one that is not installed here
        return _White(None, "")
    inverted = any(transform.name == "invert" for transform in chain.transforms)
    return _White(
        chain.encoder.largest_density,
        "light strokes on a dark ground should stay as they are (invert.use=false)"
        if inverted
        else "dark ink on light paper should be inverted (invert.use=true)",
    )


def _usual_density(store: SpikeStore) -> float | None:
    """Return the share of bits that are spikes with the store's recipe at its own settings; None if not known."""
    attributes = store.attributes
    if attributes["recipe"] not in recipe_names():
        return None
    try:
        recipe = load_recipe(attributes["recipe"])
        same = recipe.build_chain().to_config() == attributes["chain"]
    except SpikeprepError:  # a recipe whose plugin is not installed here
        return None
    return recipe.usual_density if same else None
