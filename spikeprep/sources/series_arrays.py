"""Series in named arrays, of a NumPy archive or of an HDF5 file: which array means what."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError, near_miss, printable
from ..input_files import Limits
from ..text import listed
from ..time_units import words_of
from .series_data import Series, SeriesFile, check_limit, oriented
from .split_names import split_named

_NAMES = {
    "values": ("x", "data", "values", "series", "signal", "signals", "samples"),
    "labels": ("y", "labels", "label", "target", "targets"),
    "groups": ("groups", "group", "subjects", "subject", "speakers", "speaker", "participants"),
    "splits": ("splits", "split", "subset"),
    "lengths": ("lengths", "length", "steps"),
    "rate": ("rate", "fs", "sfreq", "sampling rate", "sample rate", "sampling frequency"),
}
ROLES = tuple(_NAMES)
"""What an array can mean, as the setting `arrays` of the source names it."""

_ROLES = {name: role for role, names in _NAMES.items() for name in names}


@dataclass(frozen=True)
class Array:
    """An array of a file that is not read yet: its shape and dtype, and a function that reads it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


def check_arrays(arrays: Mapping[str, Any]) -> None:
    """Raise `UsageError` where the setting `arrays` has another key than `ROLES`, or a value that is no name."""
    for role, name in arrays.items():
        if role not in ROLES or not isinstance(name, str) or not name:
            raise UsageError(
                f"got source.arrays.{role} = {name!r}",
                f"the name of an array for one of {', '.join(ROLES)}",
                near_miss(role, ROLES) if role not in ROLES else "",
            )


def role_named(name: str) -> tuple[str, str]:
    """Return what the name of an array, or of its file, means, one of `ROLES`, and its split; empty where it has none.

    ``X_train`` is the values of the split train, and so is ``train_data``; ``y`` the labels.
    """
    words = words_of(name)
    for place, rest in ((-1, words[:-1]), (0, words[1:])):
        if len(words) > 1 and (split := split_named(words[place])):
            return _ROLES.get(" ".join(rest), ""), split
    return _ROLES.get(" ".join(words), ""), ""


def read_npy(path: Path, content: bytes, time_axis: str, limits: Limits) -> SeriesFile:
    """Read the bytes of a ``.npy`` file: one series, or several without labels (series, time, channel)."""
    array = _npy(path, "", content)
    check_limit(int(np.prod(array.shape)), path, limits.max_bytes)
    return several(path, {"": array}, {}, time_axis, limits)


def read_npz(
    path: Path, content: bytes, names: Mapping[str, str], time_axis: str, limits: Limits
) -> SeriesFile:
    """Read the bytes of a ``.npz`` file, see `several`; arrays of Python objects are never read."""
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            limits.check_ratio(str(path), sum(info.file_size for info in members), len(content))
            limits.check_bytes(str(path), sum(info.file_size for info in members))
            for info in members:
                name = info.filename.removesuffix(".npy")
                arrays[name] = _npy(path, name, archive.read(info))
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read ({error})", "a .npz file", "Save it again.") from error
    except Exception as error:  # zlib's error has no common class
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read ({error})", "a .npz file", "Save it again.") from error
    return several(path, arrays, names, time_axis, limits)


def _npy(path: Path, name: str, content: bytes) -> Array:
    """Return an array of a ``.npy`` file, whose header is compared with its length before anything is allocated."""
    what = f"{path}, array {printable(name)}" if name else str(path)
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(stream)
    except Exception as error:  # a damaged header raises whatever Python's parser does
        raise DataError(
            f"{what} cannot be read ({error})", "a complete .npy file", "Save it again."
        ) from error
    if dtype.hasobject:
        raise DataError(
            f"{what} holds Python objects, which are not read: they can run any code",
            "numbers",
            "Save series of several lengths in one array, padded with zeros, and their lengths in an array `lengths`; "
            "or one file per series.",
        )
    count = int(np.prod(shape, dtype=object))
    left = len(content) - stream.tell()
    if count * dtype.itemsize != left or any(side < 0 for side in shape):
        raise DataError(
            f"{what} has {left:,} bytes of values", f"{count * dtype.itemsize:,}, as its header states",
            "Save it again.",
        )  # fmt: skip

    def values() -> NDArray[Any]:
        flat = np.frombuffer(content, dtype, count, stream.tell())
        return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)

    return Array(shape, dtype, values)


def several(
    path: Path,
    arrays: Mapping[str, Array],
    names: Mapping[str, str],
    time_axis: str,
    limits: Limits,
    rate: float = 0.0,
) -> SeriesFile:
    """Return the series of named arrays.

    An array ``X`` of series, with ``y`` of their labels: (series, time), (series, time, channel) or, with time last,
    (series, channel, time). ``X_train``, ``y_train``, ``X_test``, ``y_test`` are splits. Beside them may be ``groups``
    (speakers, subjects), ``split``, ``lengths`` (the steps of each series, padded in X) and ``rate`` in Hz. Without
    labels it is one series, (time,) or (time, channel), or several, (series, time, channel).

    Parameters
    ----------
    path
        The file, for messages.
    arrays
        Name → array.
    names
        What an array means, one of `ROLES` → its name, where names do not say so.
    time_axis
        Whether time is the ``"first"`` or ``"last"`` axis of a series.
    limits
        What reading the file may take.
    rate
        Steps per second that the file states otherwise; 0: it does not.

    Raises
    ------
    DataError
        It is not clear which array has the values; or arrays do not fit each other; or they hold no numbers.
    """
    roles = _roles(path, arrays, names)
    if "values" not in {role for role, _ in roles}:
        raise DataError(
            f"{path} has the arrays {listed([*map(repr, arrays)])}" if arrays else f"{path} has no arrays",
            "one, or X and y, or X_train, y_train, X_test and y_test",
            "Say what an array means: use source.arrays.values=NAME and source.arrays.labels=NAME.",
        )
    if ("rate", "") in roles:
        rate = _rate(path, arrays[roles["rate", ""]])
    series: list[Series] = []
    splits = [split for role, split in roles if role == "values"]
    labelled = {(("labels", split) in roles) for split in splits}
    if len(labelled) > 1:
        raise DataError(f"{path} has labels of some splits only", "labels of all", "Add the others.")
    for split in splits:
        chosen = {role: arrays[name] for (role, other), name in roles.items() if other == split}
        check_limit(int(np.prod(chosen["values"].shape, dtype=object)), path, limits.max_bytes)
        series += _of_split(path, split, chosen, time_axis)
    return SeriesFile(series, rate, labelled=labelled == {True})


def _roles(path: Path, arrays: Mapping[str, Array], names: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Return (what it means, its split or empty) → the name of an array."""
    for role, name in names.items():
        if name not in arrays:
            got = f"{path} has no array {name!r}, which source.arrays.{role} names"
            raise DataError(got, f"one of {listed([*map(repr, arrays)])}", near_miss(name, arrays))
    if len(arrays) == 1 and not names:
        return {("values", ""): next(iter(arrays))}
    roles: dict[tuple[str, str], str] = {(role, ""): name for role, name in names.items()}
    for name in arrays:
        words = words_of(name.rpartition("/")[2])
        split = split_named(words[-1]) if len(words) > 1 else None
        role = _ROLES.get(" ".join(words[:-1] if split else words), "")
        if not role or role in names:
            continue
        if (other := roles.get((role, split or ""))) is not None:
            raise DataError(
                f"{path} has two arrays of {role}: {other!r} and {name!r}",
                "one",
                f"Say which: use source.arrays.{role}={name}.",
            )
        roles[role, split or ""] = name
    return roles


def _rate(path: Path, array: Array) -> float:
    if array.dtype.kind not in "iuf" or int(np.prod(array.shape)) != 1:
        raise DataError(f"{path} has a rate {array.dtype} {array.shape}", "one number, in Hz", "Correct it.")
    value = float(np.ravel(array.read())[0])
    if not (np.isfinite(value) and value > 0):
        raise DataError(f"{path} has the rate {value:g}", "a number above 0, in Hz", "Correct it.")
    return value


def _of_split(path: Path, split: str, arrays: Mapping[str, Array], time_axis: str) -> list[Series]:
    values = arrays["values"]
    what = f"{path}{f', split {split}' if split else ''}"
    if values.dtype.kind not in "iufb" or 0 in values.shape:
        raise DataError(f"{what}: the series are {values.dtype} {values.shape}", "numbers", "Correct them.")
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is seen later
        array = values.read().astype(np.float64)
    labels = _texts(what, "labels", arrays.get("labels"))
    if labels is None and array.ndim < 3:
        return [Series(oriented(array, time_axis, what), split=split)]
    if labels is not None and len(labels) == 1 and array.ndim < 3 and len(array) != 1:
        return [Series(oriented(array, time_axis, what), labels[0], split)]
    if array.ndim not in (2, 3):
        raise DataError(
            f"{what}: the series have the shape {array.shape}",
            "(series, time) or (series, time, channel)",
            "Bring the axes into this order, or use source.time_axis=last for (series, channel, time).",
        )
    number = len(array)
    texts: dict[str, Sequence[str]] = {"labels": labels if labels is not None else [""] * number}
    for role in ("groups", "splits"):
        texts[role] = _texts(what, role, arrays.get(role)) or [""] * number
    lengths = [array.shape[-1 if time_axis == "last" or array.ndim == 2 else 1]] * number
    if "lengths" in arrays:
        lengths = _lengths(what, arrays["lengths"], lengths[0])
    for role, items in (*texts.items(), ("lengths", lengths)):
        if len(items) != number:
            raise DataError(
                f"{what}: {number:,} series and {len(items):,} {role}", "one for each series", "Correct them."
            )
    series = []
    for n, one in enumerate(array):
        ordered = oriented(one, "first" if array.ndim == 2 else time_axis, what)
        own = split or _split(what, texts["splits"][n])
        series.append(Series(ordered[: lengths[n]], texts["labels"][n], own, texts["groups"][n]))
    return series


def _split(what: str, name: str) -> str:
    if not name:
        return ""
    split = split_named(name)
    if split is None:
        raise DataError(f"{what}: the split {name!r}", "train, validation or test", "Rename it.")
    return split


def _texts(what: str, role: str, array: Array | None) -> list[str] | None:
    """Return labels, groups or splits as texts; None where there is no such array."""
    if array is None:
        return None
    values = array.read()
    values = values.reshape(-1) if values.ndim < 2 or values.size == len(values) else values
    if values.ndim != 1 or values.dtype.kind not in "iufSU":
        raise DataError(
            f"{what}: the {role} are {values.dtype} {values.shape}", "whole numbers or texts, one per series",
            "Convert them, for example one-hot rows by argmax.",
        )  # fmt: skip
    if values.dtype.kind == "f":
        if not (np.isfinite(values) & (values == np.floor(values))).all():
            raise DataError(f"{what}: the {role} are fractions or NaN", "whole numbers", "Correct them.")
        values = values.astype(np.int64)
    decoded = (v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in values)
    texts = [printable(text.strip()) for text in decoded]
    if not all(texts):
        raise DataError(f"{what}: series {texts.index('')} has no name in {role}", "one each", "Add it.")
    return texts


def _lengths(what: str, array: Array, most: int) -> list[int]:
    values = array.read().reshape(-1)
    if values.dtype.kind not in "iu" or not ((values >= 1) & (values <= most)).all():
        raise DataError(
            f"{what}: the lengths are {values.dtype}, from {values.min()} to {values.max()}",
            f"whole numbers from 1 to {most}, the steps of the padded array",
            "Correct them.",
        )
    return [int(n) for n in values]
