"""Batches of a split for other libraries, packed: in the order that training uses, prefetched, and resumable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..config import Count, fitted
from ..data import PackedBatch
from ..errors import RunError
from ..feed.batches import BatchStream
from ..random import check_seed
from ..store import SplitReader


class Loader:
    """What loaders of batches share: each iteration is one epoch, the next one in another order.

    Chunks of the store are shuffled, and samples within windows of chunks, so each chunk is read once an epoch; samples
    of like length share batches. The order depends on the seed and the epoch alone. A thread reads ahead.

    Parameters
    ----------
    split
        The samples.
    batch
        Samples per batch; the last one of an epoch may be smaller.
    seed
        Decides the orders.
    shuffle
        False keeps the order of the store.
    drop_last
        Whether to leave out an epoch's last batch where it is smaller.

    Raises
    ------
    UsageError
        `batch` is below 1, or `seed` is none.
    """

    def __init__(
        self, split: SplitReader, batch: int, *, seed: int = 0, shuffle: bool = True, drop_last: bool = False
    ) -> None:
        check_seed(seed)
        fitted(batch, Count, "batch")
        self._batch, self._drop_last = batch, drop_last
        self._stream = BatchStream(split, batch, seed=seed, shuffle=shuffle)

    def __len__(self) -> int:
        """Batches per epoch."""
        full, rest = divmod(len(self._stream.samples), self._batch)
        return full + bool(rest and not self._drop_last)

    def _packed(self) -> Iterator[PackedBatch]:
        """Yield the rest of the current epoch; a batch's bits are overwritten some time after the next is requested."""
        for batch in self._stream.batches():
            if len(batch) == self._batch or not self._drop_last:
                yield batch

    def state_dict(self) -> dict[str, int]:
        """Return where the iteration is: a batch counts from when it was returned. JSON-ready."""
        return self._stream.get_state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned; raises `RunError` where it is of other batches."""
        if not all(isinstance(state.get(key), int) for key in self.state_dict()):
            raise RunError(f"got the state {dict(state)}", f"the keys {', '.join(self.state_dict())}")
        self._stream.set_state(dict(state))
