"""Measure a trained network on a split of a store."""

from __future__ import annotations

from ..devices import select_backend
from ..encoding.run import EncodeSummary
from ..progress import progress_for
from ..results import EvaluateResult, Run, TrainResult
from ..store import SpikeStore
from ..train.evaluation import evaluate as evaluate_network
from ..train.memory import memory_errors
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
    progress: ShowProgress = None,
) -> EvaluateResult:
    """Measure the accuracy and the confusion of a run's best network on a split of a store.

    Parameters
    ----------
    run
        The run folder, or what `train` or `open_run` returned.
    store
        A store with the units and classes that the network was trained on.
    split
        Name of the split.
    device
        See `train`.
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
    config = folder.check_sizes(opened)
    reader = opened[split]
    network = load_network(folder, select_backend(device, config.settings.precision))
    with progress_for(progress, "evaluate") as show:
        result = evaluate_network(network, reader, len(config.classes), progress=show)
    return EvaluateResult(result.accuracy, result.samples, result.confusion, config.classes, split)
