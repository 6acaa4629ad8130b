"""Tonic's arrays of events as `Events`, after tonic's transforms."""

from __future__ import annotations

import contextlib
import inspect
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..array_files.hdf5 import stored_array
from ..data import EVENT, Events
from ..errors import CapabilityError, DataError, UsageError, near_miss

_LATE = 10_000_000  # µs: no recording starts later than this, unless it lasts as long

_random_lock = threading.Lock()
"""Held while NumPy's global generator is seeded, as tonic's transforms draw from it."""


def library() -> Any:
    """Return the library tonic; raises `CapabilityError` where it is not installed."""
    try:
        import tonic
    except ImportError as error:
        hint = "Run: pip install 'spikeprep[tonic]'."
        raise CapabilityError(
            "reading tonic's data sets needs tonic, which is not installed", "", hint
        ) from error
    return tonic


_TARGETS = {"SMNIST": "label_data"}  # where a data set keeps its targets, if not in `targets`


def stored_targets(dataset: str, part: Any) -> Sequence[Any] | None:
    """Return the target of every sample of tonic's data set `part`, without decoding samples; None where it has none.

    Those of SHD and SSC are one array of their HDF5 file, those of NTIDIGITS18 the ends of its samples' names.
    """
    targets = getattr(part, _TARGETS.get(dataset, "targets"), None)
    if dataset in ("SHD", "SSC"):
        targets = stored_array(Path(part.location_on_system, part.data_filename), "labels")
    elif dataset == "NTIDIGITS18" and (names := getattr(part, "_samples", None)) is not None:
        ends = [name.split("-")[-1] for name in names]
        targets = [part.class_map[end] for end in ends] if part.single_digits else ends
    return targets if targets is not None and len(targets) == len(part) else None


def stored_groups(dataset: str, part: Any) -> Sequence[str] | None:
    """Return the person of every sample of tonic's data set `part`: who moved, or who spoke; None where it has none."""
    groups: Any = None
    if dataset == "DVSGesture":
        groups = [f"user{user:02}" for user in part.users]
    elif dataset in ("SHD", "SSC"):
        with contextlib.suppress(KeyError):  # of a file without speakers
            speakers = stored_array(Path(part.location_on_system, part.data_filename), "extra/speaker")
            groups = [f"speaker {speaker}" for speaker in speakers]  # as `Spikes` names them
    elif dataset == "NTIDIGITS18" and (names := getattr(part, "_samples", None)) is not None:
        groups = [name.rpartition("-")[0] for name in names]  # man-ac-1z3: who, and the digits
    return None if groups is None or len(groups) != len(part) else [str(group) for group in groups]


def plain_target(target: Any) -> Any:
    """Return a target as a number of Python, where it is one of NumPy."""
    return target.item() if isinstance(target, np.generic) else target


def sample_file(part: Any, number: int) -> Path | None:
    """Return a sample's file, where tonic keeps a list of files."""
    data = getattr(part, "data", None)
    if isinstance(data, list) and number < len(data) and isinstance(data[number], (str, os.PathLike)):
        return Path(data[number])
    return None


def transformed(events: Any, configs: Sequence[Mapping[str, Any]], sensor: Any, seed: int, label: str) -> Any:
    """Apply tonic's transforms; equal seeds give equal random numbers, in any thread.

    Parameters
    ----------
    events
        tonic's structured array; it is not changed.
    configs
        ``{"name": class in tonic.transforms, argument: value, …}`` each, in order.
    sensor
        tonic's (width, height, polarities), for transforms that take `sensor_size` and have none configured.
    seed
        Seed of random transforms, below 2³².
    label
        Name of the recording, for errors.
    """
    chain = [_transform(config, sensor) for config in configs]
    events = events.copy()  # some transforms write to their input
    with _random_lock:
        before = np.random.get_state()  # noqa: NPY002 tonic draws from it
        np.random.seed(seed)  # noqa: NPY002
        try:
            for transform in chain:
                events = transform(events)
        except (TypeError, ValueError, IndexError, AssertionError, AttributeError) as error:
            raise DataError(
                f"tonic's transforms {', '.join(c['name'] for c in configs)} fail on {label} "
                f"({type(error).__name__}: {error})",
                "",
                "Check their arguments in source.transforms.",
            ) from error
        finally:
            np.random.set_state(before)  # noqa: NPY002
    return events


def _transform(config: Mapping[str, Any], sensor: Any) -> Any:
    module = library().transforms
    known = [
        n for n, cls in vars(module).items() if inspect.isclass(cls) and cls.__module__ == module.__name__
    ]
    name, arguments = config["name"], {key: value for key, value in config.items() if key != "name"}
    if name not in known:
        raise UsageError(f"tonic has no transform {name!r}", "", near_miss(str(name), known))
    transform = getattr(module, name)
    accepted = inspect.signature(transform).parameters
    for key in arguments:
        if key not in accepted:
            raise UsageError(f"tonic's {name} has no argument {key!r}", "", near_miss(key, accepted))
    if "sensor_size" in accepted and "sensor_size" not in arguments:
        arguments["sensor_size"] = sensor
    try:
        return transform(**arguments)
    except (TypeError, ValueError, AssertionError) as error:
        raise UsageError(f"tonic's {name} does not take {arguments} ({error})") from error


def as_events(raw: Any, sensor: Any, size: Sequence[int], from_first: bool | None, label: str) -> Events:
    """Return tonic's structured array as `Events`.

    Parameters
    ----------
    raw
        A structured array with x, t in µs, p, and y unless the sensor has one row.
    sensor
        tonic's (width, height, polarities), or None.
    size
        (width, height) in pixels that is used instead, where it is not empty.
    from_first
        Whether to count from the first time stamp; None: no, but a recording with a camera's clock is refused.
    label
        Name of the recording, for errors.

    Raises
    ------
    DataError
        It is something else, or has invalid events.
    """
    names = getattr(getattr(raw, "dtype", None), "names", None) or ()
    if not {"x", "t", "p"} <= set(names):
        what = (
            f"an array {raw.dtype} {raw.shape}" if isinstance(raw, np.ndarray) else f"a {type(raw).__name__}"
        )
        raise DataError(
            f"{label} is {what}", "a structured array of events with x, y, t, p",
            "This source reads no sound and no frames; leave out transforms that make frames: the encoder dvs does "
            "the binning.",
        )  # fmt: skip
    size = tuple(size) or (tuple(sensor[:2]) if sensor else ())
    if not size:
        hint = "Give it: use source.size=[width,height]."
        raise DataError(f"{label} has no single sensor size", "(width, height) in pixels", hint)
    if "y" not in names and size[1] != 1:
        raise DataError(f"{label} has events without y", f"y, as the sensor has {size[1]} rows")
    zeros = np.zeros(len(raw), np.int64)
    merged = bool(sensor) and sensor[2] == 1
    columns = {"x": raw["x"], "y": raw["y"] if "y" in names else zeros, "p": zeros if merged else raw["p"]}
    events = np.zeros(len(raw), EVENT)
    for (name, column), limit in zip(columns.items(), (*size, 2), strict=True):
        wrong = (column < 0) | (column >= limit)
        if wrong.any():
            n = int(wrong.argmax())
            hint = "After a transform that changes the sensor's size, use source.size=[width,height]."
            raise DataError(f"event {n} of {label} has {name} {column[n]}", f"0 to {limit - 1}", hint)
        events[name] = column
    start = _start(raw["t"], from_first, label)
    events["t"] = raw["t"] - start
    if (back := np.flatnonzero(np.diff(events["t"]) < 0)).size:
        n = int(back[0]) + 1
        raise DataError(
            f"event {n} of {label} is at t {events['t'][n]} µs, after one at {events['t'][n - 1]}",
            "time stamps that never decrease", "Let tonic's transform sort them, e.g. sort_timestamps=true.",
        )  # fmt: skip
    return Events((events,), (int(size[0]), int(size[1])), 1 if merged else 2, start, checked=True)


def _start(t: Any, from_first: bool | None, label: str) -> int:
    """Return the time stamp to count from, in µs."""
    first, last = (int(t[0]), int(t[-1])) if len(t) else (0, 0)
    if from_first is False and first < 0:
        hint = "To count from the first event use source.from_first=true."
        raise DataError(f"{label} begins at {first:,} µs", "time stamps of at least 0", hint)
    if from_first is None and (first < 0 or first > max(last - first, _LATE)):
        raise DataError(
            f"{label} begins at {first:,} µs and lasts {last - first:,} µs: its clock is the camera's",
            "time stamps from the recording's start",
            "To count from the first event use source.from_first=true; false keeps the stamps.",
        )
    return first if from_first else 0
