"""Arguments of kernels: the structures of common.cuh and update.cu, passed by value, in the working precision."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import OptimiserStep
from ..data import Hm2bpConstants, NeuronParams, PspParams

Structure = NDArray[np.void]
"""The bytes of a structure, an array without axes: CuPy passes these by value, and spends longer on named fields."""


def _structure(
    dtype: np.dtype[Any], reals: dict[str, float], integers: dict[str, int] | None = None
) -> Structure:
    """Return a structure of reals followed by C ints, with the layout of a C compiler."""
    ints = integers or {}
    layout = np.dtype([(n, dtype) for n in reals] + [(n, np.int32) for n in ints], align=True)
    return np.array((*reals.values(), *ints.values()), layout).view(f"V{layout.itemsize}")


@functools.lru_cache
def neuron_constants(neuron: NeuronParams, dtype: np.dtype[Any]) -> Structure:
    """Return `Neuron` of common.cuh."""
    reals = {
        "threshold": neuron.threshold - neuron.slack,
        "keep_m": 1 - 1 / neuron.tau_m,
        "keep_s": 1 - 1 / neuron.tau_s,
        "gain": 1 / neuron.tau_s,
    }
    return _structure(dtype, reals, {"refractory": neuron.refractory})


def reach(neuron: NeuronParams, psp: PspParams, longest: int) -> int:
    """Return the largest distance W − R to a firing inside the window; −1: there is none."""
    return longest if psp.window is None else max(min(psp.window - neuron.refractory, longest), -1)


@functools.lru_cache
def psp_constants(neuron: NeuronParams, psp: PspParams, longest: int, dtype: np.dtype[Any]) -> Structure:
    """Return `Psp` of common.cuh for trains of up to `longest` steps."""
    reals = {
        "decay_m": math.exp(-1 / neuron.tau_m),
        "decay_s": math.exp(-1 / neuron.tau_s),
        "norm": 1 / (1 - neuron.tau_s / neuron.tau_m),
        "silent_psp": psp.silent_psp,
        "silent_share": psp.silent_share,
        "silent_ratio": psp.silent_ratio,
        "nu": neuron.threshold,
        "inverse_nu": 1 / neuron.threshold,
    }
    return _structure(dtype, reals, {"refractory": neuron.refractory, "reach": reach(neuron, psp, longest)})


def leaving_terms(neuron: NeuronParams, psp: PspParams, longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return B = α(s) e^{−(D − s)/τs} for s = 0 … reach, D = reach + 1 (docs/hm2bp.md section 8); at least one term."""
    distance = reach(neuron, psp, longest) + 1
    s = np.arange(max(distance, 1), dtype=float)
    norm = 1 / (1 - neuron.tau_s / neuron.tau_m)
    alpha = norm * (np.exp(-s / neuron.tau_m) - np.exp(-s / neuron.tau_s))
    return (alpha * np.exp(-(distance - s) / neuron.tau_s)).astype(dtype)


def slow_steps(psp: PspParams, longest: int) -> int:
    """Return how many steps, from 0 on, can leave the window within trains of `longest` steps."""
    return 0 if psp.window is None else max(0, longest - psp.window - 1)


def decays(neuron: NeuronParams, longest: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return e^{−x/τm}, e^{−x/τs} and α(x), [3, longest + 1], x in steps."""
    x = np.arange(longest + 1.0)
    membrane, synapse = np.exp(-x / neuron.tau_m), np.exp(-x / neuron.tau_s)
    return np.stack([membrane, synapse, (membrane - synapse) / (1 - neuron.tau_s / neuron.tau_m)]).astype(
        dtype
    )


def window_constants(
    grid: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    out_shape: tuple[int, int, int],
    strides: tuple[int, int, int],
) -> Structure:
    """Return `Windows` of grids.cuh; `strides` are a unit's, of channel, row and column."""
    values = (*grid, *kernel, *stride, *padding, *out_shape, *strides)
    return _structure(np.dtype(np.float32), {}, {str(n): value for n, value in enumerate(values)})


@functools.lru_cache
def output_constants(constants: Hm2bpConstants, weighted: bool, dtype: np.dtype[Any]) -> Structure:
    """Return `Output` of hm2bp_output.cu for an output layer."""
    loss = constants.loss
    assert loss is not None
    reals = {
        "target": loss.target,
        "off_target": loss.off_target,
        "margin": loss.margin,
        "lateral_squared": constants.lateral**2,
        "least": -math.inf if loss.lateral_limit is None else 1 / loss.lateral_limit,
        "inverse_nu": 1 / constants.neuron.threshold,
    }
    ints = {
        "softmax": int(loss.softmax),
        "fill": int(loss.fill),
        "lateral": int(bool(constants.lateral)),
        "weighted": int(weighted),
        "fill_spikes": min(loss.target, 2**31 - 1),
    }
    return _structure(dtype, reals, ints)


def update_constants(step: OptimiserStep, samples: int, dtype: np.dtype[Any]) -> Structure:
    """Return `Update` of update.cu for a gradient summed over `samples`."""
    adam = step.kind == "adam"
    reals = {
        "mean": 1 / samples,
        "rate": step.rate,
        "beta1": step.beta1,
        "beta2": step.beta2,
        "rest1": 1 - step.beta1,
        "rest2": 1 - step.beta2,
        "inverse1": 1 / (1 - step.beta1**step.step) if adam else 1.0,
        "inverse2": 1 / (1 - step.beta2**step.step) if adam else 1.0,
        "epsilon": step.epsilon,
        "pull": step.strength * step.steepness / step.scale,
        "steepness": step.steepness,
        "inverse_scale": 1 / step.scale,
    }
    return _structure(dtype, reals)
