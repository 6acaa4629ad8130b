"""Spikes for JAX: batches on a device straight from a store.

>>> import spikeprep
>>> from spikeprep.interop.jax import SpikeLoader
>>> store = spikeprep.open_store("mnist.zarr")
>>> for spikes, labels, lengths in SpikeLoader(store["train"], batch=128, drop_last=True): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..config import Count, fitted
from ..errors import CapabilityError
from ..store import SplitReader
from ..train.layers.spatial import Channels
from .layouts import Layout
from .samples import require_split
from .streams import Loader

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise CapabilityError(
        "JAX is not installed",
        "the package jax",
        "Install it: https://docs.jax.dev/en/latest/installation.html.",
    ) from error


class SpikeBatch(NamedTuple):
    """A batch of samples, padded with silence to one length.

    Attributes
    ----------
    spikes
        0 and 1 in the loader's layout and dtype.
    labels
        int32 (sample,).
    lengths
        Time steps of each sample, int32 (sample,).
    """

    spikes: jax.Array
    labels: jax.Array
    lengths: jax.Array


class SpikeLoader(Loader):
    """Batches of a split on a device, in the order that `spikeprep.train` uses: each iteration is one epoch.

    Spikes are read and sent to the device packed, and unpacked there; see `Loader`. All batches
    have the same number of time steps, so that a function is compiled once.

    Parameters
    ----------
    split
        The samples, such as ``spikeprep.open_store("mnist.zarr")["train"]``.
    batch
        Samples per batch; the last one of an epoch may be smaller.
    layout
        The order of a batch's axes: B (sample), T (step), and N (all units) or C (channel), H (row) and W (column).
        Spyx takes BTN or BTCHW, with ``batch_major=True`` in its `run`.
    dtype
        Of the spikes.
    steps
        Time steps of every batch: longer samples are cut, shorter ones padded with silence. Default: those of the
        store's longest sample.
    channels
        Where the channels are among the axes of the units: "first", "last", or "auto", which takes at most four units
        at one end of the shape for channels.
    device
        Where the batches are: a device or a sharding of JAX; default JAX's own choice.
    seed
        Decides the orders.
    shuffle
        False keeps the order of the store.
    drop_last
        Whether to leave out an epoch's last batch where it is smaller: a function is compiled again for it.

    Raises
    ------
    UsageError
        The layout is none, or not one for the store's units; or another argument is not as described.
    CapabilityError
        JAX is not installed.
    """

    def __init__(
        self,
        split: SplitReader,
        batch: int,
        *,
        layout: str = "BTN",
        dtype: Any = jnp.float32,
        steps: int | None = None,
        channels: Channels = "auto",
        device: Any = None,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        require_split(split)
        self._layout = Layout(layout, split.unit_shape, channels)
        self._steps = split.max_steps if steps is None else fitted(steps, Count, "steps")
        self._dtype, self._device = jnp.dtype(dtype), device
        super().__init__(split, batch, seed=seed, shuffle=shuffle, drop_last=drop_last)

    def __iter__(self) -> Iterator[SpikeBatch]:
        """Yield the rest of the current epoch; raises `StoreError` where samples are damaged."""
        for batch in self._packed():
            lengths = np.minimum(batch.steps, self._steps).astype(np.int32)
            # a copy: JAX may go on using the memory while the next batches are written to it
            arrays = batch.bits.copy(), batch.labels.copy(), lengths
            bits, labels, steps = jax.device_put(arrays, self._device)
            yield SpikeBatch(_dense(bits, self._layout, self._steps, self._dtype), labels, steps)


@partial(jax.jit, static_argnames=("layout", "steps", "dtype"))
def _dense(bits: jax.Array, layout: Layout, steps: int, dtype: Any) -> jax.Array:
    """Return bits (sample, unit, byte) as 0 and 1 in a layout."""
    if layout.unit_order is not None:
        bits = bits[:, layout.unit_order]
    missing = max(-(-steps // 8) - bits.shape[2], 0)
    bits = jnp.pad(bits, ((0, 0), (0, 0), (0, missing)))
    spikes = jnp.unpackbits(bits, axis=2, count=steps, bitorder="little")  # (sample, unit, step)
    spikes = spikes.transpose(["BNT".index(axis) for axis in layout.order])
    return spikes.astype(dtype).reshape(layout.shape(len(bits), steps))
