"""The root document of a store that is open for reading, and whether the store was replaced since."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any

from ..errors import StoreError
from .attributes import fingerprint, parse_attributes
from .layout import ROOT
from .storage_contract import Storage


class Root:
    """The attributes of a store as they were when they were first read. Thread-safe.

    A store is replaced in place by an encode with ``overwrite=True``. Its root document is written first and last, so
    whoever finds it unchanged after a read has read the store that was opened.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._version: Hashable = None

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The ``"spikeprep"`` attributes; raises `StoreError` where there are none, or damaged ones."""
        self._version = self._storage.version(ROOT)  # before the content: a change in between is seen later
        return parse_attributes(self._storage.path, self._storage.get(ROOT))

    def check(self) -> None:
        """Raise `StoreError` if another store is at this place by now."""
        opened, version = self.attributes, self._storage.version(ROOT)
        if version == self._version:
            return
        now = parse_attributes(self._storage.path, self._storage.get(ROOT))
        same = fingerprint(now) == fingerprint(opened)
        if opened["complete"] and now["complete"] and opened.get("contents") != now.get("contents"):
            same = False
        if not same or "being_replaced" in now:
            raise StoreError(
                f"{self._storage.path} was replaced since it was opened", "", "Open it again, and start over."
            )
        self._version = version

    def check_where_cheap(self) -> None:
        """Check as `check` does, where that takes microseconds."""
        if self._storage.local:
            self.check()
