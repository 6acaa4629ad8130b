"""Read everything in a store and report what is wrong with which files and samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import numpy as np

from ..errors import CapabilityError, SpikeprepError, StoreError, UsageError
from ..packing import overrun, popcount
from ..system import cores
from .attributes import Digest
from .layout import LEASE, MANIFEST, ROOT, metadata_key, sample_array_key, shard_key, shard_keys
from .manifest import FileDigest, Files, Manifest, digest_over, file_digest
from .reader import DamagedSamples, SplitReader
from .root import Root
from .storage import open_storage
from .storage_contract import Storage

_MOST_NUMBERS = 1 << 24  # of samples that a problem lists
_UNREADABLE = (
    StoreError,
    CapabilityError,
)  # damaged, or refused by the operating system: findings all the same
_HELD_BYTES = 128 << 20  # of a file that is read once and held; a larger one is read twice

Progress = Callable[[int, int], None]
"""Called with (samples read, samples of the store)."""


@dataclass(frozen=True)
class Problem:
    """One fault of a store.

    Attributes
    ----------
    file
        Key of the file in the store.
    what
        What is wrong, as a sentence without its full stop.
    split, shard
        Where it is; None where a file of the whole store or of all of a split is affected.
    samples
        Numbers of the affected samples in their split; none where these are all of an implausible number.
    """

    file: str
    what: str
    split: str | None = None
    shard: int | None = None
    samples: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.split is None:
            return f"{self.file}: {self.what}"
        shard = "" if self.shard is None else f", shard {self.shard}"
        return f"{self.split}{shard}, samples {_numbers(self.samples)}: {self.what} ({self.file})"


def _numbers(samples: tuple[int, ...]) -> str:
    if len(samples) > 1 and samples[-1] - samples[0] + 1 == len(samples):
        return f"{samples[0]} to {samples[-1]}"
    more = f" and {len(samples) - 20} more" if len(samples) > 20 else ""
    return (", ".join(map(str, samples[:20])) or "all") + more


@dataclass(frozen=True, repr=False)
class VerifyReport:
    """Result of `verify`.

    Attributes
    ----------
    path
        The store.
    complete
        Whether its encoding has finished.
    samples
        Number of samples read.
    problems
        Everything that is wrong.
    digest
        The digest over all files, from the manifest; None where there is none.
    """

    path: str
    complete: bool
    samples: int
    problems: list[Problem]
    digest: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the store is complete and nothing is wrong."""
        return self.complete and not self.problems

    def __repr__(self) -> str:
        state = "OK" if self.ok else f"{len(self.problems)} problems" if self.complete else "not complete"
        return f"<VerifyReport {self.path}: {state}, {self.samples} samples read>"

    def to_json(self) -> dict[str, Any]:
        """Return the report, JSON-ready."""
        return {"ok": self.ok, **asdict(self)}


def verify(
    path: str | os.PathLike[str], progress: Progress | None = None, *, digest: str | None = None
) -> VerifyReport:
    """Read every byte of a store and check it against the manifest, and the samples against each other.

    Checked are the digests of all files, checksums of chunks, spike counts, padding bits, lengths, labels, and that
    there are no other files. A store of the first releases has no manifest; its samples are checked all the same.

    Parameters
    ----------
    path
        A path or an fsspec URL.
    progress
        Called with (samples read, samples of the store).
    digest
        ``sha256:…``: the digest that the store must have, such as a published one.

    Raises
    ------
    StoreError
        There is no spike store at `path`. What is wrong inside one is reported, not raised; an error of the disk too.
    UsageError
        `digest` is none.
    """
    if digest is not None:
        try:
            msgspec.convert(digest, Digest)
        except msgspec.ValidationError:
            raise UsageError(f"got digest = {digest!r}", "sha256: and 64 hexadecimal digits") from None
    return _Verification(open_storage(path)).run(progress, digest)


class _Verification:
    """One call of `verify`: what is read on the way, and what is found."""

    def __init__(self, storage: Storage) -> None:
        self.storage, self.sizes = storage, storage.sizes()
        self.problems: list[Problem] = []
        self.digests: dict[str, FileDigest] = {}
        self.root = Root(storage, bound=False)
        self.held: dict[str, bytes] = {}  # files that are being checked
        self.manifest = self.read_manifest()

    def read_manifest(self) -> Manifest | None:
        """Return the manifest; a damaged one is a problem, and a missing one too where the root says there is one."""
        try:
            return Manifest.read(self.storage)
        except _UNREADABLE as error:
            if MANIFEST in self.sizes or self.contents:
                self.add(MANIFEST, error)
        return None

    @property
    def contents(self) -> str | None:
        """The digest over all other files that the root document has; None where it has none or is damaged."""
        try:
            return self.root.attributes.get("contents")
        except _UNREADABLE:
            return None

    def add(self, file: str, what: str | SpikeprepError, **where: Any) -> None:
        """Record a problem."""
        if isinstance(what, SpikeprepError):
            place = f"{self.storage.path}/{file}"
            what = _what(what).removeprefix(place).removeprefix(":").strip()
        self.problems.append(Problem(file, what, **where))

    def run(self, progress: Progress | None, digest: str | None) -> VerifyReport:
        """Check everything."""
        done, complete = 0, False
        try:
            attributes = self.root.attributes
            complete = bool(attributes["complete"])
        except _UNREADABLE as error:
            if self.manifest is None:
                raise
            self.add(ROOT, error)
            complete = True
        else:
            for done in self.check_splits(attributes):
                if progress:
                    progress(done, sum(attributes["samples"].values()))
            if self.manifest and self.manifest.version != attributes["version"]:
                self.add(MANIFEST, f"version is {self.manifest.version}, not {attributes['version']}")
        if complete or self.manifest:
            self.check_files()
        actual = self.manifest.digest if self.manifest else None
        if digest is not None and actual != digest:
            self.add(MANIFEST, f"the digest of the store is {actual}, not {digest}")

        return VerifyReport(self.storage.path, complete, done, self.problems, actual)

    def check_splits(self, attributes: dict[str, Any]) -> Iterator[int]:
        """Check all shards, and yield the number of samples read so far."""
        shards: list[tuple[SplitReader, int]] = []
        for split, count in attributes["samples"].items():
            reader = SplitReader(self.storage, split, self.root, self.get)
            try:
                shards += [(reader, shard) for shard in range(reader.layout.shards)]
            except _UNREADABLE as error:
                samples = tuple(range(count)) if count <= _MOST_NUMBERS else ()
                self.add(metadata_key(split, "spikes"), error, split=split, samples=samples)
        done = 0
        with ThreadPoolExecutor(max(cores(), self.storage.requests), "spikeprep-verify") as pool:
            results = pool.map(lambda item: self.check_shard(*item), shards)
            for (reader, shard), (problems, digests) in zip(shards, results, strict=True):
                self.problems += problems
                self.digests |= digests
                start, stop = reader.layout.sample_range(shard)
                done += stop - start
                yield done

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Return bytes of a file as `Storage.get` does, from memory where it is being checked."""
        data = self.held.get(key)
        return self.storage.get(key, start, stop) if data is None else data[start:stop]

    def check_shard(self, reader: SplitReader, shard: int) -> tuple[list[Problem], dict[str, FileDigest]]:
        """Return what is wrong with a shard, and the digests of its files."""
        keys = shard_keys(reader.split, shard, reader.layout)
        digests: dict[str, FileDigest] = {}
        try:
            for key in keys:
                if (size := self.sizes.get(key)) is None:
                    continue
                try:
                    if size <= _HELD_BYTES:
                        self.held[key] = self.storage.get(key) or b""
                        digests[key] = FileDigest.of([self.held[key]])
                    else:
                        digests[key] = file_digest(self.storage, key, size)
                except _UNREADABLE:  # the reader meets it again and says which samples it concerns
                    continue
            wrong = {
                key for key in keys if self.manifest and self.manifest.files.get(key) != digests.get(key)
            }
            problems = list(_shard_problems(reader, shard, wrong, len(self.root.attributes["classes"])))
        finally:
            for key in keys:
                self.held.pop(key, None)
        start, stop = reader.layout.sample_range(shard)
        for key in sorted(wrong - {problem.file for problem in problems}):
            what = "not in the manifest" if self.manifest and key not in self.manifest.files else _OTHER
            problems.append(Problem(key, what, reader.split, shard, tuple(range(start, stop))))
        return problems, digests

    def check_files(self) -> None:
        """Compare the files that are no part of a checked shard with the manifest, and look for others."""
        files: Files = self.manifest.files if self.manifest else {}
        others = set(self.sizes) - {MANIFEST, LEASE}
        for key in sorted((set(files) | others) - set(self.digests)):
            if key in self.sizes:
                try:
                    self.digests[key] = file_digest(self.storage, key, self.sizes[key])
                except _UNREADABLE as error:
                    self.add(key, error)
                    continue
            if self.manifest and self.digests.get(key) != files.get(key) and not self.is_named(key):
                what = (
                    "missing" if key not in self.sizes else _OTHER if key in files else "no part of the store"
                )
                self.add(key, what)
        if self.contents and self.manifest is None:
            digests = {key: file for key, file in self.digests.items() if key != ROOT}
            if self.contents != digest_over(digests):
                self.add(ROOT, "the files differ from its contents, and no manifest tells which")

    def is_named(self, key: str) -> bool:
        """Whether a problem names a file already."""
        return any(problem.file == key for problem in self.problems)


_OTHER = "other content than the manifest says"


def _what(error: SpikeprepError) -> str:
    return f"{error.got}; expected {error.expected}" if error.expected else error.got


def _shard_problems(reader: SplitReader, shard: int, wrong: Iterable[str], classes: int) -> Iterator[Problem]:
    """Yield what is wrong with a shard's samples; `wrong` are its files with another digest than the manifest's."""
    split, (start, stop) = reader.split, reader.layout.sample_range(shard)
    spikes, arrays = shard_key(split, shard), {}
    for name in reader.layout.sample_arrays:
        try:
            arrays[name] = np.array(reader.read_sample_array(name, shard))
        except _UNREADABLE as error:
            what = error.what if isinstance(error, DamagedSamples) else _what(error)
            key = sample_array_key(split, name, shard)
            yield Problem(key, what, split, shard, tuple(range(start, stop)))

    def problem(array: str, samples: Any, first: int, what: str) -> Iterator[Problem]:
        if samples.any():
            key = sample_array_key(split, array, shard)
            file = spikes if spikes in wrong and key not in wrong else key
            yield Problem(file, what, split, shard, tuple((first + np.flatnonzero(samples)).tolist()))

    if "labels" in arrays:
        outside = (arrays["labels"] < 0) | (arrays["labels"] >= classes)
        yield from problem("labels", outside, start, "label outside the classes")
    if "steps" in arrays:
        more = arrays["steps"] > reader.max_steps
        yield from problem("steps", more, start, "more steps than the store has")
    for first in range(start, stop, reader.chunk_samples):
        last = min(first + reader.chunk_samples, stop)
        counts, over = np.zeros(last - first, np.int64), np.zeros(last - first, bool)
        rows = slice(first - start, last - start)
        try:
            for chunk in reader.chunk_by_units(first // reader.chunk_samples):
                bits = np.ascontiguousarray(chunk[: last - first])
                counts += popcount(bits.reshape(last - first, -1))
                over |= overrun(bits, arrays["steps"][rows]) if "steps" in arrays else False
        except _UNREADABLE as error:
            what = error.what if isinstance(error, DamagedSamples) else _what(error)
            yield Problem(spikes, what, split, shard, tuple(range(first, last)))
            continue
        if "counts" in arrays:
            different = counts != arrays["counts"][rows]
            yield from problem("counts", different, first, "counts differ from the spikes")
        yield from problem("steps", over, first, "spikes at or past the sample's own steps")
