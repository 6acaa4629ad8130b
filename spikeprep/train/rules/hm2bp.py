"""HM2-BP (Jin, Zhang & Li, NeurIPS 2018, arXiv 1805.07866): spike-train level gradients of rate-coded losses.

Symbols as in docs/hm2bp.md: S spikes, G gates, o counts, ν thresholds, w0 lateral inhibition, d = ∂E/∂o the error of a
neuron, δ = d/ν, γ the lateral factor, σ the effect of a neuron's own firing. Equation numbers are the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ...backend import Array, Backend, DeviceLayer, ErrorSignal, LinearMap, OutputError, Spikes
from ...composition import Connection
from ...config import Meta, NonNegative, Settings
from ...data import Hm2bpConstants, NeuronParams, PackedBatch, PspParams
from ...errors import UsageError
from ..layers.per_layer import PerLayer, at_layer, check_layers
from .base import LearningRule
from .calibration import calibrate
from .loss import LossSettings, count_error, fitting_counts

_LARGEST_TAU = 1e6  # steps
_SOFTMAX_GAIN_FLOOR = 0.1


@dataclass(frozen=True)
class NeuronSettings(Settings):
    """What all neurons share (paper, eq. 2 to 4); times in steps.

    Attributes
    ----------
    tau_m
        Membrane time constant τm, above τs.
    tau_s
        Synapse time constant τs, above 1.
    refractory
        Steps for which the membrane is held at 0 after a spike.
    slack
        A membrane fires above ν − slack, in a convolution above ν.
    """

    owner: ClassVar[str] = "neuron"

    tau_m: Annotated[float, Meta(gt=1, le=_LARGEST_TAU)] = 64.0
    tau_s: Annotated[float, Meta(gt=1, le=_LARGEST_TAU)] = 8.0
    refractory: Annotated[int, Meta(ge=1, le=1000)] = 2
    slack: NonNegative = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tau_m > self.tau_s:
            raise UsageError(
                f"got neuron.tau_m {self.tau_m:g} and neuron.tau_s {self.tau_s:g}",
                "a membrane that is slower than the synapse: tau_m > tau_s",
            )

    def at(self, threshold: float) -> NeuronParams:
        """Return the neuron with this threshold."""
        return NeuronParams(threshold, self.tau_m, self.tau_s, self.refractory, self.slack)


@dataclass(frozen=True)
class PspSettings(Settings):
    """Rules of the spike-train PSP that the published runs use and the paper leaves open (docs/hm2bp.md section 2).

    Attributes
    ----------
    window
        A pre spike counts towards a firing at most this many steps later (published: 4 τm); "none" is the paper's
        eq. 9.
    silent_psp
        e of a silent post neuron for a pre neuron that fired.
    silent_share
        e / o in σ where the post neuron is silent.
    silent_ratio
        ρ = e / o_pre in the error sent back where the pre or the post neuron is silent.
    """

    owner: ClassVar[str] = "psp"

    window: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = 256
    silent_psp: Annotated[float, Meta(ge=0, le=1000)] = 0.1
    silent_share: Annotated[float, Meta(ge=0, le=1000)] = 0.5
    silent_ratio: Annotated[float, Meta(ge=0, le=1000)] = 1.0

    def params(self) -> PspParams:
        """Return them as backends take them."""
        return PspParams(self.window, self.silent_psp, self.silent_share, self.silent_ratio)


@dataclass(frozen=True)
class Hm2bp(LearningRule):
    """Hybrid macro/micro level backpropagation.

    Attributes
    ----------
    thresholds
        ν: one value for all layers, or a list with one for each hidden layer and then the output; or "auto":
        calibrated on 64 training samples, so that each layer fires about as often as in the published network.
    lateral
        Strength w0 of the lateral inhibition among output neurons.
    gain_floor
        1 + σ is at least this, in the gradient; "none": no floor, as published. Under strong inhibition 1 + σ turns
        negative and the gradient with it, and with the softmax loss training then collapses (docs/hm2bp.md section 4):
        "auto" is 0.1 with the softmax loss, none with the rate loss, which trains as published.
    neuron
        The neurons.
    psp
        Their spike-train PSP.
    loss
        The loss.
    """

    name: ClassVar[str] = "hm2bp"
    runaway: ClassVar[str] = "optim.rate, init or lateral"

    thresholds: PerLayer | Literal["auto"] = "auto"
    lateral: Annotated[float, Meta(ge=0, le=1e6)] = 1.0
    gain_floor: Annotated[float, Meta(gt=0, le=1)] | Literal["auto"] | None = "auto"
    neuron: NeuronSettings = field(default_factory=NeuronSettings)
    psp: PspSettings = field(default_factory=PspSettings)
    loss: LossSettings = field(default_factory=LossSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        lowest = 1.0 if self.thresholds == "auto" else float(np.min(self.thresholds))
        if not lowest > self.neuron.slack:
            raise UsageError(
                f"got a threshold of {lowest:g} with neuron.slack {self.neuron.slack:g}",
                "thresholds above the slack: such a neuron would fire without input",
                "Lower neuron.slack or raise thresholds.",
            )
        if self.psp.window is not None and self.psp.window <= self.neuron.refractory:
            raise UsageError(
                f"got psp.window {self.psp.window} with neuron.refractory {self.neuron.refractory}",
                "a window longer than the refractory time: no spike would count towards a firing",
                "Raise psp.window, or set it to none.",
            )

    # ------------------------------------------------------------ settings and layers

    def check_layers(self, layers: int) -> None:
        """See `LearningRule.check_layers`."""
        if self.thresholds != "auto":
            check_layers("thresholds", self.thresholds, layers)

    def check_resolved(self) -> None:
        """See `LearningRule.check_resolved`."""
        if self.thresholds == "auto":
            raise UsageError('got thresholds = "auto"', "the thresholds of a network that was calibrated")

    def check_steps(self, max_steps: int) -> None:
        """See `LearningRule.check_steps`: a neuron must be able to fire as often as is wanted of it."""
        most = max_steps // (self.neuron.refractory + 1)
        if self.loss.loss == "rate" and self.loss.target > most:
            fix = f"Use {fitting_counts(max(most // 2, 1))}, or encode" if most else "Encode"
            raise UsageError(
                f"got loss.target {self.loss.target} for samples of at most {max_steps} steps",
                f"at most {most}: a neuron fires every {self.neuron.refractory + 1} steps at best",
                f"{fix} more steps.",
            )

    def warning(self) -> str:
        """See `LearningRule.warning`: a loss that does not tell the label neuron from the others."""
        return self.loss.overlap()

    def calibrated(
        self,
        backend: Backend,
        layers: Sequence[LinearMap],
        devices: Sequence[DeviceLayer],
        batch: PackedBatch,
    ) -> Hm2bp:
        """See `LearningRule.calibrated`: thresholds that are "auto"."""
        if self.thresholds != "auto":
            return self
        last = len(layers) - 1

        def constants(layer: int, threshold: float) -> Hm2bpConstants:
            return self._constants(threshold, layer == last)

        units = [prod(layer.out_shape) for layer in layers]
        return replace(self, thresholds=calibrate(backend, devices, units, batch, constants))

    def resolved_as(self, other: Hm2bp) -> Hm2bp:
        """See `LearningRule.resolved_as`: thresholds that are "auto"."""
        return replace(self, thresholds=other.thresholds) if self.thresholds == "auto" else self

    def constants(self, layer: int, layers: int) -> Hm2bpConstants:
        """See `LearningRule.constants`."""
        assert self.thresholds != "auto"
        return self._constants(at_layer(self.thresholds, layer), layer == layers - 1)

    def _constants(self, threshold: float, output: bool) -> Hm2bpConstants:
        lateral = self.lateral if output else 0.0
        floor = self.gain_floor
        if floor == "auto":
            floor = _SOFTMAX_GAIN_FLOOR if self.loss.loss == "softmax" else None
        loss = self.loss.params() if output else None
        return Hm2bpConstants(self.neuron.at(threshold), self.psp.params(), lateral, floor, loss)

    def silent_hint(self, layers: Sequence[LinearMap], layer: int, calibrated: bool) -> str:
        """See `LearningRule.silent_hint`."""
        auto = "" if calibrated else ", or set thresholds=auto"
        if self.thresholds == "auto" or isinstance(self.thresholds, float | int):
            return f"Lower thresholds, or set them by layer{auto}."
        lower = [nu / 2 if n == layer else nu for n, nu in enumerate(self.thresholds)]
        return f"Lower its threshold, for example thresholds={lower}{auto}."

    def chance_hint(self, calibrated: bool) -> str:
        """See `LearningRule.chance_hint`: without a floor of 1 + σ, softmax gradients turn round."""
        if self.gain_floor is None and self.loss.loss == "softmax":
            return (
                "Set gain_floor=auto: without it the gradient of inhibited output neurons changes its sign."
            )
        return "Lower optim.rate." if calibrated else "Lower optim.rate, or set thresholds=auto."

    # ------------------------------------------------------------ forward and backward

    def forward(
        self, backend: Backend, connection: Connection, pre: Spikes, constants: Hm2bpConstants
    ) -> Spikes:
        """See `LearningRule.forward`: a spike arrives one step later (eq. 2 to 4)."""
        neuron = constants.neuron_of(connection)
        return backend.simulate(connection.drive(pre), pre.steps, neuron, constants.lateral)

    def output_error(
        self,
        backend: Backend,
        output: Spikes,
        labels: NDArray[Any],
        constants: Hm2bpConstants,
    ) -> OutputError:
        """See `LearningRule.output_error`."""
        error, loss = count_error(backend, backend.counts(output), labels, self.loss)
        gamma = lateral_factor(backend, output, labels, constants, self.loss.lateral_limit)
        return OutputError(loss, filled_output(backend, output, labels, self.loss), ErrorSignal(error, gamma))

    def backward(
        self,
        backend: Backend,
        connection: Connection,
        pre: Spikes,
        post: Spikes,
        signal: ErrorSignal,
        constants: Hm2bpConstants,
        send: bool,
    ) -> Array | None:
        """See `LearningRule.backward`: eq. 17 and 22 to 24 in the form of gates (docs/hm2bp.md sections 4 and 8)."""
        xp, real = backend.xp, backend.dtype
        nu, psp = real.type(constants.neuron.threshold), constants.psp
        # a connection without weights (a pooling layer) does not divide the error by its own threshold
        delta = (
            signal.error / nu
            if connection.is_trained
            else signal.error * real.type(connection.backward_weight)
        )
        spikes, gates = backend.dense(pre), backend.gate(post, constants.neuron, psp)
        counts, pre_counts = backend.counts(post), backend.counts(pre)
        active, pre_active = (counts > 0).astype(real), (pre_counts > 0).astype(real)
        if connection.is_trained:
            weighted = (gates * connection.drive(pre)).sum(axis=1)  # a = Σ_l w_il e_il
            share = xp.where(
                counts > 0,
                weighted / xp.maximum(counts, 1).astype(real),
                psp.silent_share * connection.fan_in(),
            )
            gain = 1 + share / nu  # 1 + σ
            if constants.gain_floor is not None:
                gain = xp.maximum(gain, real.type(constants.gain_floor))
            slope = delta * gain if signal.scale is None else signal.scale * delta * gain
            connection.correlate((slope * active)[:, None] * gates, spikes)
            connection.correlate(psp.silent_psp * slope * (1 - active), pre_active)
        if not send:
            return None
        arriving = (spikes * connection.transpose((delta * active)[:, None] * gates)).sum(axis=1)
        arriving = arriving / xp.maximum(pre_counts, 1).astype(real)
        arriving = arriving + psp.silent_ratio * connection.transpose(delta * (1 - active))
        return xp.where(pre_counts > 0, arriving, psp.silent_ratio * connection.transpose(delta))


def lateral_factor(
    backend: Backend, output: Spikes, labels: NDArray[Any], constants: Hm2bpConstants, limit: float | None
) -> Array | None:
    """Return γ (sample, unit), the effect of lateral inhibition on ∂o/∂w (paper's appendix, A-28); None without it.

    γ_i = 1 / (1 − w0² Σ_{l≠i} ρ_{l|i} g_l ρ_{i|l} g_i), ρ_{l|i} = e_{l|i} / o_i but 1 where either is silent, and
    g = 1/ν for a neuron that fires or is the label, else 0. At most `limit`; None: no cap, as published.
    """
    if not constants.lateral:
        return None
    e = backend.psp(output, output, constants.neuron, constants.psp)
    loops = backend.lateral_gain(e, backend.counts(output), labels, constants.neuron.threshold)
    remaining = 1 - constants.lateral**2 * loops
    return 1 / (remaining if limit is None else backend.xp.maximum(remaining, 1 / limit))


def filled_output(backend: Backend, output: Spikes, labels: NDArray[Any], settings: LossSettings) -> Spikes:
    """Return the output spikes that the gradient sees: a silent label neuron fires every T // target steps."""
    if not settings.fill:
        return output
    xp = backend.xp
    silent = backend.counts(output)[xp.arange(len(labels)), xp.asarray(labels)] == 0
    period = xp.where(silent, xp.asarray(np.maximum(output.steps // settings.target, 1)), 0)
    return backend.regular_trains(output, labels, period)
