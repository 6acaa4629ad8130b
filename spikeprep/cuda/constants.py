"""Parameters as kernels take them: the structures of common.cuh and update.cu, by value, in the working precision."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import UpdateRule
from ..data import NeuronParams, PspParams


def _structure(
    dtype: np.dtype[Any], reals: dict[str, float], integers: dict[str, int] | None = None
) -> np.void:
    """Return a structure of reals followed by C ints, laid out as a C compiler does."""
    whole = integers or {}
    layout = np.dtype([(n, dtype) for n in reals] + [(n, np.int32) for n in whole], align=True)
    made: np.void = np.array([(*reals.values(), *whole.values())], layout)[0]
    return made


@functools.lru_cache
def neuron_constants(neuron: NeuronParams, dtype: np.dtype[Any]) -> np.void:
    """Return `Neuron` of common.cuh."""
    reals = {
        "threshold": neuron.threshold - neuron.slack,
        "keep_m": 1 - 1 / neuron.tau_m,
        "keep_s": 1 - 1 / neuron.tau_s,
        "gain": 1 / neuron.tau_s,
    }
    return _structure(dtype, reals, {"refractory": neuron.refractory})


def reach(neuron: NeuronParams, psp: PspParams, longest: int) -> int:
    """Return the furthest distance W − R to a firing that the window admits; −1: it admits none."""
    return longest if psp.window is None else max(min(psp.window - neuron.refractory, longest), -1)


@functools.lru_cache
def psp_constants(neuron: NeuronParams, psp: PspParams, longest: int, dtype: np.dtype[Any]) -> np.void:
    """Return `Psp` of common.cuh for trains of up to `longest` steps."""
    reals = {
        "decay_m": math.exp(-1 / neuron.tau_m),
        "decay_s": math.exp(-1 / neuron.tau_s),
        "norm": 1 / (1 - neuron.tau_s / neuron.tau_m),
        "silent_psp": psp.silent_psp,
        "silent_share": psp.silent_share,
        "silent_ratio": psp.silent_ratio,
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


def update_constants(rule: UpdateRule, samples: int, dtype: np.dtype[Any]) -> np.void:
    """Return `Update` of update.cu for a gradient summed over `samples`."""
    adam = rule.kind == "adam"
    reals = {
        "mean": 1 / samples,
        "rate": rule.rate,
        "beta1": rule.beta1,
        "beta2": rule.beta2,
        "rest1": 1 - rule.beta1,
        "rest2": 1 - rule.beta2,
        "inverse1": 1 / (1 - rule.beta1**rule.step) if adam else 1.0,
        "inverse2": 1 / (1 - rule.beta2**rule.step) if adam else 1.0,
        "epsilon": rule.epsilon,
        "pull": rule.strength * rule.steepness / rule.scale,
        "steepness": rule.steepness,
        "inverse_scale": 1 / rule.scale,
    }
    return _structure(dtype, reals)
