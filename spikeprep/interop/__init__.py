"""Spikes in other libraries: `torch`, `jax`, `xarray` and `tonic`.

Each module needs the library that it is named after, but for `tonic`: that library's data are NumPy arrays.
"""
