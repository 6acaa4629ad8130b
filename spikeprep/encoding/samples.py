"""Samples of a source → spikes. What plugins return is checked here, and their errors name plugin and sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Bits, Sample, SpikeTrain
from ..encoders.base import Chain, Description, check_train, plugin_error
from ..errors import CapabilityError, DataError, PluginError, SpikeprepError
from ..packing import overrun
from ..random import SampleKey
from ..recipes import COPIED_SPLIT
from ..registry import Plugin
from ..sources.base import CheckedSource

Chunk = tuple[Bits, NDArray[np.uint32], NDArray[np.int32], list[str], NDArray[np.int32] | None]
"""Spikes uint8 (sample, unit, byte), and each sample's steps, label, id, and group where the split has groups."""


@dataclass(frozen=True)
class Shape:
    """The size of a store's samples.

    Attributes
    ----------
    unit_shape, units
        Shape of the units, and their number.
    steps
        Time steps of the longest sample.
    ragged
        Whether samples differ in steps.
    """

    unit_shape: tuple[int, ...]
    units: int
    steps: int
    ragged: bool

    @property
    def width(self) -> int:
        """Bytes per unit."""
        return -(-self.steps // 8)


@dataclass(frozen=True)
class SampleEncoder:
    """Encodes samples of an opened source, by their position in a store.

    A store has all originals of the training split first, in the order of the source, and then copy after copy of
    them: of N training samples, sample n of copy c is at c N + n. Other splits have originals only.

    Attributes
    ----------
    source, chain, seed
        What is read, what encodes it, and the seed of every random number.
    copies
        How often a store has each training sample; beyond them samples can be encoded all the same.
    """

    source: CheckedSource
    chain: Chain
    seed: int
    copies: int = 1

    @cached_property
    def originals(self) -> dict[str, int]:
        """Split → number of samples of the source."""
        return dict(self.source.splits())

    @property
    def samples(self) -> dict[str, int]:
        """Split → number of samples of a store, copies included."""
        return {split: n * self.copies_of(split) for split, n in self.originals.items()}

    def copies_of(self, split: str) -> int:
        """Return how often a store has each sample of a split."""
        return self.copies if split == COPIED_SPLIT else 1

    def place(self, split: str, index: int) -> tuple[int, int]:
        """Return (copy, position in the source) of the sample at `index` of a store's split."""
        return divmod(index, self.originals[split]) if split == COPIED_SPLIT else (0, index)

    def key(self, split: str, index: int) -> SampleKey:
        """Return the key of a sample's random numbers."""
        copy, number = self.place(split, index)
        return SampleKey(self.seed, split, number, copy)

    def groups(self, split: str, numbers: Sequence[int]) -> NDArray[np.int32] | None:
        """Return each sample's group, int32 (sample,): its source's, else where its original is.

        None for a split that has neither groups nor copies.
        """
        if not self.has_groups(split):
            return None
        places = [self.place(split, n)[1] for n in numbers]
        if self._source_has_groups(split):
            groups = [self.source.group(split, place) for place in places]
            if None in groups:
                sample = f"sample {places[groups.index(None)]} of {split}"
                raise PluginError(
                    f"the source {self.source.name} has no group for {sample}", "one for all or none"
                )
            return np.array(groups, np.int32)
        return np.array(places, np.int32)

    def has_groups(self, split: str) -> bool:
        """Whether a store has the groups of a split's samples."""
        return self.copies_of(split) > 1 or self._source_has_groups(split)

    def _source_has_groups(self, split: str) -> bool:
        return self.source.group(split, 0) is not None

    def digest(self, split: str, index: int) -> bytes:
        """Return a digest of what a sample was read from; see `Source.digest`."""
        return self.source.digest(split, self.place(split, index)[1])

    def _encoding(self, sample: Sample) -> AbstractContextManager[None]:
        """Name the encoder and the sample in errors, and the transforms, whose result may be the cause."""
        after = ", ".join(transform.name for transform in self.chain.transforms)
        return naming(self.chain.encoder, f"{sample.id} (after {after})" if after else sample.id)

    def describe(self, split: str, index: int) -> Description:
        """Return what a sample becomes, from its outline."""
        where, key = f"{index} of {split}", self.key(split, index)
        signal = self.source.outline(split, key.sample)
        for transform in self.chain.transforms:
            with naming(transform, where):
                signal = transform.outline(signal, key)
        with naming(self.chain.encoder, where):
            description = self.chain.encoder.describe(signal, key)
        if not isinstance(description, Description):
            got = f"describes it by an object of type {type(description).__name__}"
            raise plugin_error(self.chain.encoder, got, "a Description", where)
        return description

    def read(self, split: str, index: int) -> tuple[Sample, Any]:
        """Return a sample, and its signal after every transform."""
        key = self.key(split, index)
        sample = self.source.read(split, key.sample)
        signal = sample.signal
        if key.copy:
            sample = replace(sample, id=f"{sample.id}#{key.copy}")
        for transform in self.chain.transforms:
            with naming(transform, sample.id):
                signal = transform.apply(signal, key)
            if signal is None:
                raise plugin_error(transform, "returned None", "a signal", sample.id)
        return sample, signal

    def chunk(self, split: str, start: int, steps: NDArray[np.uint32], shape: Shape) -> Chunk:
        """Return the samples from `start` on as the store holds them; `steps` and errors as in `encode_into`."""
        numbers = range(start, start + len(steps))
        if len(steps) == 1:
            sample, signal = self.read(split, start)
            train = self._train(sample, signal, self.key(split, start), int(steps[0]), shape)
            samples, bits = [sample], _widened(train.bits, shape.width)[None]  # a large sample is not copied
        else:
            bits = np.zeros((len(steps), shape.units, shape.width), np.uint8)
            samples = self.encode_into(split, numbers, steps, shape, bits)
        labels = np.array([sample.label for sample in samples], np.int32)
        return bits, steps, labels, [sample.id for sample in samples], self.groups(split, numbers)

    def encode_into(
        self, split: str, numbers: Sequence[int], steps: NDArray[np.uint32], shape: Shape, bits: Bits
    ) -> list[Sample]:
        """Encode samples into zeroed `bits` (sample, unit, byte) by one call of the encoder; return them.

        Parameters
        ----------
        split, numbers
            Which samples: their positions in a store.
        steps
            The number of steps that each was described to have.

        Raises
        ------
        PluginError
            A plugin raised a foreign exception, or returned anything but what was described.
        DataError
            A sample is damaged, or of another size than the first one.
        """
        samples: list[Sample] = []
        unread: list[Exception] = []
        keys = [self.key(split, n) for n in numbers]

        def signals() -> Iterator[Any]:
            for n in numbers:
                try:
                    sample, signal = self.read(split, n)
                except Exception as error:
                    unread.append(error)
                    raise
                samples.append(sample)
                yield signal

        encoder = self.chain.encoder
        try:
            encoded = np.asarray(encoder.encode_into(signals(), bits, rngs=keys))
        except Exception as error:
            if unread:
                raise unread[0] from None
            self._encode_alone(split, numbers, steps, shape)
            raise _named(error, encoder, f"{numbers[0]} to {numbers[-1]} of {split}") from error
        if len(samples) < len(bits) or encoded.shape != (len(bits),):
            got = f"encoded {len(samples)} of {len(bits)} signals and returned steps of shape {encoded.shape}"
            raise plugin_error(encoder, got, "all signals, and the steps of each", f"{numbers[0]} of {split}")
        if (encoded != steps).any():
            n = int(np.argmax(encoded != steps))
            signal = self.read(split, numbers[n])[1]
            self._check_size(
                samples[n], signal, keys[n], (shape.units, int(encoded[n])), int(steps[n]), shape
            )
        _check_padding(encoder, bits, steps, samples)
        return samples

    def parts(
        self, split: str, index: int, steps: int, shape: Shape, ranges: Sequence[tuple[int, int]]
    ) -> tuple[Sample, Iterator[Bits]]:
        """Return a large sample and its spikes, uint8 (1, unit, byte), one range of units after another."""
        sample, signal = self.read(split, index)
        encoder, key = self.chain.encoder, self.key(split, index)
        with self._encoding(sample):
            description = encoder.describe(signal, key)
        self._check_size(sample, signal, key, (description.units, description.steps), steps, shape)

        def bits() -> Iterator[Bits]:
            trains = encoder.encode_parts(signal, ranges, rng=key)
            for first, stop in ranges:
                with self._encoding(sample):
                    train = next(trains)
                    check_train(encoder, train, stop - first, steps)
                    _check_padding(encoder, train.bits[None], np.array([train.steps]), [sample])
                yield _widened(train.bits, shape.width)[None]

        return sample, bits()

    def _encode_alone(
        self, split: str, numbers: Sequence[int], steps: NDArray[np.uint32], shape: Shape
    ) -> None:
        """Encode samples one by one, after a batch has failed: the one that fails is named."""
        for n, count in zip(numbers, steps.tolist(), strict=True):
            sample, signal = self.read(split, n)
            self._train(sample, signal, self.key(split, n), count, shape)

    def _train(self, sample: Sample, signal: Any, key: SampleKey, steps: int, shape: Shape) -> SpikeTrain:
        encoder = self.chain.encoder
        with self._encoding(sample):
            train = encoder.encode(signal, rng=key)
        if not isinstance(train, SpikeTrain):
            with self._encoding(sample):
                check_train(encoder, train, shape.units, steps)
        self._check_size(sample, signal, key, (len(train.bits), train.steps), steps, shape)
        _check_padding(encoder, train.bits[None], np.array([steps]), [sample])
        return train

    def _check_size(
        self, sample: Sample, signal: Any, key: SampleKey, got: tuple[int, int], steps: int, shape: Shape
    ) -> None:
        """Compare the units and steps that a sample became with those that were described."""
        if got == (shape.units, steps):
            return
        encoder, became = self.chain.encoder, f"{got[0]} units of {got[1]} steps"
        with self._encoding(sample):
            described = encoder.describe(signal, key)
        if got != (described.units, described.steps):
            expected = f"{described.units} units of {described.steps} steps, as it describes"
            raise plugin_error(encoder, f"returned {became}", expected, sample.id)
        if shape.ragged:
            plugins = ", ".join(plugin.name for plugin in (self.source, *self.chain.transforms))
            raise PluginError(
                f"sample {sample.id} became {became}",
                f"{shape.units} units of {steps} steps, as its outline",
                f"Correct the method outline of one of: {plugins}.",
            )
        raise misfit(f"sample {sample.id} became {became}", f"{shape.units} units of {steps} steps")


def misfit(got: str, expected: str) -> DataError:
    """Return the error for a sample that is of another size than the first one."""
    return DataError(
        got, f"{expected}, like the first sample", "Bring all samples to one size, or remove this one."
    )


@contextmanager
def naming(plugin: Plugin, sample: str) -> Iterator[None]:
    """Turn the exceptions of a transform or encoder into errors that name it and the sample.

    Errors of the operating system below a built-in plugin stay as they are.
    """
    try:
        yield
    except Exception as error:
        built_in = type(plugin).__module__.startswith("spikeprep.")
        if built_in and isinstance(error, OSError):
            raise
        raise _named(error, plugin, sample) from error


def _named(error: Exception, plugin: Plugin, sample: str) -> SpikeprepError:
    if isinstance(error, MemoryError):
        return CapabilityError(
            f"sample {sample}: {plugin.name} ran out of memory ({str(error) or 'no size is known'})",
            "",
            "Free some memory, use fewer workers, or choose settings with fewer units or steps.",
        )
    if not isinstance(error, SpikeprepError):
        return plugin_error(plugin, f"raised {type(error).__name__}: {error}", sample=sample)
    return type(error)(f"sample {sample}: {error.got}", error.expected, error.hint)


def _check_padding(plugin: Plugin, bits: Bits, steps: NDArray[Any], samples: Sequence[Sample]) -> None:
    late = overrun(bits, steps)
    if late.any():
        n = int(np.argmax(late))
        raise plugin_error(plugin, f"set bits at or past step {steps[n]}", "0 there", samples[n].id)


def _widened(bits: Bits, width: int) -> Bits:
    """Return bits (unit, byte) with `width` bytes per unit: `bits` itself where they have them."""
    if bits.shape[1] == width:
        return bits
    wide = np.zeros((len(bits), width), np.uint8)
    wide[:, : bits.shape[1]] = bits
    return wide
