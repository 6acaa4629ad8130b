"""Spike stores as data sets of xarray, whose spikes are read and unpacked when they are used.

>>> import xarray
>>> data = xarray.open_dataset("mnist.zarr", engine="spikeprep", split="test")
>>> data.spikes[data.class_name == "7"].mean(["sample", "time"])
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError, UsageError
from ..packing import unpack
from ..store import SpikeStore, SplitReader
from ..train.layers.spatial import channel_axis

try:
    import xarray as xr
    from xarray.backends import BackendArray, BackendEntrypoint
    from xarray.core import indexing
except ImportError as error:
    raise CapabilityError(
        "xarray is not installed", "the package xarray", "Run: pip install xarray."
    ) from error

_COPIED = ("recipe", "title", "citation", "seed", "dt", "version")  # attributes of a store


def dataset(split: SplitReader) -> xr.Dataset:
    """Return one split as a data set of xarray.

    It has the variable ``spikes``, bool (sample, time, unit axes): ``unit``; or ``y`` and ``x``; or these with
    ``channel`` where it is in the store, for units of three axes of which one is as short as polarities or colours.
    Coordinates are ``time`` in seconds, the positions on the other axes and, of each sample, ``label``, ``class_name``,
    ``id``, ``length`` in time steps, ``count`` of spikes and, where the split has groups, ``group``.

    Spikes are read when they are used; ``chunk()`` makes Dask's arrays of them, along the store's chunks.

    Raises
    ------
    StoreError
        The split is damaged.
    """
    units = _unit_axes(split.unit_shape)
    spikes = xr.Variable(
        ("sample", "time", *units),
        indexing.LazilyIndexedArray(_Spikes(split)),
        {"long_name": "spikes"},
        {"preferred_chunks": {"sample": split.chunk_samples}},
    )
    time = xr.Variable("time", np.arange(split.max_steps) * split.dt, {"units": "s", "long_name": "time"})
    of_samples = {
        "label": split.labels,
        "class_name": np.array(split.classes, np.str_)[split.labels],
        "id": split.ids,
        "length": split.steps,
        "count": split.counts,
    }
    if split.groups is not None:
        of_samples["group"] = split.groups
    coordinates: dict[str, Any] = {name: ("sample", values) for name, values in of_samples.items()}
    coordinates |= {"sample": np.arange(len(split)), "time": time}
    coordinates |= {axis: np.arange(n) for axis, n in zip(units, split.unit_shape, strict=True)}
    attributes = {name: split.attributes[name] for name in _COPIED if name in split.attributes}
    attributes |= {"split": split.split, "classes": list(split.classes)}
    attributes["chain"] = json.dumps(split.attributes["chain"])
    return xr.Dataset({"spikes": spikes}, coordinates, attributes)


def _unit_axes(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the name of each axis of the units."""
    if len(shape) == 1:
        return ("unit",)
    if len(shape) == 2:
        return ("y", "x")
    if len(shape) == 3:
        try:
            first = channel_axis(shape, "auto") == "first"
        except UsageError:  # they look alike
            pass
        else:
            return ("channel", "y", "x") if first else ("y", "x", "channel")
    return tuple(f"unit_{n}" for n in range(len(shape)))


class _Spikes(BackendArray):
    """The spikes of a split, bool (sample, time, *unit_shape)."""

    def __init__(self, split: SplitReader) -> None:
        self._split, self.dtype = split, np.dtype(bool)
        self.shape = (len(split), split.max_steps, *split.unit_shape)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._selected)

    def _selected(self, key: tuple[Any, ...]) -> NDArray[np.bool_]:
        """Return what integers, slices and arrays of numbers select, one for each axis."""
        dropped = tuple(axis for axis, index in enumerate(key) if isinstance(index, int | np.integer))
        samples, steps, *units = (
            np.atleast_1d(np.arange(size)[index]) for size, index in zip(self.shape, key, strict=True)
        )
        split = self._split
        numbers = np.arange(split.units).reshape(split.unit_shape)[np.ix_(*units)].ravel()
        bits = split.bits(samples)[:, numbers]
        shape = (len(samples), len(steps), *(len(axis) for axis in units))
        if not prod(shape):
            return np.zeros(shape, bool).squeeze(dropped)
        spikes = unpack(bits, int(steps.max()) + 1)[:, steps]
        return spikes.reshape(shape).squeeze(dropped)


class SpikeBackend(BackendEntrypoint):
    """Opens a split of a spike store: ``xarray.open_dataset(STORE, engine="spikeprep", split=NAME)``."""

    description = "Open spike stores of spikeprep"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "split")

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        split: str = "train",
    ) -> xr.Dataset:
        """Return `dataset` of a split of a store; raises `StoreError`, `UsageError` where there is none."""
        store = SpikeStore.open(os.fspath(filename_or_obj))
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        return dataset(store[split]).drop_vars(dropped)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Return False: a store is opened as one where the engine is named; zarr opens its packed arrays."""
        return False
