"""Source → chain → store, in parallel: a worker encodes and writes whole shards, a chunk at a time.

Workers are threads: the encoders' kernels and the compressors release the interpreter's lock. Where samples are large
no more workers are let on at once than fit into `_ROOM`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .data import Bits, Sample, SpikeTrain
from .encoders.base import Chain, Encoder
from .errors import DataError, UsageError
from .machine import cores
from .random import SampleKey
from .recipes import Recipe
from .sources.base import Source
from .store import Compression, Shard, ShardWriter, SpikeStore, SpikeWriter, SplitLayout

Chunk = tuple[Bits, NDArray[Any], NDArray[Any], list[str]]
"""Spikes (sample, unit, byte), and each sample's steps, label and id."""

Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all), one call at a time, from any thread."""

_PROBE = 32  # samples that a plan encodes to estimate a store's size
_ROOM = 256 << 20  # bytes of spikes that all workers together may hold
_STAGED = 32 << 20  # bytes at most that an encoder holds beside the spikes that it makes
_PART = 64 << 20  # bytes of a large sample's spikes that are made at a time
_LARGEST = 16 << 30  # bytes of a sample: whoever reads it holds all of it


@dataclass(frozen=True)
class EncodePlan:
    """What `encode` would do.

    Attributes
    ----------
    path
        Where the store would be.
    recipe
        Name of the recipe.
    samples
        Split → number of samples.
    classes
        Name of each class.
    unit_shape, steps, dt
        Shape of a sample's units, the time steps of the longest, and the seconds of a step.
    raw_bytes, estimated_bytes
        Size of all samples packed, and compressed as the first ones are.
    """

    path: str
    recipe: str
    samples: dict[str, int]
    classes: tuple[str, ...]
    unit_shape: tuple[int, ...]
    steps: int
    dt: float
    raw_bytes: int
    estimated_bytes: int


@dataclass(frozen=True)
class EncodeSummary:
    """What `encode` did.

    Attributes
    ----------
    path
        Where the store is.
    samples
        Split → number of samples in the store.
    encoded
        Samples encoded by this call; the others were there already.
    seconds
        What this call took.
    stored_bytes
        Size of the whole store.
    note
        What a person should know about the data, or nothing.
    """

    path: str
    samples: dict[str, int]
    encoded: int
    seconds: float
    stored_bytes: int
    note: str = ""

    @property
    def bytes_per_sample(self) -> float:
        """Bytes of the store per sample."""
        return self.stored_bytes / max(sum(self.samples.values()), 1)


class _Job:
    """A recipe with its source opened, one sample encoded, and the length of all known."""

    def __init__(
        self,
        recipe: Recipe,
        source_path: str | os.PathLike[str] | None,
        seed: int,
        limit: int | None,
        workers: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise UsageError(f"got limit {limit}", "at least 1 sample a split")
        self.recipe, self.seed = recipe, seed
        self.source: Source = recipe.open_source(source_path)
        self.chain: Chain = recipe.build_chain()
        available = self.source.splits()
        self.samples = {split: n if limit is None else min(n, limit) for split, n in available.items()}
        self.workers = workers or cores()
        encoder, split = self.chain.encoder, next(iter(self.samples))
        outline = self.chain.outline(self.source.outline(split, 0))
        self.unit_shape = encoder.unit_shape(outline)
        self.units, self.dt = prod(self.unit_shape), encoder.step_seconds(outline)
        self.max_steps = self._longest() if encoder.ragged else encoder.max_steps(outline)
        self.room = _Room(_ROOM)
        if (size := self.units * -(-self.max_steps // 8)) > _LARGEST:
            raise UsageError(
                f"a sample would be {self.units:,} units of {self.max_steps:,} steps, {size / 1e9:.1f} GB",
                f"at most {_LARGEST / 1e9:.1f} GB",
                f"Have {encoder.name} make fewer or wider steps, or a transform ahead of it make the signal smaller.",
            )

    def _longest(self) -> int:
        """Return the steps of the longest sample, from outlines of all: what no sample's order can change."""

        def steps(where: tuple[str, int]) -> int:
            outline = self.chain.outline(self.source.outline(*where))
            if (shape := self.chain.encoder.unit_shape(outline)) != self.unit_shape:
                sample = f"sample {where[1]} of {where[0]}"
                raise _misfit(
                    f"{sample} would have units {shape}", f"{self.unit_shape}, like the first sample"
                )
            return self.chain.encoder.max_steps(outline)

        every = [(split, n) for split, count in self.samples.items() for n in range(count)]
        with ThreadPoolExecutor(self.workers) as pool:
            return max(pool.map(steps, every, chunksize=64))

    def key(self, split: str, sample: int) -> SampleKey:
        return SampleKey(self.seed, split, sample)

    def encode(self, split: str, start: int, stop: int) -> Iterator[tuple[Sample, SpikeTrain]]:
        """Yield samples [start, stop) of a split with their spikes."""
        encoder = self.chain.encoder
        if (
            type(encoder).encode_batch is Encoder.encode_batch
        ):  # one after another, so that one signal is held
            for n in range(start, stop):
                sample, key = self.source.read(split, n), self.key(split, n)
                yield sample, encoder.encode(self.chain.prepare(sample.signal, rng=key), rng=key)
            return
        samples = [self.source.read(split, n) for n in range(start, stop)]
        keys = [self.key(split, n) for n in range(start, stop)]
        yield from zip(samples, self.chain.encode_batch([s.signal for s in samples], rngs=keys), strict=True)

    def chunk(self, split: str, start: int, stop: int, width: int) -> Chunk:
        """Return samples [start, stop) of a split as the store holds them, `width` bytes a unit."""
        rows = stop - start
        bits = np.empty((rows, self.units, 0), np.uint8)
        steps, labels, ids = [], [], []
        for row, (sample, train) in enumerate(self.encode(split, start, stop)):
            units, own = train.bits.shape
            if units != self.units or train.steps > self.max_steps:
                raise _misfit(
                    f"sample {sample.id} became {units} units of {train.steps} steps",
                    f"{self.units} units of at most {self.max_steps} steps, like the first sample",
                )
            if rows == 1 and own == width:
                bits = train.bits[None]  # a large sample is not copied
            else:
                bits = bits if bits.shape[2] else np.zeros((rows, self.units, width), np.uint8)
                bits[row, :, :own] = train.bits
            steps.append(train.steps)
            labels.append(sample.label)
            ids.append(sample.id)
        return bits, np.array(steps), np.array(labels), ids

    def cuts(self, layout: SplitLayout) -> list[tuple[int, int]]:
        """Return the runs of units in which a large sample is made."""
        held = max(_PART // (layout.width * layout.chunk[1]), 1) * layout.chunk[1]
        return [(first, min(first + held, self.units)) for first in range(0, self.units, held)]

    def append_large(self, out: ShardWriter, split: str, n: int, layout: SplitLayout) -> None:
        """Encode sample `n` of a split and write it, a run of its units after another."""
        sample, key = self.source.read(split, n), self.key(split, n)
        signal = self.chain.prepare(sample.signal, rng=key)
        steps = self.chain.encoder.max_steps(signal)
        if (shape := self.chain.encoder.unit_shape(signal)) != self.unit_shape or steps > self.max_steps:
            raise _misfit(
                f"sample {sample.id} would have units {shape} and {steps} steps",
                f"{self.unit_shape} and at most {self.max_steps} steps, like the first sample",
            )

        def parts() -> Iterator[Bits]:
            for train in self.chain.encoder.encode_parts(signal, self.cuts(layout), rng=key):
                units, own = train.bits.shape
                bits = train.bits
                if own < layout.width:
                    bits = np.zeros((units, layout.width), np.uint8)
                    bits[:, :own] = train.bits
                yield bits[None]

        out.append_parts(parts(), np.array([steps]), np.array([sample.label]), [sample.id])

    def probe(self) -> Bits:
        """Return spikes to estimate a store's size by: the first samples, or of a large one the units in its middle."""
        split, layout = next(iter(self.layouts().items()))
        if layout.parts > 1:
            key, cuts = self.key(split, 0), self.cuts(layout)
            signal = self.chain.prepare(self.source.read(split, 0).signal, rng=key)
            middle = cuts[len(cuts) // 2]
            return next(self.chain.encoder.encode_parts(signal, [middle], rng=key)).bits
        few = max(_ROOM // 4 // max(self.units * layout.width, 1), 1)
        return self.chunk(split, 0, min(layout.samples, _PROBE, few), layout.width)[0]

    def needs(self, rows: int, layout: SplitLayout) -> int:
        """Return the bytes that a chunk of `rows` samples takes while it is made."""
        size = self.units * layout.width if layout.parts == 1 else _PART
        return rows * size + min(size, _STAGED) + (size if rows > 1 or self.chain.encoder.ragged else 0)

    def layouts(self) -> dict[str, SplitLayout]:
        return {split: SplitLayout.fit(n, self.units, self.max_steps) for split, n in self.samples.items()}

    def attributes(self) -> dict[str, Any]:
        """Return the store's attributes: what was made from what, and nothing of where or when."""
        reader = {
            key: value for key, value in self.source.to_config().items() if key not in ("path", "licence")
        }
        return {
            "version": __version__,
            "recipe": self.recipe.name,
            "title": self.recipe.title,
            "citation": self.recipe.citation,
            "chain": self.chain.to_config(),
            "seed": self.seed,
            "dt": self.dt,
            "unit_shape": list(self.unit_shape),
            "classes": list(self.source.classes),
            "source": {"reader": reader, **self.source.provenance()},
        }


def plan(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    source_path: str | os.PathLike[str] | None = None,
    seed: int = 0,
    limit: int | None = None,
) -> EncodePlan:
    """Return what `encode` would do with the same arguments; writes nothing.

    Raises
    ------
    DataError
        The raw data are missing or damaged.
    """
    job = _Job(recipe, source_path, seed, limit)
    each, total = max(job.units * -(-job.max_steps // 8), 1), sum(job.samples.values())
    probe = job.probe()
    packed = Compression().encode(probe)
    return EncodePlan(
        path=os.fspath(out),
        recipe=recipe.name,
        samples=job.samples,
        classes=job.source.classes,
        unit_shape=job.unit_shape,
        steps=job.max_steps,
        dt=job.dt,
        raw_bytes=total * each,
        estimated_bytes=total * each * len(packed) // max(probe.nbytes, 1),
    )


def encode(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    source_path: str | os.PathLike[str] | None = None,
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> EncodeSummary:
    """Encode a recipe's data into a spike store; goes on where an interrupted call stopped.

    The store's bytes depend on the recipe, the raw data, `seed` and `limit` alone, not on `workers` or
    interruptions.

    Parameters
    ----------
    recipe
        See `spikeprep.recipes.load_recipe`.
    out
        A path or an fsspec URL.
    source_path
        Folder of the raw data, for recipes that need one.
    seed
        Seed of every random number, 0 ≤ seed < 2⁶⁴.
    limit
        At most so many samples of each split, the first ones.
    workers
        Threads; as many as the machine has cores unless told otherwise.
    overwrite
        Whether to replace a spike store that is complete, or of another configuration.
    progress
        Called with (samples done, samples in all), one call at a time, from any thread.

    Raises
    ------
    DataError
        The raw data are missing or damaged. What was written stays, and is gone on with.
    StoreError
        Something else, or a store of another configuration, is at `out`; or it cannot be written.
    """
    began = time.perf_counter()
    job = _Job(recipe, source_path, seed, limit, workers)
    attributes = job.attributes()
    writer = SpikeWriter.open(out, attributes, job.layouts(), overwrite=overwrite)
    pending = writer.pending()
    todo = sum(shard.stop - shard.start for shard in pending)
    count = _Count(total := sum(job.samples.values()), total - todo, progress)
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=job.workers) as pool:
        tasks = [pool.submit(_encode_shard, job, writer, shard, count, stop) for shard in pending]
        try:
            wait(tasks, return_when=FIRST_EXCEPTION)
        finally:  # after an error or Ctrl-C the others stop at their next chunk
            stop.set()
            pool.shutdown(cancel_futures=True)
    errors = [error for task in tasks if not task.cancelled() and (error := task.exception())]
    for error in errors:
        if not isinstance(error, _Stopped):
            raise error
    writer.complete()
    return EncodeSummary(
        path=os.fspath(out),
        samples=job.samples,
        encoded=todo,
        seconds=time.perf_counter() - began,
        stored_bytes=SpikeStore.open(out).stored_bytes(),
        note=attributes["source"].get("note", ""),
    )


class _Stopped(Exception):
    """Raised in a worker because another one failed."""


class _Count:
    """Adds up samples of all workers."""

    def __init__(self, total: int, done: int, progress: Progress | None) -> None:
        self._total, self._done, self._progress, self._lock = total, done, progress, threading.Lock()
        self.add(0)

    def add(self, samples: int) -> None:
        with self._lock:
            self._done += samples
            if self._progress:
                self._progress(self._done, self._total)


def _encode_shard(job: _Job, writer: SpikeWriter, shard: Shard, count: _Count, stop: threading.Event) -> None:
    layout = writer.layouts[shard.split]
    with writer.shard(shard) as out:
        for start in range(shard.start, shard.stop, layout.chunk_samples):
            samples = min(layout.chunk_samples, shard.stop - start)
            with job.room.take(job.needs(samples, layout)):
                if stop.is_set():
                    raise _Stopped
                if layout.parts > 1:
                    job.append_large(out, shard.split, start, layout)
                else:
                    out.append(*job.chunk(shard.split, start, start + samples, layout.width))
            count.add(samples)


class _Room:
    """Lets workers on while what they need together fits; one alone may need more."""

    def __init__(self, size: int) -> None:
        self._size, self._taken, self._change = size, 0, threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Wait until there is room for `size` more, and hold it."""
        with self._change:
            self._change.wait_for(lambda: not self._taken or self._taken + size <= self._size)
            self._taken += size
        try:
            yield
        finally:
            with self._change:
                self._taken -= size
                self._change.notify_all()


def _misfit(got: str, expected: str) -> DataError:
    return DataError(got, expected, "Bring all samples to one size, or remove this one.")
