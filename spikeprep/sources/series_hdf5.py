"""Series in HDF5 files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError, DataError, SpikeprepError
from ..eventfiles.hdf5_checks import check_contents, check_data
from ..input_files import InputFile, Limits
from .series_arrays import Array, several
from .series_data import SeriesFile

_RATES = ("rate", "fs", "sfreq", "sampling_rate", "sample_rate", "sampling_frequency")


def read_hdf5(
    path: Path, content: bytes, names: Mapping[str, str], time_axis: str, limits: Limits
) -> SeriesFile:
    """Read the bytes of an HDF5 file, see `spikeprep.sources.series_arrays.several`.

    A rate may be an attribute of the file or of the values. Files that lead to other files are refused.

    Raises
    ------
    DataError
        It is no HDF5 file, is damaged, or its data sets are not clear.
    CapabilityError
        h5py is not installed, or a filter that the file is compressed with.
    """
    try:
        import h5py
    except ImportError as error:
        raise CapabilityError(
            f"reading {path} needs the package h5py ({error})",
            "",
            "Run: python -m pip install 'spikeprep[events]'.",
        ) from error
    try:
        with h5py.File(io.BytesIO(content), "r") as hdf5:
            check_contents(path, hdf5)
            found: dict[str, Any] = {}
            hdf5.visititems(lambda name, node: found.update({name: node} if _is_data(node, h5py) else {}))
            arrays = {name: _array(path, data, limits) for name, data in found.items()}
            stated = [
                float(value)
                for attributes in (hdf5.attrs, *(data.attrs for data in found.values()))
                for key in _RATES
                if (value := _number(attributes.get(key))) is not None
            ]
            return several(path, arrays, names, time_axis, limits, stated[0] if stated else 0.0)
    except SpikeprepError:
        raise
    except Exception as error:  # h5py's errors have no common class
        raise DataError(
            f"{path} cannot be read ({error})", "an HDF5 file", "Fetch or save it again."
        ) from error


def _is_data(node: Any, h5py: Any) -> bool:
    return isinstance(node, h5py.Dataset)


def _array(path: Path, data: Any, limits: Limits) -> Array:
    def values() -> NDArray[Any]:
        size = int(np.prod(data.shape, dtype=object)) * data.dtype.itemsize
        limits.check_bytes(f"{path}: {data.name}", size)
        if data.dtype.kind == "O":  # texts of any length
            return np.asarray(data.asstr()[()], np.str_)
        if data.dtype.kind not in "SU":
            check_data(InputFile(path, limits), data)
        return np.asarray(data[()])

    kind = np.dtype(np.str_) if data.dtype.kind == "O" else data.dtype
    return Array(tuple(data.shape or ()), kind, values)


def _number(value: Any) -> float | None:
    if value is None or np.size(value) != 1 or np.asarray(value).dtype.kind not in "iuf":
        return None
    number = float(np.ravel(value)[0])
    return number if np.isfinite(number) and number > 0 else None
