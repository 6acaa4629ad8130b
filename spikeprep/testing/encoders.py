"""The check that every encoder passes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data import SpikeTrain
from ..encoders.base import Description, Encoder
from ..packing import padding_mask, unpack
from ..random import SampleKey
from .plugins import check_plugin, conformance, in_threads, keys_for, require
from .signals import outline_of, require_same


@conformance
def check_encoder(encoder: Encoder, signals: Sequence[Any]) -> None:
    """Check an encoder: pure, exactly as it describes, and the same bits alone, in any batch and in any thread.

    Parameters
    ----------
    encoder
        The encoder with the settings of the test.
    signals
        Two signals or more, each of which becomes at least one spike; where the encoder accepts signals of unlike
        shapes or kinds, give some of each.

    Raises
    ------
    AssertionError
        The encoder breaks its contract; the message says how.
    """
    name = encoder.name
    require(isinstance(encoder, Encoder), f"{encoder!r} is no Encoder")
    require(len(signals) >= 2, f"{name}: give at least two signals")
    check_plugin(encoder)
    require(encoder.citation, f"{name}: it has no citation, which is stored with the data")
    keys = keys_for(signals)
    before = copy.deepcopy(signals)
    trains = [encoder.encode(signal, rng=key) for signal, key in zip(signals, keys, strict=True)]
    descriptions = [encoder.describe(signal, key) for signal, key in zip(signals, keys, strict=True)]
    for n, (signal, unchanged) in enumerate(zip(signals, before, strict=True)):
        require_same(signal, unchanged, f"{name}: encode or describe changed signal {n}")
    for n, (description, train) in enumerate(zip(descriptions, trains, strict=True)):
        _check_train(encoder, train, description, f"{name}, signal {n}")
        outlined = encoder.describe(outline_of(signals[n]), keys[n])
        require(
            outlined == description,
            f"{name}, signal {n}: its outline is described as {outlined}, the signal as {description}",
        )
        spikes = encoder(signals[n], rng=keys[n])
        require(
            spikes.dtype == bool and np.array_equal(spikes, unpack(train.bits, train.steps)),
            f"{name}, signal {n}: calling the encoder gives other spikes than encode",
        )
        _check_ranges(encoder, signals[n], keys[n], train, f"{name}, signal {n}")
    steps = {description.steps for description in descriptions}
    require(
        len(steps) == 1 or all(d.ragged for d in descriptions),
        f"{name}: signals get {sorted(steps)} steps, but ragged is false",
    )
    _check_batches(encoder, signals, keys, trains, descriptions)
    for n, train in in_threads(lambda n: encoder.encode(signals[n], rng=keys[n]), len(signals)):
        require(_equal(train, trains[n]), f"{name}, signal {n}: other bits from another thread or call")


def _check_train(encoder: Encoder, train: Any, description: Any, where: str) -> None:
    require(
        isinstance(description, Description), f"{where}: describe returned {description!r}, no Description"
    )
    require(
        isinstance(train, SpikeTrain), f"{where}: encode returned a {type(train).__name__}, no SpikeTrain"
    )
    units, steps = len(train.bits), train.steps
    require(
        (units, steps) == (description.units, description.steps),
        f"{where}: encode returned {units} units and {steps} steps, described as {description}",
    )
    padding = train.bits & padding_mask(np.array([steps]), train.bits.shape[1])
    require(not padding.any(), f"{where}: bits at and past step {steps} are set; expected 0")
    require(train.bits.any(), f"{where}: no spikes: give a signal that has some")


def _check_ranges(encoder: Encoder, signal: Any, key: SampleKey, train: SpikeTrain, where: str) -> None:
    units = len(train.bits)
    ranges = [(0, units // 3), (units // 3, units)]
    parts = [part.bits for part in encoder.encode_parts(signal, ranges, rng=key)]
    require(
        [len(part) for part in parts] == [stop - start for start, stop in ranges]
        and np.array_equal(np.concatenate(parts), train.bits),
        f"{where}: encode_parts gives other bits than encode",
    )


def _check_batches(
    encoder: Encoder,
    signals: Sequence[Any],
    keys: Sequence[SampleKey],
    trains: Sequence[SpikeTrain],
    descriptions: Sequence[Description],
) -> None:
    name = encoder.name
    backwards = encoder.encode_batch(list(signals)[::-1], rngs=list(keys)[::-1])[::-1]
    for n, (train, alone) in enumerate(zip(backwards, trains, strict=True)):
        require(_equal(train, alone), f"{name}, signal {n}: other bits in a batch than alone")
    units = descriptions[0].units
    same = [n for n, description in enumerate(descriptions) if description.units == units]
    width = max(trains[n].bits.shape[1] for n in same) + 1  # a store's rows may be wider than a batch needs
    out = np.zeros((len(same), units, width), np.uint8)
    steps = encoder.encode_into((signals[n] for n in same), out, rngs=[keys[n] for n in same])
    require(
        [int(count) for count in steps] == [trains[n].steps for n in same],
        f"{name}: encode_into returned {list(steps)} as steps; expected {[trains[n].steps for n in same]}",
    )
    for row, n in zip(out, same, strict=True):
        used = trains[n].bits.shape[1]
        require(
            np.array_equal(row[:, :used], trains[n].bits) and not row[:, used:].any(),
            f"{name}, signal {n}: encode_into writes other bits than encode",
        )


def _equal(one: SpikeTrain, other: SpikeTrain) -> bool:
    return one.steps == other.steps and np.array_equal(one.bits, other.bits)
