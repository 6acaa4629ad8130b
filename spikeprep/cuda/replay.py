"""Training passes recorded once and replayed: one launch instead of some twenty, and no Python between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from ..backend import Array, Pass
from .base import CudaBase
from .spikes import CudaSpikes

_FIRST = 2  # passes of a shape before it is recorded: they compile kernels and decide what is decided once
_MOST = 2  # recordings, each with its own memory: of full batches, and of the last of an epoch


@dataclass(frozen=True)
class Recording:
    """A recorded pass; on the device its input, its other arguments (sample,), and its result."""

    spikes: CudaSpikes
    arguments: tuple[Array | None, ...]
    play: Callable[[], None]
    result: Array


class Replay:
    """A pass that is recorded when batches of one shape come again and again; see `Backend.replayed`."""

    def __init__(self, backend: CudaBase, work: Pass) -> None:
        self._backend, self._work = backend, work
        self._types = np.int32, backend.dtype, np.uint64  # of labels, sample weights and dropout keys
        self._seen: Counter[Hashable] = Counter()
        self._recordings: dict[Hashable, Recording] = {}

    def __call__(
        self, pre: CudaSpikes, labels: Array, sample_weight: Array | None, keys: Array | None
    ) -> Array:
        """Return the pass's result, valid until the next call."""
        arguments = labels, sample_weight, keys
        key = (len(pre), pre.units, pre.longest, *(argument is None for argument in arguments))
        recording = self._recordings.get(key)
        if recording is None:
            self._seen[key] += 1
            if self._seen[key] <= _FIRST or len(self._recordings) >= _MOST:
                return self._work(pre, *arguments)
            recording = self._recordings[key] = self._record(pre, arguments)
        recording.spikes.by_unit[...] = pre.by_unit
        recording.spikes.lengths[...] = pre.lengths
        for given, place in zip(arguments, recording.arguments, strict=True):
            if place is not None:
                self._backend.runtime.copy_in(np.ascontiguousarray(given, place.dtype), place)
        recording.play()
        return recording.result

    def _record(self, pre: CudaSpikes, arguments: tuple[Array | None, ...]) -> Recording:
        xp, runtime = self._backend.xp, self._backend.runtime
        spikes = CudaSpikes(
            runtime, pre.units, pre.steps, xp.empty_like(pre.lengths), xp.empty_like(pre.by_unit)
        )
        labels, *others = (
            None if given is None else xp.empty(len(pre), dtype)
            for given, dtype in zip(arguments, self._types, strict=True)
        )
        results: list[Array] = []
        play = runtime.recorded(lambda: results.append(self._work(spikes, labels, *others)))
        return Recording(spikes, (labels, *others), play, results[0])
