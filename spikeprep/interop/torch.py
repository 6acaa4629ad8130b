"""Spikes for PyTorch: batches on a device straight from a store, and data sets for a `DataLoader`.

>>> import spikeprep
>>> from spikeprep.interop.torch import SpikeLoader
>>> store = spikeprep.open_store("mnist.zarr")
>>> for spikes, labels, lengths in SpikeLoader(store["train"], batch=128, layout="TBN", device="cuda"): ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from ..config import Count, fitted
from ..data import PackedBatch
from ..errors import CapabilityError, UsageError
from ..feed.order import SampleOrder
from ..random import check_seed
from ..store import SplitReader
from ..store.reader import one_sample
from ..train.layers.spatial import Channels
from .encoded import EncodedSplit
from .layouts import Layout
from .samples import CACHE_BYTES, CachedSplit, PackedSamples, require_split
from .streams import Loader

try:
    import torch
    from torch import Tensor
    from torch.utils.data import Dataset, Sampler
    from torch.utils.data._utils.collate import default_collate_fn_map
except ImportError as error:
    raise CapabilityError(
        "PyTorch is not installed", "the package torch", "Install it: https://pytorch.org/get-started."
    ) from error

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # of so many bytes


class SpikeBatch(NamedTuple):
    """A batch of samples, padded with silence to one length.

    Attributes
    ----------
    spikes
        0 and 1 in a layout and dtype; or packed, uint8 (sample, unit, byte).
    labels
        int64 (sample,).
    lengths
        Time steps of each sample, int64 (sample,).
    """

    spikes: Tensor
    labels: Tensor
    lengths: Tensor


class SpikeSample(NamedTuple):
    """One sample.

    Attributes
    ----------
    spikes
        0 and 1 in a layout without B, and a dtype; or packed, uint8 (unit, byte).
    label
        Its class.
    length
        Its time steps.
    """

    spikes: Tensor
    label: int
    length: int


class _Unpacker:
    """Unpacks bits on the device that has them, in a layout and dtype.

    Of `steps` time steps, or as many as the longest sample of a batch has.
    """

    def __init__(self, layout: Layout, dtype: torch.dtype, steps: int | None) -> None:
        if not isinstance(dtype, torch.dtype) or dtype.is_complex:
            raise UsageError(f"got dtype = {dtype}", "a real dtype of PyTorch", "Try torch.float32.")
        self.layout, self.dtype = layout, dtype
        self.steps = None if steps is None else fitted(steps, Count, "steps")
        self._one = torch.ones(1, dtype=dtype)

    def packed(self, batch: PackedBatch) -> SpikeBatch:
        """Return a batch as tensors that share its memory, lengths cut at `steps`."""
        labels, lengths = (torch.from_numpy(a.astype(np.int64)) for a in (batch.labels, batch.steps))
        if self.steps:
            lengths.clamp_(max=self.steps)
        return SpikeBatch(torch.from_numpy(batch.bits), labels, lengths)

    def dense(self, batch: SpikeBatch) -> SpikeBatch:
        """Return a packed batch unpacked; raises `UsageError` for another one."""
        self.layout.check_packed(tuple(batch.spikes.shape), batch.spikes.dtype)
        steps = self.steps or (int(batch.lengths.max()) if len(batch.lengths) else 1)
        unpacked = self._on_cpu if batch.spikes.device.type == "cpu" else self._on_device
        return batch._replace(spikes=unpacked(batch.spikes, steps))

    def _on_cpu(self, bits: Tensor, steps: int) -> Tensor:
        size = self._one.element_size()
        one = self._one.view(_INTEGERS[size]).numpy()
        # from NumPy, which asks for large pages: those of PyTorch's own memory take longer than the spikes
        out = np.empty(self.layout.shape(len(bits), steps), one.dtype)
        self.layout.write(bits.numpy(), steps, out, one[0])
        return torch.from_numpy(out).view(self.dtype)

    def _on_device(self, bits: Tensor, steps: int) -> Tensor:
        if self.layout.unit_order is not None:
            bits = bits[:, torch.from_numpy(self.layout.unit_order).to(bits.device)]
        missing = -(-steps // 8) - bits.shape[2]
        if missing > 0:
            bits = torch.nn.functional.pad(bits, (0, missing))
        samples, axes = len(bits), self.layout.order
        time = axes.index("T")
        bits = bits.permute(["BNT".index(axis) for axis in axes]).unsqueeze(time + 1)
        shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
        shifts = shifts.view([8 if n == time + 1 else 1 for n in range(4)])
        spikes = (bits >> shifts & 1).flatten(time, time + 1).narrow(time, 0, steps)
        return spikes.to(self.dtype).reshape(self.layout.shape(samples, steps))


class SpikeLoader(Loader):
    """Batches of a split on a device, in the order that `spikeprep.train` uses: each iteration is one epoch.

    Spikes are read and sent to the device packed, and unpacked there; see `Loader`. No processes
    are needed: a thread reads ahead.

    Parameters
    ----------
    split
        The samples, such as ``spikeprep.open_store("mnist.zarr")["train"]``.
    batch
        Samples per batch; the last one of an epoch may be smaller.
    layout, dtype, steps, channels
        See `SpikeDataset`.
    device
        Where the batches are.
    seed
        Decides the orders.
    shuffle
        False keeps the order of the store.
    drop_last
        Whether to leave out an epoch's last batch where it is smaller.

    Raises
    ------
    UsageError
        The layout is none, or not one for the store's units; or another argument is not as described.
    CapabilityError
        PyTorch is not installed, or cannot use the device here.
    """

    def __init__(
        self,
        split: SplitReader,
        batch: int,
        *,
        layout: str = "BTN",
        dtype: torch.dtype = torch.float32,
        steps: int | None = None,
        channels: Channels = "auto",
        device: str | torch.device = "cpu",
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
    ) -> None:
        require_split(split)
        self._device = _usable_device(device)
        self._unpacker = _Unpacker(Layout(layout, split.unit_shape, channels), dtype, steps)
        super().__init__(split, batch, seed=seed, shuffle=shuffle, drop_last=drop_last)

    def __iter__(self) -> Iterator[SpikeBatch]:
        """Yield the rest of the current epoch; raises `StoreError` where samples are damaged."""
        for batch in self._packed():
            packed = SpikeBatch(*(tensor.to(self._device) for tensor in self._unpacker.packed(batch)))
            yield self._unpacker.dense(packed)


def _usable_device(device: str | torch.device) -> torch.device:
    """Return a device that tensors can be on; raises `UsageError` or `CapabilityError` as `SpikeLoader`."""
    try:
        named = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            f"got device = {device!r}", "a device of PyTorch, such as cpu, cuda or cuda:1"
        ) from error
    try:
        torch.empty(0, device=named)
    except (AssertionError, RuntimeError) as error:
        reason = re.split(r"\.\s", str(error))[0].rstrip(".")  # advice and lists follow
        raise CapabilityError(
            f"got device = {str(named)!r}, but PyTorch cannot use it here ({reason})",
            "",
            "Use device='cpu', or install PyTorch for this device: https://pytorch.org/get-started/locally.",
        ) from error
    return named


class SpikeDataset(Dataset[SpikeSample]):
    """Samples as (spikes, label, length), and batches of them, for a `DataLoader`.

    It can be pickled: workers that are forked or spawned open the store, or the raw data, themselves.

    Parameters
    ----------
    samples
        A split of a store, such as ``spikeprep.open_store("mnist.zarr")["train"]``; or an `EncodedSplit`, whose samples
        are encoded when they are read.
    layout
        The order of a batch's axes: B (sample), T (step), and N (all units) or C (channel), H (row) and W (column). A
        single sample has the same without B. snnTorch, Norse and SpikingJelly's multi-step mode take TBN or TBCHW,
        sinabs BTN or BTCHW, Lava BNT.
    dtype
        Of the spikes.
    steps
        Time steps of every sample: longer ones are cut, shorter ones padded with silence. Default: each sample has its
        own length, and a batch that of its longest sample.
    channels
        Where the channels are among the axes of the units: "first", "last", or "auto", which takes at most four units
        at one end of the shape for channels.
    packed
        Whether spikes stay packed, uint8 (unit, byte): for `dense` to unpack after they came out of a worker, or on
        another device. Workers send an eighth of the bytes of uint8.

    Raises
    ------
    UsageError
        The layout is none, or not one for the units; or another argument is not as described.
    CapabilityError
        PyTorch is not installed.

    Notes
    -----
    A `DataLoader` takes a batch at once, which is unpacked straight into one tensor: a `SpikeBatch`. Where another data
    set is between the two that takes samples one by one (`ConcatDataset`), ``collate_fn=data.collate`` pads samples of
    different lengths.
    """

    def __init__(
        self,
        samples: SplitReader | EncodedSplit,
        *,
        layout: str = "BTN",
        dtype: torch.dtype = torch.float32,
        steps: int | None = None,
        channels: Channels = "auto",
        packed: bool = False,
    ) -> None:
        require_split(samples, EncodedSplit)
        self.samples, self.packed = samples, packed
        self._unpacker = _Unpacker(Layout(layout, samples.unit_shape, channels), dtype, steps)
        self._read: PackedSamples = CachedSplit(samples) if isinstance(samples, SplitReader) else samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, sample: int) -> SpikeSample:
        """Return spikes in the layout without B, label and length of one sample; raises `IndexError`, `StoreError`."""
        sample = one_sample(sample, "Use a DataLoader for several.")
        batch = self._packed([sample + len(self) if sample < 0 else sample])
        if not self.packed:
            batch = self._unpacker.dense(batch)
        return SampleSequence(batch, self._sample_axis, self._time_axis)[0]

    def __getitems__(self, samples: Sequence[int]) -> SampleSequence:
        """Return samples as a sequence of (spikes, label, length), each of its own length."""
        batch = self._packed(samples)
        if not self.packed:
            batch = self._unpacker.dense(batch)
        return SampleSequence(batch, self._sample_axis, self._time_axis)

    def _packed(self, samples: Sequence[int]) -> SpikeBatch:
        return self._unpacker.packed(self._read.packed(np.asarray(samples, np.int64)))

    @property
    def _sample_axis(self) -> int:
        return 0 if self.packed else self._unpacker.layout.sample_axis

    @property
    def _time_axis(self) -> int | None:
        """Where samples are cut to their lengths; None: they stay as they are."""
        return None if self.packed or self._unpacker.steps else self._unpacker.layout.time_axis

    def dense(self, batch: SpikeBatch) -> SpikeBatch:
        """Return a batch of packed spikes unpacked, on the device that has them, in the data set's layout and dtype.

        Parameters
        ----------
        batch
            As the data set gives it: spikes uint8 (sample, unit, byte).

        Raises
        ------
        UsageError
            The data set has not ``packed=True``, so that its batches are dense; or the batch is of other units.
        """
        if not self.packed:
            raise UsageError(
                "got a batch for dense of a data set that unpacks spikes itself",
                "packed = True",
                "Leave dense out, or give the SpikeDataset packed=True.",
            )
        return self._unpacker.dense(batch)

    def collate(self, samples: Sequence[SpikeSample]) -> SpikeBatch:
        """Return samples of the data set as one batch; for `DataLoader`'s ``collate_fn``."""
        if isinstance(samples, SampleSequence):
            return samples.batch
        spikes, labels, lengths = zip(*samples, strict=True)
        if not self.packed:
            spikes = self._padded(spikes)
        return SpikeBatch(torch.stack(spikes, self._sample_axis), torch.tensor(labels), torch.tensor(lengths))

    def _padded(self, spikes: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return samples with silence up to the length of the longest."""
        axis = self._unpacker.layout.time_axis
        steps = max(sample.shape[axis] for sample in spikes)
        later_axes = [0, 0] * (spikes[0].ndim - 1 - axis)  # `pad` begins with the last axis
        pad = torch.nn.functional.pad
        return tuple(pad(sample, (*later_axes, 0, steps - sample.shape[axis])) for sample in spikes)


class SampleSequence(Sequence[SpikeSample]):
    """A batch as a sequence of samples, so that any function that collates samples takes it.

    Parameters
    ----------
    batch
        The samples.
    sample_axis
        Which axis of the spikes is that of the samples.
    time_axis
        Which axis of a sample's spikes is cut to its length; None: none.
    """

    def __init__(self, batch: SpikeBatch, sample_axis: int, time_axis: int | None) -> None:
        self.batch, self._sample_axis, self._time_axis = batch, sample_axis, time_axis

    def __len__(self) -> int:
        return len(self.batch.labels)

    @overload
    def __getitem__(self, sample: int) -> SpikeSample: ...
    @overload
    def __getitem__(self, sample: slice) -> list[SpikeSample]: ...
    def __getitem__(self, sample: Any) -> Any:
        if isinstance(sample, slice):
            return [self[n] for n in range(len(self))[sample]]
        spikes, length = self.batch.spikes.select(self._sample_axis, sample), int(self.batch.lengths[sample])
        if self._time_axis is not None:
            spikes = spikes.narrow(self._time_axis, 0, length)
        return SpikeSample(spikes, int(self.batch.labels[sample]), length)


def _collate(samples: Sequence[SpikeSample], *, collate_fn_map: Any = None) -> SpikeBatch:
    """Return samples as one batch: what PyTorch's `default_collate` calls for `SpikeSample`."""
    if isinstance(samples, SampleSequence):
        return samples.batch
    spikes, labels, lengths = zip(*samples, strict=True)
    if len({sample.shape for sample in spikes}) > 1:
        raise UsageError(
            f"got samples of shapes {tuple(spikes[0].shape)} and others in one batch",
            "samples of one length",
            "Give the DataLoader collate_fn=data.collate of the SpikeDataset, or the SpikeDataset a number of steps.",
        )
    return SpikeBatch(torch.stack(spikes), torch.tensor(labels), torch.tensor(lengths))


default_collate_fn_map[SpikeSample] = _collate  # as `default_collate` documents it


class ShuffledBatches(Sampler[list[int]]):
    """Batches in random order for a `DataLoader`'s ``batch_sampler``, such that each chunk of a store is read once.

    Chunks are shuffled, and samples within windows of chunks that fit in memory; samples of like length share batches.
    A full shuffle of a large store would decompress a chunk for every sample. Every iteration is another epoch, in
    another order.

    Parameters
    ----------
    samples
        Those of the data set.
    batch
        Samples per batch; the last one of an epoch may be smaller.
    seed
        Decides the orders.
    fresh
        Whether epoch e has copy e of each sample; of an `EncodedSplit` of training samples alone.

    Raises
    ------
    UsageError
        The samples have no copies, `batch` is below 1, or `seed` is none.
    """

    def __init__(
        self, samples: SplitReader | EncodedSplit, batch: int, seed: int = 0, *, fresh: bool = False
    ) -> None:
        require_split(samples, EncodedSplit)
        check_seed(seed)
        fitted(batch, Count, "batch")
        self.epoch, self._samples, self._fresh = 0, len(samples), fresh
        if fresh and not (isinstance(samples, EncodedSplit) and samples.has_copies):
            raise UsageError(
                "got fresh = True for samples that have no copies",
                "training samples of an EncodedSplit",
                "Leave fresh out.",
            )
        if isinstance(samples, SplitReader):
            window = max(1, CACHE_BYTES // 2 // samples.chunk_bytes)
            steps, chunk = samples.steps, samples.chunk_samples
        else:
            steps, chunk, window = samples.steps, len(samples), 1
        self._order = SampleOrder(np.arange(self._samples), steps, chunk, window, batch, seed)

    def __len__(self) -> int:
        """Batches per epoch."""
        return -(-self._samples // self._order.batch)

    def __iter__(self) -> Iterator[list[int]]:
        epoch, batch = self.epoch, self._order.batch
        self.epoch += 1
        order = np.concatenate(self._order.windows(epoch)) + (epoch * self._samples if self._fresh else 0)
        for at in range(0, len(order), batch):
            yield order[at : at + batch].tolist()
