"""Backends on the CPU: `reference` (NumPy float64, the truth) and `compiled` (Numba, the default)."""
