"""A store is bound together: every change of a byte and of the structure is found, named, and repaired."""

import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from spikeprep.errors import StoreError, UsageError
from spikeprep.store import SpikeStore, SpikeWriter, verify
from spikeprep.store.layout import foreign_keys
from spikeprep.store.manifest import FileDigest, Manifest, digest_over
from spikeprep.store.storage import open_storage

from .stores import ATTRIBUTES, LAYOUTS, begin, content, finish, make, pending, tree, unbind, write_shard

FLIPS = int(os.environ.get("SPIKEPREP_FLIPS", "300"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("manifest") / "s.zarr"
    make(path)
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A store with the same layout, sizes of files and all, of another seed."""
    path = tmp_path_factory.mktemp("manifest") / "other.zarr"
    make(path, seed=4)
    return path


@pytest.fixture
def path(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "s.zarr")
    return tmp_path / "s.zarr"


def test_the_manifest_has_every_file(whole):
    manifest = Manifest.read(open_storage(whole))
    expected = tree(whole)
    del expected["manifest.json"]
    assert {key: file.sha256 for key, file in manifest.files.items()} == expected
    assert all(file.size == (whole / key).stat().st_size for key, file in manifest.files.items())
    assert SpikeStore.open(whole).digest() == manifest.digest == verify(whole).digest
    assert SpikeStore.open(whole).attributes["contents"] == manifest.contents


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs coreutils")
def test_the_digest_is_what_coreutils_say(whole):
    command = r"find . -type f ! -name manifest.json -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    done = subprocess.run(["sh", "-c", command], cwd=whole, capture_output=True, text=True, check=True)
    assert f"sha256:{done.stdout.split()[0]}" == SpikeStore.open(whole).digest()


def test_a_digest_depends_on_paths_and_content():
    a, b = FileDigest.of([b"a"]), FileDigest.of([b"b"])
    digests = {digest_over({"x": a, "y": b}), digest_over({"x": b, "y": a}), digest_over({"x": a})}
    assert len(digests) == 3
    assert digest_over({"y": b, "x": a}) in digests


def test_verify_against_a_published_digest(whole):
    digest = SpikeStore.open(whole).digest()
    assert verify(whole, digest=digest).ok
    (problem,) = verify(whole, digest=f"sha256:{'0' * 64}").problems
    assert problem.file == "manifest.json"
    assert f"{digest}, not sha256:000" in problem.what
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        verify(whole, digest="sha256:12")


def test_every_changed_byte_is_found_and_its_file_named(path):
    files = sorted(file for file in path.rglob("*") if file.is_file())
    rng = random.Random(0)
    for _ in range(FLIPS):
        file = rng.choice(files)
        original = file.read_bytes()
        at, mask = rng.randrange(len(original)), rng.randrange(1, 256)
        file.write_bytes(original[:at] + bytes([original[at] ^ mask]) + original[at + 1 :])
        key = file.relative_to(path).as_posix()
        try:
            report = verify(path)
        except StoreError as error:  # the root document and no manifest: never with a single change
            pytest.fail(f"{key}, byte {at}: {error}")
        assert not report.ok, (key, at)
        assert any(problem.file == key for problem in report.problems), (key, at, report.problems)
        file.write_bytes(original)
    assert verify(path).ok


def edit_root(path, **changes):
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["spikeprep"] |= changes
    (path / "zarr.json").write_text(json.dumps(document, indent=2, ensure_ascii=False))


def swap(path, a, b):
    os.rename(path / a, path / "hold")
    os.rename(path / b, path / a)
    os.rename(path / "hold", path / b)


def edit(path, key, old, new):
    text = (path / key).read_text()
    assert old in text
    (path / key).write_text(text.replace(old, new))


def copy_shard(path, other, key):
    shutil.copy(other / key, path / key)


def without(path, key):
    (path / key).unlink()


def extra(path, key):
    (path / key).parent.mkdir(parents=True, exist_ok=True)
    (path / key).write_bytes(b"extra")


def drop_split(path):
    shutil.rmtree(path / "test")
    document = json.loads((path / "zarr.json").read_text())
    del document["attributes"]["spikeprep"]["samples"]["test"]
    (path / "zarr.json").write_text(json.dumps(document))


def zero(path, key):
    (path / key).write_bytes(b"\0" * (path / key).stat().st_size)


def append(path, key):
    with open(path / key, "ab") as file:
        file.write(b"\0")


def cut(path, key):
    (path / key).write_bytes((path / key).read_bytes()[:-1])


def chunk(array, n):
    return f"{array}/c/{n}/0/0" if array == "spikes" else f"{array}/c/{n}"


ARRAYS = ["spikes", "labels", "steps", "counts", "ids"]
FIRST = [chunk(array, 0) for array in ARRAYS]
PAIRS = [(chunk(array, 0), chunk(array, 1)) for array in ARRAYS]
UNLIKE = [
    chunk(array, 0) for array in ("spikes", "counts", "ids")
]  # the first chunks of train and test differ
DOCUMENTS = [
    "zarr.json",
    "train/zarr.json",
    "train/spikes/zarr.json",
    "train/labels/zarr.json",
    "train/ids/zarr.json",
]
STRUCTURE = {
    **{f"swap {a}": lambda p, o, a=a, b=b: swap(p, f"train/{a}", f"train/{b}") for a, b in PAIRS},
    **{f"swap splits {a}": lambda p, o, a=a: swap(p, f"train/{a}", f"test/{a}") for a in UNLIKE},
    **{f"copy {a}": lambda p, o, a=a: shutil.copy(p / f"test/{a}", p / f"train/{a}") for a in UNLIKE},
    **{f"missing {a}": lambda p, o, a=a: without(p, f"train/{a}") for a in FIRST},
    **{f"missing {a}": lambda p, o, a=a: without(p, a) for a in DOCUMENTS},
    **{f"zeros {a}": lambda p, o, a=a: zero(p, a) for a in DOCUMENTS},
    **{f"longer {a}": lambda p, o, a=a: append(p, f"train/{a}") for a in FIRST},
    **{f"shorter {a}": lambda p, o, a=a: cut(p, f"train/{a}") for a in FIRST},
    "classes permuted": lambda p, o: edit_root(p, classes=["b", "a", "ç"]),
    "a class renamed": lambda p, o: edit_root(p, classes=["a", "b", "c"]),
    "seed": lambda p, o: edit_root(p, seed=4),
    "dt": lambda p, o: edit_root(p, dt=0.002),
    "unit_shape": lambda p, o: edit_root(p, unit_shape=[3, 2]),
    "chain": lambda p, o: edit_root(p, chain=[{"name": "poisson", "steps": 20}]),
    "version": lambda p, o: edit_root(p, version="9"),
    "licence": lambda p, o: edit_root(p, source={"licence": "CC0"}),
    "title": lambda p, o: edit_root(p, title="other"),
    "a split dropped": lambda p, o: drop_split(p),
    "the root of another seed": lambda p, o: copy_shard(p, o, "zarr.json"),
    "max_steps": lambda p, o: edit(p, "train/spikes/zarr.json", '"max_steps": 21', '"max_steps": 20'),
    "dimension names": lambda p, o: edit(p, "train/spikes/zarr.json", '"unit"', '"UNIT"'),
    "fill value": lambda p, o: edit(p, "train/labels/zarr.json", '"fill_value": 0', '"fill_value": 1'),
    "data type": lambda p, o: edit(p, "train/labels/zarr.json", "int32", "uint32"),
    "an extra file": lambda p, o: extra(p, "notes.txt"),
    "an extra shard": lambda p, o: extra(p, "train/spikes/c/7/0/0"),
    "an extra split": lambda p, o: extra(p, "validation/zarr.json"),
    "an extra array": lambda p, o: extra(p, "train/groups/zarr.json"),
    "the manifest missing": lambda p, o: without(p, "manifest.json"),
    "the manifest of another seed": lambda p, o: copy_shard(p, o, "manifest.json"),
    "the manifest cut": lambda p, o: cut(p, "manifest.json"),
    "the manifest edited": lambda p, o: edit(p, "manifest.json", '"size": 29', '"size": 30'),
}  # fmt: skip
"""What is done to a store, and its other: 60 changes of structure."""


@pytest.mark.parametrize("change", STRUCTURE)
def test_every_change_of_structure_is_found_and_repaired(path, whole, other, change):
    STRUCTURE[change](path, other)
    assert tree(path) != tree(whole)
    report = verify(path)
    assert not report.ok
    assert report.complete
    finish(path, repair=True)
    if key := {"an extra file": "notes.txt", "an extra split": "validation/zarr.json"}.get(change):
        assert (path / key).read_bytes() == b"extra"  # someone else's: it stays, and verify goes on naming it
        assert [problem.file for problem in verify(path).problems] == [key]
        (path / key).unlink()
    assert tree(path) == tree(whole)
    assert verify(path).ok


# over a network: a shard that has the size of the right one, and what is behind the end, which is never read
BEYOND_SIZES = {"copy spikes/c/0/0/0", "swap splits spikes/c/0/0/0", "longer spikes/c/0/0/0"}
NEVER_READ = {"an extra file", "an extra shard", "an extra split", "an extra array"}


def read_everything(store):
    for split in store:
        reader = store[split]
        for array in ("steps", "labels", "counts", "groups", "ids"):
            getattr(reader, array)
        reader.packed(slice(None))


@pytest.mark.parametrize("place", ["folder", "memory"])
@pytest.mark.parametrize("change", sorted(set(STRUCTURE) - NEVER_READ))
def test_every_change_of_structure_is_refused_by_a_reader(path, other, change, place):
    STRUCTURE[change](path, other)
    where = path if place == "folder" else in_memory(path)
    if place == "memory" and change in BEYOND_SIZES:
        read_everything(SpikeStore.open(where))
        return
    with pytest.raises(StoreError, match=r"/(zarr|manifest)\.json|/c/\d|no store at") as caught:
        read_everything(SpikeStore.open(where))
    assert "encode" in caught.value.hint


@pytest.mark.parametrize("place", ["folder", "memory"])
@pytest.mark.parametrize("change", sorted(NEVER_READ))
def test_files_that_are_no_part_of_the_store_are_not_read(path, other, change, place):
    STRUCTURE[change](path, other)
    read_everything(SpikeStore.open(path if place == "folder" else in_memory(path)))


def in_memory(path):
    """Copy a store to fsspec's memory; return its URL."""
    fsspec = pytest.importorskip("fsspec")
    fs = fsspec.filesystem("memory")
    fs.rm("/bound.zarr", recursive=True) if fs.exists("/bound.zarr") else None
    fs.put(str(path), "/bound.zarr", recursive=True)
    return "memory://bound.zarr"


def test_a_copy_in_another_process_is_bound_too(path, other):
    reader = pickle.loads(pickle.dumps(SpikeStore.open(path)["train"]))
    edit_root(path, classes=["b", "a", "ç"])
    with pytest.raises(StoreError, match=r"zarr\.json was changed since the store was written"):
        _ = reader.unit_shape
    copy_shard(path, other, "zarr.json")
    with pytest.raises(StoreError, match=r"zarr\.json was changed since the store was written"):
        _ = SpikeStore.open(path)


def test_a_root_that_denies_its_manifest(path):
    document = json.loads((path / "zarr.json").read_text())
    del document["attributes"]["spikeprep"]["contents"]
    (path / "zarr.json").write_text(json.dumps(document, indent=2, ensure_ascii=False))
    with pytest.raises(StoreError, match=r"zarr\.json was changed"):
        SpikeStore.open(path)


def test_a_manifest_that_covers_other_labels(path):
    """One made up for a changed file, self-consistent, does not agree with the root."""
    zero(path, "train/labels/c/0")
    manifest = Manifest.read(open_storage(path))
    files = manifest.files | {"train/labels/c/0": FileDigest.of([(path / "train/labels/c/0").read_bytes()])}
    (path / "manifest.json").write_bytes(Manifest.of(files, manifest.version).document())
    with pytest.raises(StoreError, match=r"zarr\.json was changed"):
        SpikeStore.open(path)


def test_a_store_that_is_written_is_not_bound(path):
    """It is opened on demand only, and read as far as checksums go; `complete` decides."""
    zero(path, "train/labels/c/0")
    with SpikeWriter.open(path, ATTRIBUTES, LAYOUTS, repair=True):
        store = SpikeStore.open(path, incomplete=True)
        assert store.digest() is None
        _ = store["train"].shard_index(1)


def test_repair_writes_what_is_damaged_and_nothing_else(path, whole):
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()}
    assert pending(path, repair=True) == 0
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()} == before
    zero(path, "train/labels/c/1")
    writer = SpikeWriter.open(path, ATTRIBUTES, LAYOUTS, repair=True)
    assert [(shard.split, shard.number) for shard in writer.pending()] == [("train", 1)]
    writer.close()
    with pytest.raises(StoreError, match="not complete"):
        SpikeStore.open(path)
    finish(path)  # an interrupted repair is resumed like any encode
    assert tree(path) == tree(whole)
    changed = {f.relative_to(path).as_posix() for f, t in before.items() if f.stat().st_mtime_ns != t}
    arrays = ("spikes/c/1/0/0", "labels/c/1", "steps/c/1", "counts/c/1", "ids/c/1")
    assert changed == {"zarr.json", "manifest.json", *(f"train/{name}" for name in arrays)}


def test_repair_refuses_another_configuration(path, other):
    before = tree(path)
    for key in ("zarr.json", "manifest.json"):
        zero(path, key)
        damaged = tree(path)
        with pytest.raises(StoreError, match=r"another configuration|damaged|not a spike store"):
            finish(path, repair=True, attributes=ATTRIBUTES | {"seed": 4})
        assert tree(path) == damaged
        finish(path, repair=True)
        assert tree(path) == before


def test_repair_with_another_source_stops_before_it_writes(path):
    zero(path, "train/spikes/c/0/0/0")
    with SpikeWriter.open(path, ATTRIBUTES, LAYOUTS, repair=True) as writer:
        (shard,) = writer.pending()
        bits, steps, labels, ids = content(shard.split)
        out = writer.shard(shard).__enter__()
        for start in range(shard.start, shard.stop, 2):
            here = slice(start, start + 2)
            out.append(bits[here], steps[here], (labels[here] + 1) % 3, ids[here])
        with pytest.raises(
            StoreError, match=r"train/labels/c/0: encoding it again .* other bytes.*overwrite=True"
        ):
            out.__exit__(None, None, None)
        assert len(writer.pending()) == 1
    finish(path)
    assert verify(path).ok


def test_resuming_does_not_believe_in_files_without_looking(path, whole, tmp_path):
    """Between the interruption and the next call shards are changed, swapped, cut and removed."""
    for change in (
        lambda p: swap(p, "train/spikes/c/0/0/0", "train/spikes/c/1/0/0"),
        lambda p: swap(p, "train/labels/c/0", "train/labels/c/1"),
        lambda p: zero(p, "train/spikes/c/0/0/0"),
        lambda p: cut(p, "train/ids/c/0"),
        lambda p: without(p, "train/counts/c/1"),
        lambda p: zero(p, ".spikeprep/train/0.json"),
        lambda p: swap(p, ".spikeprep/train/0.json", ".spikeprep/train/1.json"),
        lambda p: without(p, "train/zarr.json"),
    ):
        target = tmp_path / "begun.zarr"
        shutil.rmtree(target, ignore_errors=True)
        begin(target, 2)
        change(target)
        finish(target)
        assert tree(target) == tree(whole)


def test_a_store_that_lost_a_file_is_not_called_complete(path, whole):
    for key in ("train/spikes/c/2/0/0", "test/labels/c/0", "test/zarr.json", "manifest.json"):
        (path / key).unlink()
        finish(path)
        assert tree(path) == tree(whole)


def test_stores_of_the_first_releases_have_no_manifest(path):
    """They are read, verified as far as their checksums go, and given a manifest by repair."""
    unbind(path)
    assert verify(path).ok
    assert verify(path).digest is None
    assert SpikeStore.open(path).digest() is None
    assert pending(path) == 0
    finish(path, repair=True)
    assert verify(path).digest is not None


def test_an_error_of_the_disk_is_a_finding(path, monkeypatch):
    from spikeprep.store.local_storage import LocalStorage

    get, broken = LocalStorage.get, {"train/spikes/c/1/0/0", "train/labels/c/0", "test/zarr.json"}

    def failing(self, key, *bounds):
        if key in broken:
            raise StoreError(f"cannot read {self.path}/{key} (Input/output error)", "", "Check the disk.")
        return get(self, key, *bounds)

    monkeypatch.setattr(LocalStorage, "get", failing)
    report = verify(path)
    assert {problem.file for problem in report.problems} == broken
    assert all("Input/output error" in problem.what for problem in report.problems)
    assert report.samples == 15


# Files of others


FOREIGN = [
    "README.md",
    "notes/today.txt",
    "train/spikes/mine.npy",
    "nested.zarr/zarr.json",
    "run/config.json",
    "train/spikes/c/0/0/0.bak",
    "train/spikes/c/007/0/0",
    ".spikeprep/other.json",
    "movie.mkv.partial",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_with_files_of_others_is_not_overwritten(path, name):
    extra(path, name)
    before = tree(path)
    with pytest.raises(StoreError, match=rf"no part of the store: '{re.escape(name)}'.*Move them"):
        SpikeWriter.open(path, ATTRIBUTES | {"seed": 5}, LAYOUTS, overwrite=True)
    assert tree(path) == before
    finish(path, repair=True)  # nor does anything else touch it
    assert tree(path) == before


def test_keys_that_a_store_can_have(whole):
    assert foreign_keys(tree(whole), ["train", "test"]) == []
    assert foreign_keys(tree(whole), ["train"]) == sorted(k for k in tree(whole) if k.startswith("test/"))


# A store that is replaced while it is read


def test_a_reader_notices_that_its_store_was_replaced(path):
    attributes = ATTRIBUTES | {"seed": 5}
    early, late = SpikeStore.open(path), SpikeStore.open(path)
    early["train"].packed(slice(0, 4))
    _ = late["train"]
    with SpikeWriter.open(path, attributes, LAYOUTS, overwrite=True) as writer:
        for use in (early["train"], late["train"]):
            with pytest.raises(StoreError, match="replaced since it was opened"):
                use.packed(slice(0, 10))
        for shard in writer.pending():
            write_shard(writer, shard)
        writer.complete()
    for use in (early, late):
        for read in (lambda r: r.packed(slice(0, 4)), lambda r: r.packed(slice(8, 10)), lambda r: r.ids):
            with pytest.raises(StoreError, match=r"replaced since it was opened.*Open it again"):
                read(use["train"])
    np.testing.assert_array_equal(
        SpikeStore.open(path)["train"].packed(slice(None)).bits, content("train")[0]
    )


def test_a_reader_goes_on_with_the_same_store_written_again(path):
    store = SpikeStore.open(path)
    _ = store["train"].shard_index(0)
    finish(path, overwrite=True)
    shutil.copy(path / "zarr.json", path / "copy")
    os.replace(path / "copy", path / "zarr.json")
    np.testing.assert_array_equal(store["train"].packed(slice(None)).bits, content("train")[0])


def test_a_remote_reader_notices_at_the_first_touch_of_a_shard():
    pytest.importorskip("fsspec")
    url = "memory://replaced.zarr"
    make(url)
    reader = SpikeStore.open(url)["train"]
    _ = reader.labels
    finish(url, attributes=ATTRIBUTES | {"seed": 5}, overwrite=True)
    with pytest.raises(StoreError, match="replaced since it was opened"):
        reader.packed(slice(0, 4))


# Hostile chunks


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("array", ["labels", "ids"])
def test_a_chunk_that_would_decompress_to_gigabytes_is_refused(path, array):
    from spikeprep.store import Compression

    bomb = Compression().encode(np.zeros(1 << 30, np.uint8))
    assert len(bomb) < 200_000
    (path / f"train/{array}/c/0").write_bytes(bomb)
    unbind(path)  # or its digest would be the end of it
    script = (
        "import sys; from spikeprep.store import SpikeStore; store = SpikeStore.open(sys.argv[1])\n"
        "try: getattr(store['train'], sys.argv[2])\n"
        "except Exception as error: print(error)\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path, array], capture_output=True, text=True, check=True
    )
    message, kilobytes = done.stdout.strip().rsplit("\n", 1)  # getrusage would count the parent's too
    assert "1,073,741,824 bytes" in message
    assert int(kilobytes) < 600_000


def test_a_pipe_in_place_of_a_file_is_refused(path):
    (path / "train/labels/c/0").unlink()
    os.mkfifo(path / "train/labels/c/0")
    with pytest.raises(StoreError, match="no regular file"):
        _ = SpikeStore.open(path)["train"].labels


# Found by trying to break it


def test_folders_behind_links_are_not_written_to(path, whole, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(path / "test", mine / "test")
    before = tree(mine)
    empty = tmp_path / "new.zarr"
    empty.mkdir()
    (empty / "test").symlink_to(mine / "test")
    with pytest.raises(StoreError, match="not empty and no spike store"):
        finish(empty)
    shutil.rmtree(path / "test")
    (path / "test").symlink_to(mine / "test")
    assert not verify(path).ok
    for options in ({}, {"repair": True}, {"overwrite": True}):
        with pytest.raises(StoreError, match="test is no folder but a link"):
            finish(path, **options)
    assert tree(mine) == before
    (path / "test").unlink()
    finish(path, repair=True)
    assert tree(path) == tree(whole)


def test_the_manifest_s_version_is_that_of_the_root(path, whole):
    edit(path, "manifest.json", '"version": "0"', '"version": "9"')
    with pytest.raises(
        StoreError, match=r"manifest\.json was changed .* expected version 0, as in zarr\.json"
    ):
        SpikeStore.open(path).digest()
    assert [problem.file for problem in verify(path).problems] == ["manifest.json"]
    finish(path, repair=True)
    assert tree(path) == tree(whole)


def test_a_changed_root_has_no_digest(path):
    edit_root(path, seed=7, dt=0.5)
    with pytest.raises(StoreError, match=r"zarr\.json was changed"):
        SpikeStore.open(path).digest()
