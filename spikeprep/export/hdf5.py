"""A split of a store as one HDF5 file: in the layout of SHD and SSC, or as nir's `NIRGraphData`.

SHD's layout (Cramer et al. 2020, IEEE TNNLS 33:2744): ``spikes/times`` and ``spikes/units``, one array of each per
sample, ``labels``, ``extra/keys`` (names of the classes) and ``extra/speaker``.

A spike of step k is written at the middle of it, (k + ½) dt: whatever the rounding, binning by dt gives k back.
"""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np

from ..errors import DataError
from ..hdf5_files import deferred_errors
from ..store import SpikeStore
from .libraries import needs
from .samples import Shown, describe_samples, sample_events, sample_trains

_LARGEST_UNIT = 2**16 - 1  # of SHD's units, uint16

NODE, OBSERVABLE = "input", "spikes"
"""Where the spikes are in a `NIRGraphData`: observable of the node that exported networks have as input."""


def write_shd(store: SpikeStore, split: str, count: int, file: IO[bytes], show: Shown) -> None:
    """Write the first `count` samples of a split in SHD's layout to an open file.

    Times are float64 in seconds (SHD's own are float16), units uint16 in C order over the store's unit shape; beside
    SHD's ``extra/keys`` and ``extra/speaker`` (the group; −1 where the store has none) there are ``extra/steps``
    and ``extra/ids``, and what the store is as the attribute ``spikeprep`` of ``extra``.

    Raises
    ------
    DataError
        The store has more units than uint16 can number.
    CapabilityError
        h5py is not installed.
    """
    with needs("h5py"):
        import h5py
    reader, dt = store[split], store.attributes["dt"]
    if reader.units - 1 > _LARGEST_UNIT:
        raise DataError(
            f"{store.path} has {reader.units:,} units",
            f"at most {_LARGEST_UNIT + 1:,}: SHD's units are 16-bit numbers",
            "Use to=npz, or to=nir-data.",
        )
    with deferred_errors(file) as target, h5py.File(target, "w") as out:
        times = out.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float64))
        units = out.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        for n, train in sample_trains(reader, count):
            steps, numbers = sample_events(train)
            times[n], units[n] = (steps + 0.5) * dt, numbers.astype(np.uint16)
            target.check()
            show(n + 1, count)
        out["labels"] = reader.labels[:count].astype(np.int64)
        groups = reader.groups
        out["extra/speaker"] = np.full(count, -1) if groups is None else groups[:count].astype(np.int64)
        out.create_dataset("extra/keys", data=store.attributes["classes"], dtype=h5py.string_dtype())
        _add_samples(out.require_group("extra"), store, split, count)


def write_nir_data(store: SpikeStore, split: str, count: int, file: IO[bytes], show: Shown) -> None:
    """Write the first `count` samples of a split as nir's `NIRGraphData` to an open file.

    Node ``input``, observable ``spikes``: `EventData` with idx int32 (sample, spike), −1 where there is none, and time
    float64 in seconds, ∞ where there is none. What the data IR has no place for, labels, lengths and names of samples,
    is in the group ``spikeprep`` of the same file.

    Raises
    ------
    CapabilityError
        nir or h5py is not installed.
    """
    with needs("nir"):
        import nir
    with needs("h5py"):
        import h5py
    reader, dt = store[split], store.attributes["dt"]
    most = int(reader.counts[:count].max(initial=0))
    idx, time = np.full((count, most), -1, np.int32), np.full((count, most), np.inf)
    for n, train in sample_trains(reader, count):
        steps, numbers = sample_events(train)
        idx[n, : len(steps)], time[n, : len(steps)] = numbers, (steps + 0.5) * dt
        show(n + 1, count)
    end = reader.max_steps * dt
    while int(end / dt) < reader.max_steps:  # nir truncates this quotient to a number of steps
        end = float(np.nextafter(end, np.inf))
    spikes = nir.EventData(idx, time, reader.units, end)
    with deferred_errors(file) as target:
        nir.write_data(target, nir.NIRGraphData({NODE: nir.NIRNodeData({OBSERVABLE: spikes})}))
    file.flush()
    with deferred_errors(file) as target, h5py.File(target, "r+") as out:
        group = out.create_group("spikeprep")
        group["labels"] = reader.labels[:count].astype(np.int64)
        _add_samples(group, store, split, count)


def _add_samples(group: Any, store: SpikeStore, split: str, count: int) -> None:
    """Add lengths and names of samples to a group, and what the store is to its attributes."""
    with needs("h5py"):
        import h5py
    reader = store[split]
    group["steps"] = reader.steps[:count].astype(np.int64)
    group.create_dataset("ids", data=reader.ids[:count].tolist(), dtype=h5py.string_dtype())
    group.attrs["spikeprep"] = json.dumps(describe_samples(store) | {"split": split}, ensure_ascii=False)
