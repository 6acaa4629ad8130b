"""Encoding on Dask against encoding with threads, with the same number of workers, in turn: whole commands.

python -m benchmarks.cluster --source FOLDER_OF_MNIST [--workers 2] [--limit N] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WARM_UP = 2000  # samples of a split: after them every worker has its modules and kernels


@contextmanager
def running_cluster(workers: int) -> Iterator[str]:
    """Yield the scheduler's address of a cluster of this machine, with Dask's own settings."""
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
    seconds: dict[str, list[float]] = {"threads": [], "local": [], "running cluster": []}
    digests = set()
    threads = ("--workers", str(options.workers))
    with tempfile.TemporaryDirectory() as folder:

        def encode(*arguments: str, limit: int | None = options.limit) -> tuple[float, str]:
            command = [
                sys.executable, "-m", "spikeprep", "encode", "mnist", "--out", str(Path(folder) / "mnist.zarr"),
                "--source", options.source, "--overwrite", "--json", *arguments,
            ]  # fmt: skip
            if limit is not None:
                command += ["--limit", str(limit)]
            began = time.perf_counter()
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            return time.perf_counter() - began, json.loads(done.stdout)["digest"]

        def timed(name: str, *arguments: str) -> None:
            duration, digest = encode(*arguments)
            seconds[name].append(duration)
            digests.add(digest)

        encode(*threads, limit=_WARM_UP)  # compiles
        for _ in range(options.repeats):
            timed("threads", *threads)
            timed("local", "--scheduler", "local", *threads)
            with running_cluster(options.workers) as address:
                encode("--scheduler", address, limit=_WARM_UP)
                timed("running cluster", "--scheduler", address)
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
