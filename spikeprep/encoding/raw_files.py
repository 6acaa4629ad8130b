"""Raw files without labels → spikes, read and encoded as the samples of a store were."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from ..data import SpikeTrain
from ..encoders.base import Chain, Description
from ..errors import DataError, RunError, UsageError, printable
from ..file_kinds import HEAD
from ..input_files import open_input
from ..random import SampleKey
from ..registry import SOURCES
from ..sources.base import Source
from ..sources.labelled_files import files_under
from ..system import available_memory
from .samples import naming

_OTHER = "Bring it to the form of the files that the run's store was encoded from."
_SHOWN = 4  # significant digits of a number of seconds


@dataclass(frozen=True)
class StoredEncoding:
    """How the samples of a store were read and encoded, as its attributes or a run's configuration have it.

    Attributes
    ----------
    place
        The store's path, for messages.
    steps
        Configuration of each transform and of the encoder; empty where there was no encoder.
    seed
        Of every random number.
    unit_shape
        Shape of a sample's units.
    dt
        Seconds per step; None where it is not known.
    reader
        Configuration of the source; empty where there was none, None where it is not known.
    note
        What the source decided from the samples.
    """

    place: str
    steps: Sequence[Mapping[str, Any]]
    seed: int
    unit_shape: tuple[int, ...]
    dt: float | None = None
    reader: Mapping[str, Any] | None = None
    note: str = ""

    @cached_property
    def chain(self) -> Chain:
        """The transforms and the encoder; raises `UsageError` without, and `RunError` for those of no use here."""
        if not self.steps:
            raise UsageError(
                f"{self.place} was written without an encoder",
                "spikes, bool (sample, time, unit)",
                "Pass spikes instead of signals.",
            )
        try:
            return Chain.from_config(self.steps)
        except UsageError as error:
            raise RunError(
                f"the encoding of {self.place} cannot be used ({error.got})",
                error.expected,
                "Restore the file, or pass spikes instead of signals.",
            ) from error

    @cached_property
    def source(self) -> Source:
        """The source; raises `UsageError` where it is not known, or not installed here."""
        if not self.reader or self.reader.get("name") not in SOURCES.names():
            if self.reader is None:  # a run of the first releases
                raise UsageError(
                    f"the run does not say what {self.place} was written from",
                    "a store that does",
                    "Name the run's store: store=….",
                )
            name = self.reader.get("name", "arrays")
            raise UsageError(
                f"{self.place} was written from {name}, which reads no files here",
                "a store that `encode` has written from files",
                "Read the files in Python, and pass their signals to spikeprep.predict.",
            )
        source: Source = SOURCES.build(self.reader)
        return source


@dataclass(frozen=True)
class RawFiles:
    """Encodes files as samples of a store: sample n of a file with the random numbers of sample n of a split.

    So a file's spikes depend on the file alone, and a file of all samples of the split, such as MNIST's
    ``t10k-images-idx3-ubyte``, gives those of the store.

    Attributes
    ----------
    encoding
        Of the store.
    split
        Name of the split whose random numbers are used.
    """

    encoding: StoredEncoding
    split: str

    def listed(self, path: Path) -> list[Path]:
        """Return the samples in a folder, at any depth, in the order of their paths; or the path, if it is no folder.

        Raises
        ------
        DataError
            The folder has no files that the store's source reads.
        """
        if not path.is_dir():
            return [path]
        endings = [ending for source in self._sources for ending in source.file_endings]
        try:
            files = files_under(path, endings)
        except DataError as error:
            hint = "Change its permissions, or name the files, or another folder."
            raise DataError(error.got, error.expected, hint) from error
        if not files:
            raise DataError(
                f"the folder {path} has no files to predict",
                f"files ending in {' '.join(endings)}" if endings else "at least one file",
                "Name the files, or another folder.",
            )
        return list(self._sources[0].samples_among(path, files))

    @cached_property
    def _sources(self) -> list[Source]:
        """The store's source and, where that reads archives or no files, those that read single ones."""
        sources = [self.encoding.source]
        while name := sources[-1].file_source:
            sources.append(SOURCES.get(name)())
        return sources

    def signals(self, file: Path) -> Sequence[Any]:
        """Return the signals of a file; raises `DataError` where it cannot be used."""
        *archives, source = self._sources
        if archives:
            with open_input(file) as opened:
                head = opened.read(HEAD) or b""
            source = next((archive for archive in archives if archive.takes(head)), source)
        try:
            return source.signals_of(file, self.encoding.note)
        except DataError as error:
            # settings and recipes are of encoding
            hint = _OTHER if "source." in error.hint or "recipe" in error.hint else error.hint
            raise DataError(error.got, error.expected, hint) from error

    def encode(self, file: Path, signals: Sequence[Any], batch: int) -> Iterator[tuple[str, SpikeTrain]]:
        """Yield the name and the spikes of every sample of a file, whose `signals` they are; `batch` encoded at a time.

        The name is the file's path, and behind a colon the sample's number where there are several.

        Raises
        ------
        DataError
            A signal becomes other units or steps than the samples of the store.
        """
        chain = self.encoding.chain
        path = printable(os.fspath(file))
        for first in range(0, len(signals), batch):
            numbers = range(first, min(first + batch, len(signals)))
            names = [f"{path}:{n}" if len(signals) > 1 else path for n in numbers]
            keys = [SampleKey(self.encoding.seed, self.split, n) for n in numbers]
            prepared = []
            for n, name, key in zip(numbers, names, keys, strict=True):
                signal = outline = signals[n]
                for transform in chain.transforms:
                    with naming(transform, name):
                        outline = transform.outline(outline, key)
                with naming(chain.encoder, name):
                    self._check(chain.encoder.describe(outline, key))
                for transform in chain.transforms:
                    with naming(transform, name):
                        signal = transform.apply(signal, key)
                prepared.append(signal)
            with naming(chain.encoder, names[0]):
                trains = chain.encoder.encode_batch(prepared, rngs=keys)
            yield from zip(names, trains, strict=True)

    def _check(self, described: Description) -> None:
        """Raise `DataError` where a signal becomes something else than the store's samples are."""
        encoding = self.encoding
        if described.unit_shape != encoding.unit_shape:
            shapes = [" × ".join(map(str, shape)) for shape in (described.unit_shape, encoding.unit_shape)]
            raise DataError(f"it becomes units {shapes[0]}", f"{shapes[1]}, as the network has", _OTHER)
        if encoding.dt is not None and described.dt != encoding.dt:
            steps = [f"{1e3 * dt:.{_SHOWN}g} ms" for dt in (described.dt, encoding.dt)]
            raise DataError(
                f"its steps are of {steps[0]}", f"{steps[1]}, as the store has: the rate is another", _OTHER
            )
        if not described.steps:
            raise DataError("it is too short and has no time step", "at least 1", "Give a longer one.")
        size = prod(described.unit_shape) * -(-described.steps // 8)
        if size > (free := available_memory()):
            raise DataError(
                f"it becomes {described.units:,} units of {described.steps:,} steps, {size / 1e9:,.1f} GB",
                f"what fits in the {free / 1e9:,.1f} GB that are available",
                "Cut it into shorter ones.",
            )
