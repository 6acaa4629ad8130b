"""Source → chain → spikes: the samples of a recipe, encoded in chunks, or large ones by runs of units."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..data import Bits, Sample, SpikeTrain
from ..encoders.base import Chain, Encoder
from ..errors import DataError, UsageError
from ..random import SampleKey
from ..recipes import Recipe
from ..sources.base import Source
from ..store import ShardWriter, SplitLayout
from ..system import cores

Chunk = tuple[Bits, NDArray[Any], NDArray[Any], list[str]]
"""Spikes (sample, unit, byte), and each sample's steps, label and id."""

_PROBE = 32  # samples that estimate a store's size
_STAGED = 32 << 20  # bytes at most that an encoder holds beside the spikes that it makes
_PART = 64 << 20  # bytes of a large sample's spikes that are made at a time
_LARGEST = 16 << 30  # bytes of a sample: whoever reads it holds all of it


class Job:
    """A recipe with its source opened, and the shape of all samples known.

    Attributes
    ----------
    samples
        Split → how many samples of it are encoded.
    unit_shape, units, dt, max_steps
        Of a sample: the shape and number of its units, the seconds of a step, the steps of the longest.
    workers
        How many there are to be.
    """

    def __init__(
        self,
        recipe: Recipe,
        source_path: str | os.PathLike[str] | None,
        seed: int,
        limit: int | None,
        workers: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise UsageError(f"got limit {limit}", "at least 1 sample a split")
        self.recipe, self.seed = recipe, seed
        self.source: Source = recipe.open_source(source_path)
        self.chain: Chain = recipe.build_chain()
        available = self.source.splits()
        self.samples = {split: n if limit is None else min(n, limit) for split, n in available.items()}
        self.workers = workers or cores()
        encoder, split = self.chain.encoder, next(iter(self.samples))
        outline = self.chain.outline(self.source.outline(split, 0))
        self.unit_shape = encoder.unit_shape(outline)
        self.units, self.dt = prod(self.unit_shape), encoder.step_seconds(outline)
        self.max_steps = self._longest() if encoder.ragged else encoder.max_steps(outline)
        if (size := self.units * -(-self.max_steps // 8)) > _LARGEST:
            raise UsageError(
                f"a sample would be {self.units:,} units of {self.max_steps:,} steps, {size / 1e9:.1f} GB",
                f"at most {_LARGEST / 1e9:.1f} GB",
                f"Have {encoder.name} make fewer or wider steps, or a transform ahead of it make the signal smaller.",
            )

    def _longest(self) -> int:
        """Return the steps of the longest sample, from outlines of all: what no sample's order can change."""

        def steps(where: tuple[str, int]) -> int:
            outline = self.chain.outline(self.source.outline(*where))
            if (shape := self.chain.encoder.unit_shape(outline)) != self.unit_shape:
                sample = f"sample {self.source.read(*where).id}"
                raise _misfit(
                    f"{sample} would have units {shape}", f"{self.unit_shape}, like the first sample"
                )
            return self.chain.encoder.max_steps(outline)

        every = [(split, n) for split, count in self.samples.items() for n in range(count)]
        with ThreadPoolExecutor(self.workers) as pool:
            return max(pool.map(steps, every, chunksize=64))

    def key(self, split: str, sample: int) -> SampleKey:
        """Return what a sample's random numbers are drawn by."""
        return SampleKey(self.seed, split, sample)

    def encode(self, split: str, start: int, stop: int) -> Iterator[tuple[Sample, SpikeTrain]]:
        """Yield samples [start, stop) of a split with their spikes."""
        encoder = self.chain.encoder
        if type(encoder).encode_batch is Encoder.encode_batch:
            # without a form for batches one after another, so that one signal is held
            for n in range(start, stop):
                sample, key = self.source.read(split, n), self.key(split, n)
                yield sample, encoder.encode(self.chain.prepare(sample.signal, rng=key), rng=key)
            return
        samples = [self.source.read(split, n) for n in range(start, stop)]
        keys = [self.key(split, n) for n in range(start, stop)]
        yield from zip(samples, self.chain.encode_batch([s.signal for s in samples], rngs=keys), strict=True)

    def chunk(self, split: str, start: int, stop: int, width: int) -> Chunk:
        """Return samples [start, stop) of a split as the store holds them, `width` bytes a unit."""
        rows = stop - start
        bits = np.empty((rows, self.units, 0), np.uint8)
        steps, labels, ids = [], [], []
        for row, (sample, train) in enumerate(self.encode(split, start, stop)):
            units, own = train.bits.shape
            if units != self.units or train.steps > self.max_steps:
                raise _misfit(
                    f"sample {sample.id} became {units} units of {train.steps} steps",
                    f"{self.units} units of at most {self.max_steps} steps, like the first sample",
                )
            if rows == 1 and own == width:
                bits = train.bits[None]  # a large sample is not copied
            else:
                bits = bits if bits.shape[2] else np.zeros((rows, self.units, width), np.uint8)
                bits[row, :, :own] = train.bits
            steps.append(train.steps)
            labels.append(sample.label)
            ids.append(sample.id)
        return bits, np.array(steps), np.array(labels), ids

    def cuts(self, layout: SplitLayout) -> list[tuple[int, int]]:
        """Return the runs of units in which a large sample is made."""
        held = max(_PART // (layout.unit_bytes * layout.chunk_shape[1]), 1) * layout.chunk_shape[1]
        return [(first, min(first + held, self.units)) for first in range(0, self.units, held)]

    def append_large(
        self, out: ShardWriter, split: str, n: int, layout: SplitLayout, go_on: Callable[[], None]
    ) -> None:
        """Encode a sample and write it, a run of its units after another; `go_on` may raise between them."""
        sample, key = self.source.read(split, n), self.key(split, n)
        signal = self.chain.prepare(sample.signal, rng=key)
        steps = self.chain.encoder.max_steps(signal)
        if (shape := self.chain.encoder.unit_shape(signal)) != self.unit_shape or steps > self.max_steps:
            raise _misfit(
                f"sample {sample.id} would have units {shape} and {steps} steps",
                f"{self.unit_shape} and at most {self.max_steps} steps, like the first sample",
            )

        def parts() -> Iterator[Bits]:
            for train in self.chain.encoder.encode_parts(signal, self.cuts(layout), rng=key):
                go_on()
                bits, (units, own) = train.bits, train.bits.shape
                if own < layout.unit_bytes:
                    bits = np.zeros((units, layout.unit_bytes), np.uint8)
                    bits[:, :own] = train.bits
                yield bits[None]

        out.append_by_units(parts(), np.array([steps]), np.array([sample.label]), [sample.id])

    def probe(self) -> Bits:
        """Return spikes to estimate a store's size by: the first samples, or of a large one the units in its middle."""
        split, layout = next(iter(self.layouts().items()))
        if layout.unit_chunks > 1:
            key, cuts = self.key(split, 0), self.cuts(layout)
            signal = self.chain.prepare(self.source.read(split, 0).signal, rng=key)
            middle = cuts[len(cuts) // 2]
            return next(self.chain.encoder.encode_parts(signal, [middle], rng=key)).bits
        few = max(_PART // max(self.units * layout.unit_bytes, 1), 1)
        return self.chunk(split, 0, min(layout.samples, _PROBE, few), layout.unit_bytes)[0]

    def needs(self, rows: int, layout: SplitLayout) -> int:
        """Return the bytes that a chunk of `rows` samples takes while it is made."""
        size = self.units * layout.unit_bytes if layout.unit_chunks == 1 else _PART
        return rows * size + min(size, _STAGED) + (size if rows > 1 or self.chain.encoder.ragged else 0)

    def layouts(self) -> dict[str, SplitLayout]:
        """Return how each split is cut."""
        return {split: SplitLayout.fit(n, self.units, self.max_steps) for split, n in self.samples.items()}

    def attributes(self) -> dict[str, Any]:
        """Return the store's attributes: what was made from what, and nothing of where or when."""
        reader = {
            key: value for key, value in self.source.to_config().items() if key not in ("path", "licence")
        }
        return {
            "version": __version__,
            "recipe": self.recipe.name,
            "title": self.recipe.title,
            "citation": self.recipe.citation,
            "chain": self.chain.to_config(),
            "seed": self.seed,
            "dt": self.dt,
            "unit_shape": list(self.unit_shape),
            "classes": list(self.source.classes),
            "source": {"reader": reader, **self.source.provenance()},
        }


def _misfit(got: str, expected: str) -> DataError:
    return DataError(got, expected, "Bring all samples to one size, or remove this one.")
