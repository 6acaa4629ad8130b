"""Run a NIR file in the frameworks that import it."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .libraries import needs
from .nir_graph import DT

Spikes = NDArray[np.bool_]


def installed_frameworks() -> list[str]:
    """Return the names of the frameworks that are installed, of those that `run_imported` knows."""
    return [name for name in FRAMEWORKS if importlib.util.find_spec(name) is not None]


def framework_version(name: str) -> str:
    """Return the version of an installed framework."""
    return metadata.version(name)


def run_imported(framework: str, file: bytes, spikes: Spikes, dt: float = DT) -> Spikes:
    """Return the output spikes bool (sample, time, class) of a NIR file in a framework.

    Parameters
    ----------
    framework
        A name of `FRAMEWORKS`.
    file
        The NIR file.
    spikes
        The input, bool (sample, time, unit), in C order over the shape of the graph's input.
    dt
        Seconds per step that the file's time constants were made for.

    Raises
    ------
    CapabilityError
        nir or torch is not installed.
    Exception
        Whatever the framework raises where it cannot import the file.
    """
    with needs("torch"):
        import torch
    with needs("nir"):
        import nir
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # snnTorch prints
        warnings.simplefilter("ignore")  # of the frameworks: deprecated functions of torch and nirtorch
        graph = nir.read(io.BytesIO(file))
        shape = tuple(int(n) for n in graph.nodes["input"].output_type["output"])
        step = FRAMEWORKS[framework](graph, dt)
        samples, steps = spikes.shape[:2]
        inputs = torch.from_numpy(np.ascontiguousarray(spikes.transpose(1, 0, 2)))
        state, outputs = None, []
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # of steps this small, several threads take up to twenty times as long
        try:
            with torch.inference_mode():
                for t in range(steps):
                    output, state = step(inputs[t].float().reshape(samples, *shape), state)
                    outputs.append(output.numpy() > 0)
        finally:
            torch.set_num_threads(threads)
    return np.stack(outputs, axis=1)


def _snntorch(graph: Any, dt: float) -> Callable[[Any, Any], Any]:
    """Import with snnTorch, which knows no other step than 1e-4 s: time constants of another dt are refused by it."""
    from snntorch.import_nir import import_from_nir

    imported: Callable[[Any, Any], Any] = import_from_nir(graph)
    return imported


def _norse(graph: Any, dt: float) -> Callable[[Any, Any], Any]:
    """Import with Norse, whose own default step is 1e-3 s."""
    import norse.torch

    imported: Callable[[Any, Any], Any] = norse.torch.from_nir(graph, dt=dt)
    return imported


def _spikingjelly(graph: Any, dt: float) -> Callable[[Any, Any], Any]:
    """Import with SpikingJelly, which has no sum pooling: torch's own then stands in for it."""
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    imported: Callable[[Any, Any], Any] = import_from_nir(graph, dt=dt)
    return imported


FRAMEWORKS: Mapping[str, Callable[[Any, float], Callable[[Any, Any], Any]]] = {
    "snntorch": _snntorch,
    "norse": _norse,
    "spikingjelly": _spikingjelly,
}
"""Name → function from a `nir.NIRGraph` and seconds per step to a step: (input, state) → (output, state)."""
