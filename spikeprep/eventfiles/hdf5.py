"""HDF5 files of events, in the known layouts, or in any other whose names are given.

| layout | columns | also read |
| --- | --- | --- |
| DSEC, EDS | ``events/{x, y, t, p}`` | ``t_offset``: the zero of t; with ``ms_to_idx``: a sensor of 640 × 480 |
| RVT | ``events/{x, y, t, p}`` | ``events/{width, height}`` |
| event_utils, e2vid | ``events/{xs, ys, ts, ps}`` | attribute ``sensor_resolution`` (height, width) |
| Prophesee | ``CD/events``, a compound data set | attribute ``geometry``; a camera's clock |
| v2e | ``events``, uint32 (event, 4): t, x, y, p | |
| MVSEC | ``davis/{left, right}/events``, (event, 4): x, y, t in s, p of ±1 | 346 × 260; a camera's clock |
| torchneuromorphic | ``times`` and ``addrs``, uint8 (event, 3): p, x, y or x, y, p | |
| MATLAB 7.3 | ``x``, ``y``, ``ts``, ``pol``, each (1, event) in HDF5 | |
| others | one group, or compound data set, with such names | attributes ``width``, ``height`` |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..array_files.hdf5 import SIGNATURE, open_hdf5
from ..input_files import InputFile
from .base import Decoder
from .columns import ColumnFormat
from .hdf5_columns import hdf5_decoder
from .hdf5_writer import Hdf5Writer
from .writer import EventWriter

_MATLAB = b"MATLAB 7.3 MAT-file"  # in the 512 bytes that MATLAB puts ahead of the signature


@dataclass(frozen=True)
class Hdf5(ColumnFormat):
    """HDF5 (.h5, .hdf5, .hdf; .mat of MATLAB 7.3) of events; `x`, `y`, `t`, `p` name columns with unusual names.

    Parameters
    ----------
    group
        Group, or data set of several columns, that holds the events; detected where it is the only one.
    """

    name: ClassVar[str] = "hdf5"
    title: ClassVar[str] = "HDF5"
    writer: ClassVar[type[EventWriter] | None] = Hdf5Writer
    extensions: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".hdf", ".mat")
    begins: ClassVar[tuple[bytes, ...]] = (SIGNATURE, _MATLAB)

    group: str = ""

    @classmethod
    def matches(cls, head: bytes) -> bool:
        """Return whether the file begins with HDF5's signature, or is MATLAB's."""
        return head.startswith(cls.begins)

    def decoder(self, file: InputFile) -> Decoder:
        """Find the columns; see `EventFormat.decoder`."""
        hdf5 = open_hdf5(file)
        try:
            return hdf5_decoder(file, self, hdf5, self.group)
        except BaseException:
            hdf5.close()
            raise
