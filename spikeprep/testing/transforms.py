"""The check that every transform passes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..data import Events
from ..encoders.base import Augmentation, Transform, fitted_transform, is_fitted
from .plugins import check_plugin, conformance, in_threads, keys_for, require
from .signals import cuttings, is_blank, outline_of, require_outline, require_same


@conformance
def check_transform(transform: Transform, signals: Sequence[Any]) -> None:
    """Check a transform: pure, the same result in any thread, and an outline of the result's shape.

    The result of a recording must not depend on where its pieces are cut, nor on whether it is streamed.
    An augmentation with its default settings leaves originals as `plain` returns them; its outline tells a copy's
    shape from an original's by the key.

    Parameters
    ----------
    transform
        The transform with the settings of the test. One that is not fitted is fitted with `signals`, and must be then.
    signals
        Signals whose results are not empty.

    Raises
    ------
    AssertionError
        The transform breaks its contract; the message says how.
    """
    name = transform.name
    require(isinstance(transform, Transform), f"{transform!r} is no Transform")
    require(signals, f"{name}: give at least one signal")
    check_plugin(transform)
    if not is_fitted(transform):
        transform = fitted_transform(transform, iter(signals))  # once, as encode gives them
        check_plugin(transform)
    require(transform.citation, f"{name}: it has no citation, which is stored with the data")
    originals = keys_for(signals)
    keys = [replace(key, copy=1) for key in originals] if isinstance(transform, Augmentation) else originals
    before = copy.deepcopy(signals)
    results = [transform(signal, rng=key) for signal, key in zip(signals, keys, strict=True)]
    for n, (signal, result) in enumerate(zip(signals, results, strict=True)):
        require(not is_blank(result), f"{name}, signal {n}: the result is empty: give another signal")
        outlines = {"the signal": signal, "its outline": outline_of(signal)}
        for what, given in outlines.items():
            outline = transform.outline(given, keys[n])
            require_outline(
                outline, result, f"{name}, signal {n}: the outline of {what} differs from the result"
            )
        if isinstance(transform, Augmentation):
            plain = transform.plain(signal)
            outline = transform.outline(signal, originals[n])
            require_outline(outline, plain, f"{name}, signal {n}: an original's outline differs from it")
            kept = transform.apply(signal, originals[n])
            require_same(kept, plain, f"{name}, signal {n}: originals are not what plain returns")
    for n, (signal, unchanged) in enumerate(zip(signals, before, strict=True)):
        require_same(signal, unchanged, f"{name}: it changed signal {n}")
    for n, result in in_threads(lambda n: transform(signals[n], rng=keys[n]), len(signals)):
        require_same(result, results[n], f"{name}, signal {n}: another result from another thread or call")
    for n, (signal, key) in enumerate(zip(signals, keys, strict=True)):
        for how, events in cuttings(signal).items() if isinstance(signal, Events) else ():
            result = transform(events, rng=key)
            require_same(result, results[n], f"{name}, signal {n}: another result of the recording {how}")
