"""The functions of the package: encode, train, evaluate, predict, open. The command line calls them and adds nothing.

A recipe's suggested training settings are applied here and nowhere below, so a network trained from Python and one
trained from the command line with the same arguments are equal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..config import describe, leaves
from ..data import PackedBatch, SpikeTrain
from ..devices import select_backend
from ..encoders.base import Chain
from ..encoding import plan as planning
from ..encoding import run as encoding
from ..encoding.plan import EncodePlan
from ..encoding.run import EncodeSummary
from ..errors import DataError, RunError, SpikeprepError, UsageError
from ..interruption import Interrupted, delayed_interrupt
from ..packing import pack
from ..progress import Progress, progress_for
from ..random import SampleKey
from ..recipes import Recipe, known_recipe, load_recipe
from ..results import EvaluateResult, Predictions, Run, Store, TrainResult
from ..store import SpikeStore
from ..text import format_bytes, format_duration
from ..train.evaluation import count_batches
from ..train.evaluation import evaluate as evaluate_network
from ..train.metrics import predict as winners
from ..train.run_folder import RunFolder
from ..train.settings import DEFAULT_RULE, TrainSettings
from ..train.trainer import load_network
from ..train_session import Record, TrainSession

PathLike = str | os.PathLike[str]
"""A path, or an fsspec URL where a store is meant."""

ShowProgress = bool | Callable[[int, int], None] | None
"""True or None: a bar on a terminal and in a notebook, lines elsewhere; False: nothing; or a function that is called
with (samples done, samples in all)."""


# ---------------------------------------------------------------- stores and runs


def open_store(store: PathLike | EncodeSummary | SpikeStore, *, incomplete: bool = False) -> Store:
    """Open a spike store for reading.

    Parameters
    ----------
    store
        A path or an fsspec URL, or what `encode` returned.
    incomplete
        Whether to open a store whose encoding has not finished.

    Returns
    -------
    A mapping of split name → `spikeprep.store.SplitReader`: ``store["train"][0]`` is bool (time, unit).

    Raises
    ------
    StoreError
        There is no store, it is not one of spikeprep's or of a newer format, or it is not complete.
    """
    opened: Store = store if isinstance(store, Store) else Store.open(_path(store), incomplete=incomplete)
    return opened


def open_run(run: PathLike | TrainResult | Run) -> Run:
    """Open a run folder for reading.

    Parameters
    ----------
    run
        A path, or what `train` returned.

    Raises
    ------
    RunError
        There is no run, or its configuration is damaged or of a newer format.
    """
    return run if isinstance(run, Run) else Run(_path(run))


def _path(value: Any) -> PathLike:
    if isinstance(value, TrainResult):
        return value.run
    path: PathLike = value if isinstance(value, str | os.PathLike) else value.path
    return path


# ---------------------------------------------------------------- encode


def encode(
    recipe: PathLike | Recipe,
    out: PathLike,
    *,
    source: PathLike | None = None,
    encoder: str | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    overwrite: bool = False,
    progress: ShowProgress = None,
) -> EncodeSummary:
    """Encode a data set into a spike store.

    Interrupted anywhere, the same call finishes the store. Its bytes depend on the recipe, the raw data, `seed` and
    `limit` alone.

    Parameters
    ----------
    recipe
        A name (``spikeprep list recipes``), a TOML file, or a `Recipe`.
    out
        Where the store is written: a path or an fsspec URL.
    source
        Folder of the raw data, for recipes that need one.
    encoder
        Name of an encoder to use in place of the recipe's, at its default settings.
    settings
        Changes to the recipe: dotted name → value, such as ``{"poisson.steps": 200}``.
    seed
        Seed of every random number, 0 ≤ seed < 2⁶⁴.
    limit
        Only the first `limit` samples of each split.
    workers
        Number of parallel tasks; default one per core.
    executor
        Where the tasks run: any executor of `concurrent.futures`' interface; default threads of this process.
    overwrite
        Whether to replace a complete store, or one of another configuration.
    progress
        See `ShowProgress`.

    Raises
    ------
    UsageError
        A name, a setting or a value does not exist or does not fit.
    DataError
        The raw data are missing or damaged.
    StoreError
        At `out` there is something else, or a store of another configuration; or it cannot be written.
    Interrupted
        Ctrl-C; what is written stays, and the same call continues from there.
    """
    chosen = _recipe(recipe, encoder, settings)
    with progress_for(progress, "encode") as show:
        try:
            summary = encoding.encode(
                chosen, out, source_path=source, seed=seed, limit=limit, workers=workers, overwrite=overwrite,
                progress=show, executor=executor,
            )  # fmt: skip
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {os.fspath(out)} keeps what is written", {}) from None
        if summary.note:
            show.note(f"note: {summary.note}")
    return summary


def plan(
    recipe: PathLike | Recipe,
    out: PathLike,
    *,
    source: PathLike | None = None,
    encoder: str | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    limit: int | None = None,
) -> EncodePlan:
    """Return what `encode` would write with the same arguments: samples, units, steps and bytes; writes nothing.

    Raises
    ------
    UsageError, DataError
        As `encode`.
    """
    chosen = _recipe(recipe, encoder, settings)
    return planning.plan(chosen, out, source_path=source, seed=seed, limit=limit)


def _recipe(recipe: PathLike | Recipe, encoder: str | None, settings: Mapping[str, Any] | None) -> Recipe:
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if encoder is not None:
        chosen = chosen.with_encoder(encoder)
    return chosen.override(leaves(settings or {}))


# ---------------------------------------------------------------- train


def train(
    store: PathLike | EncodeSummary | SpikeStore,
    *,
    arch: str | None = None,
    rule: str | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    run: PathLike | None = None,
    resume: bool = False,
    recipe: PathLike | Recipe | None = None,
    settings: Mapping[str, Any] | None = None,
    limit: int | None = None,
    threads: int | None = None,
    ranks: int | Literal["mpi"] = 1,
    feed: str = "auto",
    progress: ShowProgress = None,
) -> TrainResult:
    """Train a spiking network on a store.

    Each setting comes from the arguments, else from the recipe's suggestion, else from the defaults
    (``spikeprep list settings``). Input and output sizes come from the store.

    Parameters
    ----------
    store
        A path or an fsspec URL, or what `encode` or `open_store` returned.
    arch
        Hidden layers, input side first: ``"800-800"``.
    rule
        Name of the learning rule (``spikeprep list rules``).
    epochs, batch
        Passes over the training samples; samples per update.
    device
        "auto", "cpu", "cuda", "cuda:1" or the name of a backend plugin.
    seed
        Seed of the initial weights, the order of the samples and the choice of validation samples.
    run
        The run folder; default ``runs/STORE-ARCH``.
    resume
        Whether to continue the run in that folder; `epochs` may be raised.
    recipe
        Whose suggested training settings to use: a name, a TOML file or a `Recipe`; default the store's own recipe.
    settings
        Training settings: dotted name → value, such as ``{"optim.rate": 0.005, "thresholds": [20, 8]}``.
    limit
        Only the first `limit` samples of each split.
    threads
        CPU cores, of each rank; default all. Results do not depend on it.
    ranks
        Number of processes that share every batch, started here (a script calls `train` under
        ``if __name__ == "__main__":`` then), or "mpi": those of `mpirun`.
    feed
        How samples reach a GPU: "auto", "resident", "pinned" or "streamed". Results do not depend on it.
    progress
        See `ShowProgress`; one line per epoch is shown too.

    Raises
    ------
    UsageError
        A name, a setting or a value does not exist or does not fit.
    StoreError, RunError
        The store is missing or damaged; the folder has a run already, or one of another store.
    CapabilityError
        The device is not available here.
    Interrupted
        Ctrl-C; the checkpoint is saved, and ``resume=True`` continues with the same weights as an uninterrupted run.
    """
    opened = open_store(store)
    named = {"arch": arch, "rule": rule, "epochs": epochs, "batch": batch, "seed": seed}
    chosen = leaves(settings or {}) | {name: value for name, value in named.items() if value is not None}
    suggested = _suggested(opened, recipe)
    if resume:
        folder = RunFolder(run or _default_run(opened, chosen.get("arch") or suggested.get("arch", "")))
        trained = folder.resumed_settings(opened, chosen, limit)
    else:
        trained = run_settings(suggested, chosen)
        folder = RunFolder(run or _default_run(opened, trained.arch))
    session = TrainSession(
        opened.path, str(folder.path), trained, resume, limit, device, threads, feed, ranks
    )
    with progress_for(progress, "train") as show, delayed_interrupt() as signals:
        listener = _Listener(show, trained.epochs, device)
        try:
            outcome = session.run(listener, lambda: bool(signals))
        except KeyboardInterrupt:  # the second Ctrl-C; the last checkpoint is whole
            if not listener.started:
                raise
            outcome = None
    if outcome is None:
        more = {"resume": True} | ({} if run else {"run": str(folder.path)})
        raise Interrupted(f"interrupted; the checkpoint is in {folder.path}", more)
    return TrainResult(**outcome.summary, history=outcome.history, leads=outcome.leads)


def run_settings(suggested: Mapping[str, Any], chosen: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of a new run from a recipe's suggestions and the caller's choices, dotted name → value.

    Lists among the suggestions have an entry per layer, so they are used for the suggested layers only; likewise the
    settings of the optimiser and of the learning rule for the suggested rule only.
    """
    rule = suggested.get("rule", DEFAULT_RULE)
    if chosen.get("rule", rule) != rule:
        general = {setting.name for setting in describe(TrainSettings)} - {"rule"}
        suggested = {
            name: value
            for name, value in suggested.items()
            if name in general and not name.startswith("optim.")
        }
    if "arch" in chosen and chosen["arch"] != suggested.get("arch"):
        suggested = {name: value for name, value in suggested.items() if not isinstance(value, list)}
    return TrainSettings().override(dict(suggested) | dict(chosen))


def _suggested(store: SpikeStore, recipe: PathLike | Recipe | None) -> dict[str, Any]:
    """Return the training settings of a recipe: the given one, else the store's, where it comes with the package."""
    if recipe is None:
        name = store.attributes.get("recipe", "")
        recipe = load_recipe(name) if known_recipe(name) else None
    elif not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    return leaves(recipe.train) if recipe else {}


def _default_run(store: SpikeStore, arch: str) -> Path:
    return Path("runs") / f"{Path(str(store.path).rstrip('/')).stem}-{arch}"


class _Listener:
    """Turns the trainer's records into progress and one line per epoch."""

    def __init__(self, progress: Progress, epochs: int, device: str) -> None:
        self.progress, self.epochs, self.device = progress, epochs, device
        self.started = False  # a checkpoint exists before the first record

    def __call__(self, record: Record) -> None:
        self.started = True
        event = record["event"]
        if event == "progress":
            done = record["epoch"] * record["samples"] + record["seen"]
            self.progress(done, self.epochs * record["samples"])
        elif event == "start":
            config = record["config"]
            self.progress.note(_network_line(config))
        elif event == "device":
            self.progress.note(_device_line(record))
            if self.device == "auto" and record["device"] == "cpu" and (reason := _unused_gpu()):
                self.progress.note(f"the GPU is not used: {reason}")
        elif event == "warning":
            self.progress.note(f"warning: {record['message']}")
        elif event == "epoch":
            self.progress.note(self._epoch_line(record))

    def _epoch_line(self, record: Record) -> str:
        parts = [f"epoch {record['epoch']}/{self.epochs}: train {record['train_accuracy']:.2%}"]
        for split in ("validation", "test"):
            if record[f"{split}_accuracy"] is not None:
                parts.append(f"{split} {record[f'{split}_accuracy']:.2%}")
        parts.append(f"{format_duration(record['seconds'])}, {record['samples_per_second']:,.0f} samples/s")
        return ", ".join(parts)


def _unused_gpu() -> str:
    """Return why a GPU of this machine is not used; empty where there is none."""
    from ..system import cuda_device

    gpus = cuda_device()
    if not gpus.count:
        return ""
    return "device=cuda shows why" if gpus.available else str(gpus)


def _network_line(config: Record) -> str:
    """Return the layers, and their thresholds where the learning rule has them."""
    settings = config["settings"]
    layers = f"{config['units']}-{settings['arch']}-{len(config['classes'])}"
    thresholds = settings.get("thresholds")
    return f"{layers}, thresholds {', '.join(f'{nu:g}' for nu in thresholds)}" if thresholds else layers


def _device_line(record: Record) -> str:
    """Return what a run trains on, and how its samples get there."""
    feed = record["feed"]
    device = f"{record['device']} ({record['on']})" if record["on"] else record["device"]
    ranks = f" × {record['ranks']}" if record["ranks"] > 1 else ""
    where = {
        "resident": f"resident in {format_bytes(feed['device_bytes'])} of device memory",
        "pinned": f"page-locked in {format_bytes(feed['host_bytes'])} of host memory",
        "streamed": f"streamed through at most {format_bytes(feed['device_bytes'] or feed['host_bytes'])}"
        + (" of device memory" if feed["device_bytes"] else ""),
    }[feed["name"]]
    return f"on {device}{ranks}, samples {where}"


# ---------------------------------------------------------------- evaluate, predict


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


def predict(
    run: PathLike | TrainResult | Run,
    signals: Any,
    *,
    split: str = "test",
    store: PathLike | EncodeSummary | SpikeStore | None = None,
    device: str = "auto",
    batch: int = 64,
    progress: ShowProgress = None,
) -> Predictions:
    """Predict the class of signals, of spikes, or of the samples of a stored split, with a run's best network.

    Parameters
    ----------
    run
        The run folder, or what `train` or `open_run` returned.
    signals
        One of:

        - raw signals as the encoder chain takes them: images of uint8 or of floats in [0, 1], `Audio`, `Events`; a
          sequence of them, an array with the samples along its first axis, or a single one. They are encoded with the
          chain and the seed of the run's store, the n-th signal as sample n of `split`: the raw test data in their own
          order give the spikes that the store holds;
        - spikes, bool (sample, time, unit), or a sequence of bool (time, unit) of different lengths;
        - a store, or its path: the samples of its `split`.
    split
        See `signals`.
    store
        The run's store, or one encoded in the same way, where it is not any more where the run was trained on it.
    device
        See `train`.
    batch
        Samples encoded and predicted together; results do not depend on it.
    progress
        See `ShowProgress`.

    Raises
    ------
    UsageError
        There is no such split or device, or the store was written without an encoder and takes spikes only.
    DataError
        A signal does not become the units that the network has.
    StoreError, RunError
        A store or the run is missing or damaged, or they do not fit each other.
    """
    opened = open_run(run)
    folder, config = opened.folder, opened.config
    batches: Iterator[NDArray[np.int64]]
    network = load_network(folder, select_backend(device, config.settings.precision))
    if isinstance(signals, str | os.PathLike | SpikeStore | EncodeSummary):
        stored = open_store(signals)
        folder.check_sizes(stored)
        reader = stored[split]
        total = len(reader)
        batches = (counts for _, counts, _ in count_batches(network, reader, np.arange(total), batch))
    else:
        groups, total = _spike_trains(opened, signals, split, store, batch)
        batches = (network.counts(part) for part in _packed(groups, config.units))
    parts, done = [np.zeros((0, len(config.classes)), np.int64)], 0
    with progress_for(progress, "predict") as show:
        for part in batches:
            parts.append(part)
            done += len(part)
            show(done, total)
    counts = np.concatenate(parts)
    return Predictions(winners(counts), counts, config.classes)


def _spike_trains(
    run: Run, signals: Any, split: str, store: Any, batch: int
) -> tuple[Iterator[list[SpikeTrain]], int]:
    """Return the spike trains of signals or spikes, `batch` at a time, and the number of samples."""
    spikes = _as_spikes(signals)
    if spikes is not None:
        starts = range(0, len(spikes), batch)
        return ([SpikeTrain(pack(s), len(s)) for s in spikes[at : at + batch]] for at in starts), len(spikes)
    chain, seed, unit_shape = _encoding(run, store)
    items = _as_signals(signals, chain, unit_shape, SampleKey(seed, split, 0))
    return _encoded(items, chain, seed, split, batch), len(items)


def _as_spikes(signals: Any) -> Sequence[NDArray[np.bool_]] | None:
    """Return samples of bool (time, unit) if that is what `signals` is, else None."""
    if isinstance(signals, np.ndarray):
        if signals.dtype != np.bool_:
            return None
        items: Sequence[NDArray[np.bool_]] = list(signals if signals.ndim > 2 else signals[None])
    elif isinstance(signals, Sequence) and any(getattr(s, "dtype", None) == np.bool_ for s in signals):
        items = [np.asarray(s) for s in signals]
    else:
        return None
    for n, item in enumerate(items):
        if item.ndim != 2 or item.dtype != np.bool_ or not len(item):
            raise DataError(
                f"got spikes of {item.dtype} {item.shape} as sample {n}",
                "bool (time, unit), at least one step",
            )
    return items


def _encoding(run: Run, store: Any) -> tuple[Chain, int, tuple[int, ...]]:
    """Return the chain, the seed and the units' shape that a run's store was encoded with."""
    path = _path(store) if store is not None else run.config.store
    try:
        opened = open_store(store if store is not None else path)
    except SpikeprepError as error:
        raise RunError(
            f"{path}, whose encoding these signals need, cannot be opened ({error.got})",
            "the run's store",
            "Name its place with store=…, or pass spikes instead of signals.",
        ) from error
    run.folder.check_sizes(opened)
    if not opened.attributes["chain"]:
        raise UsageError(
            f"{opened.path} was written without an encoder",
            "spikes, bool (sample, time, unit)",
            "Pass spikes instead of signals.",
        )
    chain = Chain.from_config(opened.attributes["chain"])
    return chain, opened.attributes["seed"], tuple(opened.attributes["unit_shape"])


def _as_signals(signals: Any, chain: Chain, unit_shape: tuple[int, ...], key: SampleKey) -> Sequence[Any]:
    """Return a sequence of signals; an array is one signal or several, whichever has the store's units."""
    if isinstance(signals, np.ndarray):
        if _unit_shape(chain, signals, key) == unit_shape:
            return [signals]
        if signals.ndim and (not len(signals) or _unit_shape(chain, signals[0], key) == unit_shape):
            return list(signals)
        raise DataError(
            f"got an array of {signals.dtype} {signals.shape}",
            f"a signal that becomes units {unit_shape}, or several along the first axis",
            "Prepare the signals as the run's store had them.",
        )
    if isinstance(signals, Sequence):
        return signals
    return [signals]


def _unit_shape(chain: Chain, signal: Any, key: SampleKey) -> tuple[int, ...] | None:
    try:
        return chain.describe(signal, key).unit_shape
    except (SpikeprepError, ValueError, TypeError, IndexError, AttributeError):  # not a signal of this chain
        return None


def _encoded(
    signals: Sequence[Any], chain: Chain, seed: int, split: str, batch: int
) -> Iterator[list[SpikeTrain]]:
    for first in range(0, len(signals), batch):
        part = signals[first : first + batch]
        keys = [SampleKey(seed, split, first + n) for n in range(len(part))]
        prepared = [chain.prepare(signal, rng=key) for signal, key in zip(part, keys, strict=True)]
        yield chain.encoder.encode_batch(prepared, rngs=keys)


def _packed(groups: Iterator[list[SpikeTrain]], units: int) -> Iterator[PackedBatch]:
    """Yield a batch for each group of spike trains, the shorter ones padded with empty bytes."""
    first = 0
    for trains in groups:
        width = max(train.bits.shape[1] for train in trains)
        bits = np.zeros((len(trains), units, width), np.uint8)
        for n, train in enumerate(trains):
            if train.bits.shape[0] != units:
                raise DataError(
                    f"signal {first + n} has {train.bits.shape[0]} units",
                    f"the network's {units}",
                    "Prepare it as the samples of the run's store.",
                )
            bits[n, :, : train.bits.shape[1]] = train.bits
        steps = np.array([train.steps for train in trains], np.uint32)
        index = np.arange(first, first + len(trains))
        yield PackedBatch(bits, steps, np.zeros(len(trains), np.int32), index)
        first += len(trains)
