"""Dropout (Srivastava et al. 2014): while training, a random share of a layer's inputs is silent in each sample.

Whether a unit of a network's input or hidden layers, counted through, is kept in a sample depends on the sample's key
alone (`Backend.kept`): not on the batch that it is in, the number of ranks or the backend. Keys are drawn anew in each
epoch. No error goes back to a dropped neuron, so that it does not learn either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import Array, Backend, LinearMap, ParameterState
from ..errors import UsageError
from ..random import generator
from .layers.per_layer import at_layer

_SCALED = "weight"


def dropout_keys(seed: int, epoch: int, samples: int) -> NDArray[np.uint64]:
    """Return the key of each sample of a split in an epoch, uint64 (sample,)."""
    return generator(seed, "dropout", epoch).integers(0, 2**64, samples, np.uint64)


def check_dropout(layers: Sequence[LinearMap], dropout: float | Sequence[float]) -> None:
    """Raise `UsageError` where inputs of a layer without weights would be dropped: nothing can make up for them."""
    fitting = [at_layer(dropout, n) if _SCALED in layer.specs() else 0 for n, layer in enumerate(layers)]
    for n, layer in enumerate(layers):
        if at_layer(dropout, n) and _SCALED not in layer.specs():
            raise UsageError(
                f"got dropout {at_layer(dropout, n)} of the inputs of layer {n + 1}, a {layer.name} layer",
                "0 where a layer has no weights",
                f"Use dropout=[{','.join(f'{value:g}' for value in fitting)}].",
            )


def kept_inputs(
    backend: Backend, layers: Sequence[LinearMap], dropout: float | Sequence[float], keys: Array
) -> list[Array | None]:
    """Return which inputs of each layer are kept, bool (sample, unit); None: all of them."""
    units = [prod(layer.in_shape) for layer in layers]
    return [
        backend.kept(keys, first, count, at_layer(dropout, n)) if at_layer(dropout, n) else None
        for n, (first, count) in enumerate(zip(accumulate(units, initial=0), units, strict=False))
    ]


def states_without_dropout(
    states: Sequence[Mapping[str, ParameterState]], dropout: float | Sequence[float]
) -> list[dict[str, ParameterState]]:
    """Return the arrays of the network to use, whose layers get all inputs: weights are scaled by the share kept."""
    return [
        {
            name: ParameterState.fresh(_scaled(state.value, 1 - at_layer(dropout, n)))
            if name == _SCALED
            else state
            for name, state in arrays.items()
        }
        for n, arrays in enumerate(states)
    ]


def _scaled(weight: NDArray[Any], share: float) -> NDArray[Any]:
    return np.asarray(weight * weight.dtype.type(share))
