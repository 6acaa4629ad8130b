"""Encoders of changes: delta modulation and step-forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..config import Positive, Real
from .channel_encoder import multiples, signs
from .channels import finite_channels
from .lane_encoder import WIDTH, LaneEncoder


@dataclass(frozen=True)
class ContrastEncoder(LaneEncoder):
    """An encoder of changes: its spikes say how a channel moves from a level on.

    Parameters
    ----------
    threshold
        Change that is worth a spike, in the signal's units.
    start
        Level before the first step, of every channel. None: the channel's own first value, so that `decode` rebuilds
        the signal relative to it. ``"rounded"``: that value to the nearest multiple of the threshold (Speech2Spikes).
    """

    threshold: Positive = 0.1
    start: Real | Literal["rounded"] | None = None

    def levels(self, values: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
        """Return the level from which each channel begins, of flat values, with `WIDTH` zeros after the last."""
        levels = np.zeros(channels + WIDTH)
        first = values[:channels]  # fewer than the channels, and zeros, where there is no step
        levels[: len(first)] = self._start_of(first)
        return levels

    def _start_of(self, first: NDArray[np.float64]) -> NDArray[np.float64] | float:
        """Return the level before the first step of channels with these first values."""
        if self.start == "rounded":
            with np.errstate(invalid="ignore"):  # of values that are not finite, which are refused later
                return np.asarray(self.threshold * np.rint(first / self.threshold))
        return first if self.start is None else float(self.start)

    def target(self, signal: Any) -> NDArray[np.float64]:
        """Return what `decode` rebuilds, float64 (time, channel): the signal, less a first level of its own."""
        values = finite_channels(self.name, signal)
        return values - self._start_of(values[:1]) if isinstance(self.start, str | None) else values

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return thresholds around the root mean square of the signals' changes from step to step."""
        changes = [np.diff(finite_channels(self.name, signal), axis=0) for signal in signals]
        return {"threshold": multiples(changes, (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0))}

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Rebuild the signal, float64 (time, channel), from spikes (time, unit): each is a change of `threshold`.

        Begins at `start`, or at 0 where every channel has a level of its own; see `target`.
        """
        start = 0.0 if isinstance(self.start, str | None) else float(self.start)
        return np.asarray(np.cumsum(self.threshold * signs(self.name, spikes), axis=0) + start)
