"""Multi-step BPTT of the same network in PyTorch on the same card: a plain loop, and SpikingJelly if installed.

Multi-step: a layer's drive of all steps is one matrix product; its neurons are then simulated step by step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.peers import BUILDERS, connections, dense
from benchmarks.roofline import Task
from spikeprep.train.layers import LayerKind

TAU = 64.0  # membrane time constant in steps


def plain(network: Sequence[LayerKind]) -> tuple[Any, Callable[[Any], Any]]:
    """Return a module and a function from float spikes (time, sample, unit) to counts (sample, class)."""
    import torch

    class Fire(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, above: Any) -> Any:
            context.save_for_backward(above)
            return (above > 0).to(above.dtype)

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            (above,) = context.saved_tensors
            return gradient / (1 + (torch.pi * above) ** 2)

    fire: Any = Fire.apply
    layers = torch.nn.ModuleList(connections(network)[0])

    def forward(spikes: Any) -> Any:
        for layer in layers:
            drive = layer(spikes)
            membrane, out = torch.zeros_like(drive[0]), []
            for now in drive:
                membrane = membrane * (1 - 1 / TAU) + now
                fired = fire(membrane - 1)
                membrane = membrane * (1 - fired.detach())
                out.append(fired)
            spikes = torch.stack(out)
        return spikes.sum(0)

    return layers, forward


def measure(task: Task, device: str = "cuda", repeats: int = 5) -> dict[str, Any]:
    """Return the seconds per training batch of every peer, the best of `repeats`; TF32 products are enabled."""
    import torch

    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    density = task.spikes[0] / task.sizes[0] / task.steps
    spikes = (torch.rand(task.steps, task.batch, task.sizes[0], device=device) < density).float()
    labels = torch.randint(task.sizes[-1], (task.batch,), device=device)
    peers: dict[str, Callable[[Sequence[LayerKind]], Any]] = {"plain loop": plain}
    try:
        import spikingjelly  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: F401

        peers["spikingjelly"] = BUILDERS["spikingjelly"]
    except ImportError:
        pass
    results: dict[str, Any] = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if "cuda" in device else device,
    }
    for name, build in peers.items():
        module, forward = build(dense(*task.sizes))
        module.to(device)
        optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)

        def train(forward: Any = forward, optimiser: Any = optimiser) -> None:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(forward(spikes), labels).backward()
            optimiser.step()

        results[name] = _best(train, repeats, device)
    return results


def _best(work: Callable[[], None], repeats: int, device: str) -> float:
    import torch

    seconds = []
    for _ in range(repeats + 1):  # the first call allocates and compiles, and does not count
        if "cuda" in device:
            torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        if "cuda" in device:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
