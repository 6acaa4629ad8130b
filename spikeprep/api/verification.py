"""Verify a store."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from ..config import Natural, fitted
from ..encoding.reencode import encoder_of
from ..encoding.reencode import reencode as encode_again
from ..encoding.run import EncodeSummary
from ..errors import StoreError
from ..plugin_errors import plugin_errors
from ..progress import progress_for
from ..store import SpikeStore, VerifyReport
from ..store import verify as verify_store
from .arguments import PathLike, ShowProgress
from .opening import path_of


@plugin_errors()
def verify(
    store: PathLike | EncodeSummary | SpikeStore,
    *,
    digest: str | None = None,
    reencode: int = 0,
    source: PathLike | None = None,
    progress: ShowProgress = None,
) -> VerifyReport:
    """Read every byte of a store and report what is wrong with it.

    Parameters
    ----------
    store
        A path or an fsspec URL, or what `encode` returned.
    digest
        ``sha256:…``: the digest that the store must have, such as a published one.
    reencode
        Number of samples to encode again from the raw data and to compare bit by bit, spread evenly over the store.
    source
        Folder of the raw data, for `reencode` where the store's recipe needs one.
    progress
        See `ShowProgress`.

    Returns
    -------
    A report: `ok`, `digest`, and under `problems` everything that is wrong, disk errors too.

    Raises
    ------
    StoreError
        There is no spike store.
    UsageError
        `digest` is none, or the store cannot be encoded again: it was written from arrays, or `source` is missing.
    DataError
        `reencode`, and the raw data are missing or damaged.
    """
    fitted(reencode, Natural, "reencode")
    encoder = None
    if reencode:  # what is missing shows before everything is read
        with suppress(StoreError):  # whose cause the report has
            encoder = encoder_of(SpikeStore.open(path_of(store)), source)
    with progress_for(progress, "verify") as show:
        report = verify_store(path_of(store), progress=show, digest=digest)
    if encoder and report.ok:
        problems = encode_again(SpikeStore.open(path_of(store)), encoder, reencode)
        report = dataclasses.replace(report, problems=problems)
    return report
