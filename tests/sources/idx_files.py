"""IDX files made for tests."""

import gzip
import struct
from pathlib import Path

import numpy as np


def idx_bytes(array: np.ndarray) -> bytes:
    array = np.asarray(array, np.uint8)
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, images, labels, *, stem="", split="train", gz=False, part="", dot="-") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, rank, array in (("images", 3, images), ("labels", 1, labels)):
        data = idx_bytes(array)
        path = folder / f"{stem}{split}{part}-{kind}{dot}idx{rank}-ubyte{'.gz' if gz else ''}"
        path.write_bytes(gzip.compress(data, mtime=0) if gz else data)


def pictures(n: int, rows: int = 5, columns: int = 4, classes: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, rows, columns), dtype=np.uint8), np.arange(n, dtype=np.uint8) % classes
