"""Encoders: signals → spikes. ``from spikeprep.encoders import Poisson`` imports only the module of that class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Chain, Description, Encoder, Transform

if TYPE_CHECKING:
    from .bsa import BSA
    from .burst import Burst
    from .dvs import DVS
    from .gaussian_receptive_fields import GaussianReceptiveFields
    from .latency import Latency
    from .phase import Phase
    from .poisson import Poisson
    from .rank_order import RankOrder

__all__ = [
    "BSA",
    "DVS",
    "Burst",
    "Chain",
    "Description",
    "Encoder",
    "GaussianReceptiveFields",
    "Latency",
    "Phase",
    "Poisson",
    "RankOrder",
    "Transform",
]

_NAMES = {
    "BSA": "bsa",
    "Burst": "burst",
    "DVS": "dvs",
    "GaussianReceptiveFields": "gaussian_receptive_fields",
    "Latency": "latency",
    "Phase": "phase",
    "Poisson": "poisson",
    "RankOrder": "rank_order",
}


def __getattr__(name: str) -> Any:
    # numba is slow to import: an encoder's module is imported when its class is first used
    from ..registry import ENCODERS

    if name in _NAMES:
        return ENCODERS.get(_NAMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
