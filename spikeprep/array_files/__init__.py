"""Arrays in files: NumPy's .npy and .npz, and HDF5. The one place that decodes them, for events, spikes and series.

Headers are compared with lengths before anything is allocated, Python objects are never read, and nothing leads to
other files.
"""
