"""The check that every source passes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..data import EVENT, Audio, Events, Frames, Sample, Video
from ..sources.base import Source
from ..sources.split_names import SPLITS
from .plugins import check_pickle, check_plugin, conformance, in_threads, require
from .signals import arrays_of, require_outline, require_same


@conformance
def check_source(source: Source) -> None:
    """Check a source: labels, ids and signals as documented, the same from any thread, outlines, limits, provenance.

    Parameters
    ----------
    source
        A source of a few samples: all of them are read several times.

    Raises
    ------
    AssertionError
        The source breaks its contract; the message says how.
    """
    name = source.name
    require(isinstance(source, Source), f"{source!r} is no Source")
    check_plugin(source)
    sizes = dict(source.splits())
    require(
        sizes and set(sizes) <= set(SPLITS),
        f"{name}: it has the splits {list(sizes)}; expected {', '.join(SPLITS)}",
    )
    require(
        all(type(n) is int and n > 0 for n in sizes.values()), f"{name}: it has splits of {sizes} samples"
    )
    classes = source.classes
    require(
        isinstance(classes, tuple) and classes and all(isinstance(c, str) and c for c in classes),
        f"{name}: its classes are {classes!r}; expected a tuple of texts",
    )
    require(len(set(classes)) == len(classes), f"{name}: two classes have one name: {classes!r}")
    places = [(split, n) for split, size in sizes.items() for n in range(size)]
    samples = [source.read(split, n) for split, n in places]
    for (split, n), sample in zip(places, samples, strict=True):
        where = f"{name}, {split} sample {n}"
        _check_sample(sample, len(classes), where)
        outline = source.outline(split, n)
        require_outline(outline, sample.signal, f"{where}: its outline differs from the signal")
    for split, size in sizes.items():
        ids = {sample.id for sample, (other, _) in zip(samples, places, strict=True) if other == split}
        require(len(ids) == size, f"{name}: two {split} samples have one id")
    for n, again in in_threads(lambda n: source.read(*places[n]), len(places)):
        _require_same_sample(
            again, samples[n], f"{name}, {places[n]}: another sample from another thread or call"
        )
    check_pickle(source, " after its samples are read")
    _check_limited(source, dict(zip(places, samples, strict=True)))
    _check_provenance(source)


def _check_sample(sample: Any, classes: int, where: str) -> None:
    require(isinstance(sample, Sample), f"{where}: read returned a {type(sample).__name__}, no Sample")
    require(type(sample.label) is int, f"{where}: its label is {sample.label!r}; expected an int")
    require(
        0 <= sample.label < classes,
        f"{where}: its label is {sample.label}; expected one of {classes} classes",
    )
    require(isinstance(sample.id, str) and sample.id, f"{where}: its id is {sample.id!r}; expected a text")
    signal, values = sample.signal, arrays_of(sample.signal)[0]
    if isinstance(signal, Events):
        require(
            values.dtype == EVENT, f"{where}: its events are {values.dtype}; expected spikeprep.data.EVENT"
        )
        return
    if isinstance(signal, Video):
        require(
            values.ndim == 3, f"{where}: its frames have {values.ndim} axes; expected (frame, row, column)"
        )
        frames = (len(signal.times), *signal.size[::-1])
        require(values.shape == frames, f"{where}: its frames are {values.shape}; expected {frames}")
        steps = np.diff([*signal.times, signal.duration])
        require(signal.times[0] == 0 and (steps > 0).all(), f"{where}: its times do not increase from 0")
        if values.dtype == np.uint8:
            return
    elif isinstance(signal, Audio | Frames):
        axes = 1 if isinstance(signal, Audio) else 2
        require(signal.rate > 0, f"{where}: its rate is {signal.rate} Hz")
        require(values.ndim == axes, f"{where}: its values have {values.ndim} axes; expected {axes}")
    else:
        require(isinstance(signal, np.ndarray), f"{where}: its signal is a {type(signal).__name__}")
        require(
            values.ndim in (2, 3),
            f"{where}: an image of shape {values.shape}; expected (row, column[, channel])",
        )
        if values.dtype == np.uint8:
            return
    require(
        np.issubdtype(values.dtype, np.floating),
        f"{where}: its values are {values.dtype}; expected floats"
        + ("" if axes_of(signal) else ", or uint8"),
    )
    require(np.isfinite(values).all(), f"{where}: some values are not finite")
    if not isinstance(signal, Frames):
        lowest = -1 if isinstance(signal, Audio) else 0
        inside = lowest <= values.min(initial=1) and values.max(initial=lowest) <= 1
        require(
            inside, f"{where}: its values go from {values.min()} to {values.max()}; expected {lowest} to 1"
        )


def axes_of(signal: Any) -> int:
    """Return how many axes a signal over time has: 1 (sound), 2 (frames), 0 of everything else."""
    return 1 if isinstance(signal, Audio) else 2 if isinstance(signal, Frames) else 0


def _require_same_sample(sample: Sample, expected: Sample, message: str) -> None:
    same = (sample.label, sample.id) == (expected.label, expected.id)
    require(
        same, f"{message}: {sample.id!r} of class {sample.label}, not {expected.id!r} of {expected.label}"
    )
    require_same(sample.signal, expected.signal, message)


def _check_limited(source: Source, samples: dict[tuple[str, int], Sample]) -> None:
    sizes = source.splits()
    for limit in (1, max(sizes.values()) + 1):
        limited, where = source.limited(limit), f"{source.name}.limited({limit})"
        expected = {split: min(size, limit) for split, size in sizes.items()}
        require(
            dict(limited.splits()) == expected, f"{where} has {dict(limited.splits())}; expected {expected}"
        )
        require(limited.classes == source.classes, f"{where} has other classes: {limited.classes!r}")
        require(limited.to_config() == source.to_config(), f"{where} has another configuration")
        for split, size in expected.items():
            for n in range(size):
                message = f"{where}: {split} sample {n} is another"
                _require_same_sample(limited.read(split, n), samples[split, n], message)


def _check_provenance(source: Source) -> None:
    name, facts = source.name, source.provenance()
    try:
        text = json.dumps(facts)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{name}: its provenance is not JSON ({error}): {facts!r}") from error
    require("licence" in facts, f'{name}: its provenance lacks "licence"')
    digests = {"": facts["sha256"]} if "sha256" in facts else facts.get("files", {})
    require(
        digests and ("files" in facts) != ("sha256" in facts),
        f'{name}: its provenance has {sorted(facts)}; expected one of "files" and "sha256"',
    )
    for file, digest in digests.items():
        valid = isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        require(
            valid, f"{name}: the sha256 of {file or 'its data'} is {digest!r}; expected 64 hexadecimal digits"
        )
    path = getattr(source, "path", None)
    require(
        not path or str(path) not in text,
        f"{name}: its provenance has the path {path}: it states what was read, not where",
    )
