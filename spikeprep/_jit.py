"""How Numba compiles kernels here: one set of options, cached on disk, and functions to be inlined into kernels."""

from __future__ import annotations

import numba as nb

jit = nb.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)
"""Without the interpreter's lock, cached on disk, indices unchecked, divisions as in NumPy."""

inline = nb.njit(nogil=True, error_model="numpy", boundscheck=False, inline="always")
"""For small functions that become part of the kernel that calls them."""
