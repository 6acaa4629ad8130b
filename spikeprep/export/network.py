"""What a network of a run consists of, for every format that it is exported to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..composition import synapses
from ..data import Hm2bpConstants, Lee2016Constants
from ..trace_gradient import THRESHOLD
from ..train.layers import LayerKind
from ..train.run_config import RunConfig
from ..train.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """One layer of a trained network.

    Attributes
    ----------
    kind
        The layer with its shapes.
    arrays
        Its trained arrays by name, of the run's precision.
    neuron
        Constants of its neurons by name, as the forward pass uses them: numbers, or an array (post,).
    lateral
        Strength of the lateral inhibition among its neurons.
    """

    kind: LayerKind
    arrays: Mapping[str, NDArray[Any]]
    neuron: Mapping[str, Any]
    lateral: float

    def describe(self) -> dict[str, Any]:
        """Return kind, shapes and connection, JSON-ready; arrays are not in it."""
        own = {f.name: getattr(self.kind, f.name) for f in fields(self.kind) if f.name != "in_shape"}
        numbers = {key: value for key, value in self.neuron.items() if np.ndim(value) == 0}
        return {
            "kind": self.kind.name,
            "in_shape": list(self.kind.in_shape),
            "out_shape": list(self.kind.out_shape),
            "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in own.items()},
            "neuron": numbers,
            "lateral": self.lateral,
        }


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The network of a run's best epoch.

    Attributes
    ----------
    config
        The configuration of its run.
    layers
        Its layers, input side first.
    """

    config: RunConfig
    layers: tuple[TrainedLayer, ...]

    @classmethod
    def of(cls, folder: RunFolder) -> TrainedNetwork:
        """Read the network of a run; raises `RunError` where it has no finished epoch, or is damaged."""
        config = folder.config()
        arrays, kinds, rule = folder.load_best(config), config.layers(), config.settings.rule
        layers = []
        for n, kind in enumerate(kinds):
            prefix = f"layer{n}."
            own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            neuron, lateral = _neuron(kind, own, rule.constants(n, len(kinds)))
            layers.append(TrainedLayer(kind, own, neuron, lateral))
        return cls(config, tuple(layers))

    @property
    def name(self) -> str:
        """The layers in one word, input and output included: ``"784-800-10"``."""
        return f"{self.config.units}-{self.config.settings.arch}-{len(self.config.classes)}"

    def describe(self) -> dict[str, Any]:
        """Return what the network is, JSON-ready: `layers` (see `TrainedLayer.describe`), classes, input, settings."""
        config = self.config
        return {
            "network": self.name,
            "rule": config.settings.rule.name,
            "unit_shape": list(config.unit_shape),
            "classes": list(config.classes),
            "dt": config.encoding.get("dt"),
            "encoding": config.encoding,
            "run_id": config.run_id,
            "spikeprep": config.version,
            "settings": config.settings.to_json(),
            "layers": [layer.describe() for layer in self.layers],
        }


def _neuron(
    kind: LayerKind, arrays: Mapping[str, NDArray[Any]], constants: Any
) -> tuple[dict[str, Any], float]:
    """Return the constants of a layer's neurons by name, and its lateral inhibition."""
    if isinstance(constants, Hm2bpConstants):
        return asdict(constants.neuron_of(kind)), constants.lateral
    if isinstance(constants, Lee2016Constants):  # arrays: thresholds are trained
        neuron = asdict(constants.neuron)
        lateral = neuron.pop("lateral")
        return {"threshold": _soft_thresholds(kind, arrays)} | neuron, lateral
    # a rule of another package: what its constants are is its own affair
    numbers = asdict(constants) if is_dataclass(constants) and not isinstance(constants, type) else {}
    return {k: v for k, v in numbers.items() if isinstance(v, int | float)}, 0.0


def _soft_thresholds(kind: LayerKind, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the thresholds (post,) of the rule of Lee et al. 2016, as `spikeprep.trace_gradient` computes them."""
    if THRESHOLD not in arrays:  # a pool: as many spikes as it has synapses
        return np.full(kind.units, kind.transpose(np, {}, np.ones((1, kind.units))).sum() / kind.units)
    trained = arrays[THRESHOLD].reshape(-1)
    lowest = trained.dtype.type((3 / synapses(kind)) ** 0.5)
    return np.asarray(np.maximum(trained, lowest))
