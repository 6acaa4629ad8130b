"""A trained network as a NIR graph (Pedersen et al. 2024, Nature Communications 15:8122), and what NIR cannot say.

A neuron of HM2-BP (docs/hm2bp.md section 1), in steps: p ← p (1 − 1/τs) + Σ w S, v ← v (1 − 1/τm) + p/τs, a spike and
v ← 0 where v > ν − slack. NIR's `CubaLIF` is τ_syn İ = −I + w_in S, τ_mem v̇ = v_leak − v + r I. Forward Euler with the
step dt, the current first, makes it I ← I (1 − dt/τ_syn) + w_in dt/τ_syn S and v ← v (1 − dt/τ_mem) + r dt/τ_mem I.
With

    τ_syn = τs dt,  τ_mem = τm dt,  w_in = τs,  r = τm,  v_threshold = τs (ν − slack),  v_leak = v_reset = 0

I is p and v is τs times ours: the same spikes. Importers that allow no other `w_in` and `r` (SpikingJelly, and
snnTorch's r) take these; a power of two for τs keeps the scaling exact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any

import numpy as np

from ..errors import UsageError
from ..train.layers import LayerKind
from ..train.layers.conv import Conv
from ..train.layers.dense import Dense
from ..train.layers.pool import Pool
from ..train.layers.spatial import Spatial
from .libraries import needs
from .network import TrainedLayer, TrainedNetwork

DT = 1e-4
"""Seconds per step in which NIR's importers count: snnTorch's knows no other, SpikingJelly's has it as its default."""

METADATA = "spikeprep"
"""Key of the graph's metadata: a JSON document, see `nir_metadata`."""


@dataclass(frozen=True)
class Omission:
    """Something of a network that a format cannot say.

    Attributes
    ----------
    what
        Its name.
    setting, value
        The setting of training, and what the network has.
    effect
        What an importing framework does instead.
    """

    what: str
    setting: str
    value: float
    effect: str

    def to_json(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {"what": self.what, "setting": self.setting, "value": self.value, "effect": self.effect}

    def __str__(self) -> str:
        return f"{self.what} ({self.setting}={self.value:g}): {self.effect}"


def nir_omissions(network: TrainedNetwork) -> list[Omission]:
    """Return what a NIR graph of a network leaves out.

    Raises
    ------
    UsageError
        NIR has no node for the neurons of the learning rule, or for a layer kind; the message says what would be lost.
    """
    rule = network.config.settings.rule.name
    if rule != "hm2bp":
        soft = "its neurons lose their threshold when they fire, and NIR's are reset to a value"
        more = ", its refractory time that grows weights with (steps since the spike)², and its lateral inhibition"
        raise UsageError(
            f"NIR cannot say the neurons of the learning rule {rule}: "
            + (f"{soft}{more}" if rule == "lee2016" else "it has no node that is known to compute them"),
            "a network of the rule hm2bp",
            "Use to=npz or to=torch, which hold every array and constant.",
        )
    for layer in network.layers:
        if type(layer.kind) not in _CONNECTIONS:
            raise UsageError(
                f"NIR cannot say the layer kind {layer.kind.name}",
                f"layers of the kinds {', '.join(sorted(kind.name for kind in _CONNECTIONS))}",
                "Use to=npz or to=torch, which hold every array and constant.",
            )
    held = int(network.layers[0].neuron["refractory"])
    omissions = [
        Omission(
            "refractory period",
            "neuron.refractory",
            held,
            f"after a spike a membrane is at 0 for {held} step{'s' * (held > 1)} here; in NIR it integrates at once",
        )
    ]
    if lateral := network.layers[-1].lateral:
        effect = "a spike of an output neuron inhibits the others here; in NIR output neurons are independent"
        omissions.append(Omission("lateral inhibition", "lateral", lateral, effect))
    return omissions


def nir_metadata(network: TrainedNetwork, dt: float) -> dict[str, Any]:
    """Return the graph's metadata: network, time step, order of input and output, omissions."""
    first, delay = network.layers[0].kind, len(network.layers)
    last = isinstance(first, Spatial) and first.channels == "last"
    described = network.describe()
    return {
        "format": 1,
        **{
            key: described[key] for key in ("network", "rule", "classes", "unit_shape", "spikeprep", "run_id")
        },
        "seconds_per_step": described["dt"],
        "nir_dt": dt,
        "input": ["channel", "row", "column"] if isinstance(first, Spatial) else ["unit"],
        "stored_units": "channels last" if last else "as in unit_shape, C order",
        "steps_ahead": delay,
        "timing": f"A spike reaches the next layer in the same step, here one step later: the output of step t is "
        f"spikeprep's of step t + {delay}. Present a sample of T steps for its first T - {delay} steps.",
        "prediction": "class of the output neuron with most spikes, the first of equals",
        "omissions": [omission.to_json() for omission in nir_omissions(network)],
    }


def nir_graph(network: TrainedNetwork, dt: float = DT) -> Any:
    """Return the network as a `nir.NIRGraph`.

    Nodes are ``input``, then for each layer n, from 0, its connection (``dense0``, ``conv0``, ``pool0``; ``flatten0``
    ahead of the first dense one behind a grid) and its neurons (``neurons0``), then ``output``. Weights keep the run's
    precision; constants of neurons are float64, of the neurons' shape.

    Parameters
    ----------
    network
        A network of the rule hm2bp, of dense, convolutional and pooling layers.
    dt
        Seconds per step that importers assume.

    Raises
    ------
    UsageError
        NIR cannot say the network.
    CapabilityError
        nir is not installed.
    """
    with needs("nir"):
        import nir
    metadata = {METADATA: json.dumps(nir_metadata(network, dt), ensure_ascii=False)}
    first = network.layers[0].kind
    shape: tuple[int, ...] = first.grid if isinstance(first, Spatial) else (network.config.units,)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(shape)})}
    for n, layer in enumerate(network.layers):
        kind = layer.kind
        if isinstance(kind, Dense) and len(shape) > 1:
            # counted from the end: importers that add a batch axis in front, and those that forget to, then agree
            axes = {"start_dim": -len(shape), "end_dim": -1}
            nodes[f"flatten{n}"] = nir.Flatten(input_type={"input": np.array(shape)}, **axes)
        nodes[f"{kind.name}{n}"] = _CONNECTIONS[type(kind)](nir, layer)
        nodes[f"neurons{n}"] = _neurons(nir, layer, dt)
        shape = kind.out_shape
    nodes["output"] = nir.Output({"output": np.array(shape)})
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata=metadata)


def write_nir(graph: Any, file: IO[bytes]) -> None:
    """Write a NIR graph to an open file, as HDF5."""
    with needs("nir"):
        import nir
    nir.write(file, graph)


def _dense(nir: Any, layer: TrainedLayer) -> Any:
    return nir.Linear(weight=layer.arrays["weight"])


def _conv(nir: Any, layer: TrainedLayer) -> Any:
    kind, weight = layer.kind, layer.arrays["weight"]
    assert isinstance(kind, Conv)
    return nir.Conv2d(
        input_shape=kind.grid[1:],
        weight=weight,
        stride=kind.stride,
        padding=kind.padding,
        dilation=(1, 1),
        groups=1,
        bias=np.zeros(kind.channels_out, weight.dtype),
    )


def _pool(nir: Any, layer: TrainedLayer) -> Any:
    kind = layer.kind
    assert isinstance(kind, Pool)
    return nir.SumPool2d(
        kernel_size=np.array(kind.kernel), stride=np.array(kind.stride), padding=np.array(kind.padding)
    )


_CONNECTIONS: Mapping[type[LayerKind], Callable[[Any, TrainedLayer], Any]] = {
    Dense: _dense,
    Conv: _conv,
    Pool: _pool,
}


def _neurons(nir: Any, layer: TrainedLayer, dt: float) -> Any:
    neuron, shape = layer.neuron, layer.kind.out_shape
    constants = {
        "tau_syn": neuron["tau_s"] * dt,
        "tau_mem": neuron["tau_m"] * dt,
        "w_in": neuron["tau_s"],
        "r": neuron["tau_m"],
        "v_threshold": neuron["tau_s"] * (neuron["threshold"] - neuron["slack"]),
        "v_leak": 0.0,
        "v_reset": 0.0,
    }
    return nir.CubaLIF(**{name: np.full(shape, value) for name, value in constants.items()})
