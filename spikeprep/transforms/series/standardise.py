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
        """Return it with the statistics of signals; raises `DataError` where they differ in channels, or are none.

        So it does for values whose squares are beyond float64 (some 1e154).
        """
        count, mean, squares = 0, np.zeros(0), np.zeros(0)
        for n, signal in enumerate(signals):
            values = self._finite(signal)
            if not len(values):
                continue
            if count and values.shape[1] != len(mean):
                got = f"standardise: got signals of {len(mean)} and of {values.shape[1]} channels"
                raise DataError(got, "as many in all", "Give all the same channels.")
            with np.errstate(over="ignore", invalid="ignore"):
                steps, own = len(values), values.mean(axis=0)
                all_squares = ((values - own) ** 2).sum(axis=0)
                total, difference = count + steps, own - mean if count else own
                all_squares = all_squares + difference**2 * (count * steps / total)
                if count:
                    all_squares = squares + all_squares
            _check_range(values, all_squares, f"training sample {n}")
            if not count:
                count, mean, squares = steps, own, all_squares
                continue
            mean = mean + difference * (steps / total)
            squares = all_squares
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
            The signal has other channels than the statistics, or values that are not finite, or so large
            that float64 cannot hold what becomes of them.
        """
        values = self._finite(signal)
        if not self.is_fitted:
            raise UsageError(
                "standardise has no statistics",
                "the mean and the deviation of each channel",
                "Call fit(training signals), which returns the transform with them; encode does so by itself.",
            )
        if self.statistics == "sample":
            with np.errstate(over="ignore", invalid="ignore"):
                mean = values.mean(axis=0) if len(values) else np.zeros(values.shape[1])
                deviation = values.std(axis=0) if len(values) else mean
            _check_range(values, deviation, "the signal")
            deviation = _without_rounding(deviation, mean)
        else:
            mean, deviation = np.array(self.mean), np.array(self.deviation)
            if len(mean) != values.shape[1]:
                raise DataError(
                    f"standardise: got {values.shape[1]} channels",
                    f"{len(mean)}, as its statistics have",
                    "Give the channels of the training samples.",
                )
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scaled = np.where(deviation > 0, (values - mean) / deviation, 0.0)
        if self.limit is not None:
            np.clip(scaled, -self.limit, self.limit, out=scaled)
        _check_range(values, scaled, "the signal")
        return _with_values(signal, scaled)

    def _finite(self, signal: Any) -> NDArray[np.float64]:
        values = channels_of(self.name, signal).astype(np.float64)
        if not np.isfinite(values).all():
            raise DataError(
                "standardise: got values that are NaN or infinite", "finite ones", "Repair the signal."
            )
        return values


def _check_range(values: NDArray[np.float64], result: NDArray[np.float64], what: str) -> None:
    """Raise `DataError` where a result of finite values (time, channel) is not finite: it is beyond float64."""
    if np.isfinite(result).all():
        return
    channel = int(np.argmax(~np.isfinite(result).reshape(-1, values.shape[1]).all(axis=0)))
    step = int(np.argmax(np.abs(values[:, channel])))
    raise DataError(
        f"standardise: {what} has the value {values[step, channel]:g} at step {step} of channel {channel}",
        "values whose squares float64 can hold, below some 1e150",
        "Correct it: such values often mark missing ones, which are to be NaN.",
    )


def _without_rounding(deviation: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return deviations with 0 for those of a constant, which rounding may leave a little above it."""
    return np.where(deviation > 1e-12 * np.abs(mean), deviation, 0.0)


def _with_values(signal: Any, values: NDArray[np.float64]) -> Any:
    return replace(signal, values=values) if isinstance(signal, Frames) else values
