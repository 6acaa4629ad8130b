"""How every kernel of the backend is compiled: without the GIL, cached, indices unchecked, divisions as in NumPy."""

from __future__ import annotations

import numba as nb

jit = nb.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)
inline = nb.njit(nogil=True, error_model="numpy", boundscheck=False, inline="always")
