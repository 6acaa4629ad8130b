"""A short pass through every kernel, for compute-sanitizer: `python -m tests.cuda.walk [--emulated]`.

It asserts only that losses are finite; the tool that it runs under does the checking.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from spikeprep.backend import Backend, ParameterState
from spikeprep.cuda import conv, dense
from spikeprep.cuda.backend import CudaBackend
from spikeprep.cuda.gpu import CupyRuntime
from spikeprep.cuda.runtime import Runtime
from spikeprep.data import NeuronParams, PackedBatch, PspParams
from spikeprep.packing import pack
from spikeprep.train.layers import build_layers
from spikeprep.train.layers.dense import Dense
from spikeprep.train.network import Network, build_network, initial_states
from spikeprep.train.optimiser import OptimiserSettings, RegularisationSettings
from spikeprep.train.rules.hm2bp import Hm2bp, PspSettings
from spikeprep.train.rules.loss import LossSettings


def batch(samples: int, steps: int, units: int, classes: int) -> PackedBatch:
    """Return random spikes, samples of unequal length."""
    rng = np.random.default_rng(steps)
    lengths = rng.integers(steps // 2, steps + 1, samples)
    spikes = rng.random((samples, steps, units)) < 0.1
    spikes &= np.arange(steps)[:, None] < lengths[:, None, None]
    labels = rng.integers(classes, size=samples).astype(np.int32)
    return PackedBatch(pack(spikes), lengths.astype(np.uint32), labels, np.arange(samples))


def network(
    ops: Backend, sizes: tuple[int, ...], lateral: float, target: int = 4, fused: bool = True
) -> Network:
    """Return a network of random weights, with thresholds at which its neurons fire."""
    rng = np.random.default_rng(0)
    rule = Hm2bp(
        thresholds=3.0,
        lateral=lateral,
        psp=PspSettings(window=40),
        loss=LossSettings(target=target, off_target=0, margin=target - 1),
    )
    layers = [Dense((pre,), post) for pre, post in pairwise(sizes)]
    states = [
        {
            "weight": ParameterState.fresh(
                rng.uniform(-0.5, 1, (post, pre)).astype(np.float32).astype(ops.dtype)
            )
        }
        for pre, post in pairwise(sizes)
    ]
    return build_network(ops, rule, layers, states, fused=fused)


def convolutional(ops: Backend, channels: int, side: int) -> Network:
    """Return a network of a padded convolution, a pool of each forward kernel's size and a convolution."""
    rule = Hm2bp(
        thresholds=2.0, psp=PspSettings(window=20), loss=LossSettings(target=4, off_target=0, margin=3)
    )
    layers = build_layers(f"{channels}C3p1-P{side // 4}-6C3", (2, side, side), 4)
    return build_network(ops, rule, layers, initial_states(rule, layers, 1.0, 0, ops.dtype))


def optimiser(kind: Any = "adam", strength: float = 0.5) -> OptimiserSettings:
    """Return an optimiser's settings."""
    return OptimiserSettings(kind, 0.01, regularisation=RegularisationSettings(strength))


def walk(runtime: Runtime) -> None:
    """Launch every kernel, in every variant that shapes and settings select."""
    min_warps, limit = dense._MIN_WARPS, runtime.shared_limit
    shared, staged, groups = conv.SHARED, conv.STAGED, dense._GROUPS
    sizes, steps = (100, 70, 40), 50
    try:
        dense._MIN_WARPS = 0  # no layer computes its drive separately for being small
        dense._GROUPS = 4  # a block sums several samples
        for dtype in (np.float32, np.float64):
            row = 32 * np.dtype(dtype).itemsize
            # shared memory for two tiles' weights and two buffers of gates, and for less and less
            for rows in (limit // row, 215, 165, 115, 90):
                runtime.shared_limit = rows * row
                net, samples = network(CudaBackend(runtime, dtype), sizes, 1.0), batch(5, steps, sizes[0], 40)
                for n, kind in enumerate(("adam", "sgd"), 1):
                    result = net.train_step(samples, optimiser(kind), n, 0.01)
                    assert np.isfinite(result.loss).all()
        dense._MIN_WARPS, runtime.shared_limit = min_warps, limit
        ops = CudaBackend(runtime)
        spikes = ops.upload(batch(3, steps, 40, 2))
        ops.psp(spikes, spikes, NeuronParams(3.0), PspParams())
        ops.gate(spikes, NeuronParams(3.0), PspParams(None))
        ops.trace_neurons(np.ones((steps, 40), np.float32), NeuronParams(3.0))
        network(ops, (40, 1100), 0.5).forward(batch(2, 30, 40, 2))  # more tiles than a block has warps
        for products in ("events", "active", "matrix"):
            net = network(CudaBackend(runtime, products=products), (40, 70), 0.0)  # type: ignore[arg-type]
            net.train_step(batch(5, steps, 40, 2), optimiser(strength=0.0), 1, 0.01)
        dropping = replace(network(ops, (40, 70, 40), 0.0), dropout=(0.2, 0.5))
        keys = np.arange(5, dtype=np.uint64)
        for n in range(1, 5):  # computed, and recorded
            dropping.train_step(batch(5, steps, 40, 40), optimiser(), n, 0.01, dropout_keys=keys)
        for dtype in (np.float32, np.float64):
            for channels, side, conv.SHARED in ((13, 5, 2500), (40, 9, shared)):
                ops = CudaBackend(runtime, dtype)
                net, samples = convolutional(ops, channels, side), batch(4, steps, side * side * 2, 4)
                for n in range(1, 5):  # computed, and recorded
                    net.train_step(samples, optimiser(), n, 0.01)
            conv.STAGED = 100
            net.forward(samples)
            conv.STAGED = staged
        ops = CudaBackend(runtime)
        for size in (2, 3, 16):  # a kernel by the units of a window
            rule, layers = Hm2bp(thresholds=3.0), build_layers(f"P{size}", (16, 16), 2)
            states = initial_states(rule, layers, 1.0, 0, ops.dtype)
            build_network(ops, rule, layers, states).forward(batch(2, steps, 256, 2))
        composed = network(ops, (40, 70, 40), 1.0, fused=False)
        assert np.isfinite(composed.train_step(batch(5, steps, 40, 40), optimiser(), 1, 0.01).loss).all()
    finally:
        dense._MIN_WARPS, runtime.shared_limit = min_warps, limit
        conv.SHARED, conv.STAGED, dense._GROUPS = shared, staged, groups
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
    # one allocation per array: a memory pool would hide accesses out of bounds
    runtime.xp.cuda.set_allocator(None)
    walk(runtime)


if __name__ == "__main__":
    main()
