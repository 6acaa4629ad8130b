"""Choose a backend, once, at the top: nothing below knows which one it is."""

from __future__ import annotations

from typing import Literal

from .errors import CapabilityError
from .ops import Ops


def select_ops(
    device: Literal["auto", "cpu", "cuda"] = "auto", precision: str = "float32", threads: int | None = None
) -> Ops:
    """Return the backend for `device`; its library is imported only here.

    Parameters
    ----------
    device
        "cpu": Numba on all cores; "auto": the fastest that this version and this machine have.
    precision
        "float32" or "float64".
    threads
        Cores for the CPU backend; default all that the process may use. Results do not depend on it.

    Raises
    ------
    CapabilityError
        The device is not to be had.
    """
    if device == "cuda":
        raise CapabilityError(
            "got --device cuda", "cpu: this version trains on the CPU", "Use --device auto."
        )
    from .cpu.compiled import CompiledOps

    return CompiledOps(precision, threads)
