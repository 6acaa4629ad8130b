"""Write a spike store, whole shards at a time: resumable, and the same bytes however often interrupted."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
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
from .objects import LocalObjects, Objects, Write, open_objects
from .shards import Compression, index_of


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
    """Collects one shard chunk by chunk, compressed, and writes it in one piece at the end.

    Where a sample is cut into several chunks they go to the disk as they come.
    """

    def __init__(self, objects: Objects, shard: Shard, layout: SplitLayout, compression: Compression) -> None:
        self._objects, self._shard, self._layout, self._compression = objects, shard, layout, compression
        self._chunks: list[bytes] = []
        self._small: dict[str, list[Any]] = {name: [] for name in form.SMALL}
        self._key = form.shard_key(shard.split, shard.number)
        self._write: Write | None = None
        self._context = ExitStack()
        self._lengths: list[int] = []

    def __enter__(self) -> Self:
        if self._layout.parts > 1:
            self._write = self._context.enter_context(self._objects.writing(self._key))
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
        self.append_parts([bits], steps, labels, ids)

    def append_parts(
        self,
        parts: Iterable[Bits],
        steps: NDArray[np.integer[Any]],
        labels: NDArray[np.integer[Any]],
        ids: Sequence[str],
    ) -> None:
        """Add the next samples by runs of units: what `append` does, without holding all of a large sample.

        Parameters
        ----------
        parts
            uint8 (sample, unit, byte), one run of units after another; all but the last have a multiple of the
            layout's `chunk_units`.
        """
        layout, done = self._layout, len(self._small["ids"])
        (whole, cut, width), steps = layout.chunk, np.asarray(steps)
        room = min(whole, self._shard.stop - self._shard.start - done)
        if not len(steps) == len(labels) == len(ids) == room:
            raise ValueError(f"got {len(ids)} ids and {len(steps)} steps; expected {room} of each.")
        counts, units = np.zeros(room, np.int64), 0
        for bits in parts:
            held = bits.shape[1] if bits.ndim == 3 else 0
            fits = 0 < held <= layout.units - units and (held % cut == 0 or held == layout.units - units)
            if bits.shape != (room, held, width) or bits.dtype != np.uint8 or not fits:
                raise ValueError(
                    f"got bits {bits.dtype} {bits.shape} at unit {units} for {room} ids; "
                    f"expected uint8 {(room, layout.units - units, width)}."
                )
            if overrun(bits, steps).any():
                raise ValueError(
                    "got spikes at or past a sample's own steps; expected every such bit to be 0."
                )
            counts += popcount(np.ascontiguousarray(bits).reshape(room, -1))
            for first in range(0, held, cut):
                self._add(bits[:, first : first + cut])
            units += held
        if units != layout.units:
            raise ValueError(f"got {units} units; expected {layout.units}.")
        for name, values in (("steps", steps), ("labels", labels), ("counts", counts), ("ids", ids)):
            self._small[name].extend(values)

    def _add(self, bits: Bits) -> None:
        if bits.shape != (shape := self._layout.chunk):  # Zarr stores whole chunks
            padded = np.zeros(shape, np.uint8)
            padded[: bits.shape[0], : bits.shape[1]] = bits
            bits = padded
        data = self._compression.encode(np.ascontiguousarray(bits))
        self._lengths.append(len(data))
        (self._write or self._chunks.append)(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException:
            self._context.__exit__(*sys.exc_info())
            raise
        self._context.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if len(self._small["ids"]) != self._shard.stop - self._shard.start:
            raise ValueError(f"got {len(self._small['ids'])} samples; expected all of {self._shard}.")
        for name, values in self._small.items():
            data = form.encode_small(name, values, self._layout, self._compression)
            self._objects.put(form.small_key(self._shard.split, name, self._shard.number), data)
        # last, because its presence says that the shard is done
        index = index_of(self._lengths, self._layout.places)
        if self._write:
            self._write(index)
        else:
            self._objects.put(self._key, b"".join((*self._chunks, index)))


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
