"""Checkpoints: arrays and a JSON record in one .npz, written atomically."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import ArraySpec, LinearMap, ParameterState
from ..errors import RunError


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it into place."""
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
            f"{path} could not be written ({error.strerror})", "", "Free some space, then resume the run."
        ) from error


def save_checkpoint(path: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Save arrays and a JSON-ready record."""
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
            f"{path} does not exist", "the checkpoint of a run", "Train first, or name another run folder."
        ) from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged ({error})", "", "Train again into another run folder.") from error


def pack_states(states: Sequence[Mapping[str, ParameterState]], moments: bool) -> dict[str, NDArray[Any]]:
    """Return the arrays of every layer by name: ``layer0.weight``, and with `moments` ``layer0.weight.moment``, ….

    See `unpack_states`.
    """
    arrays = {}
    for n, state in enumerate(states):
        for name, parameter in state.items():
            arrays[f"layer{n}.{name}"] = parameter.value
            if moments:
                arrays[f"layer{n}.{name}.moment"] = parameter.moment
                arrays[f"layer{n}.{name}.variance"] = parameter.variance
    return arrays


def unpack_states(
    arrays: Mapping[str, NDArray[Any]], layers: Sequence[LinearMap], path: Path
) -> list[dict[str, ParameterState]]:
    """Return each layer's trained arrays by name from what `pack_states` returned; fresh moments where there are none.

    Raises
    ------
    RunError
        An array is missing, or has another shape or type than its layer.
    """
    return [
        {name: _unpack_state(arrays, n, name, spec, path) for name, spec in layer.specs().items()}
        for n, layer in enumerate(layers)
    ]


def _unpack_state(
    arrays: Mapping[str, NDArray[Any]], layer: int, name: str, spec: ArraySpec, path: Path
) -> ParameterState:
    found: dict[str, NDArray[Any]] = {}
    for key in ("value", "moment", "variance"):
        full = f"layer{layer}.{name}" if key == "value" else f"layer{layer}.{name}.{key}"
        array = arrays.get(full)
        if array is None:  # checkpoints of format 1 had weight_0, moment_0, variance_0
            array = arrays.get(f"{name if key == 'value' else key}_{layer}")
        if array is None:
            if key == "value":
                raise RunError(f"{path} lacks the array {full}", "a checkpoint of this run")
            array = np.zeros_like(found["value"])
        if array.shape != spec.shape or array.dtype.kind != "f":
            raise RunError(
                f"{path} has {full} as {array.dtype} {array.shape}",
                f"floating point {spec.shape}, as the run's configuration says",
                "Name the run that the checkpoint belongs to.",
            )
        found[key] = array
    return ParameterState(**found)
