"""Spikes and encoders among tonic's data sets and transforms, whose samples are arrays of events.

>>> from spikeprep.interop.tonic import EventDataset, Encode
>>> data = EventDataset(spikeprep.open_store("nmnist.zarr")["train"])
>>> frames = tonic.transforms.ToFrame(data.sensor_size, time_window=1000)(data[0][0])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders.base import Chain
from ..errors import DataError, UsageError
from ..packing import unpack
from ..random import SampleKey
from ..sources.tonic_samples import as_events
from ..store import SplitReader
from ..store.reader import one_sample
from ..train.layers.spatial import Channels
from .encoded import EncodedSplit
from .layouts import Layout
from .samples import CachedSplit, PackedSamples, require_split

STORED_EVENT = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int16)])
"""A spike as an event: t in µs, and the unit's column, row and channel; of int32 where one of them needs it."""

_LARGE_EVENT = np.dtype([("t", np.int64), ("x", np.int32), ("y", np.int32), ("p", np.int32)])

_HINT = (
    "Give the data set's own sensor_size, events in the order of t, and from_first=True for a camera's clock."
)


class EventDataset:
    """The samples of a split as tonic's data sets give them: (events, label); a spike is an event at its step's start.

    Where a step is a whole number of µs, `tonic.transforms.ToFrame` with a time window of one step gives the stored
    spikes again. It can be pickled.

    Parameters
    ----------
    split
        The samples, such as ``spikeprep.open_store("nmnist.zarr")["train"]``; or an `EncodedSplit`.
    transform, target_transform
        Called with the events, and with the label.
    channels
        Where the channels are among the axes of the units: "first", "last", or "auto", which takes at most four units
        at one end of the shape for channels.

    Attributes
    ----------
    sensor_size
        (columns, rows, channels); units without rows and columns are columns of one row.

    Raises
    ------
    UsageError
        `split` is something else, or its steps are shorter than 1 µs.
    """

    def __init__(
        self,
        split: SplitReader | EncodedSplit,
        *,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        channels: Channels = "auto",
    ) -> None:
        self.transform, self.target_transform = transform, target_transform
        require_split(split, EncodedSplit)
        if 1e6 * split.dt < 1 - 1e-9:
            raise UsageError(
                f"got samples with steps of {1e6 * split.dt:g} µs",
                "at least 1 µs: the time of an event is a whole number of µs",
                "Take the spikes as they are: SplitReader.packed.",
            )
        self._samples: PackedSamples = CachedSplit(split) if isinstance(split, SplitReader) else split
        self._seconds = split.dt
        shape = split.unit_shape
        if len(shape) < 2:
            self.sensor_size, self._order = (shape[0], 1, 1), None
        else:
            layout = Layout("BTCHW", shape, channels)
            number, rows, columns = layout.grid
            self.sensor_size, self._order = (columns, rows, number), layout.unit_order
        self._dtype = STORED_EVENT if max(self.sensor_size) <= 1 << 15 else _LARGE_EVENT

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, sample: int) -> tuple[Any, Any]:
        """Return the events of one sample, dtype `STORED_EVENT` (event,), and its label, both transformed."""
        sample = one_sample(sample, "Use [data[n] for n in numbers] for several.")
        number = sample + len(self) if sample < 0 else sample
        batch = self._samples.packed(np.array([number], np.int64))
        bits = batch.bits[0] if self._order is None else batch.bits[0][self._order]
        steps, units = np.nonzero(unpack(bits, int(batch.steps[0])))
        columns, rows, _ = self.sensor_size
        events: Any = np.empty(len(steps), self._dtype)
        events["t"] = np.rint(steps * (self._seconds * 1e6))
        events["x"], events["y"] = units % columns, units // columns % rows
        events["p"] = units // (columns * rows)
        label: Any = int(batch.labels[0])
        if self.transform is not None:
            events = self.transform(events)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return events, label


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value > 0)


class Encode:
    """A transform from tonic's events to spikes, by a chain of transforms and an encoder.

    It is called like those of tonic, alone or in `tonic.transforms.Compose`.

    Parameters
    ----------
    chain
        Configurations of transforms, then of an encoder, such as ``[{"name": "dvs", "bin_us": 1000}]``; or a `Chain`.
    sensor_size
        (columns, rows, polarities), as tonic's data sets have it.
    from_first
        Whether t counts from the first event; default: not, and a recording with a camera's clock is refused.
    rng
        Names the random numbers of transforms and encoders that draw; equal for every call.

    Raises
    ------
    UsageError
        A name, a setting or a value does not exist or does not fit; or `sensor_size` is not as described.
    """

    def __init__(
        self,
        chain: Chain | list[Mapping[str, Any]],
        sensor_size: tuple[int, int, int],
        *,
        from_first: bool | None = None,
        rng: SampleKey | None = None,
    ) -> None:
        self.chain = chain if isinstance(chain, Chain) else Chain.from_config(chain)
        sizes = tuple(sensor_size) if isinstance(sensor_size, tuple | list | np.ndarray) else ()
        if len(sizes) != 3 or not all(_is_count(size) for size in sizes) or sizes[2] > 2:
            raise UsageError(
                f"got sensor_size = {sensor_size!r}",
                "(columns, rows, polarities), of 1 or 2 polarities",
                "Give the data set's own sensor_size.",
            )
        self.sensor_size, self.from_first, self.rng = sensor_size, from_first, rng

    def __call__(self, events: NDArray[Any]) -> NDArray[np.bool_]:
        """Return spikes, bool (time, unit…), of events with the fields t (µs), x, p and, where there are rows, y.

        Raises
        ------
        DataError
            They have other fields, or values that a recording cannot have.
        """
        try:
            recording = as_events(events, self.sensor_size, (), self.from_first, "the recording")
        except DataError as error:
            raise DataError(error.got, error.expected, _HINT) from error
        shape = self.chain.describe(recording, self.rng).unit_shape
        train = self.chain.encode(recording, rng=self.rng)
        return unpack(train.bits, train.steps).reshape(train.steps, *shape)
