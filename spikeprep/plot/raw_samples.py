"""The raw sample that a stored one was encoded from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import DataError
from ..recipes import stored_recipe
from .spikes import check_sample

if TYPE_CHECKING:
    from ..data import Sample
    from ..store import SpikeStore


def raw_sample(
    store: SpikeStore, split: str, index: int, source_path: str | os.PathLike[str] | None
) -> Sample:
    """Return a stored sample's raw one, read again.

    Raises
    ------
    UsageError
        There is no such sample.
    DataError
        The raw data are missing, damaged, or not those that the store was made from.
    """
    reader = store[split]
    check_sample(index, len(reader))
    source = stored_recipe(store.attributes).open_source(source_path)
    sample = source.read(split, index) if index < source.splits().get(split, 0) else None
    origin = str(reader.ids[index])
    if sample is None or sample.id != origin:
        place = "the source" if source_path is None else os.fspath(source_path)
        raise DataError(
            f"{place} has {sample.id if sample else 'nothing'} as sample {index} of {split}",
            f"{origin}, as in the store",
            "Pass the raw data that the store was made from.",
        )
    return sample
