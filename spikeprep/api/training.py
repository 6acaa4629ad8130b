"""Train on a store, with the settings that the caller chooses and those that a recipe suggests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ..config import Count, describe, fitted, leaves
from ..encoding.run import EncodeSummary
from ..encoding.variants import Variants, variants_of
from ..errors import UsageError
from ..interruption import Interrupted, delayed_interrupt
from ..plugin_errors import plugin_errors
from ..progress import progress_for
from ..recipes import Recipe, known_recipe, load_recipe
from ..results import TrainResult
from ..store import SpikeStore
from ..train.memory import NetworkSize
from ..train.run_folder import RunFolder
from ..train.settings import DEFAULT_RULE, TrainSettings
from ..train_logs import CsvLog, EpochLog, EpochLogs, TensorBoardLog
from ..train_session import TrainSession
from .arguments import PathLike, ShowProgress
from .opening import open_store, run_folder
from .training_progress import TrainingProgress


@plugin_errors()
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
    source: PathLike | None = None,
    csv: PathLike | None = None,
    tensorboard: PathLike | None = None,
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
        Whose suggested training settings to use: a name, a TOML file or a `Recipe`; default the store's own recipe. A
        resumed run keeps its settings; a recipe that is named must agree with them, `epochs` aside.
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
    source
        Folder of the raw data, for the setting ``augment``; a resumed run knows it.
    csv
        A CSV file with a row per epoch, see `spikeprep.train_logs.CsvLog`.
    tensorboard
        A folder for TensorBoard's event files, see `spikeprep.train_logs.TensorBoardLog`.
    progress
        See `ShowProgress`; one line per epoch is shown too.

    Raises
    ------
    UsageError
        A name, a setting or a value does not exist or does not fit.
    DataError
        ``augment``, and the raw data are missing, damaged, or not those that the store was encoded from.
    StoreError, RunError
        The store is missing or damaged; the folder has a run already, or one of another store.
    CapabilityError
        The device is not available here, or the library that `tensorboard` needs.
    Interrupted
        Ctrl-C; the checkpoint is saved, and ``resume=True`` continues with the same weights as an uninterrupted run.
    """
    named = {"arch": arch, "rule": rule, "epochs": epochs, "batch": batch, "seed": seed}
    session = _session(
        store, named, settings, recipe, run, resume, limit, device, threads, feed, ranks, source
    )
    logs, before = _logs(session, csv, tensorboard)
    with (
        progress_for(progress, "train") as show,
        delayed_interrupt() as signals,
        closing(EpochLogs(logs, before, show.note)) as log,
    ):
        listener = TrainingProgress(show, session.settings.epochs, device)

        def hear(record: dict[str, Any]) -> None:
            listener(record)
            log(record)

        try:
            outcome = session.run(hear, lambda: bool(signals))
        except KeyboardInterrupt:  # the second Ctrl-C; the last checkpoint is complete
            if not listener.started:
                raise
            outcome = None
    if outcome is None:
        more = {"resume": True} | ({} if run else {"run": session.folder})
        raise Interrupted(f"interrupted; the checkpoint is in {session.folder}", more)
    return TrainResult(**outcome.summary, history=outcome.history, leads=outcome.leads)


def _logs(
    session: TrainSession, csv: PathLike | None, tensorboard: PathLike | None
) -> tuple[list[EpochLog], list[dict[str, Any]]]:
    """Return the logs that are asked for, and the epochs of a resumed run; raises what is wrong with the places."""
    logs: list[EpochLog] = [CsvLog(csv)] if csv is not None else []
    if tensorboard is not None:
        logs.append(TensorBoardLog(tensorboard))
    return logs, RunFolder(session.folder).history() if logs and session.resume else []


@plugin_errors()
def plan_training(
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
    source: PathLike | None = None,
) -> NetworkSize:
    """Return the network that `train` would train with the same arguments, its numbers of weights and its memory.

    Nothing is trained and nothing is written.

    Raises
    ------
    UsageError, StoreError, RunError, CapabilityError
        As `train`; a network that does not fit memory is refused here too.
    """
    named = {"arch": arch, "rule": rule, "epochs": epochs, "batch": batch, "seed": seed}
    session = _session(
        store, named, settings, recipe, run, resume, limit, device, threads, feed, ranks, source
    )
    if resume:
        session = replace(session, limit=RunFolder(session.folder).config().limit)
    return session.size()


def _session(
    store: PathLike | EncodeSummary | SpikeStore,
    named: Mapping[str, Any],
    settings: Mapping[str, Any] | None,
    recipe: PathLike | Recipe | None,
    run: PathLike | None,
    resume: bool,
    limit: int | None,
    device: str,
    threads: int | None,
    feed: str,
    ranks: int | Literal["mpi"],
    source: PathLike | None,
) -> TrainSession:
    """Return what the arguments of `train` ask for, checked; `named` are the settings that it has arguments for."""
    opened = open_store(store)
    for name, value in (("limit", limit), ("threads", threads)):
        fitted(value, Count | None, name)
    fitted(feed, Literal["auto", "resident", "pinned", "streamed"], "feed")
    fitted(ranks, Count | Literal["mpi"], "ranks")
    fitted(device, str, "device")
    folder, trained = _chosen(opened, recipe, run, resume, limit, named, settings)
    variants = _variants(opened, folder, trained, resume, source)
    return TrainSession(
        opened.path, str(folder.path), trained, resume, limit, device, threads, feed, ranks, variants
    )


def _chosen(
    store: SpikeStore,
    recipe: PathLike | Recipe | None,
    run: PathLike | None,
    resume: bool,
    limit: int | None,
    named: Mapping[str, Any],
    settings: Mapping[str, Any] | None,
) -> tuple[RunFolder, TrainSettings]:
    """Return the run folder and the settings of a new or a resumed run."""
    chosen = leaves(settings or {}) | {name: value for name, value in named.items() if value is not None}
    suggested = _suggested(store, recipe)
    rule = suggested.get("rule", DEFAULT_RULE)
    if recipe is not None and chosen.get("rule", rule) != rule:
        raise UsageError(
            f"got rule = {chosen['rule']!r} with a recipe for {rule}",
            "a recipe and a rule that belong together",
            "Leave the recipe out, or the rule.",
        )
    if resume:
        folder = RunFolder(_folder(run, store, chosen.get("arch") or suggested.get("arch", "")))
        wanted = run_settings(suggested, chosen) if recipe is not None else None
        return folder, folder.resumed_settings(store, chosen, limit, wanted)
    trained = run_settings(suggested, chosen)
    return RunFolder(_folder(run, store, trained.arch)), trained


def _variants(
    store: SpikeStore, folder: RunFolder, settings: TrainSettings, resume: bool, source: PathLike | None
) -> Variants | None:
    """Return what encodes training samples anew, from `source` or a resumed run's own; None without `augment`."""
    if settings.augment:
        return variants_of(store, folder.config().source if resume and source is None else source)
    if source is not None:
        raise UsageError(
            f"got source = {os.fspath(source)!r} for a run that reads its samples from the store",
            "augment = true, which encodes them from the source",
            "Use augment=true, or leave source out.",
        )
    return None


def run_settings(suggested: Mapping[str, Any], chosen: Mapping[str, Any]) -> TrainSettings:
    """Return the settings of a new run from a recipe's suggestions and the caller's choices, dotted name → value.

    Lists among the suggestions have an entry per layer, so they are used for the suggested layers only; likewise the
    initial weights and the settings of optimiser and learning rule for the suggested rule only.
    """
    rule = suggested.get("rule", DEFAULT_RULE)
    if chosen.get("rule", rule) != rule:
        general = {setting.name for setting in describe(TrainSettings)} - {"rule"}
        suggested = {
            name: value
            for name, value in suggested.items()
            if name in general and name != "init" and not name.startswith("optim.")
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


def _folder(run: PathLike | None, store: SpikeStore, arch: str) -> Path:
    if run is not None:
        return run_folder(run)
    return Path("runs") / f"{Path(str(store.path).rstrip('/')).stem}-{arch}"
