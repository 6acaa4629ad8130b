"""The optimiser (Adam or SGD), its learning-rate schedule, and the regularisation (docs/hm2bp.md section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from ..backend import OptimiserStep
from ..config import Meta, Settings, Share
from .layers.per_layer import PerLayerOrZero, at_layer


@dataclass(frozen=True)
class RegularisationSettings(Settings):
    """λ β (w/scale) exp(β (mean_j (w_ij/scale)² − 1)), added once a batch.

    Attributes
    ----------
    strength
        λ: one value for all layers, or a list with one for each hidden layer and then the output. The published λ is
        10 for one update per sample; see benchmarks/RESULTS.md for how the default was found.
    steepness
        β.
    scale
        What weights are divided by.
    """

    owner: ClassVar[str] = "optim.regularisation"

    strength: PerLayerOrZero = 0.2
    steepness: Annotated[float, Meta(ge=0, le=100)] = 0.04
    scale: Annotated[float, Meta(ge=1e-3, le=1e6)] = 8.0


@dataclass(frozen=True)
class OptimiserSettings(Settings):
    """Adam or SGD, and how the learning rate falls over the epochs.

    Attributes
    ----------
    kind
        "adam" (Kingma & Ba 2015, bias-corrected), or "sgd": gradient descent, whose momentum is `beta1`.
    rate
        Learning rate of the first epoch.
    schedule
        "inverse-sqrt": rate / √max(1, epoch), epochs from 0, as published; "cosine": to 0 at the last epoch, a batch
        at a time; "constant".
    beta1
        Adam's decay rate of the first moment; of "sgd" the momentum.
    beta2
        Adam's decay rate of the second moment.
    epsilon
        Added to the root of Adam's second moment.
    regularisation
        The exponential regularisation.
    """

    owner: ClassVar[str] = "optim"

    kind: Literal["adam", "sgd"] = "adam"
    rate: Annotated[float, Meta(gt=0, le=10)] = 0.01
    schedule: Literal["inverse-sqrt", "cosine", "constant"] = "cosine"
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Annotated[float, Meta(gt=0, le=1)] = 1e-8
    regularisation: RegularisationSettings = field(default_factory=RegularisationSettings)

    def rate_at(self, progress: float, epochs: int) -> float:
        """Return the learning rate `progress` epochs (a fraction) into a run of `epochs`."""
        if self.schedule == "inverse-sqrt":
            return self.rate / math.sqrt(max(1, int(progress)))
        if self.schedule == "cosine":
            return self.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress / epochs)))
        return self.rate

    def step(self, number: int, layer: int, rate: float) -> OptimiserStep:
        """Return update `number` (from 1) of a layer's arrays, at a learning rate."""
        reg = self.regularisation
        return OptimiserStep(
            self.kind,
            rate,
            number,
            self.beta1,
            self.beta2,
            self.epsilon,
            at_layer(reg.strength, layer),
            reg.steepness,
            reg.scale,
        )
