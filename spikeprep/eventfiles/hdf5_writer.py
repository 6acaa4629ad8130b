"""Write events as HDF5: see `spikeprep.eventfiles.hdf5` for the layouts that are read.

Tools of several data sets read one file: ``events/{x, y, t, p}`` as in DSEC and RVT, with DSEC's ``t_offset`` (what t
counts from, in µs) and ``ms_to_idx`` (the first event at or after each ms), and RVT's ``events/{width, height}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError
from ..hdf5_files import deferred_errors
from .base import LATEST
from .writer import EventWriter

_ROWS = 1 << 16  # that are held, written, and compressed together
_LAST_ROWS = 1 << 13  # of a chunk that is not compressed: the last one takes the room of a whole one
_COLUMNS = {"x": "<u2", "y": "<u2", "t": "<i8", "p": "u1"}
_GZIP: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


@dataclass(frozen=True)
class Hdf5Writer(EventWriter):
    """HDF5 (.h5, .hdf5) in the layout of DSEC and RVT: columns of x, y, t in µs and p; `Events.start` is ``t_offset``.

    Parameters
    ----------
    compression
        Of the columns; every HDF5 reads gzip.
    """

    name: ClassVar[str] = "hdf5"
    extensions: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".hdf")
    start_range: ClassVar[int | None] = None
    last_t: ClassVar[int | None] = LATEST
    limit: ClassVar[str] = "it has an index of each millisecond from t = 0 on"

    compression: Literal["gzip", "none"] = "gzip"

    def write(
        self, file: IO[bytes], blocks: Iterator[NDArray[np.void]], size: tuple[int, int], start: int
    ) -> None:
        """Write the columns and the index of milliseconds; see `EventWriter.write`."""
        try:
            import h5py
        except ImportError as error:
            raise CapabilityError(
                "h5py is not installed", "it, to write HDF5", "Install spikeprep[events]."
            ) from error
        with deferred_errors(file) as target, h5py.File(target, "w") as out:
            packed = _GZIP if self.compression == "gzip" else {}
            columns = {
                name: _Column(out, f"events/{name}", dtype, packed) for name, dtype in _COLUMNS.items()
            }
            out["events/width"], out["events/height"] = (np.int64(side) for side in size)
            out["t_offset"] = np.int64(start)
            index, count = _Column(out, "ms_to_idx", "<u8", packed), 0
            for block in target.signals.let_through(blocks):
                for name, data in columns.items():
                    data.append(block[name])
                _add_milliseconds(index, block["t"], count)
                count += len(block)
                target.check()
            for data in (*columns.values(), index):
                data.flush()
            out["events/t"].attrs["units"] = "us"


class _Column:
    """A data set that grows by whole chunks, so that none is compressed twice; of few rows it has these alone."""

    def __init__(self, out: Any, name: str, dtype: str, packed: Mapping[str, Any]) -> None:
        self._out, self._name, self._packed = out, name, packed
        self.length = 0
        self._data: Any = None  # made once its rows are more than few
        self._rest = np.empty(0, dtype)

    def append(self, values: NDArray[Any]) -> None:
        """Add values at the end."""
        rest = np.concatenate([self._rest, values.astype(self._rest.dtype, copy=False)])
        self.length += len(values)
        whole = len(rest) // _ROWS * _ROWS
        self._rest = rest[whole:]
        if not whole:
            return
        if self._data is None:
            chunk = _ROWS if self._packed else _LAST_ROWS
            self._data = self._out.create_dataset(
                self._name, (0,), rest.dtype, maxshape=(None,), chunks=(chunk,), **self._packed
            )
        self._write(rest[:whole])

    def flush(self) -> None:
        """Write what is left."""
        rest, self._rest = self._rest, self._rest[:0]
        if self._data is not None:
            self._write(rest)
        else:
            packed = dict(self._packed, chunks=(len(rest),)) if self._packed and len(rest) else {}
            self._out.create_dataset(self._name, data=rest, **packed)

    def _write(self, values: NDArray[Any]) -> None:
        if len(values):
            begin = len(self._data)
            self._data.resize((begin + len(values),))
            self._data[begin:] = values


def _add_milliseconds(index: _Column, t: NDArray[np.int64], count: int) -> None:
    """Add the number of the first event at or after each ms, up to the last of `t`; `count` events are ahead of it."""
    end = int(t[-1]) // 1000 + 1
    while index.length < end:
        ms = np.arange(index.length, min(index.length + _ROWS, end))
        index.append(count + np.searchsorted(t, 1000 * ms))
