"""Batches of a split for other libraries, packed: in the order that training uses, prefetched, and resumable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..config import Count, fitted
from ..data import PackedBatch
from ..errors import RunError, UsageError
from ..feed.batches import BatchStream
from ..random import check_seed
from ..store import SplitReader


class Loader:
    """What loaders of batches share: each iteration is one epoch, the next one in another order.

    An iteration that is left before its end is over: the next one is the next epoch. After `load_state_dict` it is the
    rest of the state's epoch.

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
        self._own = {"seed": int(seed), "shuffle": int(shuffle)}
        self._continues, self._iterations = True, 0
        self._stream = BatchStream(split, batch, seed=seed, shuffle=shuffle)

    def __len__(self) -> int:
        """Batches per epoch."""
        full, rest = divmod(len(self._stream.samples), self._batch)
        return full + bool(rest and not self._drop_last)

    def _packed(self) -> Iterator[PackedBatch]:
        """Yield the batches of an epoch; a batch's bits are overwritten some time after the next is requested.

        Raises
        ------
        UsageError
            Another iteration of this loader has begun: they share where they are.
        """
        state = self._stream.get_state()
        if state["position"] and not self._continues:
            self._stream.set_state(state | {"epoch": state["epoch"] + 1, "position": 0})
        self._continues = False
        self._iterations += 1
        own = self._iterations
        for batch in self._stream.batches():
            if len(batch) == self._batch or not self._drop_last:
                yield batch
            if own != self._iterations:
                raise UsageError(
                    "got an iteration of a loader after another one began",
                    "one at a time",
                    "Make two loaders.",
                )

    def state_dict(self) -> dict[str, int]:
        """Return where the iteration is: a batch counts from when it was returned. JSON-ready."""
        return self._stream.get_state() | self._own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned; raises `RunError` where it is of other batches."""
        keys = self.state_dict()
        if not isinstance(state, Mapping) or not all(isinstance(state.get(key), int) for key in keys):
            raise RunError(f"got the state {state!r}", f"one of state_dict: the keys {', '.join(keys)}")
        if any(state[key] != own for key, own in self._own.items()):
            given = ", ".join(f"{key} = {state[key]}" for key in self._own)
            own = ", ".join(f"{key} = {value}" for key, value in self._own.items())
            raise RunError(
                f"got the state of a loader with {given}", own, "Make the loader as the first one was."
            )
        self._stream.set_state(dict(state))
        self._continues = True
