"""The CUDA backend: kernels in CUDA C++, launched through CuPy on arrays of the device."""
