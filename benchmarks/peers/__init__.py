"""BPTT peers of one spiking network: milliseconds per sample to train and to infer, on the CPU.

Every peer gets the same task: leaky integrate-and-fire layers, by default ``784-800-10``, 400 steps, batches of binary
input at a given density, rate readout (spike counts), cross-entropy, surrogate-gradient backpropagation through time
and one Adam step per batch. Convolutions are torch's; a pool sums its window. Peers run at their best: all cores, or
for torch one thread where that is faster, denormals flushed, the sequence given to their connections at once where the
library's own modules do so, compiled where it compiles.

Run alone (``python -m benchmarks.peers --help``) or from another benchmark in the same process::

    for name in available():
        print(measure(name, Task()))

``python -m benchmarks.peers --page`` compares all of them with spikeprep on three tasks (`page`), each in a process of
its own: torch and JAX disturb each other in one.
"""

from __future__ import annotations

import importlib
import importlib.metadata

from spikeprep import __version__

from . import spyx_network, torch_networks
from .task import Task, Timing, Works, dense
from .torch_networks import BUILDERS, connections

__all__ = [
    "BUILDERS",
    "Task",
    "Timing",
    "available",
    "connections",
    "dense",
    "installed",
    "measure",
    "version",
    "works",
]

MODULES = {
    "spikingjelly": ("torch", "spikingjelly.activation_based"),
    "snntorch": ("torch", "snntorch"),
    "norse": ("torch", "norse.torch"),
    "spyx": ("jax", "optax", "spyx.nn"),
}


def importable(name: str) -> bool:
    """Whether a peer can be imported; this imports it."""
    try:
        for module in MODULES[name]:
            importlib.import_module(module)
    except ImportError:
        return False
    return True


def installed(name: str) -> bool:
    """Whether a peer's package is installed; nothing is imported."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def available() -> list[str]:
    """Return the names of the PyTorch peers that are installed; none without torch."""
    return [name for name in BUILDERS if importable(name)]


def works(name: str, task: Task) -> Works:
    """Return a library's network for a task, with its input; `name` may be spikeprep's."""
    if name == "spikeprep":
        from . import ours  # whose kernels a peer's process does not need

        return ours.works(task)
    return spyx_network.works(task) if name == "spyx" else torch_networks.works(name, task)


def version(name: str) -> str:
    """Return the version of a library."""
    return __version__ if name == "spikeprep" else importlib.metadata.version(name)


def measure(name: str, task: Task) -> Timing:
    """Train and infer `task.batches` batches after those that warm up; `name` may be spikeprep's."""
    return works(name, task).timing(name, version(name), task)
