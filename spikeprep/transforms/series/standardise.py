"""Channels → channels of mean 0 and standard deviation 1, by the statistics of the training samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ...config import NonNegative, Positive, Real
from ...data import Frames
from ...encoders.base import Transform
from ...encoders.channels import channels_of
from ...errors import DataError, UsageError
from ...random import SampleKey


@dataclass(frozen=True)
class Standardise(Transform):
    """Subtract each channel's mean and divide by its standard deviation: of `Frames`, or of an array (time, channel).

    `encode` computes the statistics from the training samples alone, as they reach this transform, and keeps them with
    the store's chain; so test samples, and files that `predict` reads, are scaled as the training samples were. A
    channel that never changes becomes 0.

    Parameters
    ----------
    statistics
        ``"train"``: `mean` and `deviation`, of all training samples together. ``"sample"``: each sample's own.
    mean, deviation
        Of each channel; empty: computed by `encode`, or by `fit`.
    limit
        Larger values become ±`limit` standard deviations; None: none does.
    """

    name: ClassVar[str] = "standardise"
    citation: ClassVar[str] = (
        "Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance, The American Statistician 37"
    )

    statistics: Literal["train", "sample"] = "train"
    mean: tuple[Real, ...] = ()
    deviation: tuple[NonNegative, ...] = ()
    limit: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.mean) != len(self.deviation) or (self.mean and self.statistics == "sample"):
            raise UsageError(
                f"got standardise of statistics {self.statistics!r} with {len(self.mean)} means and "
                f"{len(self.deviation)} deviations",
                'one of each per channel, with statistics "train"; or none',
            )

    @property
    def is_fitted(self) -> bool:
        """Whether it has its statistics."""
        return self.statistics == "sample" or bool(self.mean)

    def fit(self, signals: Iterable[Any]) -> Self:
        """Return it with the statistics of signals; raises `DataError` where they differ in channels, or are none."""
        count, mean, squares = 0, np.zeros(0), np.zeros(0)
        for signal in signals:
            values = self._finite(signal)
            if not len(values):
                continue
            if count and values.shape[1] != len(mean):
                got = f"standardise: got signals of {len(mean)} and of {values.shape[1]} channels"
                raise DataError(got, "as many in all", "Give all the same channels.")
            steps, own = len(values), values.mean(axis=0)
            own_squares = ((values - own) ** 2).sum(axis=0)
            if not count:
                count, mean, squares = steps, own, own_squares
                continue
            total, difference = count + steps, own - mean
            mean = mean + difference * (steps / total)
            squares = squares + own_squares + difference**2 * (count * steps / total)
            count = total
        if not count:
            raise DataError("standardise: got no training steps", "at least 1", "Give training samples.")
        deviation = _without_rounding(np.sqrt(squares / count), mean)
        return replace(self, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))

    def outline(self, signal: Any, rng: SampleKey | None = None) -> Any:
        """Return channels of the shape of `signal`, all zero, at no cost."""
        return _with_values(signal, np.broadcast_to(0.0, channels_of(self.name, signal).shape))

    def __call__(self, signal: Any, *, rng: SampleKey | None = None) -> Any:
        """Return the standardised channels, float64 (time, channel).

        Raises
        ------
        SignalError
            The signal is no channels.
        UsageError
            The statistics are not known.
        DataError
            The signal has other channels than the statistics, or values that are not finite.
        """
        values = self._finite(signal)
        if not self.is_fitted:
            raise UsageError(
                "standardise has no statistics",
                "the mean and the deviation of each channel",
                "Call fit(training signals), which returns the transform with them; encode does so by itself.",
            )
        if self.statistics == "sample":
            mean = values.mean(axis=0) if len(values) else np.zeros(values.shape[1])
            deviation = values.std(axis=0) if len(values) else mean
            deviation = _without_rounding(deviation, mean)
        else:
            mean, deviation = np.array(self.mean), np.array(self.deviation)
            if len(mean) != values.shape[1]:
                raise DataError(
                    f"standardise: got {values.shape[1]} channels",
                    f"{len(mean)}, as its statistics have",
                    "Give the channels of the training samples.",
                )
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = np.where(deviation > 0, (values - mean) / deviation, 0.0)
        if self.limit is not None:
            np.clip(scaled, -self.limit, self.limit, out=scaled)
        return _with_values(signal, scaled)

    def _finite(self, signal: Any) -> NDArray[np.float64]:
        values = channels_of(self.name, signal).astype(np.float64)
        if not np.isfinite(values).all():
            raise DataError(
                "standardise: got values that are NaN or infinite", "finite ones", "Repair the signal."
            )
        return values


def _without_rounding(deviation: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return deviations with 0 for those of a constant, which rounding may leave a little above it."""
    return np.where(deviation > 1e-12 * np.abs(mean), deviation, 0.0)


def _with_values(signal: Any, values: NDArray[np.float64]) -> Any:
    return replace(signal, values=values) if isinstance(signal, Frames) else values
