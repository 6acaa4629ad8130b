"""What transforms, encoders and chains of them are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..data import Bits, Frames, SpikeTrain
from ..errors import DataError, PluginError, UsageError, broken_plugin, near_miss
from ..packing import unpack
from ..random import SampleKey
from ..registry import ENCODERS, TRANSFORMS, Plugin
from .quality import Quality


@dataclass(frozen=True)
class Transform(Plugin, ABC):
    """Signal → signal. Pure: equal signal, settings and `rng` give equal results."""

    citation: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return the transformed signal; `rng` names the sample's random numbers."""

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Any:
        """Return a signal of the shape that `signal` becomes; overridden where that costs less than the signal."""
        return self(signal, rng=rng)

    def original(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return what the signal of an original becomes; an `Augmentation` varies copies and leaves originals."""
        return self(signal, rng=rng)

    def apply(self, signal: Any, rng: SampleKey | None) -> Any:
        """Return what a sample's signal becomes in a chain: an original's where it is copy 0 or has no key."""
        return self(signal, rng=rng) if rng is not None and rng.copy else self.original(signal, rng=rng)

    @property
    def is_fitted(self) -> bool:
        """Whether it can be called: False where it first needs the statistics of training samples, see `fit`."""
        return True

    def fit(self, signals: Iterable[Any]) -> Self:
        """Return the transform with what it computes from training samples, as settings; itself if it needs none.

        Parameters
        ----------
        signals
            The signal of each training sample, as it reaches this transform. They are read as this is walked.
        """
        return self


@dataclass(frozen=True)
class Augmentation(Transform):
    """A random variation of training samples: in a chain it varies copies and leaves originals as they are.

    An original is copy 0 of a training sample, and every sample of another split. Copies are stored with the recipe's
    setting ``copies``, or drawn anew in every epoch by training with ``augment``. Calling the transform varies
    any signal; `plain` makes of an original what goes with the copies.

    Parameters
    ----------
    originals
        Whether to vary originals too, those of the test split among them.
    """

    originals: bool = field(default=False, kw_only=True)

    @abstractmethod
    def plain(self, signal: Any) -> Any:
        """Return an original's signal, of the kind of a copy's; raises `DataError` for another kind.

        Where its shape differs from that of a copy, `outline` tells them apart by ``rng.copy``.
        """

    def original(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return what the signal of an original becomes."""
        return self(signal, rng=rng) if self.originals else self.plain(signal)


@dataclass(frozen=True)
class Description:
    """Size and time step of a signal's spikes, known before encoding.

    Attributes
    ----------
    unit_shape
        Shape of the units, whose order is C order over it.
    steps
        Number of time steps.
    dt
        Length of a time step in seconds.
    ragged
        Whether other signals may get other `steps`. The pipeline then describes every sample before it encodes one.
    """

    unit_shape: tuple[int, ...]
    steps: int
    dt: float
    ragged: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit_shape", tuple(int(size) for size in self.unit_shape))
        if self.units < 1 or self.steps < 0 or not (isfinite(self.dt) and self.dt > 0):
            raise ValueError(
                f"got {self}; expected at least 1 unit, at least 0 steps, and seconds above 0 as dt."
            )

    @property
    def units(self) -> int:
        """Number of units."""
        return prod(self.unit_shape)


@dataclass(frozen=True)
class Encoder(Plugin, ABC):
    """Signal → spikes. Pure: equal signal, settings and `rng` give equal bits on every machine.

    A subclass has `describe` and `encode`. Calling an encoder gives unpacked spikes, bool (time, unit). Where there is
    a way back, ``decode(spikes)`` takes spikes (time, unit) and rebuilds the `target`.
    """

    citation: ClassVar[str] = ""
    takes_rows_as_time: ClassVar[bool] = False
    """Whether an array is a series, (time, channel): that of an image has its rows in the place of time."""

    @property
    def largest_density(self) -> float | None:
        """The share of bits that are spikes where a signal is as large as it can be; None where none is known."""
        return None

    @abstractmethod
    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        """Return the units and steps that `signal`, or an outline of it (`Transform.outline`), becomes."""

    @abstractmethod
    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes of one signal; `rng` names the sample's random numbers."""

    def encode_into(
        self, signals: Iterable[Any], out: Bits, *, rngs: Sequence[SampleKey | None]
    ) -> NDArray[np.uint32]:
        """Encode one signal per row of `out`: the batch form of `encode`, overridden by kernels that write there.

        Parameters
        ----------
        signals
            As many as `rngs`. They may be read one by one as this iterable is walked, so walk it once, and keep no
            more of them than needed.
        out
            uint8 (sample, unit, byte) with as many bytes as the longest sample needs or more; all zero.

        Returns
        -------
        The number of steps of each signal, uint32 (sample,).

        Raises
        ------
        PluginError
            `encode` returned anything but a `SpikeTrain` that fits `out`.
        """
        steps = np.zeros(len(rngs), np.uint32)
        for row, (signal, rng) in enumerate(zip(signals, rngs, strict=True)):
            train = self.encode(signal, rng=rng)
            check_train(self, train, out.shape[1], 8 * out.shape[2])
            out[row, :, : train.bits.shape[1]] = train.bits
            steps[row] = train.steps
        return steps

    def encode_batch(self, signals: Sequence[Any], *, rngs: Sequence[SampleKey | None]) -> list[SpikeTrain]:
        """Return what `encode` returns for each signal, by one call of `encode_into` where all have the same units."""
        described = [self.describe(signal, rng) for signal, rng in zip(signals, rngs, strict=True)]
        if len({description.units for description in described}) != 1:
            return [self.encode(signal, rng=rng) for signal, rng in zip(signals, rngs, strict=True)]
        longest = max(description.steps for description in described)
        out = np.zeros((len(signals), described[0].units, -(-longest // 8)), np.uint8)
        steps = self.encode_into(signals, out, rngs=rngs).tolist()
        return [SpikeTrain(bits[:, : -(-n // 8)], n) for bits, n in zip(out, steps, strict=True)]

    def encode_parts(
        self, signal: Any, ranges: Sequence[tuple[int, int]], *, rng: SampleKey | None = None
    ) -> Iterator[SpikeTrain]:
        """Yield the spikes of each range [start, stop) of units; overridden where that takes less memory."""
        train = self.encode(signal, rng=rng)
        for start, stop in ranges:
            yield SpikeTrain(train.bits[start:stop], train.steps)

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> NDArray[np.bool_]:
        """Return the spikes of one signal, bool (time, unit)."""
        train = self.encode(signal, rng=rng)
        return unpack(train.bits, train.steps)

    def target(self, signal: Any) -> NDArray[np.float64]:
        """Return what ``decode`` rebuilds of a signal, float64; overridden where that is not the signal itself.

        Values of uint8 are divided by 255.
        """
        values = np.asarray(signal.values if isinstance(signal, Frames) else signal)
        if values.dtype.kind not in "bfiu":
            raise DataError(f"{self.name}: got {_kind(signal)}", "an image, or analogue channels")
        return values / 255.0 if values.dtype == np.uint8 else values.astype(np.float64)

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return setting → values that `spikeprep.tune` tries of its own accord, to suit `signals`; none by default."""
        return {}

    def compared(
        self, signal: Any, *, rng: SampleKey | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Encode and decode `signal`: its `target`, what ``decode`` rebuilds of it, and its spikes (time, unit).

        Raises
        ------
        UsageError
            The encoder has no ``decode``.
        PluginError
            It rebuilds another number of values than the target has.
        """
        decode = getattr(self, "decode", None)
        if decode is None:
            raise UsageError(
                f"got the encoder {self.name}, which has no decode", "an encoder with an inverse"
            )
        spikes, target = self(signal, rng=rng), self.target(signal)
        decoded = np.asarray(decode(spikes))
        if decoded.size != target.size:
            raise plugin_error(self, f"decodes values {decoded.shape}", f"{target.shape}, as its target has")
        return target, decoded.reshape(target.shape), spikes

    def quality(self, signal: Any, *, rng: SampleKey | None = None) -> Quality:
        """Encode `signal`, decode the spikes, and return how well they represent it; raises as `compared`."""
        return Quality.of(*self.compared(signal, rng=rng), self.describe(signal, rng).dt)


@dataclass(frozen=True)
class Chain:
    """Transforms in order, then exactly one encoder."""

    transforms: tuple[Transform, ...]
    encoder: Encoder

    @classmethod
    def from_config(cls, configs: Sequence[Mapping[str, Any]]) -> Chain:
        """Build from a list of plugin configs; the last one, and only it, must be an encoder.

        Raises
        ------
        UsageError
            It is something else, or a name, a setting or a value does not exist or does not fit.
        """
        if not isinstance(configs, Sequence) or not all(
            isinstance(c, Mapping) and "name" in c for c in configs
        ):
            raise UsageError(
                f"got the chain {configs!r}",
                "a list of configurations, each with a name",
                'For example [{"name": "poisson", "steps": 200}].',
            )
        steps = [build_step(config) for config in configs]
        transforms = tuple(step for step in steps if isinstance(step, Transform))
        encoder = steps[-1] if steps else None
        if isinstance(encoder, Encoder) and len(transforms) == len(steps) - 1:
            return cls(transforms, encoder)
        has_encoder = len(transforms) < len(steps)
        raise UsageError(
            f"got the chain {[c['name'] for c in configs]}",
            "transforms followed by exactly one encoder",
            "Put the one encoder last." if has_encoder else "End the chain with an encoder, e.g. poisson.",
        )

    def to_config(self) -> list[dict[str, Any]]:
        """Return the configs of every transform and the encoder, in order."""
        return [plugin.to_config() for plugin in (*self.transforms, self.encoder)]

    def prepare(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return `signal` after every transform: what the encoder gets."""
        for transform in self.transforms:
            signal = transform.apply(signal, rng)
        return signal

    @property
    def augmentations(self) -> tuple[Augmentation, ...]:
        """The transforms that vary copies and leave originals."""
        transforms = (step for step in self.transforms if isinstance(step, Augmentation))
        return tuple(step for step in transforms if not step.originals)

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Any:
        """Return a signal of the shape in which `signal`, or its outline, reaches the encoder."""
        for transform in self.transforms:
            signal = transform.outline(signal, rng)
        return signal

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        """Return the units and steps that `signal`, or its outline, becomes."""
        return self.encoder.describe(self.outline(signal, rng), rng)

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes of one signal."""
        return self.encoder.encode(self.prepare(signal, rng=rng), rng=rng)


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


def is_fitted(transform: Transform) -> bool:
    """Return `Transform.is_fitted`; raises `PluginError` where it is no bool, as a method without ``@property``."""
    fitted: Any = transform.is_fitted
    if not isinstance(fitted, bool | np.bool_):
        got = "a method" if callable(fitted) else repr(fitted)
        raise plugin_error(transform, f"has {got} as is_fitted", "a property that is True or False")
    return bool(fitted)


def fitted_transform(transform: Transform, signals: Iterable[Any]) -> Transform:
    """Return ``transform.fit(signals)``.

    Raises
    ------
    PluginError
        The result is no transform of the same class, is not fitted, or is not fitted once rebuilt from its settings,
        which are what a store keeps.
    """
    fitted: Any = transform.fit(signals)
    if not isinstance(fitted, type(transform)):
        raise plugin_error(
            transform, f"returned {_kind(fitted)} from fit", "the transform with its statistics"
        )
    if not is_fitted(fitted):
        raise plugin_error(
            transform, "has is_fitted = False after fit", "fit to return a copy whose is_fitted is True"
        )
    if not is_fitted(type(fitted).from_config(fitted.to_config())):
        raise plugin_error(
            transform, "has its statistics outside its settings after fit", "fit to return them as fields"
        )
    return fitted


def check_train(encoder: Encoder, train: Any, units: int, most_steps: int) -> None:
    """Check what a plugin's `encode` returned: `units` units of at most `most_steps` steps.

    Raises
    ------
    PluginError
        It is no `SpikeTrain`, or one of another size; the message names the encoder.
    """
    if not isinstance(train, SpikeTrain):
        raise plugin_error(encoder, f"returned {_kind(train)}", "a spikeprep.data.SpikeTrain")
    if len(train.bits) != units or train.steps > most_steps:
        raise plugin_error(
            encoder,
            f"returned {len(train.bits)} units of {train.steps} steps",
            f"{units} units of at most {most_steps} steps, as it described",
        )


def plugin_error(plugin: Plugin, got: str, expected: str = "", sample: str = "") -> PluginError:
    """Return the error for a plugin that breaks its contract: `got` is what it did, `sample` the sample's id."""
    kind = "encoder" if isinstance(plugin, Encoder) else "transform"
    kind = kind if isinstance(plugin, Encoder | Transform) else "source"
    where = f"sample {sample}: " if sample else ""
    return broken_plugin(type(plugin), f"{where}the {kind} {plugin.name} {got}", expected)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype} {value.shape}"
    return "None" if value is None else f"an object of type {type(value).__name__}"
