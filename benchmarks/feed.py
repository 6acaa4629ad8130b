"""Rates at which samples are read from a store and, with a GPU, copied to it, in GB/s of packed bits.

    spikeprep encode mnist --source DIR --out mnist.zarr
    python -m benchmarks.feed mnist.zarr [--threads 1 2 4] [--epoch-seconds 0.8] [--gpu]

A CPU second is one core busy for one second; unlike wall time it does not include the time of other processes.
"""

from __future__ import annotations

import argparse
import threading
import time

import numpy as np

from spikeprep.feed.batches import BatchStream
from spikeprep.store import SpikeStore, SplitReader


def read_rate(reader: SplitReader, threads: int, size: int) -> tuple[float, float]:
    """Read about `size` bytes with `threads` threads; return GB per second of wall time, and of CPU time."""
    chunks = -(-len(reader) // reader.chunk_samples)
    thread_chunks = max(1, size // reader.chunk_bytes // threads)
    busy: list[float] = []

    def read(first: int) -> None:
        out = np.empty((reader.chunk_samples, reader.units, reader.layout.unit_bytes), np.uint8)
        started = time.thread_time()
        for n in range(thread_chunks):
            reader.read_chunk((first + n) % chunks, out)
        busy.append(time.thread_time() - started)

    workers = [threading.Thread(target=read, args=(n * thread_chunks,)) for n in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    packed = thread_chunks * threads * reader.chunk_bytes / 1e9
    return packed / (time.perf_counter() - started), packed / sum(busy)


def feed_rates(reader: SplitReader, tier: str, batch: int, threads: int | None) -> list[float]:
    """Feed two epochs to GPU 0 by a tier, without computing; return GB/s of each."""
    from spikeprep.cuda.gpu import CupyRuntime
    from spikeprep.feed.device import Feeder

    runtime = CupyRuntime(0)
    feeder = Feeder(runtime, tier, threads)  # type: ignore[arg-type]
    stream = BatchStream(reader, batch, epochs=2)
    rates = []
    for _ in range(2):
        started = time.perf_counter()
        for _batch in feeder.feed(stream):
            pass
        runtime.synchronize()
        rates.append(len(reader) * reader.sample_bytes / 1e9 / (time.perf_counter() - started))
    return rates


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epoch-seconds", type=float, default=0.8)
    parser.add_argument("--gpu", action="store_true")
    args = parser.parse_args()
    reader = SpikeStore.open(args.store)["train"]
    epoch = len(reader) * reader.sample_bytes / 1e9
    needed = epoch / args.epoch_seconds
    print(
        f"an epoch: {epoch:.2f} GB packed; read in every epoch of {args.epoch_seconds:g} s: {needed:.2f} GB/s"
    )
    read_rate(reader, 1, 20_000_000)
    for threads in args.threads:
        wall, cpu = read_rate(reader, threads, args.megabytes * 1_000_000)
        print(
            f"read with {threads} threads: {wall:.2f} GB/s, {cpu:.2f} GB per CPU second: {needed / cpu:.1f} cores"
        )
    if args.gpu:
        for tier in ("resident", "pinned", "streamed"):
            first, second = feed_rates(reader, tier, args.batch, None)
            print(f"{tier}: {first:.2f} GB/s in the first epoch, {second:.2f} in the second")


if __name__ == "__main__":
    main()
