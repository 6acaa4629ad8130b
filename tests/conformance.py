"""Checks that every encoder, transform and reader passes; a plugin of another package can run them too.

from tests.conformance import check_encoder
check_encoder(MyEncoder(), [image, other_image])
"""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from spikeprep.data import EVENT, Audio, Events
from spikeprep.encoders import Encoder, Transform
from spikeprep.errors import UsageError
from spikeprep.packing import padding_mask, unpack
from spikeprep.random import SampleKey
from spikeprep.registry import ENCODERS, SOURCES, Plugin, Registry
from spikeprep.sources.base import Source


def check_plugin(plugin: Plugin, registry: Registry) -> None:
    """Its name, and a configuration that is frozen, complete, and survives JSON."""
    assert registry.get(plugin.name) is type(plugin)
    assert type(plugin).__doc__
    config = json.loads(json.dumps(plugin.to_config()))
    assert config["name"] == plugin.name
    assert set(config) == {"name"} | {f.name for f in dataclasses.fields(plugin)}
    assert registry.build(config) == plugin
    assert hash(registry.build(config)) == hash(plugin)
    for field in dataclasses.fields(plugin):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(plugin, field.name, None)
        with pytest.raises(UsageError, match=f"Did you mean {field.name!r}"):
            registry.build({"name": plugin.name, f"{field.name}x": 1})
    assert pickle.loads(pickle.dumps(plugin)) == plugin


def arrays(signal: Any) -> list[Any]:
    """The arrays and numbers that a signal is made of."""
    if isinstance(signal, Events):
        shape = (signal.size, signal.polarities, signal.start, signal.length())
        return [signal.array, *(np.asarray(number) for number in shape)]
    if dataclasses.is_dataclass(signal):
        return [np.asarray(getattr(signal, field.name)) for field in dataclasses.fields(signal)]
    return [np.asarray(signal)]


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def check_transform(transform: Transform, signals: Sequence[Any]) -> None:
    """Pure, the same alone and in any thread, leaving its signal as it was; its outline has the result's shape."""
    check_plugin(transform, ENCODERS)
    assert transform.citation
    keys = [SampleKey(1, "train", n) for n in range(len(signals))]
    before = copy.deepcopy(signals)
    alone = [transform(signal, rng=key) for signal, key in zip(signals, keys, strict=True)]
    for signal, kept in zip(signals, before, strict=True):
        assert_same(signal, kept)
    with ThreadPoolExecutor(4) as pool:
        threads = list(
            pool.map(lambda n: transform(signals[n % len(signals)], rng=keys[n % len(keys)]), range(24))
        )
    for n, result in enumerate(threads):
        assert_same(result, alone[n % len(signals)])
    for signal, result in zip(signals, alone, strict=True):
        said = len(result.array) if isinstance(result, Events) else any(v.any() for v in arrays(result))
        assert said  # a result that says nothing checks nothing
        check_outline(transform.outline(signal), result)


def check_outline(outline: Any, signal: Any) -> None:
    """It has the signal's shape: of a recording the sensor and the duration, not the events."""
    if isinstance(signal, Events):
        for outlined, value in zip(arrays(outline)[1:], arrays(signal)[1:], strict=True):
            np.testing.assert_array_equal(outlined, value)
        return
    for outlined, values in zip(arrays(outline), arrays(signal), strict=True):
        assert outlined.shape == values.shape


def check_encoder(encoder: Encoder, signals: Sequence[Any]) -> None:
    """Pure, the same alone, in any batch and in any thread; bits as `data.Bits` says."""
    check_plugin(encoder, ENCODERS)
    assert encoder.citation
    assert encoder.seconds_per_step > 0
    keys = [SampleKey(1, "train", n) for n in range(len(signals))]
    before = copy.deepcopy(signals)
    alone = [encoder.encode(signal, rng=key) for signal, key in zip(signals, keys, strict=True)]
    for signal, kept in zip(signals, before, strict=True):
        assert_same(signal, kept)
    for signal, key, train in zip(signals, keys, alone, strict=True):
        assert train.bits.shape[0] == int(np.prod(encoder.unit_shape(signal)))
        assert train.steps == encoder.max_steps(signal)
        assert not (train.bits & padding_mask(np.array([train.steps]), train.bits.shape[1])).any()
        assert train.bits.any()  # a signal that says nothing checks nothing
        spikes = encoder(signal, rng=key)
        assert spikes.dtype == bool
        np.testing.assert_array_equal(spikes, unpack(train.bits, train.steps))
    backwards = encoder.encode_batch(list(signals)[::-1], rngs=keys[::-1])[::-1]
    with ThreadPoolExecutor(4) as pool:
        threads = list(
            pool.map(lambda n: encoder.encode(signals[n % len(signals)], rng=keys[n % len(keys)]), range(24))
        )
    for n, train in enumerate([*backwards, *threads]):
        np.testing.assert_array_equal(train.bits, alone[n % len(signals)].bits)


def check_reader(source: Source) -> None:
    """Labels within the classes, ids unique, samples the same whenever and from any thread they are read."""
    check_plugin(source, SOURCES)
    sizes = source.splits()
    assert set(sizes) <= {"train", "test"}
    assert all(size > 0 for size in sizes.values())
    assert len(set(source.classes)) == len(source.classes)
    wanted = [(split, n) for split, size in sizes.items() for n in range(size)]
    samples = [source.read(split, n) for split, n in wanted]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda where: source.read(*where), wanted))
    for one, other in zip(samples, again, strict=True):
        assert_same(one.signal, other.signal)
        assert (one.label, one.id) == (other.label, other.id)
    for sample in samples:
        assert type(sample.label) is int
        assert type(sample.id) is str
        assert 0 <= sample.label < len(source.classes)
    for split in sizes:
        ids = [sample.id for sample, where in zip(samples, wanted, strict=True) if where[0] == split]
        assert len(set(ids)) == len(ids)
        first = next(s for s, where in zip(samples, wanted, strict=True) if where[0] == split).signal
        values = arrays(first)[0]
        if isinstance(first, Events):
            assert values.dtype == EVENT
            continue
        lowest = -1 if isinstance(first, Audio) else 0
        assert values.dtype == np.uint8 or (
            np.issubdtype(values.dtype, np.floating) and lowest <= values.min() <= values.max() <= 1
        )
    for (split, n), sample in zip(wanted, samples, strict=True):
        check_outline(source.outline(split, n), sample.signal)
    facts = json.loads(json.dumps(source.provenance()))
    assert "licence" in facts
    assert ("files" in facts) != ("sha256" in facts)
    assert all(len(digest) == 64 for digest in facts.get("files", {"": facts.get("sha256")}).values())
    path = getattr(source, "path", None)
    assert path is None or path not in json.dumps(facts)  # a store says what was read, not where
