"""What is at the place where a store is to be written: its documents, its files, and which of them are sound."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from ..errors import StoreError
from ..system import cores
from .attributes import CONVENTION, differences, parse_attributes, root_document, unfinished
from .documents import parse_json
from .layout import (
    LEASE,
    ROOT,
    SPIKES,
    SplitLayout,
    foreign_keys,
    is_record,
    metadata_key,
    record_key,
    sample_keys,
    shard_keys,
)
from .manifest import FileDigest, Files, Manifest, ShardRecord, digest_over, file_digest
from .storage_contract import Storage

_SHOWN = 5  # differences and foreign files that a message names


@dataclass(frozen=True)
class ExistingStore:
    """A store that is at a place already, complete or not, perhaps damaged.

    Attributes
    ----------
    storage
        Its storage.
    sizes
        Key → size of every file in the folder.
    root
        Its root document; None where there is none.
    attributes
        Its attributes; None where the root document is missing or damaged.
    manifest
        Its manifest; None where there is none, or a damaged one.
    """

    storage: Storage
    sizes: dict[str, int]
    root: bytes | None
    attributes: dict[str, Any] | None
    manifest: Manifest | None

    @classmethod
    def read(cls, storage: Storage) -> Self | None:
        """Return the store at a place; None where nothing is.

        Raises
        ------
        StoreError
            Something else is there, or its root document is damaged and no manifest tells what it was.
        """
        root, attributes = storage.get(ROOT), None
        manifest = read_manifest(storage)
        if root is None and manifest is None:
            if not (found := set(storage.sizes(_SHOWN)) - {LEASE}):
                return None
            shown = sorted(found)[: _SHOWN - 1]
            raise StoreError(
                f"{storage.path} is not empty and no spike store (it has {', '.join(map(repr, shown))}"
                f"{', …' if len(found) > len(shown) else ''})",
                "an empty or new folder",
                "Choose another path.",
            )
        try:
            attributes = parse_attributes(storage.path, root)
        except StoreError:
            if manifest is None:
                raise
        return cls(storage, storage.sizes(), root, attributes, manifest)

    @property
    def complete(self) -> bool:
        """Whether the store is marked as complete."""
        return bool(self.attributes and self.attributes["complete"])

    @property
    def holds_nothing(self) -> bool:
        """Whether the store was begun and no shard of it was ever finished: there is nothing to keep."""
        begun = self.attributes is not None and not self.complete and self.manifest is None
        replaced = self.attributes is not None and "being_replaced" in self.attributes
        return begun and not replaced and not any(map(is_record, self.sizes))

    def is_whole(self, layouts: Mapping[str, SplitLayout]) -> bool:
        """Whether the store is complete, and every file is there with its size."""
        if not self.complete or self.attributes is None:
            return False
        if self.manifest is None:  # the first releases wrote none
            return "contents" not in self.attributes and all(
                key in self.sizes for key in sample_keys(layouts)
            )
        return all(self.sizes.get(key) == file.size for key, file in self.manifest.files.items())

    @property
    def splits(self) -> set[str]:
        """Names of the splits, from whichever document is sound."""
        names = set(self.attributes["samples"]) if self.attributes else set()
        if self.manifest:
            names |= {key.split("/")[0] for key in self.manifest.files if "/" in key}
        return names

    @property
    def version(self) -> str | None:
        """Version of the package that wrote the store, where a document tells: the root's own, if it is undamaged."""
        root = self.attributes and self.root and FileDigest.of([self.root])
        if self.manifest and (not root or root != self.manifest.files[ROOT]):
            return self.manifest.version
        return str(self.attributes["version"]) if self.attributes else None

    def has_convention(self, requested: Mapping[str, Any]) -> bool:
        """Whether the store names the convention, or did before it was damaged if it had the attributes requested."""
        if self.manifest is not None:
            for convention in (True, False):
                root = complete_root(requested, self.manifest.contents, convention=convention)
                if self.manifest.files[ROOT] == FileDigest.of([root]):
                    return convention
        return self.root is None or names_convention(self.root)

    def refuse_links(self, layouts: Mapping[str, SplitLayout], documents: Collection[str]) -> None:
        """Raise `StoreError` where a folder of the store is a link, behind which are files of someone else."""
        keys = [*documents, *sample_keys(layouts)]
        folders = {key[:n] for key in keys for n, character in enumerate(key) if character == "/"}
        if links := sorted(folders & set(self.sizes)):
            raise StoreError(
                f"{self.storage.path}/{links[0]} is no folder but a link or a file",
                "a folder of the store's own",
                "Put the folder itself there, or choose another path.",
            )

    @cached_property
    def _documents_read(self) -> dict[str, bytes | None]:
        return {}

    def _document(self, key: str) -> bytes | None:
        """Return a metadata document, which is read once; None where there is none."""
        if key not in self._documents_read:
            self._documents_read[key] = self.storage.get(key)
        return self._documents_read[key]

    def conflicts(self, requested: Mapping[str, Any], documents: Mapping[str, bytes]) -> list[str]:
        """Return a line for everything in which the attributes and layout differ from those requested."""
        lines = differences(unfinished(self.attributes), unfinished(requested)) if self.attributes else []
        for key, document in documents.items():
            with suppress(StoreError):  # `damaged` names it
                stored = parse_json(key, self._document(key) or document, "")
                lines += differences(stored, parse_json(key, document, ""), key.removesuffix("/zarr.json"))
        for split in requested["samples"]:
            groups, begun = metadata_key(split, "groups"), f"{split}/{SPIKES}/c/"
            if groups in self.sizes and groups not in documents:
                lines.append(f"{split}/groups: in the store, not requested")
            elif (
                groups in documents
                and groups not in self.sizes
                and any(k.startswith(begun) for k in self.sizes)
            ):
                lines.append(f"{split}/groups: requested, not in the store")
        return lines

    def damaged(self, documents: Mapping[str, bytes]) -> list[str]:
        """Return the keys of metadata documents that are there and cannot be read."""
        keys = [] if self.attributes else [ROOT]
        for key in documents:
            try:
                parse_json(key, self._document(key) or b"{}", "")
            except StoreError:
                keys.append(key)
        return keys

    def was(self, requested: Mapping[str, Any], documents: Mapping[str, bytes]) -> bool:
        """Whether the manifest proves that the undamaged store had the attributes and layout requested."""
        if self.manifest is None:
            return False
        root = complete_root(requested, self.manifest.contents, convention=self.has_convention(requested))
        documents = {**documents, ROOT: root}
        files = self.manifest.files
        return all(files.get(key) == FileDigest.of([document]) for key, document in documents.items())

    def refuse_foreign_files(self, splits: Collection[str]) -> None:
        """Raise `StoreError` where the folder has files that are none of a store's with these splits."""
        if foreign := foreign_keys(self.sizes, self.splits | set(splits)):
            more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
            raise StoreError(
                f"{self.storage.path} holds files that are no part of the store: "
                f"{', '.join(map(repr, foreign[:_SHOWN]))}{more}",
                "nothing else in the folder of a store that is deleted",
                "Move them elsewhere, or choose another path.",
            )

    def recorded(self, layouts: Mapping[str, SplitLayout]) -> dict[str, FileDigest]:
        """Return key → digest of the files that a writer finished, from the manifest and the records of shards."""
        files = (
            {key: file for key, file in self.manifest.files.items() if key != ROOT} if self.manifest else {}
        )
        return files | read_records(self.storage, self.sizes, layouts)

    def proven(self, layouts: Mapping[str, SplitLayout], documents: Collection[str]) -> dict[str, FileDigest]:
        """Return the digests of all files of a complete store without a manifest, if its `contents` covers them."""
        keys = [key for key in (*documents, *sample_keys(layouts)) if key in self.sizes]
        files = read_digests(self.storage, {key: self.sizes[key] for key in keys})
        proved = self.attributes is not None and self.attributes.get("contents") == digest_over(files)
        return files if proved else {}

    def intact(self, files: Files, *, read: bool) -> dict[str, FileDigest]:
        """Return those of `files` that are there with their size, and with their digest where they are to be read."""
        same_size = {key: file for key, file in files.items() if self.sizes.get(key) == file.size}
        if not read:
            return same_size
        digests = read_digests(self.storage, {key: file.size for key, file in same_size.items()})
        return {key: file for key, file in same_size.items() if digests.get(key) == file}


def complete_root(attributes: Mapping[str, Any], contents: str, *, convention: bool = True) -> bytes:
    """Return the root document of a complete store; see `root_document`."""
    complete = {**unfinished(attributes), "complete": True, "contents": contents}
    return root_document(complete, convention=convention)


def names_convention(root: bytes | None) -> bool:
    """Whether a root document, which need not be sound, names the convention: stores of before it do not."""
    return root is not None and CONVENTION["uuid"].encode() in root


def read_manifest(storage: Storage) -> Manifest | None:
    """Return a store's manifest; None where it is missing or damaged."""
    try:
        return Manifest.read(storage)
    except StoreError:
        return None


def read_records(
    storage: Storage, keys: Collection[str], layouts: Mapping[str, SplitLayout]
) -> dict[str, FileDigest]:
    """Return key → digest of the files of every shard that has a sound record among `keys`."""
    shards = [
        (record_key(split, number), shard_keys(split, number, layout))
        for split, layout in layouts.items()
        for number in range(layout.shards)
    ]

    def read(shard: tuple[str, list[str]]) -> Files:
        key, files = shard
        try:
            record = ShardRecord.parse(key, storage.get(key) or b"")
        except StoreError:
            return {}
        return record.files if sorted(record.files) == sorted(files) else {}

    present = [shard for shard in shards if shard[0] in keys]
    with ThreadPoolExecutor(max(storage.requests, 1)) as pool:
        return {key: file for files in pool.map(read, present) for key, file in files.items()}


def read_digests(storage: Storage, sizes: Mapping[str, int]) -> dict[str, FileDigest]:
    """Read files, several at a time, and return their digests; without those that cannot be read."""

    def read(item: tuple[str, int]) -> FileDigest | None:
        try:
            return file_digest(storage, *item)
        except StoreError:
            return None

    with ThreadPoolExecutor(max(cores(), storage.requests)) as pool:
        digests = zip(sizes, pool.map(read, sizes.items()), strict=True)
        return {key: digest for key, digest in digests if digest is not None}
