"""The documents of a store that is open for reading: what binds its files, and whether it was replaced since."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from functools import cached_property
from typing import Any

from ..errors import StoreError
from .attributes import WRITE_AGAIN, fingerprint, parse_attributes
from .layout import MANIFEST, ROOT
from .manifest import FileDigest, Files, Manifest
from .storage_contract import Storage

READ_HINT = f"`spikeprep verify` lists all of the damage; {WRITE_AGAIN}."


class Root:
    """The attributes and the manifest of a store as they were when they were first read. Thread-safe.

    The root document must be the one that the manifest covers; whoever reads another file compares it with `files`. A
    store that is being written is not bound by a manifest, and those of the first releases have none.

    A store is replaced in place by an encode with ``overwrite=True``. Its root document is written first and last, so
    whoever finds it unchanged after a read has read the store that was opened.

    Parameters
    ----------
    storage
        Of the store.
    bound
        False for `verify`, which reads what the manifest does not cover too.
    expected
        The `identity` of the store that was opened at this place before, in another process or at another time.
    """

    def __init__(self, storage: Storage, *, bound: bool = True, expected: str | None = None) -> None:
        self._storage, self._bound, self._expected = storage, bound, expected
        self._version: Hashable = None

    @cached_property
    def _document(self) -> tuple[bytes | None, dict[str, Any]]:
        self._version = self._storage.version(ROOT)  # before the content: a change in between is seen later
        root = self._storage.get(ROOT)
        return root, parse_attributes(self._storage.path, root)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The ``"spikeprep"`` attributes.

        Raises
        ------
        StoreError
            There are none or damaged ones, or those of a complete store are not what the manifest covers.
        """
        _ = self.manifest
        return self._document[1]

    @cached_property
    def manifest(self) -> Manifest | None:
        """The manifest of a complete store; None where there is none. Raises `StoreError` as `attributes`."""
        manifest = self._read_manifest()
        if self._expected and self._expected != _identity(self._document[1]):
            raise self._replaced()
        return manifest

    def _read_manifest(self) -> Manifest | None:
        root, attributes = self._document
        if not (self._bound and attributes["complete"]):
            return None
        contents = attributes.get("contents")
        if contents is None and self._storage.get(MANIFEST) is None:
            return None
        try:
            manifest = Manifest.read(self._storage)
            if manifest.files[ROOT] != FileDigest.of([root or b""]) or manifest.contents != contents:
                raise changed_file(self._storage, ROOT, "the document that the manifest covers")
            if manifest.version != attributes["version"]:  # the one value that no digest covers
                raise changed_file(self._storage, MANIFEST, f"version {attributes['version']}, as in {ROOT}")
        except StoreError:
            self.check()  # it may be another store's by now
            raise
        return manifest

    @property
    def identity(self) -> str | None:
        """A digest of a complete store's configuration, spikes and labels; None where it was not read yet."""
        attributes = self.__dict__["_document"][1] if "_document" in self.__dict__ else {}
        return _identity(attributes) if attributes.get("complete") else None

    @cached_property
    def files(self) -> Files:
        """Key → size and sha256 of every file of a store that has a manifest, else empty."""
        return self.manifest.files if self.manifest else {}

    def covers(self, key: str, data: bytes) -> bool:
        """Whether a file's content is what the store was written with, as far as that is known."""
        return not self.files or self.files.get(key) == FileDigest.of([data])

    def check(self) -> None:
        """Raise `StoreError` if another store is at this place by now."""
        opened, version = self._document[1], self._storage.version(ROOT)
        if version == self._version:
            return
        now = parse_attributes(self._storage.path, self._storage.get(ROOT))
        same = fingerprint(now) == fingerprint(opened)
        if opened["complete"] and now["complete"] and opened.get("contents") != now.get("contents"):
            same = False
        if not same or "being_replaced" in now:
            raise self._replaced()
        self._version = version

    def _replaced(self) -> StoreError:
        return StoreError(
            f"{self._storage.path} was replaced since it was opened", "", "Open it again, and start over."
        )

    def check_where_cheap(self) -> None:
        """Check as `check` does, where that takes microseconds."""
        if self._storage.local:
            self.check()


def _identity(attributes: dict[str, Any]) -> str:
    text = f"{fingerprint(attributes)} {attributes.get('contents')}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def changed_file(
    storage: Storage, key: str, expected: str = "the content that the manifest names"
) -> StoreError:
    """Return the error for a file that is not the one that the store was written with."""
    return StoreError(f"{storage.path}/{key} was changed since the store was written", expected, READ_HINT)
