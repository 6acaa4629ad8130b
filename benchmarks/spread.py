"""Where the time between the best batch and the median one goes: steps of equal work, beside loops of equal work.

    spikeprep encode mnist --source DIR --out mnist.zarr
    python -m benchmarks.spread mnist.zarr [--threads 2] [--steps 300]

The step is that of one batch, again and again, at a learning rate of 0: the same spikes, weights and errors, without a
store behind it. What its times differ by is the machine's doing, or the scheduling of the threads. In turns with it run
two loops in as many threads: sums of vectors in the first-level cache, and additions to 8 MB. Batches from memory and
from the store follow, which differ in their spikes and errors.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from spikeprep._jit import jit
from spikeprep._simd import LANES, aligned_zeros, sum_rows, total
from spikeprep.feed.batches import BatchStream
from spikeprep.store import SpikeStore
from spikeprep.system import cores
from spikeprep.train.settings import TrainSettings

from .machine import commit_of, machine
from .train import network

_TRAINED = 60  # batches before the measurement, so that errors are those of a network that learns


@jit
def _sums(table: Any, rows: Any, times: int) -> float:
    result = 0.0
    for _ in range(times):
        result += total(sum_rows(table, 0, rows, 0, rows.size))
    return result


def _increase(values: Any) -> None:
    values += 1


def row(name: str, times: Sequence[float], samples: int = 1) -> str:
    """Return a row: the least of some times in seconds, their tenths and median, and median over least."""
    ms = np.array(times) * 1e3 / samples
    tenth, median, ninth = np.quantile(ms, [0.1, 0.5, 0.9])
    return f"| {name} | {ms.min():.3f} | {tenth:.3f} | {median:.3f} | {ninth:.3f} | {median / ms.min():.2f} |"


def seconds(work: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store")
    parser.add_argument("--arch", default="800")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    settings = TrainSettings().override({"arch": args.arch, "batch": args.batch, "thresholds": [20, 8]})
    store = SpikeStore.open(args.store)
    net = network(store, settings, args.threads, composed=False)
    needed = 2 * (_TRAINED + 1) * args.batch
    if len(store["train"]) < needed:
        parser.error(f"{args.store} has {len(store['train'])} training samples; expected at least {needed}")
    stream = BatchStream(store["train"], args.batch, seed=1).batches()
    batches = list(islice(stream, _TRAINED + 1))
    for step, batch in enumerate(batches[:-1], 1):
        net.train_step(batch, settings.optim, step, settings.optim.rate)

    def train(batch: Any) -> None:
        net.train_step(batch, settings.optim, _TRAINED, 0.0)

    threads = args.threads or cores()
    table = aligned_zeros((100 * LANES,), np.float32)
    rows = np.random.default_rng(0).integers(0, 100, 100).astype(np.int32)
    arrays = [np.zeros(2_000_000, np.float32) for _ in range(threads)]
    _sums(table, rows, 1)
    sums, memory, steps = [], [], []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(args.steps):
            sums.append(seconds(lambda: list(pool.map(lambda _: _sums(table, rows, 20_000), arrays))))
            memory.append(seconds(lambda: list(pool.map(_increase, arrays))))
            steps.append(seconds(lambda: train(batches[-1])))
    in_memory = [seconds(partial(train, batch)) for batch in batches]
    from_store = []
    for _ in batches:  # reading included
        from_store.append(seconds(lambda: train(next(stream))))
    print(f"{machine()}; commit {commit_of()}\n\n{threads} threads; milliseconds, of steps per sample\n")
    print("| | least | a tenth is below | median | a tenth is above | median / least |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(row("a loop of sums in the first-level cache", sums))
    print(row("a loop of additions to 8 MB", memory))
    print(row("a step of equal work", steps, args.batch))
    print(row("steps of batches in memory", in_memory, args.batch))
    print(row("steps of batches from the store", from_store, args.batch))


if __name__ == "__main__":
    main()
