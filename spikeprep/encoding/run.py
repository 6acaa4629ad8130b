"""Encode into a store, in parallel: each worker encodes and writes one shard after another.

Workers are threads unless an executor is given: the kernels of encoders and the compressors release the interpreter's
lock. A task is small when pickled, settings and paths and no data, so that processes and machines can run it too.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..compilation import working_time
from ..config import Count, fitted
from ..data import Bits
from ..errors import CapabilityError, DataError, UsageError
from ..recipes import Recipe
from ..store import Shard, ShardWriter, SpikeStore, SpikeWriter
from ..store.outputs import check_output
from ..system import cores
from ..text import format_bytes, html_table, samples_by_split
from .findings import refuse, store_findings
from .plan import StorePlan, chunk_bytes, open_encoder, unit_ranges
from .samples import SampleEncoder, Shape

Progress = Callable[[int, int], None]
"""Called with (samples done, samples in all), one call at a time, from any thread."""

_MEMORY_BYTES = 256 << 20  # of spikes that all workers of a process hold together


class SummaryRead(UsageError, TypeError):
    """What `encode` returned was used as a store that is open."""


@dataclass(frozen=True, repr=False)
class EncodeSummary:
    """What `encode` did.

    Attributes
    ----------
    path
        Where the store is.
    samples
        Split → number of samples in the store.
    encoded
        Samples encoded by this call; the others were there before.
    seconds
        Duration of this call, without compiling kernels.
    stored_bytes
        Size of the whole store.
    note
        What was decided from the data; may be empty.
    findings
        What deserves attention, one text each; see `spikeprep.encoding.findings`.
    digest
        The digest over all files of the store; see `spikeprep.store.manifest`.
    changed
        Whether this call wrote anything.
    """

    path: str
    samples: dict[str, int]
    encoded: int
    seconds: float
    stored_bytes: int
    note: str = ""
    findings: tuple[str, ...] = ()
    digest: str | None = None
    changed: bool = True

    @property
    def bytes_per_sample(self) -> float:
        """Bytes of the store per sample."""
        return self.stored_bytes / max(sum(self.samples.values()), 1)

    __iter__ = None  # `__getitem__` would make it iterable

    def __getitem__(self, split: str) -> NoReturn:
        raise SummaryRead(
            f"got [{split!r}] of what `encode` returned",
            "a store that is open for reading",
            f"Use spikeprep.open_store({self.path!r})[{split!r}].",
        )

    def to_json(self) -> dict[str, Any]:
        """Return the attributes and `bytes_per_sample`, JSON-ready."""
        return asdict(self) | {"bytes_per_sample": self.bytes_per_sample}

    def __str__(self) -> str:
        return f"{samples_by_split(self.samples)}, {format_bytes(self.stored_bytes)}, {self.encoded:,} encoded now"

    def __repr__(self) -> str:
        return f"EncodeSummary({self.path!r}: {self})"

    def _repr_html_(self) -> str:
        rows = [("split", "samples"), *((split, f"{n:,}") for split, n in self.samples.items())]
        return html_table(rows, f"{self.path}: {self}")


@dataclass(frozen=True)
class ShardTask:
    """One shard to encode: settings and paths, no data; see `encode_shard`.

    Attributes
    ----------
    recipe, source_path, seed, limit
        As for `encode`.
    shape
        Size of the store's samples.
    lengths
        Steps of each sample of the shard, uint32 (sample,), where samples differ in steps; else None.
    writer, shard
        The store, and which of its shards.
    call
        Identifies the call of `encode`: a process opens the source once per call.
    digests
        For other processes: what each sample of the shard must be read from, see `Source.digest`; empty: not compared.
    """

    recipe: Recipe
    source_path: str | None
    seed: int
    limit: int | None
    shape: Shape
    lengths: NDArray[np.uint32] | None
    writer: SpikeWriter
    shard: Shard
    call: str
    digests: tuple[bytes, ...] = ()

    @property
    def samples(self) -> int:
        """Number of samples of the shard."""
        return self.shard.stop - self.shard.start


def encode(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    source_path: str | os.PathLike[str] | None = None,
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    repair: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    executor: Executor | None = None,
) -> EncodeSummary:
    """Encode a recipe's data into a spike store; continues where an interrupted call stopped.

    The store's bytes depend on the recipe, the raw data, `seed` and `limit` alone, not on `workers`, the executor or
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
        The number of samples of each split, the first ones; None: all.
    workers
        Number of threads; None: as many as the machine has cores.
    overwrite
        Whether to replace a spike store that is complete, or of another configuration.
    repair
        Whether to read everything in a complete store, and encode again what is damaged or missing.
    strict
        Whether what deserves attention is an error.
    progress
        Called with (samples done, samples in all), one call at a time, from any thread.
    note
        Called with a message before a wait of some seconds.
    executor
        Runs the tasks instead of threads of this call: any `concurrent.futures` executor, such as a
        `ProcessPoolExecutor`. It is not shut down. Other processes open the source themselves, once each, and know the
        plugins of installed packages, not those registered in this process. Progress then counts whole shards.

    Raises
    ------
    DataError
        The raw data are missing or damaged. What is written stays, and the next call continues from there. Or `strict`
        is set, and something deserves attention: before anything is written where the source knows it, else when the
        store is complete.
    PluginError
        A plugin breaks its contract; the message names it and the sample.
    UsageError
        `out` is inside another store, or arguments contradict each other.
    StoreError
        Something else, or a store of another configuration, is at `out`; another process writes it; or it cannot be
        written.
    CapabilityError
        A process of the executor ended.
    """
    began = working_time()
    if overwrite and repair:
        raise UsageError("got overwrite = True and repair = True", "one of them")
    check_output(out)
    workers = fitted(workers, Count | None, "workers") or cores()
    plan = StorePlan(recipe, source_path, seed, limit, workers)
    if strict:
        refuse(plan.findings())
    attributes = plan.attributes()
    elsewhere = executor is not None and not isinstance(executor, ThreadPoolExecutor)
    with SpikeWriter.open(
        out, attributes, plan.layouts(), overwrite=overwrite, repair=repair, note=note
    ) as writer:
        changed = not writer.is_complete
        call = uuid.uuid4().hex
        tasks = [_task(plan, writer, shard, call, elsewhere) for shard in writer.pending()]
        todo, total = sum(task.samples for task in tasks), sum(plan.samples.values())
        _run(tasks, plan.encoder, _Control(_Count(total, total - todo, progress)), executor, workers)
        if elsewhere:
            writer.remove_abandoned()
        writer.complete()
    store = SpikeStore.open(out)
    findings = store_findings(store)
    if strict:
        refuse(findings, store.path)
    return EncodeSummary(
        path=store.path,
        samples=plan.samples,
        encoded=todo,
        seconds=working_time() - began,
        stored_bytes=store.stored_bytes(),
        note=plan.remark(),
        findings=tuple(findings),
        digest=store.digest(),
        changed=changed,
    )


def _task(plan: StorePlan, writer: SpikeWriter, shard: Shard, call: str, elsewhere: bool) -> ShardTask:
    lengths = plan.steps(shard.split, shard.start, shard.stop) if plan.shape.ragged else None
    samples = range(shard.start, shard.stop) if elsewhere else ()
    digests = tuple(plan.encoder.digest(shard.split, n) for n in samples)
    source_path = os.path.abspath(plan.source_path) if elsewhere and plan.source_path else plan.source_path
    return ShardTask(
        plan.recipe,
        source_path,
        plan.seed,
        plan.limit,
        plan.shape,
        lengths,
        writer,
        shard,
        call,
        digests,
    )


def _run(
    tasks: list[ShardTask], encoder: SampleEncoder, control: _Control, executor: Executor | None, workers: int
) -> None:
    """Run tasks; after an error or Ctrl-C the threads stop at their next chunk, other workers after their shard."""
    pool = executor or ThreadPoolExecutor(workers)
    futures: list[Future[int]] = []
    try:
        for task in tasks:
            if isinstance(pool, ThreadPoolExecutor):
                futures.append(pool.submit(_encode_or_stop, task, encoder, control))
            else:
                futures.append(pool.submit(encode_shard, task))
                futures[-1].add_done_callback(control.count.add_result)
        wait(futures, return_when=FIRST_EXCEPTION)
    except BrokenExecutor:
        pass  # answered below
    finally:
        control.stop.set()
        for future in futures:
            future.cancel()
        if executor is None:
            pool.shutdown()
        else:
            wait(futures)
    errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
    errors = [error for error in errors if not isinstance(error, _Stopped)]
    for error in errors:
        if not isinstance(error, BrokenExecutor):
            raise error
    if errors or len(futures) < len(tasks):
        raise CapabilityError(
            "a worker process of the executor ended before its shard was written",
            "",
            "Give it more memory, or use fewer workers; the same call continues where this one stopped.",
        )


def encode_shard(task: ShardTask) -> int:
    """Encode and write one shard; return the number of its samples. Runs in any process.

    A process opens the source once for all its shards of a call of `encode`.
    """
    recipe = json.dumps(task.recipe.to_json(), sort_keys=True)
    encoder = _opened(task.call, recipe, task.source_path, task.seed, task.limit)
    return _encode_shard(task, encoder, _Control(_Count(task.samples, 0, None), _process_memory))


@functools.lru_cache(maxsize=1)
def _opened(call: str, recipe: str, source_path: str | None, seed: int, limit: int | None) -> SampleEncoder:
    return open_encoder(Recipe.from_json(json.loads(recipe)), source_path, seed, limit)


def _encode_or_stop(task: ShardTask, encoder: SampleEncoder, control: _Control) -> int:
    """Encode a shard in a thread; after an error stop the other threads at once."""
    try:
        return _encode_shard(task, encoder, control)
    except BaseException:
        control.stop.set()
        raise


def _encode_shard(task: ShardTask, encoder: SampleEncoder, control: _Control) -> int:
    writer, shard, shape = task.writer, task.shard, task.shape
    layout = writer.layouts[shard.split]
    lengths = task.lengths
    if lengths is None:
        lengths = np.full(task.samples, shape.steps, np.uint32)
    with writer.shard(shard) as out:
        for start in range(shard.start, shard.stop, layout.chunk_samples):
            stop = min(start + layout.chunk_samples, shard.stop)
            steps = lengths[start - shard.start : stop - shard.start]
            with control.memory.reserve(chunk_bytes(stop - start, layout, shape.ragged)):
                control.check()
                if layout.unit_chunks > 1:
                    _append_large(encoder, out, task, start, steps, control)
                else:
                    out.append(*encoder.chunk(shard.split, start, steps, shape))
                if task.digests:
                    _check_digests(task, encoder, start, stop)
            control.count.add(stop - start)
    return task.samples


def _check_digests(task: ShardTask, encoder: SampleEncoder, start: int, stop: int) -> None:
    """Raise `DataError` where samples [start, stop) were not read from what the process that planned them read."""
    shard = task.shard
    for n, expected in enumerate(task.digests[start - shard.start : stop - shard.start], start):
        if expected and encoder.digest(shard.split, n) != expected:
            sample = encoder.read(shard.split, n)[0].id
            raise DataError(
                f"sample {sample} of {shard.split} has changed since the encoding began",
                "the files, labels and names that it began with",
                "Once the files stay as they are, run this again; a store that was begun needs overwrite=True.",
            )


def _append_large(
    encoder: SampleEncoder,
    out: ShardWriter,
    task: ShardTask,
    index: int,
    steps: NDArray[np.uint32],
    control: _Control,
) -> None:
    """Encode a sample and write it, one range of its units after another."""
    split = task.shard.split
    ranges = unit_ranges(task.writer.layouts[split])
    sample, parts = encoder.parts(split, index, int(steps[0]), task.shape, ranges)

    def checked() -> Iterator[Bits]:
        for bits in parts:
            control.check()
            yield bits

    groups = encoder.groups(split, [index])
    out.append_by_units(checked(), steps, np.array([sample.label]), [sample.id], groups)


class _Stopped(Exception):
    """Raised in a worker because another one failed."""


class _Count:
    """Adds up the samples of all workers."""

    def __init__(self, total: int, done: int, progress: Progress | None) -> None:
        self._total, self._done, self._progress, self._lock = total, done, progress, threading.Lock()
        self.add(0)

    def add(self, samples: int) -> None:
        with self._lock:
            self._done += samples
            if self._progress:
                self._progress(self._done, self._total)

    def add_result(self, future: Future[int]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.add(future.result())


class _Memory:
    """Delays workers while what they hold together is more than `size` bytes; one alone may hold more."""

    def __init__(self, size: int) -> None:
        self._size, self._reserved, self._change = size, 0, threading.Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` more bytes fit, and hold them."""
        with self._change:
            self._change.wait_for(lambda: not self._reserved or self._reserved + size <= self._size)
            self._reserved += size
        try:
            yield
        finally:
            with self._change:
                self._reserved -= size
                self._change.notify_all()


_process_memory = _Memory(_MEMORY_BYTES)


class _Control:
    """What the workers of one process share: the progress, the memory, and whether to stop."""

    def __init__(self, count: _Count, memory: _Memory | None = None) -> None:
        self.count, self.memory, self.stop = count, memory or _Memory(_MEMORY_BYTES), threading.Event()

    def check(self) -> None:
        """Raise `_Stopped` where the workers are to stop."""
        if self.stop.is_set():
            raise _Stopped
