"""A trained network as named arrays: one .npz, or one file of `torch.save`. docs/export.md describes the format."""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .libraries import needs
from .network import TrainedNetwork

FORMAT = 1
"""Version of the format, `description`'s key ``format``."""


def network_arrays(network: TrainedNetwork) -> dict[str, NDArray[Any]]:
    """Return the arrays of a network by name.

    ``layer0.weight`` and what else is trained, of the run's precision; ``layer0.neuron.threshold`` and the other
    constants of a layer's neurons as numbers (0-d), or (post,) where neurons differ; ``layer0.lateral``.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for n, layer in enumerate(network.layers):
        arrays |= {f"layer{n}.{name}": array for name, array in layer.arrays.items()}
        arrays |= {f"layer{n}.neuron.{name}": np.asarray(value) for name, value in layer.neuron.items()}
        arrays[f"layer{n}.lateral"] = np.asarray(layer.lateral)
    return arrays


def description(network: TrainedNetwork) -> str:
    """Return what the arrays are, as JSON: `TrainedNetwork.describe` with the key ``format``."""
    return json.dumps({"format": FORMAT, **network.describe()}, ensure_ascii=False)


def write_npz(network: TrainedNetwork, file: IO[bytes]) -> None:
    """Write a network's arrays and its description to an open .npz, readable without pickle."""
    np.savez(
        file, allow_pickle=False, description=np.asarray(description(network)), **network_arrays(network)
    )


def write_torch(network: TrainedNetwork, file: IO[bytes]) -> None:
    """Write ``{"state_dict": tensors by name, "description": JSON}``, readable with ``weights_only=True``.

    Raises
    ------
    CapabilityError
        torch is not installed.
    """
    with needs("torch"):
        import torch
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in network_arrays(network).items()}
    torch.save({"state_dict": tensors, "description": description(network)}, file)
