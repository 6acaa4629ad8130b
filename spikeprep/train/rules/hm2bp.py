"""The loss and the error at the output, in the paper's symbols (Jin, Zhang & Li, NeurIPS 2018, arXiv 1805.07866).

Counts and errors are arrays of the backend's module `xp`, (sample, unit); d is ∂E/∂o, δ = d/ν, γ the lateral factor.
Everything here works on numbers the size of (batch × classes); what grows with time or neurons is in `Backend`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...backend import Array, Backend, Spikes
from ...data import NeuronParams, PspParams


@dataclass(frozen=True)
class LossParams:
    """The loss and the rules at the output that the published runs use.

    Attributes
    ----------
    loss
        "rate": desired spike counts (eq. 1); "softmax": cross entropy of softmax(counts).
    target, off_target
        Spikes wanted of the label neuron and of the others.
    margin
        A count this near to its target, or nearer, is no error.
    fill
        Where the label neuron is silent, give the gradient a regular train of about `target` spikes to follow.
    lateral_limit
        γ is at most this. A-28 linearises a loop whose gain it takes to be below 1; at output thresholds below about
        w0 √classes the gain reaches 1 and γ its pole, beyond which it would turn the gradient round. The published
        thresholds stay far from it.
    """

    loss: Literal["rate", "softmax"] = "rate"
    target: int = 35
    off_target: int = 5
    margin: int = 5
    fill: bool = True
    lateral_limit: float = 10.0


def count_error(ops: Backend, counts: Array, labels: NDArray[Any], params: LossParams) -> tuple[Array, Array]:
    """Return d = ∂E/∂o (sample, unit) and the loss E (sample,) (eq. 1 and its margin; or softmax)."""
    xp = ops.xp
    onehot = xp.zeros(counts.shape, ops.dtype)
    onehot[xp.arange(len(labels)), xp.asarray(labels)] = 1
    o = counts.astype(ops.dtype)
    if params.loss == "softmax":
        z = o - o.max(axis=1, keepdims=True)
        p = xp.exp(z)
        total = p.sum(axis=1, keepdims=True)
        # p − 1 of the label is −Σ of the others' p, which keeps its digits where p is nearly 1
        others = p / total * (1 - onehot)
        return others - onehot * others.sum(axis=1, keepdims=True), (
            xp.log(total[:, 0]) - (z * onehot).sum(axis=1)
        )
    y = params.off_target + (params.target - params.off_target) * onehot
    d = xp.where(xp.abs(o - y) > params.margin, o - y, xp.zeros_like(o))
    return d, 0.5 * (d**2).sum(axis=1)


def lateral_factor(
    ops: Backend,
    output: Spikes,
    labels: NDArray[Any],
    lateral: float,
    neuron: NeuronParams,
    psp: PspParams,
    params: LossParams,
) -> Array | None:
    """Return γ (sample, unit), the effect of lateral inhibition on ∂o/∂w (paper's appendix, A-28); None without it.

    γ_i = 1 / (1 − w0² Σ_{l≠i} ρ_{l|i} g_l ρ_{i|l} g_i), ρ_{l|i} = e_{l|i} / o_i but 1 where either is silent, and
    g = 1/ν for a neuron that fires or is the label, else 0.
    """
    if not lateral:
        return None
    e = ops.psp(output, output, neuron, psp)
    gain = ops.lateral_gain(e, ops.counts(output), labels, neuron.threshold)
    return 1 / ops.xp.maximum(1 - lateral**2 * gain, 1 / params.lateral_limit)


def filled_output(ops: Backend, output: Spikes, labels: NDArray[Any], params: LossParams) -> Spikes:
    """Return the output spikes that the gradient sees: a silent label neuron fires every T // target steps."""
    if not params.fill:
        return output
    xp = ops.xp
    silent = ops.counts(output)[xp.arange(len(labels)), xp.asarray(labels)] == 0
    period = xp.where(silent, xp.asarray(np.maximum(output.steps // params.target, 1)), 0)
    return ops.regular_trains(output, labels, period)


def predict(counts: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class of the most spikes, the first on ties; host counts (sample, unit)."""
    winner: NDArray[np.int64] = np.asarray(counts).argmax(axis=1)
    return winner


def boosted_weights(
    sample_weight: NDArray[np.float64], labels: NDArray[Any], predicted: NDArray[Any], classes: int
) -> NDArray[np.float64]:
    """Return sample weights q after an epoch: q ← q exp(err_c / 20) for each wrong sample of class c.

    err_c = Σ_{n∈c, wrong} q_n / Σ_{n∈c} q_n, from the predictions made while training; −1 marks a sample not seen.
    """
    seen = predicted >= 0
    wrong = seen & (predicted != labels)
    lost = np.bincount(labels[wrong], sample_weight[wrong], minlength=classes)
    total = np.bincount(labels[seen], sample_weight[seen], minlength=classes)
    error = np.divide(lost, total, out=np.zeros(classes), where=total > 0)
    return np.where(wrong, sample_weight * np.exp(error[labels] / 20), sample_weight)
