"""Mutated IDX files."""

from __future__ import annotations

import gzip
from pathlib import Path

from spikeprep.sources.idx import read_idx

from ..sources.idx_files import idx_bytes, pictures
from .fuzzing import Target, both_lengths, check


def _images() -> list[bytes]:
    return [idx_bytes(pictures(n, 5, 4)[0]) for n in (1, 7, 30)]


def _idx(suffix: str, magic: int = 0x803):
    def read(data: bytes, folder: Path) -> object:
        path = folder / f"a-ubyte{suffix}"
        path.write_bytes(data)
        array, digest = read_idx(path, magic)
        assert array.ndim == magic & 0xFF
        assert len(digest) == 64
        return array.shape

    return read


TARGETS = [
    Target("IDX images", _images, _idx("")),
    Target("IDX images, gzip", lambda: [gzip.compress(d, mtime=0) for d in _images()], _idx(".gz")),
    Target("IDX labels", lambda: [idx_bytes(pictures(n)[1]) for n in (1, 30)], _idx("", 0x801)),
]


@both_lengths(TARGETS)
def test_mutated_files(target, count):
    check(target, count)
