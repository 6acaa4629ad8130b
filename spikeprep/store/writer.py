"""Write a spike store shard by shard: resumable, by many workers, and the same bytes however often interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..errors import StoreError
from .attributes import FORMAT, check_attributes, differences, parse_attributes, root_document
from .layout import SPIKES, SplitLayout, metadata_key, shard_key
from .local_storage import LocalStorage
from .shard_writer import Shard, ShardWriter
from .shards import Compression
from .storage import open_storage
from .storage_contract import Storage
from .zarr_metadata import split_documents


class SpikeWriter:
    """Creates a store or resumes one. Any number of threads may write shards at the same time.

    ::

        writer = SpikeWriter.open("out.zarr", attributes, {"train": SplitLayout.fit(60000, 784, 400)})
        for shard in writer.pending():
            with writer.shard(shard) as out:
                out.append(bits, steps, labels, ids)  # chunk_samples at a time
        writer.complete()

    Other processes, on this machine or another, join with `join`; a pickled writer is one that has joined. Each writes
    shards that the others do not, and one of them calls `complete` at the end.
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

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        attributes: Mapping[str, Any],
        layouts: Mapping[str, SplitLayout],
        *,
        compression: Compression | None = None,
        overwrite: bool = False,
    ) -> SpikeWriter:
        """Create the store, or resume one that was begun with the same attributes and layout.

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
            this configuration is resumed all the same, and anything but a spike store is never deleted.

        Raises
        ------
        StoreError
            Something else is there, or a store of another configuration (the message names what differs); or the
            attributes do not fit their schema.
        """
        storage, compression = open_storage(path), compression or Compression()
        requested = _requested(attributes, layouts)
        check_attributes(storage.path, requested, "Correct the attributes of the new store.")
        present = _present(storage)
        documents: dict[str, bytes] = {}
        for split, layout in layouts.items():
            documents |= split_documents(split, layout, compression)
        if present:
            stored = parse_attributes(storage.path, storage.get("zarr.json"))
            conflicts = _conflicts(storage, stored, requested, documents, present)
            if conflicts and not overwrite:
                raise StoreError(
                    f"{storage.path} was encoded with another configuration ({'; '.join(conflicts[:5])})",
                    "",
                    "Use overwrite=True to replace it, or choose another path.",
                )
            if overwrite and (conflicts or stored["complete"]):
                # marked first: interrupted here, the remains are neither read nor resumed
                replaced = {**stored, "complete": False, "being_replaced": True}
                storage.put("zarr.json", root_document(replaced))
                for key in sorted(present - {"zarr.json"}):
                    storage.delete(key)
                present = set()
            elif stored["complete"]:
                requested["complete"] = True
        storage.remove_abandoned()
        if not present:
            storage.put("zarr.json", root_document(requested))
        for key, data in documents.items():
            if key not in present:
                storage.put(key, data)
        return cls(storage, requested, dict(layouts), compression)

    @staticmethod
    def existing(path: str | os.PathLike[str]) -> dict[str, Any] | None:
        """Return the attributes of the store at `path`, complete or not; None where nothing is.

        Raises
        ------
        StoreError
            Something else is there, or its attributes are damaged.
        """
        storage = open_storage(path)
        return parse_attributes(storage.path, storage.get("zarr.json")) if _present(storage) else None

    @classmethod
    def join(
        cls,
        path: str | os.PathLike[str],
        attributes: Mapping[str, Any],
        layouts: Mapping[str, SplitLayout],
        *,
        compression: Compression | None = None,
    ) -> SpikeWriter:
        """Return a writer for a store that another process created with the same arguments.

        Reads one metadata document; creates, deletes and lists nothing, so it is cheap enough for every task of an
        executor, and the unfinished files of other workers are safe.

        Raises
        ------
        StoreError
            There is no such store, or it has another configuration by now.
        """
        storage = open_storage(path)
        requested = _requested(attributes, layouts)
        stored = parse_attributes(storage.path, storage.get("zarr.json"))
        if conflicts := differences({**stored, "complete": False}, requested):
            raise StoreError(
                f"{storage.path} has another configuration than the writer that joins it "
                f"({'; '.join(conflicts[:5])})",
                "the one that created it",
                "Stop this worker: another call has replaced the store.",
            )
        requested["complete"] = stored["complete"]
        return cls(storage, requested, dict(layouts), compression or Compression())

    def __reduce__(self) -> Any:
        arguments = self._storage.absolute_path(), self._attributes, self.layouts
        return partial(SpikeWriter.join, *arguments, compression=self._compression), ()

    def shards(self) -> list[Shard]:
        """Return every shard of every split."""
        return [
            Shard(split, number, *layout.sample_range(number))
            for split, layout in self.layouts.items()
            for number in range(layout.shards)
        ]

    def pending(self) -> list[Shard]:
        """Return the shards that are not written yet."""
        present = self._storage.keys()
        return [shard for shard in self.shards() if shard_key(shard.split, shard.number) not in present]

    def shard(self, shard: Shard) -> ShardWriter:
        """Return a context to append one shard's samples in; the shard is written when it ends without an error."""
        return ShardWriter(self._storage, shard, self.layouts[shard.split], self._compression)

    def complete(self) -> None:
        """Mark the store as complete; raises `StoreError` where shards are still missing."""
        missing = self.pending()
        if missing:
            raise StoreError(
                f"{self._storage.path} lacks {len(missing)} shards", "every shard", "Write them first."
            )
        if not self._attributes["complete"]:
            self._attributes["complete"] = True
            self._storage.put("zarr.json", root_document(self._attributes))


def _present(storage: Storage) -> set[str]:
    """Return the keys of the store at a place, none where nothing is; refuse a file and a folder of other things."""
    if isinstance(storage, LocalStorage) and storage.root.exists() and not storage.root.is_dir():
        raise StoreError(
            f"{storage.path} is a file", "a folder, or a path that is free", "Choose another path."
        )
    present = storage.keys()
    if present and "zarr.json" not in present:
        raise StoreError(
            f"{storage.path} is not empty and no spike store",
            "an empty or new folder",
            "Choose another path.",
        )
    return present


def _requested(attributes: Mapping[str, Any], layouts: Mapping[str, SplitLayout]) -> dict[str, Any]:
    """Return the attributes of an incomplete store, in the form in which JSON gives them back."""
    samples = {split: layout.samples for split, layout in layouts.items()}
    requested = {"format": FORMAT, **attributes, "samples": samples, "complete": False}
    values: dict[str, Any] = json.loads(json.dumps(requested))
    return values


def _conflicts(
    storage: Storage,
    stored: dict[str, Any],
    requested: dict[str, Any],
    documents: Mapping[str, bytes],
    present: set[str],
) -> list[str]:
    """Return a line for everything in which a store's attributes and layout differ from those requested."""
    lines = differences({**stored, "complete": False}, requested)
    for split in requested["samples"]:
        key, groups = metadata_key(split, SPIKES), metadata_key(split, "groups")
        if key not in present:
            continue
        where = key.removesuffix("/zarr.json")
        try:
            lines += differences(json.loads(storage.get(key) or b""), json.loads(documents[key]), where)
        except ValueError:
            lines.append(f"{where}: damaged in the store")
        begun = any(name.startswith(f"{where}/c/") for name in present)
        if groups in present and groups not in documents:
            lines.append(f"{split}/groups: in the store, not requested")
        elif begun and groups in documents and groups not in present:
            lines.append(f"{split}/groups: requested, not in the store")
    return lines
