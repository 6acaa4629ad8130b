"""Encoding on Dask against encoding with threads, with the same number of workers, in turn.

python -m benchmarks.cluster --source FOLDER_OF_MNIST [--workers 2] [--limit N] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import spikeprep


@contextmanager
def running_cluster(workers: int) -> Iterator[str]:
    """Yield the scheduler's address of a cluster of this machine."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=None
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="folder of MNIST's IDX files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"threads": [], "running cluster": [], "with its start": []}
    digests = set()
    with tempfile.TemporaryDirectory() as folder, running_cluster(options.workers) as address:

        def encode(name: str, limit: int | None = options.limit, **where: Any) -> None:
            began = time.perf_counter()
            done = spikeprep.encode(
                "mnist", Path(folder) / "mnist.zarr", source=options.source, limit=limit, progress=False,
                overwrite=True, **where,
            )  # fmt: skip
            if name:
                seconds[name].append(time.perf_counter() - began)
                digests.add(done.digest)

        encode("", 2000, workers=options.workers)  # compiled, and every worker has its modules
        encode("", 2000, scheduler=address)
        for _ in range(options.repeats):
            encode("threads", workers=options.workers)
            encode("running cluster", scheduler=address)
            encode("with its start", scheduler="local", workers=options.workers)
    ratios = {
        name: [a / b for a, b in zip(values, seconds["threads"], strict=True)]
        for name, values in seconds.items()
    }
    figures = {
        "seconds": seconds,
        "ratio_to_threads": ratios,
        "median_ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "same_digest": len(digests) == 1,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
