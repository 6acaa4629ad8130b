"""Training loops with snnTorch, SpikingJelly and Norse, as their users write them: the loss falls."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from spikeprep.interop.torch import SpikeLoader  # noqa: E402

torch.set_num_threads(1)  # tiny tensors: threads wait for each other longer than they compute

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")


def losses(network: nn.Module, forward, batches, scale: float = 0.3, epochs: int = 8) -> list[float]:
    """Train, and return the mean loss of each epoch.

    `forward` gives scores (sample, class) of a batch's spikes; the first weights have the standard deviation `scale`.
    """
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=scale)
    means = []
    for _ in range(epochs):
        sums = []
        for spikes, labels, _ in batches:
            loss = nn.functional.cross_entropy(forward(spikes), labels)
            parameters = list(network.parameters())
            # not by an optimiser of PyTorch: its first step imports a compiler, which takes most of a test's time
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.data -= 0.05 * gradient
            sums.append(loss.item())
        means.append(sum(sums) / len(sums))
    return means


def test_snntorch_trains_on_units_in_one_axis(images):
    snn = pytest.importorskip("snntorch")
    hidden, neuron = nn.Linear(30, 20), snn.Leaky(beta=0.9)
    readout, output = nn.Linear(20, 3), snn.Leaky(beta=0.9)

    def forward(spikes):
        membrane, last, counts = neuron.init_leaky(), output.init_leaky(), 0
        for step in spikes:  # time first
            fired, membrane = neuron(hidden(step), membrane)
            fired, last = output(readout(fired), last)
            counts = counts + fired
        return counts

    means = losses(nn.Sequential(hidden, readout), forward, SpikeLoader(images[0]["train"], 10, layout="TBN"))
    assert means[-1] < 0.9 * means[0]


def test_spikingjelly_trains_on_images_in_its_multi_step_mode(images):
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron

    network = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1),
        neuron.LIFNode(),
        layer.Flatten(),
        layer.Linear(60, 3),
        neuron.LIFNode(),
    )
    functional.set_step_mode(network, "m")

    def forward(spikes):
        functional.reset_net(network)
        return network(spikes).mean(0) * 10

    means = losses(network, forward, SpikeLoader(images[0]["train"], 10, layout="TBCHW"), scale=1)
    assert means[-1] < 0.9 * means[0]


def test_norse_trains_on_samples_of_different_lengths(ragged):
    norse = pytest.importorskip("norse.torch")
    network = norse.SequentialState(nn.Linear(6, 20), norse.LIFCell(), nn.Linear(20, 3), norse.LICell())

    def forward(spikes):
        state, voltages = None, []
        for step in spikes:
            out, state = network(step, state)
            voltages.append(out)
        return torch.stack(voltages).amax(0)

    means = losses(network, forward, SpikeLoader(ragged[0]["train"], 8, layout="TBN"))
    assert means[-1] < 0.95 * means[0]
