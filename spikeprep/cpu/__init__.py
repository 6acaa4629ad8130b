"""The compiled backend: Numba kernels on all cores."""
