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
    """A recorded pass, with its inputs and its result on the device."""

    spikes: CudaSpikes
    labels: Array
    sample_weight: Array | None
    keys: Array | None
    play: Callable[[], None]
    result: Array


class Replay:
    """A pass that is recorded when batches of one shape come again and again; see `Backend.replayed`."""

    def __init__(self, backend: CudaBase, work: Pass) -> None:
        self._backend, self._work = backend, work
        self._seen: Counter[Hashable] = Counter()
        self._recordings: dict[Hashable, Recording] = {}

    def __call__(
        self, pre: CudaSpikes, labels: Array, sample_weight: Array | None, keys: Array | None
    ) -> Array:
        """Return the pass's result, valid until the next call."""
        key = (len(pre), pre.units, pre.longest, sample_weight is None, keys is None)
        recording = self._recordings.get(key)
        if recording is None:
            self._seen[key] += 1
            if self._seen[key] <= _FIRST or len(self._recordings) >= _MOST:
                return self._work(pre, labels, sample_weight, keys)
            recording = self._recordings[key] = self._record(pre, sample_weight, keys)
        copy = self._backend.runtime.copy_in
        recording.spikes.by_unit[...] = pre.by_unit
        recording.spikes.lengths[...] = pre.lengths
        copy(np.ascontiguousarray(labels, np.int32), recording.labels)
        if recording.sample_weight is not None:
            copy(np.ascontiguousarray(sample_weight, self._backend.dtype), recording.sample_weight)
        if recording.keys is not None:
            copy(np.ascontiguousarray(keys, np.uint64), recording.keys)
        recording.play()
        return recording.result

    def _record(self, pre: CudaSpikes, sample_weight: Array | None, keys: Array | None) -> Recording:
        xp, runtime = self._backend.xp, self._backend.runtime
        spikes = CudaSpikes(
            runtime, pre.units, pre.steps, xp.empty_like(pre.lengths), xp.empty_like(pre.by_unit)
        )
        labels = xp.empty(len(pre), np.int32)
        weight = None if sample_weight is None else xp.empty(len(pre), self._backend.dtype)
        key_words = None if keys is None else xp.empty(len(pre), np.uint64)
        results: list[Array] = []
        play = runtime.recorded(lambda: results.append(self._work(spikes, labels, weight, key_words)))
        return Recording(spikes, labels, weight, key_words, play, results[0])
