"""The CuPy backend: kernels in CUDA C++, launched on arrays of the device."""
