"""Encoders: signals → spikes. ``from spikeprep.encoders import Poisson`` imports only the module of that class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Chain, Description, Encoder, Transform

if TYPE_CHECKING:
    from .bsa import BSA
    from .burst import Burst
    from .delta import Delta
    from .dvs import DVS
    from .gaussian_receptive_fields import GaussianReceptiveFields
    from .hsa import HSA
    from .latency import Latency
    from .lif import LIF
    from .moving_window import MovingWindow
    from .phase import Phase
    from .poisson import Poisson
    from .pulse_width import PulseWidth
    from .rank_order import RankOrder
    from .sigma_delta import SigmaDelta
    from .step_forward import StepForward
    from .zero_crossing_step_forward import ZeroCrossingStepForward

__all__ = [
    "BSA",
    "DVS",
    "HSA",
    "LIF",
    "Burst",
    "Chain",
    "Delta",
    "Description",
    "Encoder",
    "GaussianReceptiveFields",
    "Latency",
    "MovingWindow",
    "Phase",
    "Poisson",
    "PulseWidth",
    "RankOrder",
    "SigmaDelta",
    "StepForward",
    "Transform",
    "ZeroCrossingStepForward",
]

_NAMES = {
    "BSA": "bsa",
    "Burst": "burst",
    "Delta": "delta",
    "DVS": "dvs",
    "GaussianReceptiveFields": "gaussian_receptive_fields",
    "HSA": "hsa",
    "Latency": "latency",
    "LIF": "lif",
    "MovingWindow": "moving_window",
    "Phase": "phase",
    "Poisson": "poisson",
    "PulseWidth": "pulse_width",
    "RankOrder": "rank_order",
    "SigmaDelta": "sigma_delta",
    "StepForward": "step_forward",
    "ZeroCrossingStepForward": "zero_crossing_step_forward",
}


def __getattr__(name: str) -> Any:
    # numba is slow to import: an encoder's module is imported when its class is first used
    from ..registry import ENCODERS

    if name in _NAMES:
        return ENCODERS.get(_NAMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
