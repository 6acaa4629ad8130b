"""Mutated files of a store: found by `verify`, healed by repair; read, an error of ours or the right samples."""

from __future__ import annotations

import functools
import re
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import google_crc32c
import numpy as np

from spikeprep.errors import StoreError
from spikeprep.lease import Holder
from spikeprep.store import SpikeStore, verify
from spikeprep.store.layout import MANIFEST, ROOT
from spikeprep.store.manifest import FileDigest, Manifest, ShardRecord, digest_over
from spikeprep.store.shards import decode_index, encode_index, index_bytes

from ..store.stores import LAYOUTS, begin, content, finish, make
from .fuzzing import Target, both_lengths, check


@functools.cache
def store() -> dict[str, bytes]:
    """Return the files of a store."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "s.zarr")
        return files_of(Path(folder) / "s.zarr")


@functools.cache
def begun() -> dict[str, bytes]:
    """Return the files of a store of which two shards are written."""
    with tempfile.TemporaryDirectory() as folder:
        begin(Path(folder) / "s.zarr", 2)
        return files_of(Path(folder) / "s.zarr")


def files_of(path: Path) -> dict[str, bytes]:
    return {f.relative_to(path).as_posix(): f.read_bytes() for f in path.rglob("*") if f.is_file()}


def put(path: Path, files: dict[str, bytes]) -> Path:
    for key, data in files.items():
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(data)
    return path


def read_all(path: Path) -> None:
    """Read every sample; raises an error of ours."""
    opened = SpikeStore.open(path)
    opened.digest()
    for split in opened:
        reader = opened[split]
        for array in ("steps", "labels", "counts", "groups", "ids"):
            getattr(reader, array)
        assert reader.packed(slice(None)).bits.shape[1:] == (reader.units, reader.layout.unit_bytes)


def forged(key: str, data: bytes) -> dict[str, bytes]:
    """Return the files of a store with other content under a key, and documents whose digests cover it."""
    files = store() | {key: data}
    if key == MANIFEST:
        return files
    digests = {k: FileDigest.of([file]) for k, file in files.items() if k not in (ROOT, MANIFEST)}
    if key != ROOT:
        files[ROOT] = re.sub(rb"sha256:[0-9a-f]{64}", digest_over(digests).encode(), files[ROOT])
    files[MANIFEST] = Manifest.of({**digests, ROOT: FileDigest.of([files[ROOT]])}, "0").document()
    return files


def changed(key: str, seal: Callable[[bytes], bytes] = bytes) -> Callable[[bytes, Path], object]:
    """Return what is done to a complete store with other content under a key."""

    def read(data: bytes, folder: Path) -> object:
        data, number = seal(data), zlib.crc32(data)
        path, other = folder.parent / "whole.zarr", folder.parent / "forged.zarr"  # for all cases
        if not path.exists():
            put(path, store())
            put(other, store())
        put(path, {key: data})
        failure = None
        try:
            read_all(path)
        except StoreError as error:
            failure = error
        else:
            assert data == store()[key] or key == SPIKES  # the manifest is compared with whatever is read
        new = forged(key, data)
        put(other, {k: new[k] for k in (key, ROOT, MANIFEST)})
        with suppress(StoreError):
            read_all(other)
        put(other, {key: store()[key]})
        if number % 32 == 0:  # the rest takes longer
            report = verify(path)
            assert report.ok == (data == store()[key])
            assert report.ok or key in {problem.file for problem in report.problems}
        if number % 512 == 0:
            finish(path, repair=True)
            assert files_of(path) == store()
        put(path, {key: store()[key]})
        if failure:
            raise failure
        return True

    return read


def resumed(key: str) -> Callable[[bytes, Path], object]:
    """Return what is done to a store that is being written, with other content under a key."""

    def read(data: bytes, folder: Path) -> object:
        path = put(folder / "s.zarr", begun() | {key: data})
        if key.startswith(".spikeprep"):
            finish(path)
            assert files_of(path) == store()
            ShardRecord.parse(key, data)
        else:
            verify(path)
            finish(path)
            assert files_of(path) == store()
        return True

    return read


def with_checksum(data: bytes) -> bytes:
    return data + int(google_crc32c.value(data)).to_bytes(4, "little")


def shard_with(chunk: bytes) -> bytes:
    """Return the first shard with another first chunk, all checksums right."""
    shard, chunks = store()[SPIKES], LAYOUTS["train"].chunks_per_shard
    index = decode_index(shard[-index_bytes(chunks) :], chunks)
    first, rest = with_checksum(chunk), shard[int(index[1, 0]) : int(index[1].sum())]
    return first + rest + encode_index([len(first), len(rest)], chunks)


def shard_with_index(index: bytes) -> bytes:
    """Return the first shard with another index, its checksum right."""
    return store()[SPIKES][: -index_bytes(LAYOUTS["train"].chunks_per_shard)] + with_checksum(index)


def first_chunk() -> list[bytes]:
    shard, chunks = store()[SPIKES], LAYOUTS["train"].chunks_per_shard
    return [shard[: int(decode_index(shard[-index_bytes(chunks) :], chunks)[0, 1]) - 4]]


def index_of_first() -> list[bytes]:
    return [store()[SPIKES][-index_bytes(LAYOUTS["train"].chunks_per_shard) : -4]]


def original(key: str, cut: int = 0) -> Callable[[], list[bytes]]:
    return lambda: [store()[key][: len(store()[key]) - cut]]


def holder(data: bytes, folder: Path) -> object:
    found = Holder.parse(data)
    if found is None:
        raise StoreError("no lease")
    return str(found), found.is_alive(120)


DOCUMENTS = (
    "zarr.json",
    "manifest.json",
    "train/zarr.json",
    "train/spikes/zarr.json",
    "train/labels/zarr.json",
)
CHUNKS = tuple(f"train/{array}/c/0" for array in ("steps", "labels", "counts", "ids"))
SPIKES = "train/spikes/c/0/0/0"
RECORD = ".spikeprep/train/0.json"
TARGETS = [
    *(Target(key, original(key), changed(key)) for key in (*DOCUMENTS, *CHUNKS, SPIKES)),
    *(Target(f"{key} with its checksum", original(key, 4), changed(key, with_checksum)) for key in CHUNKS),
    Target("a chunk of spikes with its checksum", first_chunk, changed(SPIKES, shard_with)),
    Target("an index with its checksum", index_of_first, changed(SPIKES, shard_with_index)),
    # each case writes the rest of a store
    Target("a shard's record", lambda: [begun()[RECORD]], resumed(RECORD), short=40),
    Target("the root of a begun store", lambda: [begun()["zarr.json"]], resumed("zarr.json"), short=40),
    Target("a lease", lambda: [Holder.this_process().to_bytes()], holder),
]


@both_lengths(TARGETS)
def test_mutated_files(target, count, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    check(target, count)


def test_reading_mutated_stores_gives_no_other_samples(tmp_path):
    """What is read in spite of a mutation is right: chunks carry checksums."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        data = bytearray(store()[SPIKES])
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path = put(tmp_path / "s.zarr", store() | {SPIKES: bytes(data)})
        reader, bits = SpikeStore.open(path)["train"], content("train")[0]
        for sample in range(LAYOUTS["train"].samples):
            try:
                read = reader.packed(np.array([sample])).bits[0]
            except StoreError:
                continue
            np.testing.assert_array_equal(read, bits[sample])
