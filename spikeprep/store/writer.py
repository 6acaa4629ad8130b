"""Write a spike store shard by shard: resumable, by many workers, and the same bytes however often interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from types import TracebackType
from typing import Any, Self

from ..errors import SpikeprepError, StoreError
from ..lease import Holder, Lease, LeaseToken, Timing
from .attributes import FORMAT, check_attributes, differences, parse_attributes, root_document, unfinished
from .existing import ExistingStore, complete_root, names_convention
from .layout import LEASE, MANIFEST, ROOT, SplitLayout, foreign_keys, record_key, sample_keys, shard_keys
from .manifest import FileDigest, Files, Manifest, digest_over
from .outputs import check_output
from .shard_writer import Shard, ShardWriter
from .shards import Compression
from .storage import open_storage
from .storage_contract import Storage
from .zarr_metadata import split_documents


class SpikeWriter:
    """Creates a store, resumes or repairs one. Any number of threads may write shards at the same time.

    ::

        with SpikeWriter.open("out.zarr", attributes, {"train": SplitLayout.fit(60000, 784, 400)}) as writer:
            for shard in writer.pending():
                with writer.shard(shard) as out:
                    out.append(bits, steps, labels, ids)  # chunk_samples at a time
            writer.complete()

    The process that opens a writer holds the store's lease until `close`, the end of the ``with``, or its own end;
    another writer cannot be opened meanwhile. Other processes, on this machine or another, join with `join`; a pickled
    writer is one that has joined. Each writes shards that the others do not, and one of them calls `complete` at the
    end.
    """

    def __init__(
        self,
        storage: Storage,
        attributes: dict[str, Any],
        layouts: dict[str, SplitLayout],
        compression: Compression,
    ) -> None:
        self._storage, self._attributes = storage, attributes
        self.layouts, self._compression = layouts, compression
        self._convention = True  # whether the root document names it: a store of before keeps its bytes
        self._lease: Lease | None = None
        self._token: LeaseToken | None = None
        self._files: dict[str, FileDigest] = {}  # that are sound
        self._expected: Files = {}  # that the store had before it was damaged or interrupted

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        attributes: Mapping[str, Any],
        layouts: Mapping[str, SplitLayout],
        *,
        compression: Compression | None = None,
        overwrite: bool = False,
        repair: bool = False,
        note: Callable[[str], None] | None = None,
    ) -> SpikeWriter:
        """Create the store, or resume one that was begun with the same attributes and layout.

        Shards that an interrupted writer finished are kept where their files have the recorded sizes and, on a local
        disk, the recorded digests.

        Parameters
        ----------
        path
            A path or an fsspec URL.
        attributes
            The ``"spikeprep"`` attributes, without `format`, `samples` and `complete`.
        layouts
            Split → layout, in order.
        compression
            Default: zstd at level 1.
        overwrite
            Whether to first delete a spike store that is complete, or of another configuration. An incomplete one of
            this configuration is resumed all the same, and one without any finished shard is replaced in any case. Only
            the store's own files are ever deleted.
        repair
            Whether to read everything in a complete store and open what is damaged or missing for writing again.
        note
            Called with a message before a wait of some seconds for the sign of life of a writer on another host.

        Raises
        ------
        StoreError
            Something else is there, or a store of another configuration (the message names what differs); with
            `overwrite`, a file that is no part of the store; another writer is at work; the attributes do not fit
            their schema.
        UsageError
            The path is inside another store.
        """
        check_output(path)
        storage, compression = open_storage(path), compression or Compression()
        requested = _requested(attributes, layouts)
        check_attributes(storage.path, requested, "Correct the attributes of the new store.")
        writer = cls(storage, requested, dict(layouts), compression)
        existing = ExistingStore.read(storage)
        if existing and writer._is_finished(existing, overwrite=overwrite, repair=repair):
            writer._remove_abandoned_lease(existing)
            return writer
        writer._acquire(note)
        try:
            existing = ExistingStore.read(storage)  # again: another process may have finished since
            if not writer._is_finished(existing, overwrite=overwrite, repair=repair):
                writer.remove_abandoned()
                if existing and (overwrite or existing.holds_nothing) and writer._replaces(existing):
                    writer._delete(existing)
                elif existing:
                    writer._resume(existing, repair=repair)
                writer._begin()
        except BaseException:
            writer.close()
            raise
        return writer

    @staticmethod
    def existing(path: str | os.PathLike[str]) -> dict[str, Any] | None:
        """Return the attributes of the store at `path`, complete or not; None where nothing is, or no finished shard.

        Raises
        ------
        StoreError
            Something else is there, or its attributes are damaged.
        """
        storage = open_storage(path)
        existing = ExistingStore.read(storage)
        return (
            None if not existing or existing.holds_nothing else parse_attributes(storage.path, existing.root)
        )

    @classmethod
    def join(
        cls,
        path: str | os.PathLike[str],
        attributes: Mapping[str, Any],
        layouts: Mapping[str, SplitLayout],
        *,
        compression: Compression | None = None,
        token: str | None = None,
    ) -> SpikeWriter:
        """Return a writer for a store that another process has opened with the same arguments.

        Reads two documents; creates, deletes and lists nothing, so it is cheap enough for every task of an executor.

        Parameters
        ----------
        path, attributes, layouts, compression
            As for `open`.
        token
            Of the lease under which the store is written; default: of the lease that it has now.

        Raises
        ------
        StoreError
            There is no such store, it has another configuration by now, or no process has it open for writing.
        """
        storage = open_storage(path)
        requested = _requested(attributes, layouts)
        root = storage.get(ROOT)
        stored = parse_attributes(storage.path, root)
        if conflicts := differences(unfinished(stored), requested):
            raise StoreError(
                f"{storage.path} has another configuration than the writer that joins it "
                f"({'; '.join(conflicts[:5])})",
                "the one that created it",
                "Stop this worker: another call has replaced the store.",
            )
        requested["complete"] = stored["complete"]
        writer = cls(storage, requested, dict(layouts), compression or Compression())
        writer._convention = names_convention(root)
        if not stored["complete"]:
            writer._token = _join_lease(storage, token)
        return writer

    def __reduce__(self) -> Any:
        arguments = self._storage.absolute_path(), self._attributes, self.layouts
        token = self._token.token if self._token else None
        return partial(SpikeWriter.join, *arguments, compression=self._compression, token=token), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the store's lease up. What is written stays, and another writer may go on."""
        if self._lease:
            self._lease.release()

    def shards(self) -> list[Shard]:
        """Return every shard of every split."""
        return [
            Shard(split, number, *layout.sample_range(number))
            for split, layout in self.layouts.items()
            for number in range(layout.shards)
        ]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to write."""
        return bool(self._attributes["complete"])

    def pending(self) -> list[Shard]:
        """Return the shards that are not written yet."""
        if self._attributes["complete"]:
            return []
        if not all(map(self._is_written, self.shards())):
            self._read_records()
        return [shard for shard in self.shards() if not self._is_written(shard)]

    def shard(self, shard: Shard) -> ShardWriter:
        """Return a context to append one shard's samples in; the shard is written when it ends without an error."""
        if self._token is None:
            raise ValueError("the store is complete: no shard of it can be written.")
        layout = self.layouts[shard.split]
        return ShardWriter(
            self._storage, self._token, shard, layout, self._compression, self._expected, self._files.update
        )

    def remove_abandoned(self) -> None:
        """Remove the unfinished files that processes of this host have left, which ended while they wrote a shard."""
        self._storage.remove_abandoned(lambda key: not foreign_keys([key], self.layouts))

    def complete(self) -> None:
        """Write the manifest and mark the store as complete.

        Raises
        ------
        StoreError
            Shards are still missing, or the store was changed by someone else while it was written.
        """
        if self._attributes["complete"]:
            return
        if missing := self.pending():
            raise StoreError(
                f"{self._storage.path} lacks {len(missing)} shards", "every shard", "Write them first."
            )
        self._check_lease()
        documents = {key: FileDigest.of([document]) for key, document in self._documents.items()}
        files, sizes = self._files | documents, self._storage.sizes()
        lost = [key for key, file in files.items() if sizes.get(key) != file.size]
        unlike = [key for key, file in files.items() if self._expected.get(key, file) != file]
        if lost or unlike:
            raise StoreError(
                f"{self._storage.path}/{(lost or unlike)[0]} "
                f"{'was changed while the store was written' if lost else 'has other content than before'}",
                "the content that was encoded",
                "Encode again; with overwrite=True if the source has changed.",
            )
        contents = digest_over(files)
        root = complete_root(self._attributes, contents, convention=self._convention)
        manifest = Manifest.of({**files, ROOT: FileDigest.of([root])}, self._attributes["version"])
        self._storage.put(MANIFEST, manifest.document())  # from here on it is the record of every shard
        for shard in self.shards():
            if (key := record_key(shard.split, shard.number)) in sizes:
                self._storage.delete(key)
        self._storage.put(ROOT, root)
        self._attributes |= {"complete": True, "contents": contents}
        self.close()

    # What `open` does with a store that is there

    def _conflicts(self, existing: ExistingStore) -> list[str]:
        return existing.conflicts(self._attributes, self._documents)

    def _replaces(self, existing: ExistingStore) -> bool:
        """Whether overwriting deletes a store rather than resumes it."""
        damaged = existing.damaged(self._documents)
        return existing.complete or bool(damaged or self._conflicts(existing))

    def _is_finished(self, existing: ExistingStore | None, *, overwrite: bool, repair: bool) -> bool:
        """Whether there is nothing to do; raises `StoreError` where what is there may not be touched."""
        if existing is None:
            return False
        existing.refuse_links(self.layouts, self._documents)
        if repair:
            self._attributes["version"] = existing.version or self._attributes["version"]
        self._convention = existing.has_convention(self._attributes)
        if repair and existing.was(self._attributes, self._documents):
            return False
        if overwrite or existing.holds_nothing:
            if self._replaces(existing):
                existing.refuse_foreign_files(self.layouts)
            return False
        conflicts, damaged = self._conflicts(existing), existing.damaged(self._documents)
        if conflicts:
            raise StoreError(
                f"{existing.storage.path} was encoded with another configuration ({'; '.join(conflicts[:5])})",
                "",
                "Use overwrite=True to replace it, or choose another path.",
            )
        if damaged and not (repair and existing.attributes):
            raise StoreError(
                f"{existing.storage.path} is damaged ({', '.join(damaged[:5])})",
                "documents of JSON",
                "Use overwrite=True to replace it."
                if repair
                else "Use repair=True to write again what is damaged.",
            )
        finished = not repair and existing.is_whole(self.layouts)
        if finished:
            self._attributes["complete"] = True
        return finished

    def _acquire(self, note: Callable[[str], None] | None) -> None:
        self._lease = self._new_lease(note or (lambda message: None))
        self._token = self._lease.token

    def _new_lease(self, note: Callable[[str], None]) -> Lease:
        return Lease.acquire(
            self._storage, LEASE, what=f"the store {self._storage.path}", place=_lease_place(self._storage),
            error=StoreError, note=note,
        )  # fmt: skip

    def _remove_abandoned_lease(self, existing: ExistingStore) -> None:
        """Remove the lease that a process left in a finished store: it ended between the last file and its release."""
        if LEASE not in existing.sizes:
            return
        with suppress(SpikeprepError, OSError):  # a place that can only be read keeps it, and no reader minds
            holder = Holder.parse(self._storage.get(LEASE))
            if holder is None or holder.is_alive(Timing().abandoned) is False:
                self._new_lease(lambda message: None).release()

    def _delete(self, existing: ExistingStore) -> None:
        """Delete a store's files. It is marked first: interrupted here, the remains are neither read nor resumed."""
        marked = unfinished(existing.attributes or self._attributes) | {"being_replaced": True}
        self._storage.put(ROOT, root_document(marked))
        self._convention = True
        for key in sorted(set(existing.sizes) - {ROOT, LEASE}, key=lambda key: (key != MANIFEST, key)):
            self._storage.delete(key)

    def _resume(self, existing: ExistingStore, *, repair: bool) -> None:
        """Find the files that are sound, and delete what is not, so that only missing shards are pending."""
        expected = existing.recorded(self.layouts)
        if existing.complete and existing.manifest is None:
            expected = existing.proven(self.layouts, self._documents)
        self._expected = expected
        sound = existing.intact(expected, read=repair or self._storage.local)
        keys = sample_keys(self.layouts)
        self._files = {key: sound[key] for key in keys if key in sound}
        if existing.complete or existing.attributes is None:
            if self._is_sound(existing, sound, keys):
                self._attributes |= {"complete": True}
                self.close()
                return
            self._storage.put(ROOT, self._unfinished_root())
        foreign = set(foreign_keys(existing.sizes, self.layouts))
        stale = (
            set(existing.sizes) - foreign - {ROOT, MANIFEST, LEASE} - set(self._documents) - set(self._files)
        )
        records = {record_key(s.split, s.number) for s in self.shards() if self._is_written(s)}
        for key in sorted(stale - records):
            self._storage.delete(key)

    def _is_sound(self, existing: ExistingStore, sound: Files, keys: list[str]) -> bool:
        """Whether a complete store has every file, undamaged, and no other file that could be one of a store."""
        if existing.manifest is None or existing.root is None:
            return False
        wanted = {*keys, *self._documents}
        others = set(existing.sizes) - wanted - {ROOT, MANIFEST, LEASE}
        return (
            all(key in sound for key in wanted)
            and existing.manifest.version == self._attributes["version"]
            and existing.manifest.files[ROOT] == FileDigest.of([existing.root])
            and others == set(foreign_keys(others, self.layouts))
        )

    def _begin(self) -> None:
        """Write the documents that are missing or damaged."""
        if self._attributes["complete"]:
            return
        root = self._unfinished_root()
        for key, document in {ROOT: root, **self._documents}.items():
            if self._storage.get(key) != document:
                self._storage.put(key, document)

    def _unfinished_root(self) -> bytes:
        return root_document(unfinished(self._attributes), convention=self._convention)

    # Files

    @cached_property
    def _documents(self) -> dict[str, bytes]:
        """Key → metadata document of every split and array."""
        documents: dict[str, bytes] = {}
        for split, layout in self.layouts.items():
            documents |= split_documents(split, layout, self._compression)
        return documents

    def _keys_of(self, shard: Shard) -> list[str]:
        return shard_keys(shard.split, shard.number, self.layouts[shard.split])

    def _is_written(self, shard: Shard) -> bool:
        return all(key in self._files for key in self._keys_of(shard))

    def _read_records(self) -> None:
        """Learn which shards others have written since."""
        existing = ExistingStore.read(self._storage)
        if existing:
            self._files |= existing.intact(existing.recorded(self.layouts), read=False)

    def _check_lease(self) -> None:
        if self._token:
            self._token.check()


def _lease_place(storage: Storage) -> str:
    return f"{storage.path}/{LEASE}"


def _join_lease(storage: Storage, token: str | None) -> LeaseToken:
    """Return the lease under which a store is written; raises `StoreError` if it is not that of `token`."""
    holder = Holder.parse(storage.get(LEASE))
    if token is None and holder is None:
        raise StoreError(
            f"{storage.path} is not open for writing",
            "a writer that another process has opened",
            "Open it with SpikeWriter.open.",
        )
    known = token or (holder.token if holder else "")
    lease = LeaseToken(storage, LEASE, known, f"the store {storage.path}", _lease_place(storage), StoreError)
    lease.check()
    return lease


def _requested(attributes: Mapping[str, Any], layouts: Mapping[str, SplitLayout]) -> dict[str, Any]:
    """Return the attributes of an incomplete store, in the form in which JSON gives them back."""
    samples = {split: layout.samples for split, layout in layouts.items()}
    requested = {"format": FORMAT, **attributes, "samples": samples, "complete": False}
    values: dict[str, Any] = json.loads(json.dumps(requested))
    return values
