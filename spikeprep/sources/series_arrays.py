"""Series in named arrays, of a NumPy archive or of an HDF5 file: which array means what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..array_files.arrays import Array, opened_arrays
from ..errors import DataError, UsageError, near_miss, printable
from ..input_files import InputFile, Limits
from ..text import listed
from ..time_units import words_of
from .class_names import check_spellings
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

_RATES = ("rate", "fs", "sfreq", "sampling_rate", "sample_rate", "sampling_frequency")  # attributes

_ROLES = {name: role for role, names in _NAMES.items() for name in names}


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


def read_arrays(file: InputFile, names: Mapping[str, str], time_axis: str) -> SeriesFile:
    """Read a .npy, .npz or HDF5 file, see `several`; raises `DataError` and `CapabilityError` like `open_arrays`.

    A rate may be an attribute of an HDF5 file, or of an array.
    """
    with opened_arrays(file) as opened:
        stated = [
            value
            for attributes in (opened.attributes, *(array.attributes for array in opened.by_name.values()))
            for key in _RATES
            if (value := _number(attributes.get(key))) is not None
        ]
        rate = stated[0] if stated else 0.0
        return several(file.path, opened.by_name, names, time_axis, file.limits, rate)


def _number(value: Any) -> float | None:
    """Return a number above 0 that an attribute holds, else None."""
    if value is None or np.size(value) != 1 or np.asarray(value).dtype.kind not in "iuf":
        return None
    number = float(np.ravel(value)[0])
    return number if np.isfinite(number) and number > 0 else None


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
    value = float(np.ravel(array.all())[0])
    if not (np.isfinite(value) and value > 0):
        raise DataError(f"{path} has the rate {value:g}", "a number above 0, in Hz", "Correct it.")
    return value


def _of_split(path: Path, split: str, arrays: Mapping[str, Array], time_axis: str) -> list[Series]:
    values = arrays["values"]
    what = f"{path}{f', split {split}' if split else ''}"
    if 0 in values.shape:
        got = f"{what} is empty: the series have the shape {values.shape}"
        raise DataError(got, "at least one series of one step", "Give the file that has them.")
    if values.dtype.kind not in "iufb":
        raise DataError(f"{what}: the series are {values.dtype} {values.shape}", "numbers", "Correct them.")
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is seen later
        array = values.all().astype(np.float64)
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
    values = array.all()
    values = values.reshape(-1) if values.ndim < 2 or values.size == len(values) else values
    if values.ndim != 1 or values.dtype.kind not in "iufO":
        raise DataError(
            f"{what}: the {role} are {values.dtype} {values.shape}", "whole numbers or texts, one per series",
            "Convert them, for example one-hot rows by argmax.",
        )  # fmt: skip
    if values.dtype.kind == "f":
        if not (np.isfinite(values) & (values == np.floor(values))).all():
            raise DataError(f"{what}: the {role} are fractions or NaN", "whole numbers", "Correct them.")
        values = values.astype(np.int64)
    given = {str(value) for value in values}
    texts = [printable(str(value).strip()) for value in values]
    if role == "labels" and len({*texts}) < len({*map(printable, given)}):  # spaces alone tell some apart
        spaced = Counter(name.strip() for name in given)
        check_spellings([name for name in given if spaced[name.strip()] > 1], f"{what}: the array of labels")
    if not all(texts):
        raise DataError(f"{what}: series {texts.index('')} has no name in {role}", "one each", "Add it.")
    return texts


def _lengths(what: str, array: Array, most: int) -> list[int]:
    values = array.all().reshape(-1)
    if values.dtype.kind not in "iu" or not ((values >= 1) & (values <= most)).all():
        raise DataError(
            f"{what}: the lengths are {values.dtype}, from {values.min()} to {values.max()}",
            f"whole numbers from 1 to {most}, the steps of the padded array",
            "Correct them.",
        )
    return [int(n) for n in values]
