"""Losses on output spike counts, and their errors d = ∂E/∂o (Jin, Zhang & Li, NeurIPS 2018, arXiv 1805.07866).

Counts and errors are arrays of the backend's module `xp`, (sample, class).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from numpy.typing import NDArray

from ...backend import Array, Backend
from ...config import Count, Meta, Natural, Settings
from ...data import LossParams
from ...errors import UsageError


@dataclass(frozen=True)
class LossSettings(Settings):
    """The loss, and the published rules at the output.

    Attributes
    ----------
    loss
        "rate": desired spike counts (eq. 1); "softmax": cross entropy of softmax(counts).
    target
        Spikes wanted of the label neuron.
    off_target
        Spikes wanted of the other neurons.
    margin
        A count this near to its target, or nearer, is no error.
    fill
        Where the label neuron is silent, give the gradient a regular train of about `target` spikes to follow.
    lateral_limit
        γ is at most this; "none": no cap, as published. A-28 linearises a loop whose gain it takes to be below 1; at
        output thresholds below about w0 √classes the gain reaches 1 and γ its pole, beyond which it would turn the
        gradient round. The published thresholds stay far from it.
    """

    owner: ClassVar[str] = "loss"

    loss: Literal["rate", "softmax"] = "rate"
    target: Count = 35
    off_target: Natural = 5
    margin: Natural = 5
    fill: bool = True
    lateral_limit: Annotated[float, Meta(ge=1, le=1e6)] | None = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss == "rate" and self.off_target >= self.target:
            raise UsageError(
                f"got loss.off_target {self.off_target} with loss.target {self.target}",
                "fewer spikes wanted of the other neurons than of the label neuron",
                "Raise loss.target or lower loss.off_target.",
            )
        if self.loss == "rate" and self.margin >= self.target:
            raise UsageError(
                f"got loss.margin {self.margin} with loss.target {self.target}",
                "a margin below the target: a silent label neuron would be no error",
                "Lower loss.margin.",
            )

    def overlap(self) -> str:
        """Return a warning where the margins leave a count that is no error for any neuron, label or not; else ""."""
        lowest, highest = self.target - self.margin, self.off_target + self.margin
        if self.loss != "rate" or lowest > highest:
            return ""
        counts = f"{lowest} spikes" if lowest == highest else f"{lowest} to {highest} spikes"
        return (
            f"with loss.target={self.target}, loss.off_target={self.off_target} and loss.margin={self.margin} a neuron "
            f"of {counts} is no error, whether it is the label's or another. Use {fitting_counts(self.target)}."
        )

    def params(self) -> LossParams:
        """Return them as backends take them."""
        softmax = self.loss == "softmax"
        return LossParams(softmax, self.target, self.off_target, self.margin, self.fill, self.lateral_limit)


def fitting_counts(target: int) -> str:
    """Return the settings of the rate loss for a target, in the published proportion of 35 to 5 to 5, as text."""
    others = round(target / 7)
    return f"loss.target={target}, loss.off_target={others} and loss.margin={others}"


def count_error(
    backend: Backend, counts: Array, labels: NDArray[Any], settings: LossSettings
) -> tuple[Array, Array]:
    """Return the error d = ∂E/∂o (sample, class) and the loss E (sample,) of counts (sample, class)."""
    xp = backend.xp
    onehot = xp.zeros(counts.shape, backend.dtype)
    onehot[xp.arange(len(labels)), xp.asarray(labels)] = 1
    o = counts.astype(backend.dtype)
    return softmax_loss(xp, o, onehot) if settings.loss == "softmax" else rate_loss(xp, o, onehot, settings)


def rate_loss(xp: Any, o: Array, onehot: Array, settings: LossSettings) -> tuple[Array, Array]:
    """Return error and loss of desired spike counts (eq. 1), with a margin inside which a count is no error."""
    y = settings.off_target + (settings.target - settings.off_target) * onehot
    d = xp.where(xp.abs(o - y) > settings.margin, o - y, xp.zeros_like(o))
    return d, 0.5 * (d**2).sum(axis=1)


def softmax_loss(xp: Any, o: Array, onehot: Array) -> tuple[Array, Array]:
    """Return error and loss of the cross entropy of softmax(counts)."""
    z = o - o.max(axis=1, keepdims=True)
    p = xp.exp(z)
    total = p.sum(axis=1, keepdims=True)
    # p − 1 of the label is −Σ of the others' p, which keeps its digits where p is nearly 1
    others = p / total * (1 - onehot)
    error = others - onehot * others.sum(axis=1, keepdims=True)
    return error, xp.log(total[:, 0]) - (z * onehot).sum(axis=1)
