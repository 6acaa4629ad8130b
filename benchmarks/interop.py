"""Stores in other libraries: packed bits against other readers of Zarr, and dense batches against tonic's disk cache.

Of every reader the fastest and the median of several passes over one split, all in one run, alternately. Peers that are
not installed are left out: pip install zarrs tensorstore tonic torch.

    python -m benchmarks.interop mnist.zarr
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import spikeprep
from spikeprep.store import SplitReader
from spikeprep.system import cores


def timed(actions: dict[str, Callable[[], Any]], passes: int) -> dict[str, list[float]]:
    """Run every action `passes` times, alternately, after once that does not count; return the seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(passes):
        for name, action in actions.items():
            begin = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def report(seconds: dict[str, list[float]], samples: int, size: float) -> None:
    """Print samples and MB per second of each action."""
    for name, values in seconds.items():
        best, median = min(values), statistics.median(values)
        rates = f"{samples / median:10,.0f} samples/s ({samples / best:,.0f} at best)"
        print(f"  {name:42} {rates}, {size / median / 1e6:8,.0f} MB/s")


# ------------------------------------------------------------ packed bits


def readers(path: Path, split: SplitReader) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield readers of all packed bits of a split, uint8 (sample, unit, byte)."""
    place = f"{split.split}/spikes"
    out = split.packed(slice(None)).bits
    yield "spikeprep, one thread", lambda: split.packed(slice(None), threads=1).bits
    yield f"spikeprep, {cores()} threads", lambda: split.packed(slice(None)).bits
    yield (
        f"spikeprep, {cores()} threads, an array in hand",
        lambda: split.packed(slice(None), out=out).bits,
    )
    import zarr

    def read_all(pipeline: str | None) -> Callable[[], Any]:
        with zarr.config.set({"codec_pipeline.path": pipeline} if pipeline else {}):
            array: Any = zarr.open_array(path, path=place, mode="r")
        return lambda: array[:]

    yield "zarr-python", read_all(None)
    if hasattr(zarr.core.codec_pipeline, "FusedCodecPipeline"):
        yield "zarr-python, fused", read_all("zarr.core.codec_pipeline.FusedCodecPipeline")
    try:
        import zarrs  # noqa: F401
    except ImportError:
        print("zarrs is not installed: left out")
    else:
        yield "zarrs", read_all("zarrs.ZarrsCodecPipeline")
    try:
        import tensorstore
    except ImportError:
        print("tensorstore is not installed: left out")
    else:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / place)}}
        array = tensorstore.open(spec, read=True).result()
        yield "TensorStore", lambda: array.read().result()


# ------------------------------------------------------------ dense batches


class Dense:
    """The spikes of a split as tonic's caches expect a data set: (bool (time, unit), label)."""

    def __init__(self, split: SplitReader) -> None:
        self._split = split

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, sample: int) -> tuple[Any, int]:
        return self._split[sample], int(self._split.labels[sample])


def batches(split: SplitReader, cache: Path, batch: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield loaders of one epoch of dense batches (sample, time, unit), bool, shuffled."""
    import torch
    from torch.utils.data import DataLoader

    from spikeprep.interop.torch import ShuffledBatches, SpikeDataset, SpikeLoader

    dtype = torch.bool

    def count(loader: Any, unpack: Callable[[Any], Any] | None = None) -> None:
        samples = 0
        for item in loader:
            spikes = unpack(item).spikes if unpack else item[0]
            assert spikes.dtype == dtype
            samples += len(spikes)
        assert samples == len(split)

    loader = SpikeLoader(split, batch, dtype=dtype)
    yield "SpikeLoader", lambda: count(loader)
    packed = SpikeDataset(split, dtype=dtype, packed=True)
    sampler = ShuffledBatches(split, batch)
    one_worker = DataLoader(packed, batch_sampler=sampler, num_workers=1, persistent_workers=True)
    yield "SpikeDataset, packed, one worker", lambda: count(one_worker, packed.dense)
    dense = SpikeDataset(split, dtype=dtype)
    dense_worker = DataLoader(dense, batch_sampler=sampler, num_workers=1, persistent_workers=True)
    yield "SpikeDataset, one worker", lambda: count(dense_worker)
    alone = DataLoader(dense, batch_sampler=sampler)
    yield "SpikeDataset, no worker", lambda: count(alone)
    plain = DataLoader(dense, batch_size=batch, shuffle=True)
    yield "SpikeDataset, shuffle=True, no worker", lambda: count(plain)

    import tonic

    cached = tonic.DiskCachedDataset(Dense(split), cache_path=str(cache))
    for n in range(len(cached)):  # fills the cache
        cached[n]
    for workers in (1, 0):
        theirs = DataLoader(
            cached, batch_size=batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        name = f"tonic.DiskCachedDataset, {'one worker' if workers else 'no worker'}"
        yield name, lambda theirs=theirs: count(theirs)  # type: ignore[misc]


def main() -> None:
    """Time every reader of a store's split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("store")
    parser.add_argument("--split", default="test")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--only", choices=["packed", "dense"])
    arguments = parser.parse_args()
    path = Path(arguments.store)
    split = spikeprep.open_store(path)[arguments.split]
    samples, size = len(split), split.sample_bytes
    print(f"{path}, {split.split}: {samples:,} samples of {size:,} packed bytes, {cores()} cores")
    if arguments.only != "dense":
        print("packed bits, the whole split, from the page cache")
        actions = dict(readers(path, split))
        expected = split.packed(slice(None)).bits
        for name, action in actions.items():
            assert np.array_equal(np.asarray(action()), expected), name
        report(timed(actions, arguments.passes), samples, samples * size)
    if arguments.only != "packed":
        folder = Path(tempfile.mkdtemp(dir=path.absolute().parent))
        try:
            dense = samples * split.max_steps * split.units
            print(f"dense bool batches of {arguments.batch}, shuffled, one epoch: {dense / 1e6:,.0f} MB")
            report(timed(dict(batches(split, folder, arguments.batch)), arguments.passes), samples, dense)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
