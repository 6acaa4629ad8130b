"""Synaptic operations, sparsity and footprint: by hand, on every backend, and against NeuroBench's own package."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeprep.data import PackedBatch
from spikeprep.packing import pack, unpack
from spikeprep.train.layers import build_layers
from spikeprep.train.network import Network, build_network, initial_states
from spikeprep.train.network_counts import CountMeter, NetworkCounts
from spikeprep.train.rules.hm2bp import Hm2bp
from spikeprep.train.rules.lee2016 import Lee2016

from ..backends.backends import BACKENDS, backend

STEPS, NAMES = np.array([30, 40, 25]), ["2C3", "P2", "6", "3"]
RULE = Hm2bp((1.0, 0.5, 1.0, 1.0), lateral=0.0)


def batch() -> PackedBatch:
    rng = np.random.default_rng(0)
    spikes = rng.random((3, 40, 49)) < 0.2
    spikes[np.arange(40) >= STEPS[:, None]] = False
    return PackedBatch(pack(spikes), STEPS.astype(np.uint32), np.zeros(3, np.int32), np.arange(3))


def network(name: str, rule: Any = RULE) -> Network:
    """A convolution, a pool and two dense layers on 7 × 7 units; a third of the weights is 0."""
    layers = build_layers("2C3-P2-6", (7, 7), 3)
    states = initial_states(rule, layers, 1.0, 5, np.dtype(np.float64))
    for state in states:
        if "weight" in state:
            weight = np.round(state["weight"].value * 8) / 8 + 0.125
            weight[np.random.default_rng(1).random(weight.shape) < 1 / 3] = 0
            state["weight"] = replace(state["weight"], value=weight.astype(backend(name).dtype))
    return build_network(backend(name), rule, layers, states)


def counts_of(net: Network) -> NetworkCounts:
    meter = CountMeter(net, NAMES)
    meter.add(net.forward(batch()))
    return meter.result()


def test_the_definitions_by_hand() -> None:
    net = network("reference")
    trains = [net.backend.unpack(s) for s in net.forward(batch())]
    found = counts_of(net)
    (w1, w2) = (net.states()[n]["weight"].value for n in (2, 3))
    # every spike of a unit, every weight behind it that is not 0
    for n, weight in ((2, w1), (3, w2)):
        acs = sum(int((weight != 0)[:, train].sum()) for sample in trains[n] for train in sample)
        assert found.layers[n].effective_acs == pytest.approx(acs / 3)
        assert found.layers[n].dense_operations == pytest.approx(weight.size * STEPS.sum() / 3)
        assert found.layers[n].connection_sparsity == (weight == 0).mean()
    for n, layer in enumerate(found.layers):
        fired = trains[n + 1]
        assert layer.spikes == pytest.approx(fired.sum() / 3)
        assert layer.activation_sparsity == pytest.approx(1 - fired.sum() / (fired.shape[2] * STEPS.sum()))
    assert found.layers[0].spikes > 0
    assert found.layers[3].spikes > 0
    assert (found.layers[1].effective_acs, found.layers[1].connection_sparsity) == (0, None)
    assert found.layers[0].dense_operations == pytest.approx(2 * 5 * 5 * 9 * STEPS.sum() / 3)
    assert [layer.weights for layer in found.layers] == [18, 0, 2 * 2 * 2 * 6, 18]
    assert found.to_json()["footprint"] == 8 * (18 + 48 + 18)


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "reference"])
def test_every_backend_counts_alike(name: str) -> None:
    want, got = counts_of(network("reference")).to_json(), counts_of(network(name)).to_json()
    itemsize = backend(name).dtype.itemsize
    assert got["footprint"] == want["footprint"] * itemsize // 8
    for key in ("synaptic_operations", "activation_sparsity", "connection_sparsity"):
        assert got[key] == want[key]


def test_thresholds_that_are_trained_are_part_of_the_footprint() -> None:
    rule = Lee2016(alpha=1.0)
    layers = build_layers("6", (4, 4), 3)
    net = build_network(
        backend("reference"), rule, layers, initial_states(rule, layers, 1.0, 0, np.dtype(np.float64))
    )
    footprints = [layer.footprint_bytes for layer in CountMeter(net, ["6", "3"]).result().layers]
    assert footprints == [8 * (16 * 6 + 6), 8 * (6 * 3 + 3)]


@pytest.mark.slow  # imports torch, snnTorch and NeuroBench
@pytest.mark.filterwarnings("ignore")
def test_neurobench_counts_the_same() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("neurobench")
    from neurobench.metrics.static import ConnectionSparsity, Footprint
    from neurobench.metrics.workload import ActivationSparsityByLayer, SynapticOperations
    from neurobench.models import TorchModel

    ours = network("reference")

    class Neurons(torch.nn.Module):
        """HM2-BP's neurons, one step a call: a drive of step t makes them fire at t + 1."""

        def __init__(self, layer: int) -> None:
            super().__init__()
            self.neuron = ours.rule.constants(layer, 4).neuron
            self.level = self.neuron.threshold - self.neuron.slack * ours.layers[layer].has_slack
            self.v = self.p = self.held = torch.zeros(())
            self.ended = False  # the next step is past the sample's end

        def forward(self, drive: Any) -> Any:
            self.p = self.p * (1 - 1 / self.neuron.tau_s) + drive
            self.v = self.v * (1 - 1 / self.neuron.tau_m) + self.p / self.neuron.tau_s
            self.v = torch.where(self.held > 0, 0.0, self.v)
            self.held = torch.clamp(self.held - 1, min=0)
            fired = (self.v > self.level) & (not self.ended)
            self.v = torch.where(fired, 0.0, self.v)
            self.held = torch.where(fired, float(self.neuron.refractory), self.held)
            return fired.double()

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            conv, pool = torch.nn.Conv2d(1, 2, 3, bias=False), torch.nn.AvgPool2d(2, divisor_override=1)
            hidden, output = torch.nn.Linear(8, 6, bias=False), torch.nn.Linear(6, 3, bias=False)
            self.maps = torch.nn.ModuleList([conv, pool, hidden, output])
            self.neurons = torch.nn.ModuleList(map(Neurons, range(4)))
            for n in (0, 2, 3):
                weight = torch.tensor(ours.states()[n]["weight"].value)
                self.maps[n].weight = torch.nn.Parameter(weight.view(self.maps[n].weight.shape))

        def forward(self, spikes: Any) -> Any:
            total, steps = torch.zeros(1, 3), spikes.shape[1]
            trains = [torch.zeros(1, *shape).double() for shape in ((2, 5, 5), (2, 2, 2), (6,))]
            for t in range(steps):
                arriving = [spikes[:, t].view(1, 1, 7, 7), trains[0], trains[1].view(1, 8), trains[2]]
                for neuron in self.neurons:
                    neuron.ended = t == steps - 1
                pairs = zip(self.neurons, self.maps, arriving, strict=True)
                *trains, output = [neuron(send(train)) for neuron, send, train in pairs]
                total = total + output
            return total

    # one sample at a time, of its own length: NeuroBench has no padding
    data, operations, sparsity = batch(), SynapticOperations(), ActivationSparsityByLayer()
    outputs = []
    for n, steps in enumerate(STEPS.tolist()):
        model = TorchModel(Net())
        model.add_activation_module(Neurons)
        model.register_hooks()
        spikes = torch.tensor(unpack(data.bits[n : n + 1], steps)).double()
        with torch.no_grad():
            outputs.append(model(spikes)[0].tolist())
        operations(model, None, (spikes, None))
        silent = sparsity(model, None, (spikes, None))
        connections, footprint = ConnectionSparsity()(model), Footprint()(model)
        model.cleanup_hooks()
    found = counts_of(ours)
    np.testing.assert_array_equal(outputs, ours.counts(data))  # the same network
    shown = found.to_json()
    assert shown["synaptic_operations"] == pytest.approx(operations.compute())
    assert [layer.activation_sparsity for layer in found.layers] == pytest.approx(list(silent.values()))
    assert shown["connection_sparsity"] == pytest.approx(connections, abs=1e-4)  # which rounds
    assert shown["footprint"] == footprint
