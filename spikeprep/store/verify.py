"""Read everything in a store and say what is wrong with which samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import StoreError
from ..packing import overrun, popcount
from .layout import SMALL
from .reader import DamagedSamples, SpikeStore, SplitReader


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    split, shard
        Where.
    samples
        Numbers of the samples in their split.
    what
        What is wrong, as a sentence without its stop.
    """

    split: str
    shard: int
    samples: tuple[int, ...]
    what: str

    def __str__(self) -> str:
        first, last = self.samples[0], self.samples[-1]
        run = len(self.samples) > 1 and last - first + 1 == len(self.samples)
        named = f"{first} to {last}" if run else ", ".join(map(str, self.samples[:20]))
        more = f" and {len(self.samples) - 20} more" if not run and len(self.samples) > 20 else ""
        return f"{self.split}, shard {self.shard}, samples {named}{more}: {self.what}"


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found.

    Attributes
    ----------
    path
        The store.
    complete
        Whether its encoding has finished.
    samples
        How many samples were read.
    problems
        Everything that is wrong.
    """

    path: str
    complete: bool
    samples: int
    problems: list[Problem]

    @property
    def ok(self) -> bool:
        """Whether the store is complete and nothing is wrong."""
        return self.complete and not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the report, JSON-ready."""
        return {"ok": self.ok, **asdict(self)}


def verify(path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Read every byte of a store and check it: checksums, counts, padding bits, lengths, labels.

    Parameters
    ----------
    path
        A path or an fsspec URL.
    progress
        Called with (samples done, samples in all).

    Raises
    ------
    StoreError
        There is no store to look into at all. What is wrong inside it is reported, not raised.
    """
    store = SpikeStore.open(path, incomplete=True)
    total, done = sum(store.attributes["samples"].values()), 0
    problems: list[Problem] = []
    for split in store.splits:
        expected = store.attributes["samples"][split]
        try:
            reader = store[split]
        except StoreError as error:
            problems.append(Problem(split, 0, tuple(range(expected)), error.got))
            continue
        if len(reader) != expected:
            numbers = tuple(sorted((len(reader), expected)))
            problems.append(Problem(split, 0, numbers, f"has {len(reader)} samples, not {expected}"))
        for shard in range(reader.layout.shards):
            problems += _shard_problems(reader, shard, len(store.attributes["classes"]))
            start, stop = reader.layout.span(shard)
            done += stop - start
            if progress:
                progress(done, total)
    return VerifyReport(store.path, store.complete, done, problems)


def _shard_problems(reader: SplitReader, shard: int, classes: int) -> Iterator[Problem]:
    start, stop = reader.layout.span(shard)
    everything = tuple(range(start, stop))
    small: dict[str, Any] = {}
    for name in SMALL:
        try:
            small[name] = np.array(reader.small_chunk(name, shard))
        except DamagedSamples as error:
            yield Problem(reader.split, shard, everything, error.what)

    def wrong(bad: Any, first: int, what: str) -> Iterator[Problem]:
        if bad.any():
            yield Problem(reader.split, shard, tuple((first + np.flatnonzero(bad)).tolist()), what)

    if "labels" in small:
        yield from wrong(
            (small["labels"] < 0) | (small["labels"] >= classes), start, "label outside the classes"
        )
    if "steps" in small:
        yield from wrong(small["steps"] > reader.max_steps, start, "more steps than the store has")
    for first in range(start, stop, reader.chunk_samples):
        last = min(first + reader.chunk_samples, stop)
        counts, over = np.zeros(last - first, np.int64), np.zeros(last - first, bool)
        here = slice(first - start, last - start)
        try:
            for part in reader.parts(first // reader.chunk_samples):
                bits = np.ascontiguousarray(part[: last - first])
                counts += popcount(bits.reshape(last - first, -1))
                over |= overrun(bits, small["steps"][here]) if "steps" in small else False
        except DamagedSamples as error:
            yield Problem(reader.split, shard, tuple(range(first, last)), error.what)
            continue
        if "counts" in small:
            yield from wrong(counts != small["counts"][here], first, "counts differ from the spikes")
        yield from wrong(over, first, "spikes at or past the sample's own steps")
