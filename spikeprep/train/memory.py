"""Memory that a network and its batches take, counted before it is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

from ..backend import Backend, LayerRule, LinearMap
from ..composition import trained_arrays
from ..errors import CapabilityError
from ..system import available_memory

_COPIES = 7  # of the weights: themselves, two moments and the gradient, and three while a checkpoint is saved


def check_network(rule: LayerRule, layers: Sequence[LinearMap], itemsize: int) -> None:
    """Raise `CapabilityError` where a network's arrays, moments, gradients and checkpoint exceed the free memory."""
    weights = sum(prod(spec.shape) for layer in layers for spec in trained_arrays(rule, layer).values())
    needed, free = _COPIES * itemsize * weights, available_memory()
    if needed > free:
        raise CapabilityError(
            f"a network of {weights:,} weights needs {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are available",
            "a network that fits",
            "Use a smaller arch.",
        )


def check_batch(
    backend: Backend, layers: Sequence[LinearMap], samples: int, steps: int, host_bytes: int = 0
) -> None:
    """Raise `CapabilityError` where a batch does not fit.

    Parameters
    ----------
    backend, layers
        What computes it, and the network.
    samples, steps
        Of the largest batch: its samples, each padded to so many steps.
    host_bytes
        What reading batches takes beside it.
    """
    needed, free = backend.batch_bytes(_units(layers), samples, steps), backend.free_memory()
    if needed > free:
        raise _too_large("batches", samples, steps, needed, free)
    if host_bytes > available_memory():
        raise _too_large("reading batches", samples, steps, host_bytes, available_memory())


def affordable_batch(backend: Backend, layers: Sequence[LinearMap], samples: int, steps: int) -> int:
    """Return the largest of `samples`, a half of it, a quarter, … whose batch fits; `CapabilityError` if none does."""
    free = backend.free_memory()
    while samples > 1 and backend.batch_bytes(_units(layers), samples, steps) > free:
        samples //= 2
    check_batch(backend, layers, samples, steps)
    return samples


@contextmanager
def memory_errors(hint: str) -> Iterator[None]:
    """Turn a failed allocation, on the host or on a GPU, into a `CapabilityError` with a hint what to lower."""
    try:
        yield
    except MemoryError as error:  # CuPy's OutOfMemoryError is one too
        raise CapabilityError(f"out of memory ({str(error) or 'host'})", "", hint) from error
    except RuntimeError as error:
        # CUDA's own, of page-locked memory and of kernels; CuPy is not imported for its class
        if type(error).__name__ != "CUDARuntimeError" or "MemoryAllocation" not in str(error):
            raise
        raise CapabilityError(f"out of memory ({error})", "", hint) from error


def _units(layers: Sequence[LinearMap]) -> list[int]:
    return [prod(layers[0].in_shape), *(prod(layer.out_shape) for layer in layers)]


def _too_large(what: str, samples: int, steps: int, needed: int, free: int) -> CapabilityError:
    return CapabilityError(
        f"{what} of {samples} samples of {steps:,} steps needs {needed / 1e9:,.1f} GB, "
        f"{free / 1e9:,.1f} GB are available",
        "batches that fit",
        "Lower batch." if samples > 1 else "Use a smaller arch, or encode shorter samples.",
    )
