"""Encoders: signals → spikes. ``from spikeprep.encoders import Poisson`` imports only the module of that class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Chain, Description, Encoder, Transform

if TYPE_CHECKING:
    from .bsa import BSA
    from .dvs import DVS
    from .poisson import Poisson

__all__ = ["BSA", "DVS", "Chain", "Description", "Encoder", "Poisson", "Transform"]

_NAMES = {"BSA": "bsa", "DVS": "dvs", "Poisson": "poisson"}


def __getattr__(name: str) -> Any:
    # numba is slow to import: an encoder's module is imported when its class is first used
    from ..registry import ENCODERS

    if name in _NAMES:
        return ENCODERS.get(_NAMES[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
