"""Small files of spikes in the layouts of their publishers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

KEYS = ("zero", "one", "null", "eins")


def recording(label: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds, multiples of 2⁻¹² s below ½ s, sorted, exact in float16; and units below 20."""
    rng = np.random.default_rng([label, n])
    count = 30 + n % 7
    ticks = np.sort(rng.choice(2048, count, replace=False))
    return ticks / 4096, rng.integers(5 * label, 5 * label + 5, count)


def labels_of(count: int, shift: int = 0) -> list[int]:
    return [(n + shift) % len(KEYS) for n in range(count)]


def shd_file(path: Path, count: int = 12, shift: int = 0, dtype: Any = np.float16, **changes: Any) -> Path:
    """A file as SHD and SSC are published; `changes` replace arrays by their last name, or leave one out as None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = labels_of(count, shift)
    pairs = [recording(label, n + shift) for n, label in enumerate(labels)]
    facts: dict[str, Any] = {
        "labels": np.array(labels, np.uint16),
        "extra/keys": np.array([key.encode() for key in KEYS]),
        "extra/speaker": np.arange(count, dtype=np.uint16) % 5,
    }
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.dtype(dtype)))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        for n, (t, u) in enumerate(pairs):
            times[n], units[n] = t.astype(dtype), u.astype(np.uint16)
        for name, values in facts.items():
            values = changes.get(name.rpartition("/")[2], values)
            if values is not None:
                file[name] = values
        for n, t, u in changes.get("recordings", ()):
            times[n], units[n] = np.asarray(t, dtype), np.asarray(u, np.uint16)
    return path


def shd_folder(root: Path) -> Path:
    """``ssc_train.h5``, ``ssc_valid.h5`` and ``ssc_test.h5``."""
    for n, split in enumerate(("train", "valid", "test")):
        shd_file(root / f"ssc_{split}.h5", 10, 100 * n)
    return root


def indexed(count: int = 12) -> dict[str, np.ndarray]:
    """All recordings one after the other, with the end of each."""
    pairs = [recording(label, n) for n, label in enumerate(labels_of(count))]
    return {
        "times": np.concatenate([t for t, _ in pairs]),
        "units": np.concatenate([u for _, u in pairs]),
        "index": np.cumsum([len(t) for t, _ in pairs]),
        "labels": np.array([KEYS[label] for label in labels_of(count)]),
    }


def nwb_file(path: Path, trials: int = 8, **changes: Any) -> Path:
    """One session: the recordings one second apart, unit by unit, with a table of trials."""
    labels = labels_of(trials)
    pairs = [recording(label, n) for n, label in enumerate(labels)]
    times = np.concatenate([t + n + 0.25 for n, (t, _) in enumerate(pairs)])
    units = np.concatenate([u for _, u in pairs])
    order = np.lexsort((times, units))
    arrays: Mapping[str, Any] = {
        "units/spike_times": times[order],
        "units/spike_times_index": np.cumsum(np.bincount(units, minlength=20)).astype(np.uint64),
        "units/id": np.arange(20),
        "acquisition/lfp/timestamps": np.arange(50.0),
        "intervals/trials/id": np.arange(trials),
        "intervals/trials/start_time": np.arange(trials) + 0.25,
        "intervals/trials/stop_time": np.arange(trials) + 0.85,
        "intervals/trials/stimulus": np.array([KEYS[label].encode() for label in labels]),
    }
    with h5py.File(path, "w") as file:
        for name, values in (dict(arrays) | changes).items():
            file[name] = values
    return path
