"""Samples → packed, compressed spikes, in threads and in order."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Count, Natural, Positive, fitted
from ..data import Audio, Frames, SpikeTrain
from ..encoders.base import Chain, Encoder, check_train, is_fitted
from ..errors import DataError, SpikeprepError, UsageError
from ..packing import overrun, pack
from ..random import SampleKey
from ..store import Compression
from .samples import naming

SPOOL_COMPRESSION = Compression("zstd", 1)
"""Of the temporary file; the store has one of its own."""

_BATCH_BYTES = 4 << 20  # of signals or packed spikes that a thread takes at a time
_BATCH_SAMPLES = 256


@dataclass(frozen=True, slots=True)
class Row:
    """A sample to be packed: `number` is its position in its split, `label` an index into the table's names."""

    sample: Any
    label: int
    split: str
    number: int
    id: str
    group: int | None

    @property
    def place(self) -> str:
        """The sample's number, split and id, for messages."""
        return f"{self.number} of {self.split}" + ("" if self.id == str(self.number) else f" ({self.id})")

    def __str__(self) -> str:
        return f"sample {self.place}"


@dataclass(frozen=True, slots=True)
class PackedSample:
    """One sample's spikes, compressed; `digest` is the sha256 of its steps and bits, `size` their bytes unpacked."""

    data: bytes
    steps: int
    unit_shape: tuple[int, ...]
    dt: float
    digest: bytes
    size: int


@dataclass(frozen=True)
class SamplePacker:
    """Packs samples: encodes signals with a chain, or checks spikes where there is none.

    Attributes
    ----------
    chain, seed
        What encodes, and the seed of its random numbers.
    dt
        Seconds of a time step, where there is no chain.
    unit_shape
        Shape that the units form, instead of a sample's own.
    """

    chain: Chain | None
    seed: int
    dt: float | None
    unit_shape: tuple[int, ...] | None

    @classmethod
    def of(cls, encoder: Any, seed: Any, dt: Any, unit_shape: Any) -> SamplePacker:
        """Return the packer for arguments of `write_store`; raises `UsageError` where they do not fit together."""
        if not isinstance(encoder, Encoder | Chain | None):
            raise UsageError(
                f"got encoder = {encoder!r}",
                "an encoder with its settings, or a Chain",
                "Write e.g. encoder=Poisson(steps=400).",
            )
        chain = Chain((), encoder) if isinstance(encoder, Encoder) else encoder
        for transform in chain.transforms if chain is not None else ():
            if not is_fitted(transform):
                raise UsageError(
                    f"got a chain whose transform {transform.name} is not fitted",
                    "the statistics of training samples in its settings",
                    f"Give what {transform.name}.fit(training signals) returns.",
                )
        seed = fitted(seed, Natural, "seed")
        if seed >= 1 << 64:
            raise UsageError(f"got seed = {seed}", "a whole number below 2⁶⁴")
        if chain is None and dt is None:
            raise UsageError("got spikes without dt", "the seconds of a time step", "Give e.g. dt=0.001.")
        if chain is not None and dt is not None:
            raise UsageError(f"got an encoder and dt = {dt!r}", "the encoder's own dt", "Leave dt out.")
        shape = unit_shape.tolist() if isinstance(unit_shape, np.ndarray) else unit_shape
        return cls(
            chain,
            seed,
            None if dt is None else fitted(dt, Positive, "dt"),
            None if unit_shape is None else fitted(shape, tuple[Count, ...], "unit_shape"),
        )

    def attributes(self) -> dict[str, Any]:
        """Return the store's attributes `chain` and `seed`."""
        return {"chain": self.chain.to_config() if self.chain else [], "seed": self.seed}

    def pack(self, rows: Sequence[Row]) -> list[PackedSample]:
        """Return the packed spikes of some samples; an error names the sample."""
        if self.chain is None:
            return [self._check(row) for row in rows]
        try:
            return self._encode(self.chain, rows)
        except SpikeprepError:
            if len(rows) == 1:
                raise
        return [packed for row in rows for packed in self.pack([row])]  # one by one, to learn which it is

    def _encode(self, chain: Chain, rows: Sequence[Row]) -> list[PackedSample]:
        keys = [SampleKey(self.seed, row.split, row.number) for row in rows]
        signals = []
        for row, key in zip(rows, keys, strict=True):
            _check_finite(row)
            signal = row.sample
            for transform in chain.transforms:
                with naming(transform, row.place):
                    signal = transform(signal, rng=key)
            signals.append(signal)
        encoder, packed = chain.encoder, []
        with naming(encoder, rows[0].place):  # right where it matters: for one row, see `pack`
            trains = encoder.encode_batch(signals, rngs=keys)
            described = [encoder.describe(signal, key) for signal, key in zip(signals, keys, strict=True)]
            for row, train, description in zip(rows, trains, described, strict=True):
                check_train(encoder, train, description.units, description.steps)
                packed.append((row, train, description.unit_shape, description.dt))
        return [self._compress(*arguments) for arguments in packed]

    def _check(self, row: Row) -> PackedSample:
        assert self.dt is not None
        if isinstance(row.sample, SpikeTrain):
            return self._compress(row, row.sample, (len(row.sample.bits),), self.dt)
        spikes = _checked_spikes(row)
        train = SpikeTrain(pack(spikes.reshape(len(spikes), prod(spikes.shape[1:]))), len(spikes))
        return self._compress(row, train, spikes.shape[1:], self.dt)

    def _compress(self, row: Row, train: SpikeTrain, unit_shape: tuple[int, ...], dt: float) -> PackedSample:
        shape = self.unit_shape or unit_shape
        if prod(shape) != prod(unit_shape):
            raise DataError(f"{row} has units {unit_shape}", f"{prod(shape)} units, for unit_shape {shape}")
        if train.steps < 1 or not prod(shape):
            raise DataError(f"{row} has {train.steps} time steps and units {shape}", "at least one of each")
        if train.steps >= 1 << 32:
            raise DataError(f"{row} has {train.steps} time steps", "below 2³²")
        bits = np.ascontiguousarray(train.bits)
        if overrun(bits[None], np.array([train.steps])).any():
            raise DataError(f"{row} has spikes past its {train.steps} steps", "bits of 0 there")
        digest = hashlib.sha256(train.steps.to_bytes(4, "little"))
        digest.update(bits.data)
        data = SPOOL_COMPRESSION.encode(bits)
        return PackedSample(data, int(train.steps), shape, dt, digest.digest(), bits.nbytes)


def _check_finite(row: Row) -> None:
    match row.sample:
        case Audio(samples=values) | Frames(values=values):
            pass
        case values:
            pass
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{row} has values that are not finite", "numbers", "Remove NaN and infinity.")


def _checked_spikes(row: Row) -> NDArray[Any]:
    """Return a sample's spikes, (time, unit…) of 0 and 1."""
    spikes = row.sample
    if not isinstance(spikes, np.ndarray) or spikes.dtype.kind not in "biuf":
        what = f"dtype {spikes.dtype}" if isinstance(spikes, np.ndarray) else type(spikes).__name__
        raise DataError(
            f"{row} is of {what}", "spikes: an array of 0 and 1", "Give encoder= to encode signals."
        )
    if spikes.ndim < 2:
        raise DataError(f"{row} has the shape {spikes.shape}", "(time, unit…)")
    if spikes.dtype.kind != "b" and (wrong := (spikes != 0) & (spikes != 1)).any():
        place = tuple(int(n) for n in np.unravel_index(int(wrong.argmax()), wrong.shape))
        raise DataError(
            f"{row} has {spikes[place]} at step {place[0]}, unit {place[1:]}",
            "spikes of 0 or 1",
            "Give encoder= to encode signals.",
        )
    return spikes


def pack_all(rows: Iterator[Row], packer: SamplePacker, threads: int) -> Iterator[tuple[Row, PackedSample]]:
    """Yield every row with its packed spikes, in order; a few batches are in memory at a time."""
    waiting: deque[tuple[list[Row], Future[list[PackedSample]]]] = deque()
    size, pool = 1, ThreadPoolExecutor(threads, "spikeprep-pack")
    try:
        while True:
            if batch := list(islice(rows, size)):
                waiting.append((batch, pool.submit(packer.pack, batch)))
            while waiting and (not batch or len(waiting) > threads):
                done, future = waiting.popleft()
                results = future.result()
                largest = max(
                    max(packed.size, _signal_bytes(row.sample))
                    for row, packed in zip(done, results, strict=True)
                )
                size = max(min(_BATCH_BYTES // largest, _BATCH_SAMPLES), 1)
                yield from zip(done, results, strict=True)
            if not batch:
                return
    finally:
        pool.shutdown(cancel_futures=True)


def _signal_bytes(sample: Any) -> int:
    values = getattr(sample, "samples", getattr(sample, "values", getattr(sample, "bits", sample)))
    return int(values.nbytes) if isinstance(values, np.ndarray) else _BATCH_BYTES  # events: one at a time
