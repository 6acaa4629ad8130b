"""Read everything in a store and report what is wrong with which samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import StoreError
from ..packing import overrun, popcount
from .reader import DamagedSamples, SplitReader
from .spike_store import SpikeStore

_MOST_NUMBERS = 1 << 24  # of samples that a problem lists


@dataclass(frozen=True)
class Problem:
    """One fault of a store.

    Attributes
    ----------
    split, shard
        Where it is.
    samples
        Numbers of the affected samples in their split; none where these are all of an implausible number.
    what
        What is wrong, as a sentence without its full stop.
    """

    split: str
    shard: int
    samples: tuple[int, ...]
    what: str

    def __str__(self) -> str:
        return f"{self.split}, shard {self.shard}, samples {_numbers(self.samples)}: {self.what}"


def _numbers(samples: tuple[int, ...]) -> str:
    if len(samples) > 1 and samples[-1] - samples[0] + 1 == len(samples):
        return f"{samples[0]} to {samples[-1]}"
    more = f" and {len(samples) - 20} more" if len(samples) > 20 else ""
    return (", ".join(map(str, samples[:20])) or "all") + more


@dataclass(frozen=True, repr=False)
class VerifyReport:
    """Result of `verify`.

    Attributes
    ----------
    path
        The store.
    complete
        Whether its encoding has finished.
    samples
        Number of samples read.
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

    def __repr__(self) -> str:
        state = "OK" if self.ok else f"{len(self.problems)} problems" if self.complete else "not complete"
        return f"<VerifyReport {self.path}: {state}, {self.samples} samples read>"

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
        Called with (samples read, samples of the store).

    Raises
    ------
    StoreError
        There is no spike store at `path`. What is wrong inside one is reported, not raised.
    """
    store = SpikeStore.open(path, incomplete=True)
    total, done = sum(store.attributes["samples"].values()), 0
    problems: list[Problem] = []
    for split in store.splits:
        try:
            reader = store[split]
        except StoreError as error:
            count = store.attributes["samples"][split]
            samples = tuple(range(count)) if count <= _MOST_NUMBERS else ()
            problems.append(Problem(split, 0, samples, f"{error.got}; expected {error.expected}"))
            continue
        for shard in range(reader.layout.shards):
            problems += _shard_problems(reader, shard, len(store.attributes["classes"]))
            start, stop = reader.layout.sample_range(shard)
            done += stop - start
            if progress:
                progress(done, total)
    return VerifyReport(store.path, store.complete, done, problems)


def _shard_problems(reader: SplitReader, shard: int, classes: int) -> Iterator[Problem]:
    start, stop = reader.layout.sample_range(shard)
    arrays: dict[str, Any] = {}
    for name in reader.layout.sample_arrays:
        try:
            arrays[name] = np.array(reader.read_sample_array(name, shard))
        except DamagedSamples as error:
            yield Problem(reader.split, shard, tuple(range(start, stop)), error.what)

    def problem(wrong: Any, first: int, what: str) -> Iterator[Problem]:
        if wrong.any():
            yield Problem(reader.split, shard, tuple((first + np.flatnonzero(wrong)).tolist()), what)

    if "labels" in arrays:
        outside = (arrays["labels"] < 0) | (arrays["labels"] >= classes)
        yield from problem(outside, start, "label outside the classes")
    if "steps" in arrays:
        yield from problem(arrays["steps"] > reader.max_steps, start, "more steps than the store has")
    for first in range(start, stop, reader.chunk_samples):
        last = min(first + reader.chunk_samples, stop)
        counts, over = np.zeros(last - first, np.int64), np.zeros(last - first, bool)
        rows = slice(first - start, last - start)
        try:
            for chunk in reader.chunk_by_units(first // reader.chunk_samples):
                bits = np.ascontiguousarray(chunk[: last - first])
                counts += popcount(bits.reshape(last - first, -1))
                over |= overrun(bits, arrays["steps"][rows]) if "steps" in arrays else False
        except DamagedSamples as error:
            yield Problem(reader.split, shard, tuple(range(first, last)), error.what)
            continue
        if "counts" in arrays:
            yield from problem(counts != arrays["counts"][rows], first, "counts differ from the spikes")
        yield from problem(over, first, "spikes at or past the sample's own steps")
