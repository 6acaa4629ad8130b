"""Encode samples of a store again and compare them, bit by bit: encoding is deterministic."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DataError, UsageError
from ..recipes import COPIED_SPLIT, Recipe, stored_recipe
from ..registry import SOURCES
from ..store import Problem, SpikeStore, SplitReader
from ..store.layout import shard_key
from .plan import open_encoder
from .samples import SampleEncoder, Shape


def recipe_of(attributes: Mapping[str, Any]) -> Recipe:
    """Return the recipe that a store was encoded with, from the store's attributes.

    Raises
    ------
    UsageError
        The store was not encoded from a source, or its source or a step of its chain is not installed here.
    """
    reader = attributes["source"].get("reader", {})
    if reader.get("name") not in SOURCES.names():
        raise UsageError(
            f"the store was written from {reader.get('name', 'an unknown source')}, which cannot be read again",
            "a store that `encode` wrote",
            "Leave reencode out.",
        )
    return stored_recipe(attributes)


def originals_limit(attributes: Mapping[str, Any]) -> int:
    """Return the limit under which a source offers the samples that a store was encoded from."""
    copies: int = attributes.get("copies", 1)
    samples: Mapping[str, int] = attributes["samples"]
    return max(n // copies if split == COPIED_SPLIT else n for split, n in samples.items())


def encoder_of(store: SpikeStore, source_path: str | os.PathLike[str] | None = None) -> SampleEncoder:
    """Return what encodes the samples of a store again.

    Parameters
    ----------
    store
        A complete store.
    source_path
        The raw data, for sources that need them.

    Raises
    ------
    UsageError
        As `recipe_of`; or the source needs `source_path`, and there is none.
    DataError
        The raw data are missing.
    """
    recipe, seed = recipe_of(store.attributes), store.attributes["seed"]
    try:
        return open_encoder(recipe, source_path, seed, originals_limit(store.attributes))
    except DataError as error:
        if source_path is not None:
            raise
        raise UsageError(
            f"encoding samples of {store.path} again needs the raw data that it was encoded from",
            "their folder, which a store does not keep",
            "Give it as source=FOLDER, or leave reencode out.",
        ) from error


def reencode(store: SpikeStore, encoder: SampleEncoder, samples: int) -> list[Problem]:
    """Encode samples again, spread evenly over the store, and return those that differ.

    Parameters
    ----------
    store
        A complete store.
    encoder
        What `encoder_of` returned.
    samples
        How many; at most all.

    Raises
    ------
    DataError
        The raw data are missing or damaged.
    StoreError
        A sample of the store cannot be read.
    """
    counts = store.attributes["samples"]
    total = sum(counts.values())
    chosen = np.unique(np.linspace(0, total - 1, min(samples, total)).round().astype(np.int64))
    problems, first = [], 0
    for split, count in counts.items():
        for number in chosen[(chosen >= first) & (chosen < first + count)] - first:
            if what := _difference(store[split], int(number), encoder, store.attributes["classes"]):
                shard = int(number) // store[split].shard_samples
                problems.append(Problem(shard_key(split, shard), what, split, shard, (int(number),)))
        first += count
    return problems


def _difference(reader: SplitReader, number: int, encoder: SampleEncoder, classes: list[str]) -> str | None:
    """Return in what a sample differs from itself encoded again; None where it is the same."""
    split, available = reader.split, encoder.samples.get(reader.split, 0)
    if number >= available:
        return f"encoded again: the source has {available} samples of {split}"
    steps = encoder.describe(split, number).steps
    if steps != reader.steps[number]:
        return f"encoded again: {steps} steps instead of {reader.steps[number]}"
    shape = Shape(reader.unit_shape, reader.units, reader.max_steps, True)
    bits, _, labels, ids, groups = encoder.chunk(split, number, np.array([steps], np.uint32), shape)
    if ids[0] != reader.ids[number]:
        return f"encoded again: {ids[0]!r} instead of {str(reader.ids[number])!r}"
    if (name := encoder.source.classes[int(labels[0])]) != classes[reader.labels[number]]:
        return f"encoded again: class {name!r} instead of {classes[reader.labels[number]]!r}"
    stored_group = None if reader.groups is None else reader.groups[number]
    if groups is not None and groups[0] != stored_group:
        return f"encoded again: group {groups[0]} instead of {stored_group}"
    unit = 0
    for stored in reader.sample_by_units(number):
        if not np.array_equal(stored, bits[0, unit : unit + len(stored)]):
            return "encoded again: other spikes"
        unit += len(stored)
    return None
