"""tonic's arrays of events as `Events`, and tonic's transforms ahead of that."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data import EVENT, Events
from ..errors import CapabilityError, DataError, UsageError, near_miss

_LATE = 10_000_000  # µs: no recording starts later than this, unless it lasts as long

_draws = threading.Lock()
"""tonic's transforms draw from NumPy's one global generator: who seeds it holds this."""


def library() -> Any:
    """Return tonic; raises `CapabilityError` where it is not installed."""
    try:
        import tonic
    except ImportError as error:
        hint = "Run: pip install 'spikeprep[tonic]'."
        raise CapabilityError(
            "reading tonic's data sets needs tonic, which is not installed", "", hint
        ) from error
    return tonic


def transformed(events: Any, configs: Sequence[Mapping[str, Any]], sensor: Any, seed: int, where: str) -> Any:
    """Apply transforms of tonic's; equal seeds give equal draws, whatever else draws.

    Parameters
    ----------
    events
        tonic's structured array; it is not written to.
    configs
        ``{"name": class in tonic.transforms, argument: value, …}`` each, in order.
    sensor
        tonic's (width, height, polarities), for transforms that want `sensor_size` and were not given one.
    seed
        Of the random ones, below 2³².
    where
        What the events are of, for errors.
    """
    chain = [_transform(config, sensor) for config in configs]
    events = events.copy()  # some transforms write to what they are given
    with _draws:
        before = np.random.get_state()  # noqa: NPY002 tonic draws from it
        np.random.seed(seed)  # noqa: NPY002
        try:
            for transform in chain:
                events = transform(events)
        except (TypeError, ValueError, IndexError, AssertionError, AttributeError) as error:
            raise DataError(
                f"tonic's transforms {', '.join(c['name'] for c in configs)} fail on {where} "
                f"({type(error).__name__}: {error})",
                "",
                "Check their arguments: --set source.transforms=[…].",
            ) from error
        finally:
            np.random.set_state(before)  # noqa: NPY002
    return events


def _transform(config: Mapping[str, Any], sensor: Any) -> Any:
    module = library().transforms
    known = [
        n
        for n, found in vars(module).items()
        if inspect.isclass(found) and found.__module__ == module.__name__
    ]
    name, given = config["name"], {key: value for key, value in config.items() if key != "name"}
    if name not in known:
        raise UsageError(f"tonic has no transform {name!r}", "", near_miss(str(name), known))
    made = getattr(module, name)
    accepted = inspect.signature(made).parameters
    for key in given:
        if key not in accepted:
            raise UsageError(f"tonic's {name} has no argument {key!r}", "", near_miss(key, accepted))
    if "sensor_size" in accepted and "sensor_size" not in given:
        given["sensor_size"] = sensor
    try:
        return made(**given)
    except (TypeError, ValueError, AssertionError) as error:
        raise UsageError(f"tonic's {name} does not take {given} ({error})") from error


def as_events(raw: Any, sensor: Any, size: Sequence[int], from_first: bool | None, where: str) -> Events:
    """Return tonic's structured array as `Events`.

    Parameters
    ----------
    raw
        A structured array with x, t in µs, p, and y unless the sensor has one row.
    sensor
        tonic's (width, height, polarities), or None.
    size
        (width, height) that is used instead, where it is not empty.
    from_first
        Whether to count from the first stamp; None: no, but a recording whose stamps are a camera's is refused.
    where
        What the events are of, for errors.

    Raises
    ------
    DataError
        It is something else, or has events that cannot be.
    """
    names = getattr(getattr(raw, "dtype", None), "names", None) or ()
    if not {"x", "t", "p"} <= set(names):
        what = (
            f"an array {raw.dtype} {raw.shape}" if isinstance(raw, np.ndarray) else f"a {type(raw).__name__}"
        )
        raise DataError(
            f"{where} is {what}", "a structured array of events with x, y, t, p",
            "Sound and frames are not for this source; leave out transforms that make frames, as the encoder "
            "dvs does the binning.",
        )  # fmt: skip
    size = tuple(size) or (tuple(sensor[:2]) if sensor else ())
    if not size:
        hint = "Say it: --set source.size=[width,height]."
        raise DataError(f"{where} is of no one sensor size", "(width, height) in pixels", hint)
    if "y" not in names and size[1] != 1:
        raise DataError(f"{where} has events without y", f"a row of the {size[1]} that the sensor has")
    none = np.zeros(len(raw), np.int64)
    merged = bool(sensor) and sensor[2] == 1
    columns = {"x": raw["x"], "y": raw["y"] if "y" in names else none, "p": none if merged else raw["p"]}
    events = np.zeros(len(raw), EVENT)
    for (name, column), most in zip(columns.items(), (*size, 2), strict=True):
        wrong = (column < 0) | (column >= most)
        if wrong.any():
            n = int(wrong.argmax())
            hint = (
                "After a transform that changes the sensor, say its size: --set source.size=[width,height]."
            )
            raise DataError(f"event {n} of {where} has {name} {column[n]}", f"0 to {most - 1}", hint)
        events[name] = column
    start = _start(raw["t"], from_first, where)
    events["t"] = raw["t"] - start
    if (back := np.flatnonzero(np.diff(events["t"]) < 0)).size:
        n = int(back[0]) + 1
        raise DataError(
            f"event {n} of {where} is at t {events['t'][n]} µs, after one at {events['t'][n - 1]}",
            "stamps that never decrease", "Have tonic's transform sort them, e.g. sort_timestamps=true.",
        )  # fmt: skip
    return Events((events,), (int(size[0]), int(size[1])), 1 if merged else 2, start)


def _start(t: Any, from_first: bool | None, where: str) -> int:
    """Return the stamp to count from, in µs."""
    first, last = (int(t[0]), int(t[-1])) if len(t) else (0, 0)
    if from_first is None and (first < 0 or first > max(last - first, _LATE)):
        raise DataError(
            f"{where} begins at {first:,} µs and lasts {last - first:,} µs: its clock is the camera's",
            "stamps from the recording's start",
            "Count from the first event with --set source.from_first=true; false keeps stamps as they are.",
        )
    return first if from_first else 0
