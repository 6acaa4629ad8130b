"""The order of samples in an epoch: decided by (seed, epoch) alone, and cheap to read from a chunked store.

A full shuffle would decompress a whole chunk for every sample. Chunks are shuffled instead, and samples within a window
of chunks that fits in memory. Samples of like length share a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..random import generator


@dataclass(frozen=True, eq=False)
class SampleOrder:
    """The orders of all epochs over some samples of a split.

    Attributes
    ----------
    samples
        int64 (sample,), ascending: positions in the split.
    steps
        (sample of the split,): lengths in time steps.
    chunk_samples, window_chunks
        Samples per chunk of the store, and chunks per shuffling window.
    batch
        Samples per batch.
    seed
        Decides the order, together with the epoch.
    shuffle
        False keeps the order of the store.
    """

    samples: NDArray[np.int64]
    steps: NDArray[Any]
    chunk_samples: int
    window_chunks: int
    batch: int
    seed: int = 0
    shuffle: bool = True

    def windows(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the epoch's order of samples, in the windows that are read together."""
        chunks, starts = np.unique(self.samples // self.chunk_samples, return_index=True)
        members = np.split(self.samples, starts[1:])
        rng = generator(self.seed, "order", epoch)
        order = rng.permutation(len(chunks)) if self.shuffle else np.arange(len(chunks))
        groups = [order[at : at + self.window_chunks] for at in range(0, len(order), self.window_chunks)]
        windows = [np.concatenate([members[chunk] for chunk in group]) for group in groups]
        if not self.shuffle:
            return windows
        done, shuffled = 0, []
        for window in windows:
            shuffled.append(self._by_length(rng.permutation(window), -done % self.batch, rng))
            done += len(window)
        return shuffled

    def _by_length(self, window: NDArray[np.int64], lead: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return a shuffled window with samples of like length in each batch, so that little of it is padding.

        The first `lead` samples complete a batch of the window before, and the last ones begin a batch of the next:
        those stay as they are. Where all samples are of one length nothing changes.
        """
        steps = self.steps[window]
        if not len(steps) or (steps == steps[0]).all():
            return window
        last = lead + max(0, len(window) - lead) // self.batch * self.batch
        inner = window[lead:last]
        batches = inner[np.argsort(self.steps[inner], kind="stable")].reshape(-1, self.batch)
        return np.concatenate([window[:lead], rng.permutation(batches).ravel(), window[last:]])
