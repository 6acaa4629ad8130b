"""Mutated IDX files, mapping files, and tables that list files."""

from __future__ import annotations

import gzip
from pathlib import Path

from spikeprep.errors import printable
from spikeprep.sources.idx import Idx
from spikeprep.sources.idx_format import read_idx
from spikeprep.sources.labelled_source import find_labelled_files

from ..sources.idx_files import idx_bytes, pictures
from .fuzzing import Target, both_lengths, check


def _images() -> list[bytes]:
    return [idx_bytes(pictures(n, 5, 4)[0]) for n in (1, 7, 30)]


def _idx(suffix: str, magic: int = 0x803, packed: bool = False):
    def read(data: bytes, folder: Path) -> object:
        path = folder / f"a-ubyte{suffix}"
        # half of the gzipped ones are mutated before they are compressed: gzip's own checksum hides the others
        path.write_bytes(gzip.compress(data, 1, mtime=0) if packed and data[:2] != b"\x1f\x8b" else data)
        array, digest, _ = read_idx(path, magic)
        assert array.ndim == magic & 0xFF
        assert len(digest) == 64
        return array.shape

    return read


def _zipped() -> list[bytes]:
    images = _images()
    return images + [gzip.compress(data, mtime=0) for data in images]


def _mapping(data: bytes, folder: Path) -> object:
    for kind, array in zip(("images-idx3", "labels-idx1"), pictures(4), strict=True):
        (folder / f"train-{kind}-ubyte").write_bytes(idx_bytes(array))
    (folder / "mapping.txt").write_bytes(data)
    classes = Idx(path=str(folder)).classes
    assert all(printable(name) == name and name.encode() for name in classes)
    return classes


def _table(data: bytes, folder: Path) -> object:
    table = folder / "table.csv"
    table.write_bytes(data)
    files = find_labelled_files(str(table), "recordings", ())
    for recording in files.recordings(0.2, 0):
        assert printable(recording.id) == recording.id
        assert str(recording.file.resolve()).startswith(str(folder.resolve()))
        recording.id.encode()
    return len(files.entries)


_TABLES = [
    b'path,label,split\na/1.wav,yes,train\nb/2.wav,no,test\n"b/3, 4.wav",no,train\n',
    b"\xef\xbb\xbffile,label\r\nx.bin,0\r\ny.bin,1\r\n../z.bin,1\r\n",
]

TARGETS = [
    Target("IDX images", _images, _idx("")),
    Target("IDX images, gzip", _zipped, _idx(".gz", packed=True)),
    Target("IDX labels", lambda: [idx_bytes(pictures(n)[1]) for n in (1, 30)], _idx("", 0x801)),
    Target("mapping of classes", lambda: [b"0 48\n1 49\n2 50 51\n", b"0 97\n1 98\n2 99\n3 100\n"], _mapping),
    Target("CSV", lambda: _TABLES, _table),
]


@both_lengths(TARGETS)
def test_mutated_files(target, count):
    check(target, count)
