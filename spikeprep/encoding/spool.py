"""Compressed samples wait in a temporary file until the store's layout is known, and are written from there."""

from __future__ import annotations

import os
import tempfile
import threading
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from math import prod
from typing import Self

import numpy as np

from ..data import Bits
from ..errors import StoreError
from ..store import Shard, SpikeWriter, SplitLayout
from ..urls import local_path
from .sample_packing import SPOOL_COMPRESSION
from .sample_table import SampleData, SplitColumns

_WRITE_BYTES = 256 << 20  # of packed spikes that all threads together hold while they write the store


class Spool:
    """Compressed samples in a temporary file without a name, on the disk of the store to be; any thread may read."""

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self._folder: str | None = None
        if (path := local_path(out)) is not None:
            parents = path.absolute().parents
            self._folder = str(next(folder for folder in parents if folder.is_dir()))
        self._ends, self._lock = array("q", [0]), threading.Lock()

    def __enter__(self) -> Self:
        with self._errors():
            self._file = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # a full disk was reported when the data were written
            self._file.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            folder = self._folder or tempfile.gettempdir()
            raise StoreError(
                f"cannot write a temporary file in {folder} ({error.strerror or error})",
                "",
                "Free some space, or check the folder's permissions.",
            ) from error

    def append(self, data: bytes) -> None:
        """Add the next sample."""
        with self._errors():
            self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def flush(self) -> None:
        """Make what was added readable."""
        with self._errors():
            self._file.flush()

    def read(self, position: int) -> bytes:
        """Return the sample that was added at a position, the first at 0."""
        start, stop = self._ends[position], self._ends[position + 1]
        with self._lock:
            self._file.seek(start)
            return self._file.read(stop - start)


def write_shards(writer: SpikeWriter, data: SampleData, spool: Spool, threads: int) -> None:
    """Write every shard that is missing, and mark the store as complete."""
    spool.flush()
    units = prod(data.unit_shape)

    def bits(columns: SplitColumns, layout: SplitLayout, start: int, stop: int) -> Bits:
        packed = np.zeros((stop - start, units, layout.unit_bytes), np.uint8)
        for row, n in zip(packed, range(start, stop), strict=True):
            content = SPOOL_COMPRESSION.decode(spool.read(columns.positions[n]))
            sample = np.frombuffer(content, np.uint8).reshape(units, -1)
            row[:, : sample.shape[1]] = sample
        return packed

    def write(shard: Shard) -> None:
        columns, layout = data.splits[shard.split], writer.layouts[shard.split]
        labels, steps, groups = (
            np.asarray(column) for column in (columns.labels, columns.steps, columns.groups)
        )
        with writer.shard(shard) as out:
            for start in range(shard.start, shard.stop, layout.chunk_samples):
                rows = slice(start, min(start + layout.chunk_samples, shard.stop))
                out.append(
                    bits(columns, layout, rows.start, rows.stop),
                    steps[rows],
                    labels[rows],
                    columns.ids[rows],
                    groups[rows] if columns.grouped else None,
                )

    largest = max(layout.chunk_samples * units * layout.unit_bytes for layout in writer.layouts.values())
    with ThreadPoolExecutor(max(min(threads, _WRITE_BYTES // largest), 1), "spikeprep-write") as pool:
        for _ in pool.map(write, writer.pending()):
            pass
    writer.complete()
