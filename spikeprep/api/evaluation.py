"""Measure a trained network on a split of a store."""

from __future__ import annotations

import numpy as np

from ..compile_ahead import Rehearsal, compiling_ahead
from ..csv_files import check_csv
from ..devices import select_backend
from ..encoding.run import EncodeSummary
from ..plugin_errors import plugin_errors
from ..progress import progress_for
from ..results import EVALUATED_COLUMNS, EvaluateResult, Run, TrainResult
from ..store import SpikeStore
from ..train.evaluation import count_batches
from ..train.memory import memory_errors
from ..train.network_counts import CountMeter
from ..train.other_stores import fit
from ..train.trainer import load_network
from .arguments import PathLike, ShowProgress
from .opening import open_run, open_store

ALL = "all"
"""In place of the name of a split: every split of a store."""

_BATCH = 64  # samples; results do not depend on it


@plugin_errors()
@memory_errors("Choose another device.")
def evaluate(
    run: PathLike | TrainResult | Run,
    store: PathLike | EncodeSummary | SpikeStore,
    *,
    split: str = "test",
    device: str = "auto",
    other_encoding: bool = False,
    counts: bool = False,
    predictions: PathLike | None = None,
    overwrite: bool = False,
    progress: ShowProgress = None,
) -> EvaluateResult:
    """Measure accuracy, confusion, recall and precision of a run's best network on a split of a store.

    Parameters
    ----------
    run
        The run folder, or what `train` or `open_run` returned.
    store
        A store with units like those that the network was trained on, and with classes of which it knows the names.
    split
        Name of the split, or "all": every split of the store.
    device
        See `train`.
    other_encoding
        Whether the store may be encoded otherwise than the one that the network was trained on; what differs is in the
        result.
    counts
        Whether to count synaptic operations, sparsity and footprint of every layer: `EvaluateResult.network_counts`.
    predictions
        A CSV file to write: see `EvaluateResult.write_csv`.
    overwrite
        Whether `predictions` may replace a file with other columns.
    progress
        See `ShowProgress`.

    Raises
    ------
    UsageError
        There is no such split or device, or `predictions` cannot be written there.
    StoreError, RunError
        The store or the run is missing or damaged, or they do not fit each other.
    """
    if predictions is not None:
        check_csv(predictions, EVALUATED_COLUMNS, overwrite=overwrite)
    opened, folder = open_store(store), open_run(run).folder
    config = folder.config()
    fitted = fit(config, opened)
    if not other_encoding:
        fitted.check_encoding(config, opened)
    splits = list(opened.splits) if split == ALL and ALL not in opened.splits else [split]
    readers = {name: opened[name] for name in splits}
    parts = {name: len(reader) for name, reader in readers.items()}
    backend = select_backend(device, config.settings.precision)
    network = load_network(folder, backend)
    labels = [np.zeros(0, np.int64)]
    outputs = [np.zeros((0, len(config.classes)), np.int64)]
    meter = (
        CountMeter(network, [*config.settings.arch.split("-"), str(len(config.classes))]) if counts else None
    )
    before = 0
    with compiling_ahead(Rehearsal.of_run(config), backend), progress_for(progress, "evaluate") as show:
        for reader in readers.values():
            for stored, spikes, done in count_batches(network, reader, np.arange(len(reader)), _BATCH, meter):
                labels.append(fitted.labels[stored])
                outputs.append(spikes)
                show(before + done, sum(parts.values()))
            before += len(reader)
    groups = {name: reader.groups for name, reader in readers.items()}
    grouped = [np.full(parts[name], -1, np.int32) if g is None else g for name, g in groups.items()]
    result = EvaluateResult(
        np.concatenate(labels),
        np.concatenate(outputs),
        config.classes,
        split,
        parts,
        tuple(id_ for reader in readers.values() for id_ in reader.ids.tolist()),
        np.concatenate(grouped) if any(g is not None for g in groups.values()) else None,
        fitted.differences,
        meter.result() if meter else None,
    )
    if predictions is not None:
        result.write_csv(predictions, overwrite=overwrite)
    return result
