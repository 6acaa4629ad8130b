"""The contract of a backend: the operations that HM2-BP is made of, on spikes that stay on the device.

A layer kind adds three words, spelled the same in every backend: `dense_weights`, `dense_forward`, `dense_backward`;
what they share (neurons, PSPs, gates, trains, updates) is there once. Backends choose their own layouts: `Spikes` and
`Weights` are opaque outside, and every array that crosses this border has the axis order written here. Arrays that an
operation takes or returns belong to the backend's array module `xp` (NumPy, CuPy) unless marked host.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .data import NeuronParams, PackedBatch, PspParams

if TYPE_CHECKING:
    from .feed.batches import BatchStream

Array = Any
"""An array of the backend's module `xp`."""


class Spikes(Protocol):
    """A batch of spike trains on a device."""

    @property
    def units(self) -> int:
        """Number of units."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """Host int64 (sample,): each sample's own length; no spike is at or past it."""


class Weights(Protocol):
    """A layer's weights on a device, with its gradient sum and the optimiser's moments."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights as a person sees them: dense (post, pre)."""


@dataclass(frozen=True, slots=True)
class WeightState:
    """A layer's weights and moments on the host, in the shape a person sees; what a checkpoint holds."""

    weight: NDArray[Any]
    moment: NDArray[Any]
    variance: NDArray[Any]


@dataclass(frozen=True, slots=True)
class LifTrace:
    """Neurons under a given drive: `spikes` bool, `membrane` as compared and `current`, all (time, unit), host."""

    spikes: NDArray[np.bool_]
    membrane: NDArray[Any]
    current: NDArray[Any]


@dataclass(frozen=True, slots=True)
class UpdateRule:
    """One optimiser step; see `spikeprep.train.optimiser`.

    Attributes
    ----------
    step
        Number of this step, from 1 (Adam's bias correction).
    strength, steepness, scale
        λ, β and 8 of the exponential regularisation λ β (w/8) exp(β (mean_j (w_ij/8)² − 1)).
    """

    kind: Literal["adam", "sgd"]
    rate: float
    step: int
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    strength: float = 0.0
    steepness: float = 0.04
    scale: float = 8.0


class Backend(ABC):
    """A backend. Equal inputs give bit-equal results, whatever the number of threads.

    Attributes
    ----------
    name
        "cpu", "cuda", "reference".
    device
        What it runs on, for a person; empty where the name says it all.
    xp, dtype
        Its array module, and the type of its weights.
    """

    name: ClassVar[str]
    device: str = ""
    xp: ModuleType
    dtype: np.dtype[Any]

    def feed(self, stream: BatchStream) -> Iterator[PackedBatch]:
        """Yield what is left of the stream's epoch, as `BatchStream.batches`, the bits where `upload` finds them best.

        However they travel, the samples and their order are the same, and the stream's state moves with each batch. A
        batch's bits are overwritten some time after the next one is asked for.
        """
        return stream.batches()

    @abstractmethod
    def upload(self, batch: PackedBatch) -> Spikes:
        """Bring packed spikes to the device, still packed or in any denser form of the backend's choice.

        The bits are host memory, or of `xp` where they come from the backend's own `feed`.
        """

    @abstractmethod
    def unpack(self, spikes: Spikes) -> NDArray[np.bool_]:
        """Return host bool (sample, time, unit), time up to the longest sample."""

    @abstractmethod
    def counts(self, spikes: Spikes) -> Array:
        """Return o: int64 (sample, unit)."""

    @abstractmethod
    def lif(self, drive: NDArray[Any], neuron: NeuronParams) -> LifTrace:
        """Run unconnected neurons on a given drive, host (time, unit): Σ_j w_ij S_j[t], which arrives at t + 1."""

    @abstractmethod
    def gate(self, post: Spikes, neuron: NeuronParams, psp: PspParams) -> Array:
        """Return G (sample, time, post): what a pre spike at t adds to e_{i|j} (docs/hm2bp.md section 8)."""

    @abstractmethod
    def psp(self, pre: Spikes, post: Spikes, neuron: NeuronParams, psp: PspParams) -> Array:
        """Return e_{i|j} (sample, post, pre), silent rules included (paper, eq. 9)."""

    def lateral_gain(self, e: Array, counts: Array, labels: NDArray[Any], threshold: float) -> Array:
        """Return Σ_{l≠i} ρ_{l|i} g_l ρ_{i|l} g_i (sample, unit), the loops of lateral inhibition (paper, A-28).

        ρ_{l|i} = e_{l|i} / o_i but 1 where either is silent, g = 1/ν for a unit that fires or is the label (host,
        (sample,)), else 0. `e` (sample, post, pre) is `psp` of a layer with itself, `counts` its o. What stands here is
        the definition; a backend may have a shorter way.
        """
        xp, dtype = self.xp, self.dtype
        silent = counts == 0
        either = silent[:, :, None] | silent[:, None, :]
        rho = xp.where(either, xp.ones_like(e), e / xp.maximum(counts, 1)[:, None, :].astype(dtype))
        g = (~silent).astype(dtype) / threshold
        g[xp.arange(len(labels)), xp.asarray(labels)] = 1 / threshold
        loops = rho * rho.transpose(0, 2, 1) * g[:, :, None] * g[:, None, :]
        diagonal = xp.arange(e.shape[1])
        loops[:, diagonal, diagonal] = 0
        return loops.sum(axis=1)

    @abstractmethod
    def regular_trains(self, spikes: Spikes, unit: NDArray[Any], period: Array) -> Spikes:
        """Replace train `unit[b]` (host) by spikes at p, 2 p, … < steps[b], p = `period[b]`, where that is not 0."""

    @abstractmethod
    def dense_weights(self, state: WeightState) -> Weights:
        """Bring weights (post, pre) and moments to the device; the gradient starts at 0."""

    @abstractmethod
    def dense_forward(
        self, weights: Weights, pre: Spikes, neuron: NeuronParams, lateral: float = 0.0
    ) -> Spikes:
        """Simulate a fully connected layer; a spike arrives one step later (paper, eq. 2 to 4).

        `lateral` w0 ≥ 0: each neuron's spike inhibits every other one of the layer by w0, one step later.
        """

    @abstractmethod
    def dense_backward(
        self,
        weights: Weights,
        pre: Spikes,
        post: Spikes,
        delta: Array,
        scale: Array | None,
        neuron: NeuronParams,
        psp: PspParams,
        incoming: bool,
    ) -> Array | None:
        """Add Σ_b δ γ (1 + σ) e to the gradient; return Σ_i δ_i w_ij ρ_ij (sample, pre) if `incoming`.

        `delta` (sample, post) is δ; `scale` (sample, post) is γ, None meaning 1: it multiplies the gradient alone
        (paper, eq. 17 and 22 to 24).
        """

    @abstractmethod
    def gradient(self, weights: Weights) -> NDArray[Any]:
        """Return the gradient sum so far, host, in the shape of the weights."""

    @abstractmethod
    def gradient_sum(self, weights: Weights) -> Array:
        """Return the gradient sum so far as it lies on the device, in a layout of the backend's choice.

        It is no copy: what is written there (the sum over ranks, see `spikeprep.distributed`) is what `update` uses.
        """

    @abstractmethod
    def update(self, weights: Weights, samples: int, rule: UpdateRule) -> None:
        """Step along (gradient sum / samples + regularisation) and clear the gradient."""

    @abstractmethod
    def state(self, weights: Weights) -> WeightState:
        """Return weights and moments, host, bit for bit what `dense_weights` would take."""

    def fetch(self, array: Array) -> Callable[[], NDArray[Any]]:
        """Begin to bring an `xp` array to the host; return what waits for it and gives it.

        Work that is given to the device in between is not waited for.
        """
        host = self.to_host(array)
        return lambda: host

    @abstractmethod
    def to_host(self, array: Array) -> NDArray[Any]:
        """Return an `xp` array as NumPy."""
