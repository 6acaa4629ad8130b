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

from ..recipes import Recipe
from ..store import Compression, Shard, SpikeStore, SpikeWriter
from .plan import Job

Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all), one call at a time, from any thread."""

_ROOM = 256 << 20  # bytes of spikes that all workers together may hold


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
    job = Job(recipe, source_path, seed, limit)
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
    job = Job(recipe, source_path, seed, limit, workers)
    attributes = job.attributes()
    writer = SpikeWriter.open(out, attributes, job.layouts(), overwrite=overwrite)
    pending = writer.pending()
    todo = sum(shard.stop - shard.start for shard in pending)
    count = _Count(total := sum(job.samples.values()), total - todo, progress)
    stop, room = threading.Event(), _Room(_ROOM)
    with ThreadPoolExecutor(max_workers=job.workers) as pool:
        tasks = [pool.submit(_encode_shard, job, writer, shard, room, count, stop) for shard in pending]
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


def _encode_shard(
    job: Job, writer: SpikeWriter, shard: Shard, room: _Room, count: _Count, stop: threading.Event
) -> None:
    layout = writer.layouts[shard.split]

    def go_on() -> None:
        if stop.is_set():
            raise _Stopped

    with writer.shard(shard) as out:
        for start in range(shard.start, shard.stop, layout.chunk_samples):
            samples = min(layout.chunk_samples, shard.stop - start)
            with room.take(job.needs(samples, layout)):
                go_on()
                if layout.unit_chunks > 1:
                    job.append_large(out, shard.split, start, layout, go_on)
                else:
                    out.append(*job.chunk(shard.split, start, start + samples, layout.unit_bytes))
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
