"""A short walk through every kernel, for compute-sanitizer: `python -m tests.cuda.walk [--emulated]`.

It asserts nothing but that numbers are finite; what it is run under does the looking.
"""

from __future__ import annotations

import argparse
import os
from itertools import pairwise

import numpy as np

from spikeprep.backend import UpdateRule, WeightState
from spikeprep.cuda import dense
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.gpu import CupyRuntime
from spikeprep.cuda.runtime import Runtime
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.packing import pack
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network
from spikeprep.train.rules.hm2bp import LossParams


def batch(samples: int, steps: int, units: int, classes: int) -> PackedBatch:
    """Spikes at random, samples of unequal length."""
    rng = np.random.default_rng(steps)
    own = rng.integers(steps // 2, steps + 1, samples)
    spikes = rng.random((samples, steps, units)) < 0.1
    spikes &= np.arange(steps)[:, None] < own[:, None, None]
    labels = rng.integers(classes, size=samples).astype(np.int32)
    return PackedBatch(pack(spikes), own.astype(np.uint32), labels, np.arange(samples))


def network(ops: CudaBackend, sizes: tuple[int, ...], loss: LossParams, lateral: float) -> Network:
    """Weights at random, thresholds that fire."""
    rng, layers = np.random.default_rng(0), []
    for n, (pre, post) in enumerate(pairwise(sizes)):
        weight = rng.uniform(-0.5, 1, (post, pre)).astype(np.float32)
        weights = ops.dense_weights(WeightState(weight, np.zeros_like(weight), np.zeros_like(weight)))
        layers.append(Dense(weights, NeuronParams(3.0), lateral if n == len(sizes) - 2 else 0.0))
    return Network(ops, tuple(layers), loss, PspParams(40))


def walk(runtime: Runtime) -> None:
    """Launch every kernel, in every form that shapes and settings choose between."""
    few, limit = dense._FEW, runtime.shared_limit
    sizes, loss, steps = (100, 70, 40), LossParams(target=4), 50
    try:
        dense._FEW = 0  # no layer is too small to be simulated as its drive is summed
        for dtype in (np.float32, np.float64):
            row = 32 * np.dtype(dtype).itemsize
            # room for two tiles' weights and two buffers of gates, and for less and less
            for rows in (limit // row, 215, 165, 115, 90):
                runtime.shared_limit = rows * row
                net, given = (
                    network(CudaBackend(runtime, dtype), sizes, loss, 1.0),
                    batch(5, steps, sizes[0], 40),
                )
                for n, kind in enumerate(("adam", "sgd"), 1):
                    result = net.train_step(given, UpdateRule(kind, 0.01, n, strength=0.5))  # type: ignore[arg-type]
                    assert np.isfinite(result.loss).all()
        dense._FEW, runtime.shared_limit = few, limit
        ops = CudaBackend(runtime)
        spikes = ops.upload(batch(3, steps, 40, 2))
        ops.psp(spikes, spikes, NeuronParams(3.0), PspParams())
        ops.gate(spikes, NeuronParams(3.0), PspParams(None))
        ops.lif(np.ones((steps, 40), np.float32), NeuronParams(3.0))
        network(ops, (40, 1100), loss, 0.5).forward(batch(2, 30, 40, 2))  # more tiles than a block has warps
        for products in ("events", "matrix"):
            net = network(CudaBackend(runtime, products=products), (40, 70), loss, 0.0)  # type: ignore[arg-type]
            net.train_step(batch(5, steps, 40, 2), UpdateRule("adam", 0.01, 1))
    finally:
        dense._FEW, runtime.shared_limit = few, limit
    runtime.synchronize()


def main() -> None:
    """Walk."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--emulated", action="store_true")
    if parser.parse_args().emulated:
        from .emulator import EmulatedRuntime

        walk(EmulatedRuntime(twice=False))
        return
    runtime = CupyRuntime(int(os.environ.get("SPIKEPREP_TEST_GPU") or 0))
    runtime.xp.cuda.set_allocator(
        None
    )  # each array an allocation of its own: a pool would hide what is out of bounds
    walk(runtime)


if __name__ == "__main__":
    main()
