"""The optimiser's settings, its learning-rate schedule, and the regularisation (docs/hm2bp.md section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from ..backend import UpdateRule


@dataclass(frozen=True)
class RegularisationParams:
    """λ β (w/scale) exp(β (mean_j (w_ij/scale)² − 1)), added once a batch.

    The published λ is 10 for one update a sample; see benchmarks/RESULTS.md for how the default was found.
    """

    strength: float = 0.2
    steepness: float = 0.04
    scale: float = 8.0


@dataclass(frozen=True)
class OptimParams:
    """Adam or SGD (`beta1` is then the momentum), and how the rate falls over the epochs.

    Attributes
    ----------
    rate
        Learning rate of the first epoch.
    schedule
        "inverse-sqrt": rate / √max(1, epoch), epochs from 0, as published; "cosine": to 0 at the last epoch, a batch
        at a time; "constant".
    """

    kind: Literal["adam", "sgd"] = "adam"
    rate: float = 0.01
    schedule: Literal["inverse-sqrt", "cosine", "constant"] = "cosine"
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    regularisation: RegularisationParams = field(default_factory=RegularisationParams)

    def rule(self, step: int, progress: float, epochs: int) -> UpdateRule:
        """Return update number `step` (from 1), `progress` epochs (a fraction) into a run of `epochs`."""
        rate = self.rate
        if self.schedule == "inverse-sqrt":
            rate /= math.sqrt(max(1, int(progress)))
        elif self.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * min(1.0, progress / epochs)))
        reg = self.regularisation
        return UpdateRule(
            self.kind,
            rate,
            step,
            self.beta1,
            self.beta2,
            self.epsilon,
            reg.strength,
            reg.steepness,
            reg.scale,
        )
