"""Small spike stores for tests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from spikeprep.store import Compression, SpikeWriter, SplitLayout

ATTRIBUTES = {
    "version": "0",
    "recipe": "made-up",
    "chain": [{"name": "poisson", "steps": 21}],
    "seed": 3,
    "dt": 0.001,
    "unit_shape": [2, 3],
    "classes": ["a", "b", "ç"],
    "source": {"licence": "none"},
}
# 10 and 5 samples of 6 units in 21 steps; chunks of 2, shards of 4: full, partial and half-filled ones
LAYOUTS = {"train": SplitLayout(10, 6, 21, 2, 4), "test": SplitLayout(5, 6, 21, 2, 4)}


def content(split: str):
    """Content of a split: bits (sample, unit, byte), steps, labels, ids."""
    n = LAYOUTS[split].samples
    rng = np.random.default_rng(len(split))
    spikes = rng.random((n, 6, 24)) < 0.2
    steps = np.where(np.arange(n) % 3, 21, 13)
    spikes &= np.arange(24) < steps[:, None, None]
    spikes[3] = False  # a chunk may be all zero: it is stored all the same
    spikes[2] = False
    return (
        np.packbits(spikes, axis=-1, bitorder="little"),
        steps,
        np.arange(n) % 3,
        [f"{split}/é{i}.png" for i in range(n)],
    )


def write_shard(writer: SpikeWriter, shard) -> None:
    bits, steps, labels, ids = content(shard.split)
    with writer.shard(shard) as out:
        for start in range(shard.start, shard.stop, 2):
            here = slice(start, min(start + 2, shard.stop))
            out.append(bits[here], steps[here], labels[here], ids[here])


def make(path, *, compression: Compression | None = None, **changes) -> SpikeWriter:
    return finish(path, compression=compression, attributes=ATTRIBUTES | changes)


def finish(path, *, attributes=ATTRIBUTES, **options) -> SpikeWriter:
    """Open a writer, write every shard that is pending, and complete the store."""
    with SpikeWriter.open(path, attributes, LAYOUTS, **options) as writer:
        for shard in writer.pending():
            write_shard(writer, shard)
        writer.complete()
    return writer


def pending(path, **options) -> int:
    """Return how many shards a new writer finds missing."""
    with SpikeWriter.open(path, ATTRIBUTES, LAYOUTS, **options) as writer:
        return len(writer.pending())


def begin(path, shards: int = 1) -> None:
    """Begin a store, write some of its shards, and stop."""
    with SpikeWriter.open(path, ATTRIBUTES, LAYOUTS) as writer:
        for shard in writer.pending()[:shards]:
            write_shard(writer, shard)


def unbind(path: Path) -> None:
    """Make a store one of the first releases, which had no manifest."""
    (path / "manifest.json").unlink()
    document = json.loads((path / "zarr.json").read_text())
    del document["attributes"]["spikeprep"]["contents"]
    (path / "zarr.json").write_text(json.dumps(document, indent=2, ensure_ascii=False))


def tree(root: Path) -> dict[str, str]:
    """Return path → sha256 of every file in a folder."""
    return {
        f.relative_to(root).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(root.rglob("*"))
        if f.is_file()
    }
