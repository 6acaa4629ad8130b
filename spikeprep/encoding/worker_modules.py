"""What a process that encodes loads first, for the one that a local cluster's workers are forked from: import it there.

Numba readies itself when it loads its first kernel, which takes half a second of every process.
"""

from __future__ import annotations

from .._jit import jit
from . import run as run


@jit
def _first_kernel() -> int:
    return 0


_first_kernel()
