"""Files that are there whole or not at all: arrays and a JSON record in one .npz."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file under another name, then rename it into place."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunError(
            f"{path} could not be written ({error.strerror})", "", "Make room, then --resume."
        ) from error


def save_checkpoint(path: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Save arrays and a JSON-ready record, atomically."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, record=text, **arrays)
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Load what `save_checkpoint` saved.

    Raises
    ------
    RunError
        There is no such file, or it is damaged.
    """
    try:
        # read whole first: np.load leaves the file open where it is damaged
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as f:
            arrays = {name: f[name] for name in f}
        return arrays, json.loads(arrays.pop("record").tobytes())
    except FileNotFoundError as error:
        raise RunError(
            f"{path} does not exist", "the checkpoint of a run", "Train first, or name another run."
        ) from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged ({error})", "", "Train again into another --run.") from error
