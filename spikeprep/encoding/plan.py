"""What would be written: the samples of a recipe, their size, and the layout and attributes of the store."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..config import Count, fitted
from ..data import Audio, Bits, Events, Frames, Video
from ..encoders.base import Description
from ..errors import DataError, SignalError, UsageError
from ..random import check_seed
from ..recipes import COPIED_SPLIT, Recipe
from ..sources.base import CheckedSource
from ..store import Compression, SplitLayout
from ..store.outputs import check_output
from ..system import cores
from ..urls import redacted
from .findings import rows_remark, untrained
from .fitting import fitted_chain
from .samples import SampleEncoder, Shape, misfit

_SHOWN = 5  # samples in one message
_PROBE_SAMPLES = 32  # that estimate a store's size
_STAGING_BYTES = 32 << 20  # that an encoder needs beside the spikes, at most
_RANGE_BYTES = 64 << 20  # of a large sample's spikes that are encoded at a time
_LARGEST_BYTES = 16 << 30  # of a sample, which a reader holds in memory


@dataclass(frozen=True)
class EncodePlan:
    """What `encode` would do.

    Attributes
    ----------
    path
        Where the store would be.
    recipe
        Name of the recipe.
    samples
        Split → number of samples.
    classes
        Name of each class.
    unit_shape, steps, dt
        Shape of a sample's units, the time steps of the longest, and the seconds per step.
    raw_bytes, estimated_bytes
        Size of all samples packed, and compressed as well as the first ones.
    findings
        What the source found that deserves attention, one text each.
    """

    path: str
    recipe: str
    samples: dict[str, int]
    classes: tuple[str, ...]
    unit_shape: tuple[int, ...]
    steps: int
    dt: float
    raw_bytes: int
    estimated_bytes: int
    findings: tuple[str, ...] = ()


def plan(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    source_path: str | os.PathLike[str] | None = None,
    seed: int = 0,
    limit: int | None = None,
) -> EncodePlan:
    """Return what `encode` would do with the same arguments; writes nothing.

    Raises
    ------
    UsageError
        `limit` is below 1, samples would be too large, the chain does not take the source's kind of signal, or `out` is
        inside another store.
    DataError
        The raw data are missing or damaged.
    """
    check_output(out)
    store = StorePlan(recipe, source_path, seed, limit)
    raw_bytes = sum(store.samples.values()) * max(store.shape.units * store.shape.width, 1)
    probe = store.probe()
    return EncodePlan(
        path=redacted(out),
        recipe=recipe.name,
        samples=store.samples,
        classes=store.source.classes,
        unit_shape=store.shape.unit_shape,
        steps=store.shape.steps,
        dt=store.dt,
        raw_bytes=raw_bytes,
        estimated_bytes=raw_bytes * len(Compression().encode(probe)) // max(probe.nbytes, 1),
        findings=tuple(store.findings()),
    )


def open_encoder(
    recipe: Recipe, source_path: str | os.PathLike[str] | None, seed: int, limit: int | None
) -> SampleEncoder:
    """Open a recipe's source, limited to the first `limit` samples per split; None: all."""
    source = recipe.open_source(source_path, limit)
    return SampleEncoder(source, fitted_chain(recipe.build_chain(), source, seed), seed, recipe.copies)


def source_attributes(source: CheckedSource) -> dict[str, Any]:
    """Return what a store keeps of its source: the reader's configuration, and where the data come from."""
    return {"reader": source.stored_config(), **source.provenance()}


class StorePlan:
    """A recipe with its source opened, and the size of all samples known.

    Attributes
    ----------
    recipe, source_path, seed, limit
        The arguments.
    encoder, source
        What encodes samples, and its source.
    samples
        Split → number of samples, copies included.
    shape, dt
        Size of a sample; seconds per step.
    """

    def __init__(
        self,
        recipe: Recipe,
        source_path: str | os.PathLike[str] | None = None,
        seed: int = 0,
        limit: int | None = None,
        workers: int | None = None,
    ) -> None:
        check_seed(seed)
        fitted(limit, Count | None, "limit")
        self.seed, self.limit = seed, limit
        self.source_path = None if source_path is None else os.fspath(source_path)
        self.encoder = open_encoder(recipe, self.source_path, seed, limit)
        # workers in other processes get the statistics of training samples, and compute none
        self.recipe = recipe.with_fitted(self.encoder.chain)
        self.source = self.encoder.source
        self.samples = self.encoder.samples
        if recipe.copies > 1 and COPIED_SPLIT not in self.samples:
            raise UsageError(
                f"got copies = {recipe.copies} for a source without a split {COPIED_SPLIT!r}",
                "copies = 1: only training samples are copied",
                f"Its splits are {', '.join(self.samples)}; leave copies out.",
            )
        first = self._describe_first()
        self._lengths = self._describe_all(first, workers or cores()) if first.ragged else {}
        longest = max((int(steps.max(initial=0)) for steps in self._lengths.values()), default=first.steps)
        self._check_lengths()
        self.shape, self.dt = Shape(first.unit_shape, first.units, longest, first.ragged), first.dt
        self._check_size()

    def _check_lengths(self) -> None:
        """Raise `DataError` where some samples, not all, have no time step: nothing could be learnt from them."""
        empty = [
            (split, int(n)) for split, steps in self._lengths.items() for n in np.flatnonzero(steps == 0)
        ]
        if not empty or not any(steps.any() for steps in self._lengths.values()):
            return
        shown = ", ".join(self.encoder.read(split, n)[0].id for split, n in empty[:_SHOWN])
        more = f" and {len(empty) - _SHOWN} more" if len(empty) > _SHOWN else ""
        number = f"{len(empty)} samples have" if len(empty) > 1 else "one sample has"
        offered = any(step["name"] == "fix_length" for step in self.recipe.chain)
        pad = ", or bring all sounds to one length: use fix_length.seconds=1" if offered else ""
        raise DataError(
            f"{number} no time step, being too short: {shown}{more}",
            "at least 1",
            f"Remove what is too short{pad}.",
        )

    def _describe_first(self) -> Description:
        """Return what the first sample becomes; its kind of signal is that of all, so a chain of another is refused."""
        split = next(iter(self.samples))
        try:
            return self.encoder.describe(split, 0)
        except SignalError as error:
            # the cause does not name a sample
            cause = error.__cause__ if isinstance(error.__cause__, SignalError) else error
            signal = self.source.outline(split, 0)
            kind = "sounds" if isinstance(signal, Audio) else "recordings of events"
            kind = "series" if isinstance(signal, Frames) else kind
            kind = "videos" if isinstance(signal, Video) else kind
            kind = kind if isinstance(signal, Audio | Events | Frames | Video) else "images"
            raise UsageError(
                f"the chain {' → '.join(step['name'] for step in self.encoder.chain.to_config())} does not fit "
                f"{self.source.name}, a source of {kind}: {cause.got}",
                cause.expected,
                f"Choose transforms and an encoder of {kind}: `spikeprep list transforms`, `spikeprep list encoders`.",
            ) from error

    def _check_size(self) -> None:
        shape, encoder = self.shape, self.encoder.chain.encoder
        if not shape.steps:
            raise DataError("no sample has a time step", "at least 1 in the longest", "Give longer signals.")
        if (size := shape.units * shape.width) > _LARGEST_BYTES:
            raise UsageError(
                f"a sample would be {shape.units:,} units of {shape.steps:,} steps, {size / 1e9:.1f} GB",
                f"at most {_LARGEST_BYTES / 1e9:.1f} GB",
                f"Set {encoder.name} to fewer or wider steps, or make the signal smaller by a transform ahead of it.",
            )

    def _describe_all(self, first: Description, workers: int) -> dict[str, NDArray[np.uint32]]:
        """Return the steps of every sample, from outlines: they must not depend on the order of encoding."""

        def steps(split: str, index: int) -> int:
            description = self.encoder.describe(split, index)
            if description.unit_shape != first.unit_shape:
                where = f" in {self.source_path}" if self.source_path else ""
                sample = f"sample {self.encoder.read(split, index)[0].id}{where}"
                raise misfit(f"{sample} would have units {description.unit_shape}", f"{first.unit_shape}")
            return description.steps

        lengths = {}
        with ThreadPoolExecutor(workers) as pool:
            for split, n in self.samples.items():
                lengths[split] = np.fromiter(
                    pool.map(steps, [split] * n, range(n), chunksize=64), np.uint32, n
                )
        return lengths

    def steps(self, split: str, start: int, stop: int) -> NDArray[np.uint32]:
        """Return the steps of samples [start, stop), uint32 (sample,)."""
        if split in self._lengths:
            return self._lengths[split][start:stop]
        return np.full(stop - start, self.shape.steps, np.uint32)

    def layouts(self) -> dict[str, SplitLayout]:
        """Return split → layout of its arrays."""
        shape = self.shape
        layouts = {split: SplitLayout.fit(n, shape.units, shape.steps) for split, n in self.samples.items()}
        return {
            split: replace(layout, groups=self.encoder.has_groups(split)) for split, layout in layouts.items()
        }

    def attributes(self) -> dict[str, Any]:
        """Return the store's attributes: what was encoded and how; neither where nor when."""
        copies = {} if self.recipe.copies == 1 else {"copies": self.recipe.copies}
        return {
            "version": __version__,
            "recipe": self.recipe.name,
            "title": self.recipe.title,
            "citation": self.recipe.citation,
            "chain": self.encoder.chain.to_config(),
            "seed": self.seed,
            **copies,
            "dt": self.dt,
            "unit_shape": list(self.shape.unit_shape),
            "classes": list(self.source.classes),
            "source": self._stored_source,
        }

    @cached_property
    def _stored_source(self) -> dict[str, Any]:
        return source_attributes(self.source)

    def findings(self) -> list[str]:
        """Return what the source found that deserves attention, and a lack of training samples."""
        return [*self._stored_source.get("findings", ()), *untrained(self.samples)]

    def remark(self) -> str:
        """Return what a person should know about the data or the chain; may be empty."""
        notes = [self._stored_source.get("note", "")]
        idle = ", ".join(step.name for step in self.encoder.chain.augmentations)
        if idle and self.recipe.copies == 1:
            notes.append(
                f"{idle}: originals stay as they are, and the store has no copies that vary; "
                "set copies, or train with augment=true"
            )
        notes.append(rows_remark(self.encoder.chain.encoder, self.source, next(iter(self.samples))))
        return "; ".join(filter(None, notes))

    def probe(self) -> Bits:
        """Return spikes to estimate a store's size by: the first samples, or the middle units of a large one."""
        split, layout = next(iter(self.layouts().items()))
        if layout.unit_chunks > 1:
            ranges = unit_ranges(layout)
            middle = [ranges[len(ranges) // 2]]
            _, parts = self.encoder.parts(split, 0, int(self.steps(split, 0, 1)[0]), self.shape, middle)
            return next(parts)
        few = max(_RANGE_BYTES // max(self.shape.units * layout.unit_bytes, 1), 1)
        rows = min(layout.samples, _PROBE_SAMPLES, few)
        return self.encoder.chunk(split, 0, self.steps(split, 0, rows), self.shape)[0]


def unit_ranges(layout: SplitLayout) -> list[tuple[int, int]]:
    """Return the ranges [start, stop) of units in which a large sample is encoded."""
    units = max(_RANGE_BYTES // (layout.unit_bytes * layout.chunk_shape[1]), 1) * layout.chunk_shape[1]
    return [(first, min(first + units, layout.units)) for first in range(0, layout.units, units)]


def chunk_bytes(rows: int, layout: SplitLayout, ragged: bool) -> int:
    """Return the bytes of memory that a chunk of `rows` samples takes while it is encoded."""
    size = layout.units * layout.unit_bytes if layout.unit_chunks == 1 else _RANGE_BYTES
    return rows * size + min(size, _STAGING_BYTES) + (size if rows > 1 or ragged else 0)
