"""One array of an HDF5 file that holds many samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def stored_array(path: Path, name: str) -> NDArray[Any]:
    """Return an array of a file; raises `OSError` or `KeyError` where there is none."""
    import h5py

    with h5py.File(path, "r") as file:
        array: NDArray[Any] = file[name][()]
        return array
