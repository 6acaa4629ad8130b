"""Write events as HDF5: see `spikeprep.eventfiles.hdf5` for the layouts that are read.

Tools of several data sets read one file: ``events/{x, y, t, p}`` as in DSEC and RVT, with DSEC's ``t_offset`` (what t
counts from, in µs) and ``ms_to_idx`` (the first event at or after each ms), and RVT's ``events/{width, height}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError
from ..hdf5_files import deferred_errors
from .writer import EventWriter

_CHUNK = 1 << 16  # rows that are compressed together
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

            def column(name: str, dtype: str) -> _Column:
                return _Column(
                    out.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(_CHUNK,), **packed)
                )

            columns = {name: column(f"events/{name}", dtype) for name, dtype in _COLUMNS.items()}
            columns["t"].data.attrs["units"] = "us"
            out["events/width"], out["events/height"] = (np.int64(side) for side in size)
            out["t_offset"] = np.int64(start)
            index, count = column("ms_to_idx", "<u8"), 0
            for block in target.signals.let_through(blocks):
                for name, data in columns.items():
                    data.append(block[name])
                _add_milliseconds(index, block["t"], count)
                count += len(block)
                target.check()
            for data in (*columns.values(), index):
                data.flush()


class _Column:
    """A data set that grows, a whole chunk at a time, so that none is compressed twice."""

    def __init__(self, data: Any) -> None:
        self.data, self.length = data, 0
        self._rest = np.empty(0, data.dtype)

    def append(self, values: NDArray[Any]) -> None:
        """Add values at the end."""
        rest = np.concatenate([self._rest, values])
        self.length += len(values)
        whole = len(rest) // _CHUNK * _CHUNK
        self._write(rest[:whole])
        self._rest = rest[whole:]

    def flush(self) -> None:
        """Write what is left."""
        self._write(self._rest)
        self._rest = self._rest[:0]

    def _write(self, values: NDArray[Any]) -> None:
        if len(values):
            begin = len(self.data)
            self.data.resize((begin + len(values),))
            self.data[begin:] = values


def _add_milliseconds(index: _Column, t: NDArray[np.int64], count: int) -> None:
    """Add the number of the first event at or after each ms, up to the last of `t`; `count` events are ahead of it."""
    end = int(t[-1]) // 1000 + 1
    while index.length < end:
        ms = np.arange(index.length, min(index.length + _CHUNK, end))
        index.append(count + np.searchsorted(t, 1000 * ms))
