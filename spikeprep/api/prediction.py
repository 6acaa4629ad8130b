"""Predict the classes of signals, spikes or stored samples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import PackedBatch, SpikeTrain
from ..devices import select_backend
from ..encoders.base import Chain
from ..encoding.run import EncodeSummary
from ..errors import DataError, RunError, SpikeprepError, UsageError
from ..packing import pack
from ..progress import progress_for
from ..random import SampleKey
from ..results import Predictions, Run, TrainResult
from ..store import SpikeStore
from ..train.evaluation import count_batches
from ..train.memory import memory_errors
from ..train.metrics import predict as winners
from ..train.other_stores import fit
from ..train.trainer import load_network
from .arguments import PathLike, ShowProgress
from .opening import open_run, open_store


@memory_errors("Lower batch, or choose another device.")
def predict(
    run: PathLike | TrainResult | Run,
    signals: Any,
    *,
    split: str = "test",
    store: PathLike | EncodeSummary | SpikeStore | None = None,
    device: str = "auto",
    batch: int = 64,
    other_encoding: bool = False,
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
        A store whose encoding to use; default the encoding that the run keeps.
    device
        See `train`.
    batch
        Samples encoded and predicted together; results do not depend on it.
    other_encoding
        As for `evaluate`, where `signals` is a store.
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
        fitted = fit(config, stored)
        if not other_encoding:
            fitted.check_encoding(config, stored)
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
    """Return the chain, the seed and the units' shape that a run's store, or another `store`, was encoded with."""
    config = run.config
    encoding: Mapping[str, Any] = config.encoding | {"unit_shape": config.unit_shape}
    place = config.store
    if store is not None:
        opened = open_store(store)
        fit(config, opened)
        encoding, place = opened.attributes, opened.path
    if not encoding["chain"]:
        raise UsageError(
            f"{place} was written without an encoder",
            "spikes, bool (sample, time, unit)",
            "Pass spikes instead of signals.",
        )
    try:
        chain = Chain.from_config(encoding["chain"])
    except UsageError as error:
        raise RunError(
            f"the encoding of {place} cannot be used ({error.got})",
            error.expected,
            "Restore the file, or pass spikes instead of signals.",
        ) from error
    return chain, encoding["seed"], tuple(encoding["unit_shape"])


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
