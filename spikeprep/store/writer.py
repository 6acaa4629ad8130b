"""Write a spike store, whole shards at a time: resumable, and the same bytes however often interrupted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..data import Bits
from ..errors import StoreError
from ..packing import overrun, popcount
from . import layout as form
from .layout import SplitLayout
from .objects import LocalObjects, Objects, open_objects
from .shards import Compression, seal


@dataclass(frozen=True)
class Shard:
    """The samples [start, stop) of a split, which one worker writes."""

    split: str
    number: int
    start: int
    stop: int


class SpikeWriter:
    """Creates a store or goes on with one. Shards may be written from many threads at once.

    ::

        writer = SpikeWriter.open("out.zarr", attributes, {"train": SplitLayout.fit(60000, 784, 400)})
        for shard in writer.pending():
            with writer.shard(shard) as out:
                out.append(bits, steps, labels, ids)  # chunk_samples at a time
        writer.complete()
    """

    def __init__(
        self,
        objects: Objects,
        attributes: dict[str, Any],
        layouts: dict[str, SplitLayout],
        compression: Compression,
    ) -> None:
        self._objects, self._attributes = objects, attributes
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
        """Create the store, or take up one that was begun with the same attributes and layout.

        Parameters
        ----------
        path
            A path or an fsspec URL.
        attributes
            The ``"spikeprep"`` attributes, without `format`, `samples` and `complete`.
        layouts
            Split → layout, in order.
        compression
            zstd at level 1 unless told otherwise.
        overwrite
            Whether to delete a spike store that is complete, or of another configuration, first. An
            incomplete one of this configuration is gone on with all the same, and anything but a spike store
            is never deleted.

        Raises
        ------
        StoreError
            Something else is there, or a store of another configuration (the message names what differs).
        """
        objects, compression = open_objects(path), compression or Compression()
        samples = {split: layout.samples for split, layout in layouts.items()}
        asked = {"format": form.FORMAT, **attributes, "samples": samples, "complete": False}
        asked = json.loads(json.dumps(asked))  # tuples → lists, as they come back from a store
        if isinstance(objects, LocalObjects) and objects.root.exists() and not objects.root.is_dir():
            raise StoreError(
                f"{objects.path} is a file", "a folder, or a path that is free", "Choose another --out."
            )
        present = objects.names()
        documents: dict[str, bytes] = {}
        for split, layout in layouts.items():
            documents |= form.split_documents(split, layout, compression)
        if present and "zarr.json" not in present:
            raise StoreError(
                f"{objects.path} is not empty and no spike store",
                "an empty or new folder",
                "Choose another --out.",
            )
        if present:
            stored = form.parse_attributes(objects.path, objects.get("zarr.json"))
            unlike = _unlike(objects, stored, asked, documents, present)
            replace = overwrite and (bool(unlike) or stored["complete"])
            if unlike and not overwrite:
                raise StoreError(
                    f"{objects.path} was encoded with another configuration ({'; '.join(unlike[:5])})",
                    "",
                    "Give --overwrite to replace it, or another --out.",
                )
            if replace:
                # marked first: interrupted here, the remains are neither read nor gone on with
                objects.put(
                    "zarr.json", form.root_document({**stored, "complete": False, "being_replaced": True})
                )
                for key in sorted(present - {"zarr.json"}):
                    objects.delete(key)
                present = set()
            elif stored["complete"]:
                asked["complete"] = True
        objects.sweep()
        if not present:
            objects.put("zarr.json", form.root_document(asked))
        for key, data in documents.items():
            if key not in present:
                objects.put(key, data)
        return cls(objects, asked, dict(layouts), compression)

    def shards(self) -> list[Shard]:
        """Return every shard of every split."""
        return [
            Shard(split, number, *layout.span(number))
            for split, layout in self.layouts.items()
            for number in range(layout.shards)
        ]

    def pending(self) -> list[Shard]:
        """Return the shards that are not written yet."""
        present = self._objects.names()
        return [shard for shard in self.shards() if form.shard_key(shard.split, shard.number) not in present]

    def shard(self, shard: Shard) -> ShardWriter:
        """Return a context to append one shard's samples in; it is written when the context ends well."""
        return ShardWriter(self._objects, shard, self.layouts[shard.split], self._compression)

    def complete(self) -> None:
        """Mark the store as complete; raises `StoreError` where shards are still missing."""
        missing = self.pending()
        if missing:
            raise StoreError(
                f"{self._objects.path} lacks {len(missing)} shards", "every shard", "Write them first."
            )
        if not self._attributes["complete"]:
            self._attributes["complete"] = True
            self._objects.put("zarr.json", form.root_document(self._attributes))


class ShardWriter:
    """Collects one shard chunk by chunk, compressed, and writes it in one piece at the end."""

    def __init__(self, objects: Objects, shard: Shard, layout: SplitLayout, compression: Compression) -> None:
        self._objects, self._shard, self._layout, self._compression = objects, shard, layout, compression
        self._chunks: list[bytes] = []
        self._small: dict[str, list[Any]] = {name: [] for name in form.SMALL}

    def __enter__(self) -> Self:
        return self

    def append(
        self,
        bits: Bits,
        steps: NDArray[np.integer[Any]],
        labels: NDArray[np.integer[Any]],
        ids: Sequence[str],
    ) -> None:
        """Add the next `chunk_samples` samples (the last ones of a shard may be fewer).

        Parameters
        ----------
        bits
            uint8 (sample, unit, byte), bits at and past `steps` 0.
        steps, labels, ids
            (sample,) each.
        """
        layout, done = self._layout, len(self._small["ids"])
        room = min(layout.chunk_samples, self._shard.stop - self._shard.start - done)
        expected = (room, layout.units, layout.width)
        if (
            bits.shape != expected
            or bits.dtype != np.uint8
            or not len(steps) == len(labels) == len(ids) == room
        ):
            raise ValueError(
                f"got bits {bits.dtype} {bits.shape} for {len(ids)} ids; expected uint8 {expected}."
            )
        steps = np.asarray(steps)
        if overrun(bits, steps).any():
            raise ValueError("got spikes at or past a sample's own steps; expected every such bit to be 0.")
        if room < layout.chunk_samples:  # Zarr stores whole chunks
            bits = np.concatenate([bits, np.zeros((layout.chunk_samples - room, *expected[1:]), np.uint8)])
        bits = np.ascontiguousarray(bits)
        counts = popcount(bits.reshape(layout.chunk_samples, -1))[:room]
        self._chunks.append(self._compression.encode(bits))
        for name, values in (("steps", steps), ("labels", labels), ("counts", counts), ("ids", ids)):
            self._small[name].extend(values)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        split, number = self._shard.split, self._shard.number
        if len(self._small["ids"]) != self._shard.stop - self._shard.start:
            raise ValueError(f"got {len(self._small['ids'])} samples; expected all of {self._shard}.")
        for name, values in self._small.items():
            data = form.encode_small(name, values, self._layout, self._compression)
            self._objects.put(form.small_key(split, name, number), data)
        # last, because its presence says that the shard is done
        self._objects.put(form.shard_key(split, number), seal(self._chunks, self._layout.places))


def _unlike(
    objects: Objects,
    stored: dict[str, Any],
    asked: dict[str, Any],
    documents: Mapping[str, bytes],
    present: set[str],
) -> list[str]:
    """Return what of a store's attributes and layout differs from what is asked for."""
    lines = form.differences({**stored, "complete": False}, asked)
    for key, data in documents.items():
        if key in present and key.endswith(f"{form.SPIKES}/zarr.json"):
            where = key.removesuffix("/zarr.json")
            try:
                lines += form.differences(json.loads(objects.get(key) or b""), json.loads(data), where)
            except ValueError:
                lines.append(f"{where}: damaged in the store")
    return lines
