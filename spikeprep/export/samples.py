"""The samples of a store for other programs: what they are called, and one .npz file each."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import SpikeTrain
from ..packing import unpack
from ..store import SpikeStore, SplitReader
from .exported_folder import FORMAT, INDEX, MARKER, sample_file

Shown = Callable[[int, int], None]
"""Called with (samples done, samples in all)."""

_GROUP_BYTES = 1 << 25  # packed samples that are read together


def describe_samples(store: SpikeStore) -> dict[str, Any]:
    """Return what a reader of exported samples has to know, JSON-ready."""
    about = store.attributes
    keys = ("recipe", "title", "citation", "chain", "seed", "dt", "unit_shape", "classes")
    licence = about["source"].get("licence", "")
    described = {key: about[key] for key in keys if key in about}
    return {"format": FORMAT, **described, "licence": licence, "digest": store.digest()}


def sample_trains(reader: SplitReader, count: int) -> Iterator[tuple[int, SpikeTrain]]:
    """Yield number and packed spikes of the first `count` samples of a split."""
    group = max(1, _GROUP_BYTES // reader.sample_bytes)
    for first in range(0, count, group):
        batch = reader.packed(slice(first, min(first + group, count)))
        for n in range(len(batch)):
            steps = int(batch.steps[n])
            yield first + n, SpikeTrain(batch.bits[n, :, : -(-steps // 8)], steps)


def sample_events(train: SpikeTrain) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return step and unit of each spike, int64 (spike,), by time and, within a step, by unit."""
    steps, units = np.nonzero(unpack(train.bits, train.steps))
    return steps, units


def counts_of(store: SpikeStore, splits: Sequence[str], samples: int | None) -> dict[str, int]:
    """Return split → number of samples to export: the first `samples` of each, None for all."""
    return {name: min(len(store[name]), samples or len(store[name])) for name in splits}


def write_samples(store: SpikeStore, counts: dict[str, int], folder: Path, show: Shown) -> None:
    """Write a folder of samples.

    ``SPLIT/000000.npz`` has `spikes`, bool (time, unit), and `label`, int64; ``index.csv`` the columns path, label
    (name of the class), split, id; ``export.json`` what `describe_samples` returns.
    """
    done, total, classes = 0, sum(counts.values()), store.attributes["classes"]
    rows: list[tuple[str, str, str, str]] = []
    for split, count in counts.items():
        reader = store[split]
        labels, ids = reader.labels, reader.ids
        (folder / split).mkdir()
        for n, train in sample_trains(reader, count):
            label = int(labels[n])
            path = sample_file(split, n)
            np.savez_compressed(
                folder / path,
                allow_pickle=False,
                spikes=unpack(train.bits, train.steps),
                label=np.int64(label),
            )
            rows.append((path, classes[label], split, str(ids[n])))
            done += 1
            show(done, total)
    with (folder / INDEX).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split", "id"))
        writer.writerows(rows)
    about = json.dumps(describe_samples(store) | {"samples": counts}, indent=2, ensure_ascii=False)
    (folder / MARKER).write_text(about + "\n", encoding="utf-8")
