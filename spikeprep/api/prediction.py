"""Predict the classes of raw files, signals, spikes or stored samples."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compile_ahead import Rehearsal, compiling_ahead
from ..csv_files import check_csv
from ..data import Audio, Events, Frames, PackedBatch, SpikeTrain, Video
from ..devices import select_backend
from ..encoders.base import Chain
from ..encoding.raw_files import RawFiles, StoredEncoding
from ..encoding.run import EncodeSummary
from ..errors import (
    CapabilityError,
    DataError,
    SignalError,
    SpikeprepError,
    StoreError,
    UsageError,
    near_miss,
)
from ..packing import pack
from ..plugin_errors import plugin_errors
from ..progress import Progress, progress_for
from ..random import SampleKey
from ..results import PREDICTED_COLUMNS, Predictions, Run, TrainResult
from ..sources.split_names import SPLITS
from ..store import SpikeStore, SplitReader
from ..store.outputs import is_store
from ..train.evaluation import count_batches
from ..train.memory import affordable_batch, memory_errors
from ..train.metrics import predict as winners
from ..train.network import Network
from ..train.other_stores import Encoded, fit
from ..train.trainer import load_network
from ..urls import local_path
from .arguments import PathLike, ShowProgress
from .opening import open_run, open_store

Part = tuple[NDArray[np.int64], Sequence[str]]
"""Output counts (sample, class) of some samples, and their names; without names, none."""

_SPLIT = "test"
_TAKES = "paths of files, signals as the encoder takes them, spikes (bool), a store, or a split of one"


@plugin_errors()
@memory_errors("Lower batch, or choose another device.")
def predict(
    run: PathLike | TrainResult | Run,
    signals: Any,
    *,
    split: str = _SPLIT,
    store: PathLike | EncodeSummary | SpikeStore | None = None,
    device: str = "auto",
    batch: int = 64,
    other_encoding: bool = False,
    csv: PathLike | None = None,
    overwrite: bool = False,
    progress: ShowProgress = None,
) -> Predictions:
    """Predict the class of raw files, signals, spikes, or the samples of a stored split, with a run's best network.

    Parameters
    ----------
    run
        The run folder, or what `train` or `open_run` returned.
    signals
        One of:

        - paths of raw files, or of folders of them, or a single one: images, sounds or event recordings, as the run's
          store was encoded from, or, where that is of IDX files or of scikit-learn's digits, IDX files of images. They
          are read and encoded as the samples of that store were, sample n of a file with the random numbers of sample n
          of `split`, so a file's prediction depends on no other file. Files that cannot be used are
          `Predictions.failures`; the others are predicted;
        - raw signals as the encoder chain takes them: images of uint8 or of floats in [0, 1], `Audio`, `Events`,
          `Video`; a sequence of them, an array with the samples along its first axis, or a single one. They are encoded
          with the chain and the seed of the run's store, the n-th signal as sample n of `split`: the raw test data in
          their own order give the spikes that the store holds;
        - spikes, bool (sample, time, unit), or a sequence of bool (time, unit) of different lengths. Nothing tells how
          they were encoded: any number of steps is taken;
        - a store, or its path: the samples of its `split`; or one of its splits, ``store["test"]``.

        An iterator of paths, signals or spikes is read to its end first.
    split
        A split of the run's store (of `store`, where that is given), see `signals`. "test" is allowed in any case.
    store
        A store whose encoding to use; default the encoding that the run keeps.
    device
        See `train`.
    batch
        Samples encoded and predicted together; results do not depend on it.
    other_encoding
        As for `evaluate`, where `signals` is a store, or `store` is given.
    csv
        A CSV file to write: see `Predictions.write_csv`.
    overwrite
        Whether `csv` may replace a file with other columns.
    progress
        See `ShowProgress`.

    Raises
    ------
    UsageError
        There is no such split or device, `signals` is of another kind, `csv` cannot be written there, or the store was
        written without an encoder and takes spikes only.
    DataError
        A signal does not become the units that the network has, or none of the files can be used.
    StoreError, RunError
        A store or the run is missing or damaged, or they do not fit each other.
    """
    if csv is not None:
        check_csv(csv, PREDICTED_COLUMNS, overwrite=overwrite)
    if isinstance(signals, Iterator):
        signals = list(signals)
    opened = open_run(run)
    folder, config = opened.folder, opened.config
    backend = select_backend(device, config.settings.precision)
    network = load_network(folder, backend)
    failures: list[tuple[str, DataError]] = []
    with compiling_ahead(Rehearsal.of_run(config), backend), progress_for(progress, "predict") as show:
        parts: Iterator[Part]
        if (paths := _raw_paths(signals)) is not None:
            files = RawFiles(_encoding(opened, store, split, other_encoding), split)
            parts = _file_counts(network, files, paths, batch, failures, show)
        elif isinstance(signals, str | os.PathLike | SpikeStore | EncodeSummary | SplitReader):
            stored, reader = _stored(signals, split)
            fitted = fit(config, stored)
            if not other_encoding:
                fitted.check_encoding(config, stored)
            batches = count_batches(network, reader, np.arange(len(reader)), batch)
            ids = reader.ids
            stored_parts = ((counts, ids[done - len(counts) : done].tolist()) for _, counts, done in batches)
            parts = _counted(stored_parts, len(reader), show)
        else:
            groups, total = _spike_trains(opened, signals, split, store, batch, other_encoding)
            packed = _packed(groups, config.units)
            parts = _counted(((network.counts(part), ()) for part in packed), total, show)
        results = [(np.zeros((0, len(config.classes)), np.int64), ()), *parts]
    counts = np.concatenate([part for part, _ in results])
    names = tuple(str(name) for _, names in results for name in names)
    predictions = Predictions(winners(counts), counts, config.classes, names, tuple(failures))
    if not len(predictions) and (error := predictions.error()):
        raise error
    if csv is not None:
        predictions.write_csv(csv, overwrite=overwrite)
    return predictions


def _counted(parts: Iterable[Part], total: int, show: Progress) -> Iterator[Part]:
    done = 0
    for part in parts:
        yield part
        done += len(part[0])
        show(done, total)


# ---------------------------------------------------------------- stored samples


@dataclass(frozen=True)
class _Part:
    """The store that a split is of, as `fit` compares it with the run's."""

    path: str
    attributes: Mapping[str, Any]


def _stored(signals: Any, split: str) -> tuple[Encoded, SplitReader]:
    """Return a store, or what a split is of, and the split."""
    if not isinstance(signals, SplitReader):
        opened = open_store(signals)
        return opened, opened[split]
    if split not in (_SPLIT, signals.split):
        raise UsageError(
            f"got split = {split!r} for samples of the split {signals.split}",
            "a store, or the split alone",
            "Leave split out.",
        )
    return _Part(f"the store of the split {signals.split}", signals.attributes), signals


# ---------------------------------------------------------------- raw files


def _raw_paths(signals: Any) -> list[Path] | None:
    """Return the paths of raw files if that is what `signals` is, else None: a store, or no paths."""
    if isinstance(signals, str | os.PathLike):
        path = local_path(signals)
        stored = path is None or path.suffix.lower() == ".zarr" or is_store(path)
        return None if stored or path is None else [path]
    if isinstance(signals, bytes | bytearray):
        hint = "Pass a path as text: os.fsdecode(path). Or the content of a file as an array."
        raise UsageError(f"got {type(signals).__name__} to predict", _TAKES, hint)
    if not isinstance(signals, Sequence):
        return None
    paths = [isinstance(s, str | os.PathLike) for s in signals]
    if any(paths) and not all(paths):
        other = type(signals[paths.index(False)]).__name__
        raise UsageError(
            f"got paths, and {other} as item {paths.index(False)}",
            "paths alone, or signals alone",
            "Call predict for each kind.",
        )
    return [local_path(s) or Path(s) for s in signals] if any(paths) else None


def _file_counts(
    network: Network,
    files: RawFiles,
    paths: Sequence[Path],
    batch: int,
    failures: list[tuple[str, DataError]],
    show: Progress,
) -> Iterator[Part]:
    """Yield the counts and names of the samples of files, in order; those that cannot be used go to `failures`."""
    names: list[str] = []
    trains: list[SpikeTrain] = []
    longest = 0

    def counts() -> Part:
        nonlocal longest
        (packed,) = _packed(iter([trains]), network.units)
        part = network.counts(packed), list(names)
        names.clear()
        trains.clear()
        longest = 0
        return part

    def fits(steps: int) -> bool:
        wanted = len(trains) + 1
        return affordable_batch(network.backend, network.rule.name, network.layers, wanted, steps) == wanted

    listed: list[Path] = []
    for path in paths:
        try:
            listed += files.listed(path)
        except DataError as error:
            failures.append((os.fspath(path), error))
    done, total = 0, len(listed)  # samples: until a file is read it stands for one
    for file in listed:
        show(done, total)
        end = done + 1
        try:
            signals = files.signals(file)
            end, total = done + len(signals), total + len(signals) - 1
            for name, train in files.encode(file, signals, batch):
                full = len(trains) == batch or (train.steps > longest and not fits(train.steps))
                if full and trains:
                    yield counts()
                names.append(name)
                trains.append(train)
                longest = max(longest, train.steps)
                done += 1
                show(done, total)
        except DataError as error:
            failures.append((os.fspath(file), error))
        done = end
    if trains:
        yield counts()
    show(total, total)


def _encoding(run: Run, store: Any, split: str, other_encoding: bool) -> StoredEncoding:
    """Return how the samples of a run's store, or of another `store`, were encoded; checks the name of the split."""
    config = run.config
    if store is None:
        _check_split(config.store, split)
        own = config.encoding
        read = own.get("dt"), own.get("reader"), own.get("note", "")
        return StoredEncoding(config.store, own["chain"], own["seed"], config.unit_shape, *read)
    opened = open_store(store)
    fitted = fit(config, opened)
    if not other_encoding:
        fitted.check_encoding(config, opened)
    _check_split(opened, split)
    attributes = opened.attributes
    source, shape = attributes["source"], tuple(attributes["unit_shape"])
    return StoredEncoding(
        opened.path, attributes["chain"], attributes["seed"], shape, attributes["dt"], source.get("reader", {}),
        source.get("note", ""),
    )  # fmt: skip


def _check_split(store: str | SpikeStore, split: str) -> None:
    """Raise `UsageError` where a store has no such split, other than test: its name chooses random numbers.

    Of a run's store that is gone the usual names are accepted.
    """
    if split == _SPLIT:
        return
    try:
        known: Sequence[str] = open_store(store).splits
    except (StoreError, CapabilityError):
        known = SPLITS
    if split not in known:
        raise UsageError(
            f"got split = {split!r}",
            f"test, or a split of {store if isinstance(store, str) else store.path}",
            near_miss(split, known),
        )


# ---------------------------------------------------------------- signals and spikes


def _spike_trains(
    run: Run, signals: Any, split: str, store: Any, batch: int, other_encoding: bool
) -> tuple[Iterator[list[SpikeTrain]], int]:
    """Return the spike trains of signals or spikes, `batch` at a time, and the number of samples."""
    spikes = _as_spikes(signals)
    if spikes is not None:
        starts = range(0, len(spikes), batch)
        return ([SpikeTrain(pack(s), len(s)) for s in spikes[at : at + batch]] for at in starts), len(spikes)
    encoding = _encoding(run, store, split, other_encoding)
    chain, seed = encoding.chain, encoding.seed
    items = _as_signals(signals, chain, encoding.unit_shape, SampleKey(seed, split, 0))
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
    items = signals if isinstance(signals, Sequence) else [signals]
    for n, item in enumerate(items):
        if not isinstance(item, np.ndarray | Audio | Frames | Events | Video) and hasattr(
            item, "__array_interface__"
        ):
            raise UsageError(
                f"got {type(item).__name__} as signal {n}",
                "an array",
                "Pass numpy.asarray(image), of a grey image uint8 (row, column); or the path of its file.",
            )
    return items


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
        try:
            prepared = [chain.prepare(signal, rng=key) for signal, key in zip(part, keys, strict=True)]
            trains = chain.encoder.encode_batch(prepared, rngs=keys)
        except SignalError as error:  # its hint is of encoding
            raise SignalError(error.got, error.expected, f"Pass {_TAKES}.") from error
        yield trains


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
