"""Measure a trained network on a split of a store."""

from __future__ import annotations

from ..devices import select_backend
from ..encoding.run import EncodeSummary
from ..progress import progress_for
from ..results import EvaluateResult, Run, TrainResult
from ..store import SpikeStore
from ..train.evaluation import evaluate as evaluate_network
from ..train.memory import memory_errors
from ..train.other_stores import fit
from ..train.trainer import load_network
from .arguments import PathLike, ShowProgress
from .opening import open_run, open_store


@memory_errors("Choose another device.")
def evaluate(
    run: PathLike | TrainResult | Run,
    store: PathLike | EncodeSummary | SpikeStore,
    *,
    split: str = "test",
    device: str = "auto",
    other_encoding: bool = False,
    progress: ShowProgress = None,
) -> EvaluateResult:
    """Measure the accuracy and the confusion of a run's best network on a split of a store.

    Parameters
    ----------
    run
        The run folder, or what `train` or `open_run` returned.
    store
        A store with units like those that the network was trained on, and with classes of which it knows the names.
    split
        Name of the split.
    device
        See `train`.
    other_encoding
        Whether the store may be encoded otherwise than the one that the network was trained on; what differs is in the
        result.
    progress
        See `ShowProgress`.

    Raises
    ------
    UsageError
        There is no such split or device.
    StoreError, RunError
        The store or the run is missing or damaged, or they do not fit each other.
    """
    opened, folder = open_store(store), open_run(run).folder
    config = folder.config()
    fitted = fit(config, opened)
    if not other_encoding:
        fitted.check_encoding(config, opened)
    reader = opened[split]
    network = load_network(folder, select_backend(device, config.settings.precision))
    with progress_for(progress, "evaluate") as show:
        classes = len(config.classes)
        result = evaluate_network(network, reader, classes, relabel=fitted.labels, progress=show)
    return EvaluateResult(
        result.accuracy, result.samples, result.confusion, config.classes, split, fitted.differences
    )
