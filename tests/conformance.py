"""Checks that every encoder, transform and reader passes; a plugin of another package can run them too.

from tests.conformance import check_encoder
check_encoder(MyEncoder(), [image, other_image])
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from spikeprep.encoders import Encoder
from spikeprep.errors import UsageError
from spikeprep.packing import padding_mask, unpack
from spikeprep.random import SampleKey
from spikeprep.registry import ENCODERS, READERS, Plugin, Registry
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


def check_encoder(encoder: Encoder, signals: Sequence[Any]) -> None:
    """Pure, the same alone, in any batch and in any thread; bits as `data.Bits` says."""
    check_plugin(encoder, ENCODERS)
    assert encoder.citation
    assert encoder.seconds_per_step > 0
    keys = [SampleKey(1, "train", n) for n in range(len(signals))]
    before = [np.array(signal, copy=True) for signal in signals]
    alone = [encoder.encode(signal, rng=key) for signal, key in zip(signals, keys, strict=True)]
    for signal, copy in zip(signals, before, strict=True):
        np.testing.assert_array_equal(signal, copy)
    for signal, key, train in zip(signals, keys, alone, strict=True):
        assert train.bits.shape[0] == int(np.prod(encoder.unit_shape(signal)))
        assert train.steps <= encoder.max_steps(signal)
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
    check_plugin(source, READERS)
    sizes = source.splits()
    assert set(sizes) <= {"train", "test"}
    assert all(size > 0 for size in sizes.values())
    assert len(set(source.classes)) == len(source.classes)
    wanted = [(split, n) for split, size in sizes.items() for n in range(size)]
    samples = [source.read(split, n) for split, n in wanted]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda where: source.read(*where), wanted))
    for one, other in zip(samples, again, strict=True):
        np.testing.assert_array_equal(one.signal, other.signal)
        assert (one.label, one.id) == (other.label, other.id)
    for sample in samples:
        assert type(sample.label) is int
        assert type(sample.id) is str
        assert 0 <= sample.label < len(source.classes)
    for split in sizes:
        ids = [sample.id for sample, where in zip(samples, wanted, strict=True) if where[0] == split]
        assert len(set(ids)) == len(ids)
        first = np.asarray(
            next(s for s, where in zip(samples, wanted, strict=True) if where[0] == split).signal
        )
        assert first.dtype == np.uint8 or (
            np.issubdtype(first.dtype, np.floating) and 0 <= first.min() <= first.max() <= 1
        )
    facts = json.loads(json.dumps(source.provenance()))
    assert "licence" in facts
    assert ("files" in facts) != ("sha256" in facts)
    assert all(len(digest) == 64 for digest in facts.get("files", {"": facts.get("sha256")}).values())
    path = getattr(source, "path", None)
    assert path is None or path not in json.dumps(facts)  # a store says what was read, not where
