"""Encoder plugins: signals → spikes. ``from spikeprep.encoders import Poisson`` loads only what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Chain, Encoder, Transform

if TYPE_CHECKING:
    from .bsa import BSA
    from .dvs import DVS
    from .poisson import Poisson

__all__ = ["BSA", "DVS", "Chain", "Encoder", "Poisson", "Transform"]


def __getattr__(name: str) -> Any:
    # numba is slow to import: a plugin's module is loaded when its class is first asked for
    from ..registry import ENCODERS

    if name in __all__:
        return ENCODERS.get(name.lower())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
