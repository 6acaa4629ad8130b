"""Export a network or a store for other programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..config import fitted
from ..encoding.run import EncodeSummary
from ..errors import SpikeprepError
from ..plugin_errors import plugin_errors
from ..progress import progress_for
from ..results import Run, TrainResult
from ..store import SpikeStore
from ..train.memory import memory_errors
from ..train.other_stores import fit
from ..train.run_folder import RunFolder
from .arguments import PathLike, ShowProgress
from .opening import open_run, open_store, path_of, store_of

if TYPE_CHECKING:
    from ..export import ExportResult


@plugin_errors()
@memory_errors("Lower samples, or export one split.")
def export(
    source: PathLike | TrainResult | Run | EncodeSummary | SpikeStore,
    out: PathLike,
    *,
    to: str,
    store: PathLike | EncodeSummary | SpikeStore | None = None,
    split: str | None = None,
    samples: int | None = None,
    check: bool = True,
    dt: float | None = None,
    url: str | None = None,
    overwrite: bool = False,
    progress: ShowProgress = None,
) -> ExportResult:
    """Write a run's best network, or a store, in a format of other programs.

    Parameters
    ----------
    source
        A run folder or a store, or what `train`, `encode` and the functions that open them returned.
    out
        The file to write; a folder for a store as npz.
    to
        Of a run: ``"nir"``, ``"npz"`` or ``"torch"``. Of a store: ``"npz"`` (a file per sample), ``"hdf5"`` (SHD's
        layout), ``"nir-data"`` or ``"croissant"``. docs/export.md describes them.
    store
        NIR: the store to compare importing frameworks on; default the run's own, where it is still there.
    split
        NIR: the split to compare on, default test. Of a store: the split to write; npz takes all by default.
    samples
        NIR: how many samples to compare on, default 100. Of a store: the first ones of each split; default all.
    check
        NIR: whether to compare what the installed frameworks (snnTorch, Norse, SpikingJelly) make of the file.
    dt
        NIR: seconds per step that importers assume, default 1e-4.
    url
        Croissant: where the store is, or will be, published.
    overwrite
        Whether to replace a file, or a folder of an earlier export.
    progress
        See `ShowProgress`.

    Returns
    -------
    What was written, what the format cannot say, and what was measured.

    Raises
    ------
    UsageError
        There is no such format, split or argument; the format cannot say the network; or something is at `out` already.
    StoreError, RunError
        The store or the run is missing or damaged.
    CapabilityError
        A library is not installed, or the disk is full.
    """
    from ..export import export_run, export_store
    from ..export.formats import refuse_argument

    check, overwrite = fitted(check, bool, "check"), fitted(overwrite, bool, "overwrite")
    if isinstance(source, TrainResult | Run) or _is_run(source):
        refuse_argument("a network", url=url)
        run = open_run(source)  # type: ignore[arg-type]  # `_is_run` leaves paths
        compared = _compared_store(run, store) if check and to == "nir" else ""
        if to != "nir":
            refuse_argument(f"a network as {to}", store=store, check=None if check else check)
        elif not check:
            refuse_argument("a network that is not compared", store=store, split=split, samples=samples)
        return export_run(
            run.folder, out, to, store=compared, split=split, samples=samples, dt=dt, compared=check,
            overwrite=overwrite,
        )  # fmt: skip
    refuse_argument("a store", store=store, dt=dt, check=None if check else check)
    opened = open_store(source)
    with progress_for(progress, "export") as show:
        return export_store(
            opened, out, to, split=split, samples=samples, url=url, overwrite=overwrite, show=show
        )


def _is_run(source: Any) -> bool:
    return isinstance(source, str | os.PathLike) and RunFolder(path_of(source)).is_begun()


def _compared_store(run: Run, store: PathLike | EncodeSummary | SpikeStore | None) -> SpikeStore | str:
    """Return the store to compare on: `store`, else the run's own, or why that one cannot be used."""
    try:
        opened = store_of(run, store)
        fit(run.config, opened)
    except SpikeprepError as error:
        if store is not None:
            raise
        return f"{error.got}; name the run's store: store=STORE"
    return opened
