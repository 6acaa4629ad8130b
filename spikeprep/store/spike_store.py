"""Open a spike store: its attributes and its splits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Self

from ..errors import StoreError, UsageError, near_miss
from .attributes import fingerprint
from .manifest import Files
from .reader import SplitReader
from .root import Root
from .storage import open_storage
from .storage_contract import Storage


class UnknownSplit(UsageError, KeyError):
    """The name of a split that a store does not have."""

    __str__ = Exception.__str__  # KeyError's would show quotation marks


class SpikeStore(Mapping[str, SplitReader]):
    """A spike store, opened for reading: a mapping of split name → `SplitReader`.

    It pickles as its path or URL; a copy opens the store again when it is first used, in any process that can reach it.

    Attributes
    ----------
    path
        Where it is: a path or an fsspec URL.
    attributes
        The ``"spikeprep"`` attributes (see `spikeprep.store.attributes`).
    """

    def __init__(self, storage: Storage, *, incomplete: bool = False) -> None:
        self.path, self._storage, self._incomplete = storage.path, storage, incomplete
        self._root = Root(storage)
        self._readers: dict[str, SplitReader] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, incomplete: bool = False) -> Self:
        """Open a store; `incomplete` admits one whose encoding has not finished.

        Raises
        ------
        StoreError
            There is no store, it is foreign, of a newer format, or not complete; or its root document or its manifest
            is damaged, or one is not the other's.
        """
        store = cls(open_storage(path), incomplete=incomplete)
        _ = store.attributes
        return store

    @classmethod
    def _reopen(cls, path: str, incomplete: bool) -> Self:
        return cls(open_storage(path), incomplete=incomplete)

    def __reduce__(self) -> Any:
        return type(self)._reopen, (self._storage.absolute_path(), self._incomplete)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The ``"spikeprep"`` attributes, as the store has them."""
        attributes = self._root.attributes
        if not (attributes["complete"] or self._incomplete):
            raise StoreError(
                f"{self.path} is not complete",
                "a finished store",
                "Repeat the `spikeprep encode` command or the call that began it: it resumes.",
            )
        return attributes

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in the order of the source."""
        return tuple(self.attributes["samples"])

    def chosen_split(self, split: str | None = None) -> str:
        """Return the name of a split to look at: the given one, else test, else the first."""
        return split if split is not None else "test" if "test" in self.splits else self.splits[0]

    @property
    def complete(self) -> bool:
        """Whether the encoding has finished."""
        return bool(self.attributes["complete"])

    def __getitem__(self, split: str) -> SplitReader:
        if split not in self.splits:
            raise UnknownSplit(f"{self.path} has no split {split!r}", "", near_miss(split, self.splits))
        if split not in self._readers:
            reader = SplitReader(self._storage, split, self._root)
            _ = reader.layout  # damaged metadata shows here, not at the first sample
            self._readers[split] = reader
        return self._readers[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    def __repr__(self) -> str:
        about, shape = self.attributes, tuple(self.attributes["unit_shape"])
        samples = ", ".join(f"{split} {count}" for split, count in about["samples"].items())
        state = "" if self.complete else ", incomplete"
        return (
            f"<SpikeStore {self.path}: {about['recipe']}, {samples}, units {shape}, "
            f"{len(about['classes'])} classes, dt {about['dt']:g} s{state}>"
        )

    def fingerprint(self) -> str:
        """Return a sha256 that two stores share if they were made from the same data in the same way."""
        return fingerprint(self.attributes)

    def digest(self) -> str | None:
        """Return the digest over every file of the store, from its manifest; None while it is written.

        Two stores with the same digest are the same byte for byte, as long as `verify` finds nothing wrong. Stores of
        the first releases have none either.

        Raises
        ------
        StoreError
            Another store is at this place by now.
        """
        if not self.attributes.get("contents"):
            return None
        self._root.check()
        return self._root.manifest.digest if self._root.manifest else None

    def files(self) -> Files:
        """Return key → size and sha256 of every file of the store, from its manifest; empty where it has none."""
        _ = self.attributes
        return self._root.files

    def stored_bytes(self, split: str | None = None) -> int:
        """Return the bytes on disk of the store, or of one split."""
        prefix = f"{split}/" if split else ""
        return sum(size for key, size in self._storage.sizes().items() if key.startswith(prefix))
