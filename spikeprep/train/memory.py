"""Memory that a network and its batches take, counted before it is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from ..backend import Backend, LinearMap
from ..errors import CapabilityError
from ..system import available_memory
from ..text import format_bytes, table
from .layers import LayerKind
from .settings import TrainSettings

_COPIES = 7  # of the weights: themselves, two moments and the gradient, and three while a checkpoint is saved


@dataclass(frozen=True)
class LayerSize:
    """One layer: its notation in `arch` and kind, shape of its neurons, trained numbers, and what to know of it."""

    notation: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    remark: str

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return prod(self.shape)


@dataclass(frozen=True)
class NetworkSize:
    """A network and its batches, counted.

    Attributes
    ----------
    unit_shape
        Shape of the input's units.
    layers
        The layers, input side first, the output last.
    samples, steps
        Of the largest batch: its samples, each padded to so many steps.
    network_bytes
        Weights, moments, gradients, and a checkpoint while it is saved.
    batch_bytes
        What training on a batch takes beside it, at least.
    available_bytes
        What is free where the network is computed.
    """

    unit_shape: tuple[int, ...]
    layers: tuple[LayerSize, ...]
    samples: int
    steps: int
    network_bytes: int
    batch_bytes: int
    available_bytes: int

    @property
    def weights(self) -> int:
        """Number of trained numbers."""
        return sum(layer.weights for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        layers = [asdict(layer) | {"neurons": layer.neurons} for layer in self.layers]
        return asdict(self) | {"layers": layers, "weights": self.weights}

    def lines(self) -> list[str]:
        """Return it for a person."""
        rows = [("layer", "kind", "shape", "neurons", "weights", "")]
        for layer in self.layers:
            shape = " × ".join(map(str, layer.shape)) if len(layer.shape) > 1 else ""
            numbers = f"{layer.neurons:,}", f"{layer.weights:,}"
            rows.append((layer.notation, layer.kind, shape, *numbers, layer.remark))
        total = (
            f"{self.weights:,} weights behind {' × '.join(map(str, self.unit_shape))} units: "
            f"{format_bytes(self.network_bytes)}, batches of {self.samples} samples of {self.steps:,} steps "
            f"{format_bytes(self.batch_bytes)}, {format_bytes(self.available_bytes)} available"
        )
        return [*table(rows, "llrrrl").split("\n"), total]


def network_size(
    backend: Backend,
    settings: TrainSettings,
    layers: Sequence[LayerKind],
    samples: int,
    steps: int,
) -> NetworkSize:
    """Return the size of the network of some settings on batches of `samples`, each padded to `steps`."""
    notations = [*settings.arch.split("-"), str(layers[-1].units)]
    sizes = [
        LayerSize(text, layer.name, layer.out_shape, _weights([layer]), layer.remark())
        for text, layer in zip(notations, layers, strict=True)
    ]
    return NetworkSize(
        layers[0].in_shape,
        tuple(sizes),
        samples,
        steps,
        _network_bytes(layers, backend.dtype.itemsize),
        batch_bytes(backend, settings.rule.name, layers, samples, steps),
        backend.free_memory(),
    )


def batch_bytes(backend: Backend, rule: str, layers: Sequence[LinearMap], samples: int, steps: int) -> int:
    """Return what training on a batch takes at least, beside the network.

    Layers that the backend composes under the rule need their spikes and gates as real numbers, one layer at a time.
    """
    units = [prod(layers[0].in_shape), *(prod(layer.out_shape) for layer in layers)]
    composed = [
        prod(layer.in_shape) + 3 * prod(layer.out_shape)
        for layer in layers
        if (rule, layer.name) not in backend.fused
    ]
    real = backend.dtype.itemsize * samples * steps * max(composed, default=0)
    return backend.batch_bytes(units, samples, steps) + real


def check_network(layers: Sequence[LinearMap], itemsize: int) -> None:
    """Raise `CapabilityError` where a network's arrays, moments, gradients and checkpoint exceed the free memory."""
    needed, free = _network_bytes(layers, itemsize), available_memory()
    if needed > free:
        raise CapabilityError(
            f"a network of {_weights(layers):,} weights needs {needed / 1e9:,.1f} GB, "
            f"{free / 1e9:,.1f} GB are available",
            "a network that fits",
            "Use a smaller arch.",
        )


def check_batch(
    backend: Backend, rule: str, layers: Sequence[LinearMap], samples: int, steps: int, host_bytes: int = 0
) -> None:
    """Raise `CapabilityError` where a batch does not fit.

    Parameters
    ----------
    backend, rule, layers
        What computes it, name of the learning rule, and the network.
    samples, steps
        Of the largest batch: its samples, each padded to so many steps.
    host_bytes
        What reading batches takes beside it.
    """
    needed, free = batch_bytes(backend, rule, layers, samples, steps), backend.free_memory()
    if needed > free:
        raise _too_large("batches", samples, steps, needed, free)
    if host_bytes > available_memory():
        raise _too_large("reading batches", samples, steps, host_bytes, available_memory())


def affordable_batch(
    backend: Backend, rule: str, layers: Sequence[LinearMap], samples: int, steps: int
) -> int:
    """Return the largest of `samples`, a half of it, a quarter, … whose batch fits; `CapabilityError` if none does."""
    free = backend.free_memory()
    while samples > 1 and batch_bytes(backend, rule, layers, samples, steps) > free:
        samples //= 2
    check_batch(backend, rule, layers, samples, steps)
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


def _weights(layers: Sequence[LinearMap]) -> int:
    return sum(prod(spec.shape) for layer in layers for spec in layer.specs().values())


def _network_bytes(layers: Sequence[LinearMap], itemsize: int) -> int:
    return _COPIES * itemsize * _weights(layers)


def _too_large(what: str, samples: int, steps: int, needed: int, free: int) -> CapabilityError:
    return CapabilityError(
        f"{what} of {samples} samples of {steps:,} steps needs {needed / 1e9:,.1f} GB, "
        f"{free / 1e9:,.1f} GB are available",
        "batches that fit",
        "Lower batch." if samples > 1 else "Use a smaller arch, or encode shorter samples.",
    )
