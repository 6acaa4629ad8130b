"""Checkpoints: arrays and a JSON record in one .npz, written atomically and read within the sizes of the run.

A checkpoint is read member by member, each one checked before its bytes are: its name, its size and its header against
the run's configuration. Members are stored, not compressed, and hold no Python objects.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..backend import LayerRule, LinearMap, ParameterState
from ..composition import trained_arrays
from ..errors import RunError
from .documents import parse_json
from .files import open_regular, write_atomic

_HEADER_BYTES = 4096  # of one array's .npy header, and of its entries in the archive
_MOST_BYTES = 1 << 40
_DAMAGED = "Train again into another run folder."


@dataclass(frozen=True)
class ArrayLayout:
    """Type and shape of an array in a checkpoint, and its least value."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    least: float = -np.inf

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


@dataclass(frozen=True)
class CheckpointLayout:
    """What a run's configuration says of one of its checkpoints.

    Attributes
    ----------
    arrays
        Name → layout of each array.
    record_bytes
        Size of the JSON record, at most.
    """

    arrays: Mapping[str, ArrayLayout]
    record_bytes: int

    @property
    def most_bytes(self) -> int:
        """Size of the file, at most."""
        sizes = [layout.nbytes + _HEADER_BYTES for layout in self.arrays.values()]
        return sum(sizes) + self.record_bytes + _HEADER_BYTES


def state_layouts(
    rule: LayerRule, layers: Sequence[LinearMap], dtype: np.dtype[Any], moments: bool
) -> dict[str, ArrayLayout]:
    """Return the layouts of what `pack_states` returns for layers under a rule, of a precision."""
    layouts = {}
    for n, layer in enumerate(layers):
        for name, spec in trained_arrays(rule, layer).items():
            layouts[f"layer{n}.{name}"] = ArrayLayout(dtype, spec.shape)
            if moments:
                layouts[f"layer{n}.{name}.moment"] = ArrayLayout(dtype, spec.shape)
                layouts[f"layer{n}.{name}.variance"] = ArrayLayout(dtype, spec.shape, least=0)
    return layouts


def save_checkpoint(
    path: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any], keep: Path | None = None
) -> None:
    """Save arrays and a JSON-ready record; `keep` is the name under which the checkpoint before is kept.

    Raises
    ------
    CapabilityError
        The disk is full, or a permission is missing.
    RunError
        The file cannot be written.
    """
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)

    def write(file: IO[bytes]) -> None:
        np.savez(file, allow_pickle=False, record=text, **arrays)

    write_atomic(path, write, keep)


def load_checkpoint(
    path: Path, layout: CheckpointLayout | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Load what `save_checkpoint` saved.

    Parameters
    ----------
    path
        The file.
    layout
        What the run's configuration says of it: sizes are compared before any array is read. None: any arrays, in at
        most the size of the file.

    Raises
    ------
    RunError
        There is no such file, it is damaged, or it is of another network.
    """
    with _opened(path, layout) as (archive, members):
        if layout is not None:
            _check_names(path, members, layout)
        record = _read_record(path, archive, members, layout)
        arrays = {
            name: _read(path, archive, info, name, layout)
            for name, info in members.items()
            if name != "record"
        }
    return arrays, record


def load_record(path: Path, layout: CheckpointLayout) -> dict[str, Any]:
    """Load the record of a checkpoint without its arrays; raises what `load_checkpoint` raises."""
    with _opened(path, layout) as (archive, members):
        return _read_record(path, archive, members, layout)


@contextmanager
def _opened(
    path: Path, layout: CheckpointLayout | None
) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Give the archive and its entries by name; errors of reading it are `RunError`s."""
    try:
        file = open_regular(path, layout.most_bytes if layout else _MOST_BYTES)
    except FileNotFoundError as error:
        raise RunError(
            f"{path} does not exist", "the checkpoint of a run", "Train first, or name another run folder."
        ) from error
    with file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive, _members(path, archive)
        except (RunError, MemoryError):
            raise
        except Exception as error:  # whatever zipfile and NumPy's header parser make of damaged bytes
            raise RunError(f"{path} is damaged ({error})", "", _DAMAGED) from error


def _read_record(
    path: Path,
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    layout: CheckpointLayout | None,
) -> dict[str, Any]:
    if "record" not in members:
        raise RunError(f"{path} lacks its record", "a checkpoint", _DAMAGED)
    text = _read(path, archive, members["record"], "record", layout)
    record = parse_json(text.tobytes(), f"the record of {path}", _DAMAGED)
    if not isinstance(record, dict):
        raise RunError(f"the record of {path} is no JSON object", "one", _DAMAGED)
    return record


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return array name → entry of the archive."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise RunError(f"{path} has {name!r:.60} twice", "a checkpoint", _DAMAGED)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise RunError(f"{path} has {name!r:.60} compressed", "arrays as training saves them", _DAMAGED)
        members[name] = info
    return members


def _check_names(path: Path, members: Mapping[str, zipfile.ZipInfo], layout: CheckpointLayout) -> None:
    wanted = {*layout.arrays, "record"}
    if missing := sorted(wanted - set(members)):
        raise RunError(
            f"{path} lacks the array {missing[0]}", "a checkpoint of this run", _of_another_run(missing[0])
        )
    if more := sorted(set(members) - wanted):
        raise RunError(
            f"{path} has the array {more[0]!r:.60}", "a checkpoint of this run", _of_another_run(more[0])
        )


def _read(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, layout: CheckpointLayout | None
) -> NDArray[Any]:
    """Read one array: its header first, and its bytes where the header is right."""
    expected = None
    if layout is not None:
        expected = layout.arrays.get(name)
        most = expected.nbytes if expected else layout.record_bytes
        if info.file_size > most + _HEADER_BYTES:
            raise _other_array(path, name, f"{info.file_size:,} bytes", expected)
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(member, max_header_size=_HEADER_BYTES)
        if dtype.hasobject:
            raise RunError(f"{path} has Python objects in {name}", "numbers", _DAMAGED)
        if expected is None and name == "record":
            expected = ArrayLayout(np.dtype(np.uint8), (info.file_size - member.tell(),))
        if expected is not None and (shape != expected.shape or dtype != expected.dtype):
            raise _other_array(path, name, f"{dtype} {shape}", expected)
        size = prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != info.file_size - member.tell():
            raise RunError(f"{path} is damaged ({name} is cut short)", "", _DAMAGED)
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            count = member.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise RunError(f"{path} is damaged ({name} is cut short)", "", _DAMAGED)
            done += count
        member.read(1)  # to the end: zipfile compares the checksum there
    array: NDArray[Any] = np.frombuffer(data, dtype)
    if layout is not None and dtype.kind == "f":
        _check_values(path, name, array, expected.least if expected else -np.inf)
    return array.reshape(shape, order="F" if fortran else "C")


def _check_values(path: Path, name: str, array: NDArray[Any], least: float) -> None:
    low, high = float(array.min(initial=np.inf)), float(array.max(initial=-np.inf))
    if array.size and not (low >= least and np.isfinite(low) and np.isfinite(high)):
        raise RunError(
            f"{path} has values in {name} that are not finite or too low ({low:g} to {high:g})",
            "finite numbers" + (f" of at least {least:g}" if np.isfinite(least) else ""),
            _DAMAGED,
        )


def _other_array(path: Path, name: str, got: str, expected: ArrayLayout | None) -> RunError:
    return RunError(
        f"{path} has {name} as {got}",
        f"{expected}, as the run's configuration says" if expected else "less",
        _of_another_run(name),
    )


def _of_another_run(name: str) -> str:
    return "Name the run that the checkpoint belongs to." if name.startswith("layer") else _DAMAGED


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
    arrays: Mapping[str, NDArray[Any]], rule: LayerRule, layers: Sequence[LinearMap]
) -> list[dict[str, ParameterState]]:
    """Return each layer's trained arrays by name from what `pack_states` returned; fresh moments where there are none.

    The arrays are those of `load_checkpoint` with the layout of these layers, so that names and shapes are right.
    """

    def state(key: str) -> ParameterState:
        if f"{key}.moment" not in arrays:
            return ParameterState.fresh(arrays[key])
        return ParameterState(arrays[key], arrays[f"{key}.moment"], arrays[f"{key}.variance"])

    return [
        {name: state(f"layer{n}.{name}") for name in trained_arrays(rule, layer)}
        for n, layer in enumerate(layers)
    ]
