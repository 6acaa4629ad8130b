"""Encode a data set into a store, or plan it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from typing import Any

from ..downloads import fetch
from ..encoders.base import Encoder
from ..encoding.cluster import cluster_executor
from ..encoding.findings import refuse
from ..encoding.plan import EncodePlan
from ..encoding.plan import plan as plan_store
from ..encoding.run import EncodeSummary
from ..encoding.run import encode as encode_store
from ..errors import UsageError
from ..interruption import Interrupted
from ..plugin_errors import plugin_errors
from ..progress import progress_for
from ..recipes import Recipe, configured_recipe
from ..urls import redacted
from .arguments import PathLike, ShowProgress


@plugin_errors()
def encode(
    recipe: PathLike | Recipe,
    out: PathLike,
    *,
    source: PathLike | None = None,
    download: bool = False,
    front_end: str | None = None,
    encoder: str | Encoder | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    repair: bool = False,
    strict: bool = False,
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
    download
        Whether to fetch the raw data, for recipes that say where they are: into the folder that the environment
        variable SPIKEPREP_DATA_DIR names, else one of the user's cache; what is there already is used. Needs
        spikeprep[download].
    front_end
        Name of a front end of sound to use in place of the recipe's, such as ``"gammatone"``, at its default settings;
        see `Recipe.with_front_end`.
    encoder
        An encoder to use in place of the recipe's, or its name: then at its default settings.
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
    scheduler
        Where else they run: ``"local"``, for `workers` processes of this machine, or the address of a Dask scheduler
        (``tcp://host:8786``), whose workers see the source and the store under the same paths. Needs spikeprep[dask].
        A script that uses ``"local"`` keeps its own calls under ``if __name__ == "__main__":``.
    overwrite
        Whether to replace a complete store, or one of another configuration. Only the store's own files are deleted.
    repair
        Whether to read everything in a complete store, and encode again what is damaged or missing and nothing else.
    strict
        Whether what deserves attention is an error: see `EncodeSummary.findings`. What the source itself finds is one
        before anything is written, what the samples show when the store is complete.
    progress
        See `ShowProgress`.

    Raises
    ------
    UsageError
        A name, a setting or a value does not exist or does not fit.
    DataError
        The raw data are missing or damaged, or cannot be downloaded; or `strict` is set and something deserves
        attention.
    CapabilityError
        The Dask scheduler does not answer, has no worker, or a worker has other versions.
    StoreError
        At `out` there is something else, or a store of another configuration; another process writes it; or it cannot
        be written.
    Interrupted
        Ctrl-C; what is written stays, and the same call continues from there.
    """
    chosen = configured_recipe(recipe, encoder, settings, front_end)
    if executor is not None and scheduler is not None:
        raise UsageError(f"got an executor and scheduler = {scheduler!r}", "one of them")
    if download and source is not None:
        raise UsageError("got download = True and a source", "one of them")
    if download and not chosen.download:
        raise UsageError(
            f"got download = True, and recipe {chosen.name} does not say where its data are",
            "",
            chosen.obtain,
        )
    with progress_for(progress, "encode") as show:
        try:
            if download:
                source = fetch(chosen.download, show.note, chosen.obtain)
            with ExitStack() as stack:
                if scheduler is not None:
                    executor = stack.enter_context(
                        cluster_executor(scheduler, out, source, workers, show.note)
                    )
                summary = encode_store(
                    chosen, out, source_path=source, seed=seed, limit=limit, workers=workers,
                    overwrite=overwrite, repair=repair, strict=strict, progress=show, note=show.note,
                    executor=executor,
                )  # fmt: skip
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {redacted(out)} keeps what is written", {}) from None
        if summary.note:
            show.note(f"note: {summary.note}")
        for finding in summary.findings:
            show.note(f"attention: {finding}")
    return summary


@plugin_errors()
def plan(
    recipe: PathLike | Recipe,
    out: PathLike,
    *,
    source: PathLike | None = None,
    front_end: str | None = None,
    encoder: str | Encoder | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    limit: int | None = None,
    strict: bool = False,
) -> EncodePlan:
    """Return what `encode` would write with the same arguments: samples, units, steps and bytes; writes nothing.

    Raises
    ------
    UsageError, DataError
        As `encode`; with `strict`, for what the source itself finds.
    """
    chosen = configured_recipe(recipe, encoder, settings, front_end)
    planned = plan_store(chosen, out, source_path=source, seed=seed, limit=limit)
    if strict:
        refuse(planned.findings)
    return planned
