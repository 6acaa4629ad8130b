"""Memory and time that `spikeprep encode events` takes for recordings of a gigabyte.

python -m benchmarks.large [--gigabytes N] [--folder TEMP]

Recordings are uniform noise, the worst case for the compressor, written to a temporary folder: .bin of 34 × 34 pixels
and EVT2 of 640 × 480. The command runs in a process of its own; its peak memory is that of the system's accounting.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spikeprep.data import EVENT
from tests.eventfiles.writing import evt2_bytes, nmnist_bytes

EVENTS = 1 << 20  # written at a time


def write(
    path: Path, size: tuple[int, int], gigabytes: float, seconds: float, encode: Callable[[Any], bytes]
) -> None:
    """Write noise on a sensor of (width, height) until the file has `gigabytes`."""
    rng, clock = np.random.default_rng(0), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        if path.suffix == ".raw":
            file.write(f"% evt 2.0\n% geometry {size[0]}x{size[1]}\n% end\n".encode())
        each = 5 if path.suffix == ".bin" else 4
        span = seconds * 1e6 * EVENTS * each / (gigabytes * 1e9)  # µs of a block
        while file.tell() < gigabytes * 1e9:
            events = np.zeros(EVENTS, EVENT)
            events["x"], events["y"] = rng.integers(0, size[0], EVENTS), rng.integers(0, size[1], EVENTS)
            events["t"] = clock * span + np.arange(EVENTS) * (span / EVENTS)
            events["p"] = rng.integers(0, 2, EVENTS)
            file.write(encode(events))
            clock += 1


def run(*arguments: str) -> tuple[float, float]:
    """Run the command line; return its peak of resident memory in MiB, and its seconds."""
    command = [sys.executable, "-c", _PEAK, *arguments]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024, time.perf_counter() - began


_PEAK = """
import resource, subprocess, sys
code = "import sys; from spikeprep_cli.main import main; main(sys.argv[1:])"
subprocess.run([sys.executable, "-c", code, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--folder", help="where temporary files go")
    options = parser.parse_args()
    assert resource.getpagesize()  # a system that measures memory
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        root = Path(temporary)
        for name, size, seconds, encode, settings in (
            ("34 × 34, .bin, 60 s, bins of 1 ms", (34, 34), 60.0, nmnist_bytes, ()),
            ("640 × 480, EVT2, 10 s, bins of 1 ms", (640, 480), 10.0, lambda e: evt2_bytes(e, ""), ()),
            ("640 × 480, EVT2, 10 s, bins of 5 ms", (640, 480), 10.0, None, ("--set", "dvs.bin_us=5000")),
        ):
            raw = root / f"{size[0]}"
            if encode is not None:
                suffix = "bin" if size[0] == 34 else "raw"
                write(raw / f"noise/1.{suffix}", size, options.gigabytes, seconds, encode)
            for number in (1, 3):
                for copy in range(2, number + 1):
                    (raw / f"noise/{copy}{next(raw.rglob('1.*')).suffix}").hardlink_to(next(raw.rglob("1.*")))
                arguments = (
                    "encode",
                    "events",
                    "--source",
                    str(raw),
                    "--out",
                    str(root / "store.zarr"),
                    "--overwrite",
                )
                peak, took = run(*arguments, "--set", "source.test_share=0", *settings)
                print(
                    f"{number} × {options.gigabytes:g} GB, {name}: {peak:,.0f} MiB, {took:.1f} s", flush=True
                )
                for file in raw.rglob("[23].*"):
                    file.unlink()


if __name__ == "__main__":
    main()
