"""How fast files of ready-made spikes are read and encoded on one core, compared with tonic's reader.

python -m benchmarks.ready_spikes [--recordings N] [--spikes N]

A file in SHD's layout is written: recordings of 700 units and about as many spikes as SHD's, float16 seconds. Figures
are recordings per second of the process's processor time: ``check`` reads the file for the first time and checks every
recording, ``read`` reads them again, ``encode`` puts them into bins of 4 ms as well.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spikeprep.encoders import DVS
from spikeprep.sources.spikes import Spikes

UNITS = 700


def write(path: Path, recordings: int, spikes: int) -> None:
    """Write a file in SHD's layout."""
    import h5py

    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (recordings,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (recordings,), h5py.vlen_dtype(np.uint16))
        for n in range(recordings):
            times[n] = np.sort(rng.random(spikes) * 0.9).astype(np.float16)
            units[n] = rng.integers(0, UNITS, spikes).astype(np.uint16)
        file["labels"] = np.arange(recordings) % 20
        file["extra/keys"] = np.array([f"class{n}".encode() for n in range(20)])
        file["extra/speaker"] = np.arange(recordings) % 12


def report(name: str, recordings: int, call: Callable[[], object]) -> None:
    """Print how many recordings per second a call takes."""
    began = time.process_time()
    call()
    print(f"{name:12} {recordings / (time.process_time() - began):8,.0f} recordings/s")


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--spikes", type=int, default=8000)
    given = parser.parse_args()
    count = given.recordings
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "SHD").mkdir()
        path = Path(folder, "SHD", "shd_train.h5")
        write(path, count, given.spikes)
        print(f"{path.stat().st_size / 1e6:.0f} MB")
        source, encoder = Spikes(path=str(path), units=UNITS, test_share=0), DVS(bin_us=4000)
        encoder.encode(source.read("train", 0).signal)  # compiles
        report("check", count, source.splits)
        report("read", count, lambda: [source.read("train", n) for n in range(count)])
        report(
            "encode", count, lambda: [encoder.encode(source.read("train", n).signal) for n in range(count)]
        )
        try:
            import tonic
        except ImportError:
            return
        path.with_name("shd_train.h5.zip").touch()  # tonic looks for the archive
        data = tonic.datasets.SHD(folder, train=True)
        report("tonic", count, lambda: [data[n] for n in range(count)])


if __name__ == "__main__":
    main()
