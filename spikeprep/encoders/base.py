"""What a transform, an encoder and a chain of them are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data import SpikeTrain
from ..errors import UsageError, near_miss
from ..packing import unpack
from ..random import SampleKey
from ..registry import ENCODERS, TRANSFORMS, Plugin


@dataclass(frozen=True)
class Transform(Plugin, ABC):
    """Signal → signal. Pure: equal signal, config and `rng` give equal results."""

    citation: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return the transformed signal."""

    def outline(self, signal: Any) -> Any:
        """Return a signal of the shape that `signal` becomes; overridden where that costs less than the signal."""
        return self(signal)


@dataclass(frozen=True)
class Encoder(Plugin, ABC):
    """Signal → spikes. Pure: equal signal, config and `rng` give equal bits on every machine.

    Calling an encoder gives a person's spikes, bool (time, unit); `encode` gives the packed form.
    """

    citation: ClassVar[str] = ""

    @property
    def ragged(self) -> bool:
        """Whether samples can differ in steps: the pipeline then looks at every sample's outline ahead of encoding."""
        return False

    @abstractmethod
    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes of one signal."""

    def encode_parts(
        self, signal: Any, cuts: Sequence[tuple[int, int]], *, rng: SampleKey | None = None
    ) -> Iterator[SpikeTrain]:
        """Yield the spikes of the units [start, stop) of each cut; overridden where that takes less memory."""
        train = self.encode(signal, rng=rng)
        for start, stop in cuts:
            yield SpikeTrain(train.bits[start:stop], train.steps)

    def encode_batch(self, signals: Sequence[Any], *, rngs: Sequence[SampleKey | None]) -> list[SpikeTrain]:
        """Return what `encode` returns for each signal; overridden where a batch is faster."""
        return [self.encode(signal, rng=rng) for signal, rng in zip(signals, rngs, strict=True)]

    @abstractmethod
    def unit_shape(self, signal: Any) -> tuple[int, ...]:
        """Return the shape of the units that `signal` becomes; their order is C order over it."""

    @abstractmethod
    def max_steps(self, signal: Any) -> int:
        """Return how many steps `signal` becomes; its shape decides, so that an outline will do."""

    @property
    @abstractmethod
    def seconds_per_step(self) -> float:
        """Length of a time step in seconds."""

    def step_seconds(self, signal: Any) -> float:
        """Return the length of a time step of `signal`; overridden where the signal's own rate decides it."""
        return self.seconds_per_step

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> NDArray[np.bool_]:
        """Return the spikes of one signal, bool (time, unit)."""
        train = self.encode(signal, rng=rng)
        return unpack(train.bits, train.steps)


@dataclass(frozen=True)
class Chain:
    """Transforms in order, then exactly one encoder."""

    transforms: tuple[Transform, ...]
    encoder: Encoder

    @classmethod
    def from_config(cls, configs: Sequence[Mapping[str, Any]]) -> Chain:
        """Build from a list of plugin configs; the last one, and only it, must be an encoder."""
        plugins = [build_step(config) for config in configs]
        *transforms, encoder = plugins or [None]
        wrong = [p.name for p in transforms if not isinstance(p, Transform)]
        if not isinstance(encoder, Encoder) or wrong:
            raise UsageError(
                f"got the chain {[c['name'] for c in configs]}",
                "transforms followed by exactly one encoder",
                "Put the one encoder last." if wrong else "End the chain with an encoder, e.g. poisson.",
            )
        return cls(tuple(transforms), encoder)

    def to_config(self) -> list[dict[str, Any]]:
        """Return the configs of every transform and the encoder, in order."""
        return [plugin.to_config() for plugin in (*self.transforms, self.encoder)]

    def prepare(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return `signal` after every transform, ready for the encoder."""
        for transform in self.transforms:
            signal = transform(signal, rng=rng)
        return signal

    def outline(self, signal: Any) -> Any:
        """Return a signal of the shape in which `signal`, or its outline, reaches the encoder."""
        for transform in self.transforms:
            signal = transform.outline(signal)
        return signal

    def encode_batch(self, signals: Sequence[Any], *, rngs: Sequence[SampleKey | None]) -> list[SpikeTrain]:
        """Return the packed spikes of each signal."""
        ready = [self.prepare(s, rng=rng) for s, rng in zip(signals, rngs, strict=True)]
        return self.encoder.encode_batch(ready, rngs=rngs)


def build_step(config: Mapping[str, Any]) -> Transform | Encoder:
    """Build the transform or encoder that ``config["name"]`` names; raises `UsageError` where there is none."""
    name = config["name"]
    if name in TRANSFORMS.names():
        step: Transform | Encoder = TRANSFORMS.build(config)
    elif name in ENCODERS.names():
        step = ENCODERS.build(config)
    else:
        known = [*TRANSFORMS.names(), *ENCODERS.names()]
        raise UsageError(f"unknown transform or encoder {name!r}", "", near_miss(name, known))
    return step
