"""The contract of a backend: what learning rules and layers are computed with, on spikes that stay on the device.

A backend knows neurons, gates and arrays; it knows no learning rule and no kind of layer. A connection is a linear map
that the layer kind describes (`LinearMap`), a rule composes maps, neurons and gates, and `spikeprep.composition` runs
that composition on any backend. Where a backend has a faster way through a layer of one kind under one rule, it says so
in its table `Backend.fused`: a lookup, nothing else depends on it.

`Spikes` are opaque outside their backend. Every array that crosses this border has the axis order written here; arrays
that an operation takes or returns belong to the backend's array module `xp` (NumPy, CuPy) unless marked host. Units are
flat, in C order over a layer's shape.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from .data import NeuronParams, PackedBatch, PspParams, SoftResetParams
from .random import split_mix
from .system import available_memory

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


class BatchSource(Protocol):
    """A stream of batches in epochs, such as `spikeprep.feed.batches.BatchStream`."""

    def batches(self) -> Iterator[PackedBatch]:
        """Yield the rest of the current epoch, its bits in host memory; the stream then stands at the next epoch."""


@dataclass(frozen=True, slots=True)
class NeuronTrace:
    """Neurons under a given drive, host (time, unit).

    Attributes
    ----------
    spikes
        bool.
    membrane
        v as compared with the threshold, before a spike resets it.
    current
        The synaptic current p.
    """

    spikes: NDArray[np.bool_]
    membrane: NDArray[Any]
    current: NDArray[Any]


@dataclass(frozen=True, slots=True)
class ErrorSignal:
    """The error that arrives at a layer.

    Attributes
    ----------
    error
        (sample, post).
    scale
        (sample, post): a factor of the layer's own gradient alone, not of the error sent further back. None: 1.
    """

    error: Array
    scale: Array | None = None


@dataclass(frozen=True, slots=True)
class OutputError:
    """What a learning rule makes of the output.

    Attributes
    ----------
    loss
        E (sample,).
    spikes
        The output spikes that the gradient sees.
    signal
        The error at the output layer.
    """

    loss: Array
    spikes: Spikes
    signal: ErrorSignal


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """A trained array of a layer: its shape, of which the first `neuron_axes` axes name the post neuron."""

    shape: tuple[int, ...]
    neuron_axes: int = 1


class LinearMap(Protocol):
    """A connection as a backend sees it: how pre units are wired to post units.

    `arrays` are the layer's trained arrays by name, in their own shapes. `x` is (…, pre) and `y` is (…, post), real,
    with any leading axes: (sample,) or (sample, time). A map is written with functions of the array module `xp` alone,
    so that it runs on every backend.
    """

    @property
    def name(self) -> str:
        """Name of the layer kind."""

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of the pre units."""

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the post units."""

    @property
    def has_slack(self) -> bool:
        """Whether its neurons fire from a little below the threshold on, where a rule knows such a slack."""

    @property
    def backward_weight(self) -> float:
        """What the fixed weights of a map without trained arrays count as in the error that is sent back."""

    def specs(self) -> Mapping[str, ArraySpec]:
        """Return what is trained, by name; empty where nothing is."""

    def apply(self, xp: ModuleType, arrays: Mapping[str, Array], x: Array) -> Array:
        """Return W x: (…, pre) → (…, post)."""

    def transpose(self, xp: ModuleType, arrays: Mapping[str, Array], y: Array) -> Array:
        """Return Wᵀ y: (…, post) → (…, pre)."""

    def correlate(
        self, xp: ModuleType, arrays: Mapping[str, Array], y: Array, x: Array
    ) -> Mapping[str, Array]:
        """Return the gradient Σ y xᵀ of each array, summed over all leading axes."""


class SpatialMap(LinearMap, Protocol):
    """A connection whose post units (channel, row, column) look at windows of a grid: a convolution or a pool.

    Its array, if any, is `weight` (channel, channel of the input, row, column).
    """

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the post units."""

    @property
    def grid(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the pre units."""

    @property
    def channels(self) -> Literal["first", "last"]:
        """Where the channels are among the axes of `in_shape`, if it has more than two."""

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of a window."""

    @property
    def stride(self) -> tuple[int, int]:
        """Rows and columns between windows."""

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of silence on each side of the pre units."""

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of the post units."""


@dataclass(frozen=True, slots=True)
class ParameterState:
    """A trained array and its moments on the host, in the array's own shape; what a checkpoint holds."""

    value: NDArray[Any]
    moment: NDArray[Any]
    variance: NDArray[Any]

    @classmethod
    def fresh(cls, value: NDArray[Any]) -> ParameterState:
        """Return the state of an array that was never stepped."""
        return cls(value, np.zeros_like(value), np.zeros_like(value))


@dataclass(frozen=True, slots=True)
class OptimiserStep:
    """One step of an optimiser; see `spikeprep.train.optimiser`.

    Attributes
    ----------
    kind
        "adam", or "sgd", whose momentum is `beta1`.
    step
        Number of this step, from 1 (Adam's bias correction).
    strength, steepness, scale
        λ, β and s of the exponential regularisation λ β (w/s) exp(β (mean_j (w_ij/s)² − 1)), j over the fan-in.
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


class Parameter(ABC):
    """A trained array on a device, with its gradient sum and the optimiser's moments, in a layout of its own.

    Attributes
    ----------
    shape
        Shape of the array as its layer kind describes it.
    """

    shape: tuple[int, ...]

    @abstractmethod
    def gradient(self) -> NDArray[Any]:
        """Return the gradient sum so far, host, in the array's shape."""

    @abstractmethod
    def gradient_sum(self) -> Array:
        """Return the gradient sum so far as it lies on the device, in the parameter's own layout.

        It is no copy: what is written there (the sum over ranks, see `spikeprep.distributed`) is what `update` uses.
        """

    @abstractmethod
    def update(self, samples: int, step: OptimiserStep) -> None:
        """Step along (gradient sum / samples + regularisation) and clear the gradient."""

    @abstractmethod
    def state(self) -> ParameterState:
        """Return the array and its moments, host: bit for bit what the parameter can be made from again."""


class DeviceLayer(ABC):
    """One layer on a device under one learning rule.

    Attributes
    ----------
    parameters
        The layer's trained arrays by name.
    replayable
        Whether its passes are work of the device alone, which depends on nothing of the host but shapes and constants:
        a backend may then record them once and replay them (`Backend.replayed`).
    """

    parameters: Mapping[str, Parameter]
    replayable: ClassVar[bool] = False

    @abstractmethod
    def forward(self, pre: Spikes, constants: Any) -> Spikes:
        """Simulate the layer; `constants` are what the rule says of it (`LearningRule.constants`)."""

    @abstractmethod
    def backward(
        self, pre: Spikes, post: Spikes, signal: ErrorSignal, constants: Any, send: bool
    ) -> Array | None:
        """Add to the gradients from the error that arrives; return what arrives at `pre` (sample, pre) if `send`."""


class LayerRule(Protocol):
    """A learning rule as a backend sees it: forward and backward through one layer, written with a `Connection`."""

    @property
    def name(self) -> str:
        """Name of the rule."""

    def specs(self, layer: LinearMap) -> Mapping[str, ArraySpec]:
        """Return what the rule trains of a layer beside the connection's arrays, by name."""

    def forward(self, backend: Any, connection: Any, pre: Spikes, constants: Any) -> Spikes:
        """Return the layer's spikes."""

    def backward(
        self,
        backend: Any,
        connection: Any,
        pre: Spikes,
        post: Spikes,
        signal: ErrorSignal,
        constants: Any,
        send: bool,
    ) -> Array | None:
        """Add to the connection's gradients; return the error at `pre` (sample, pre) if `send`."""


FusedLayer = Callable[[Any, LinearMap, Mapping[str, ParameterState]], DeviceLayer]
"""(backend, layer, states by array name) → a layer that a backend computes in a way of its own."""

FusedOutput = Callable[[Any, Any, Array, Array | None, Any], OutputError]
"""(backend, output, labels, sample weights or None, constants) → a rule's `output_error`, weighted; replayable."""

Pass = Callable[[Any, Array, Array | None, Array | None], Array]
"""(input, labels, sample weights or None, dropout keys or None) → what the pass measured.

Labels, weights and keys (uint64) are arrays (sample,) of the host, or of `xp`.
"""


class Backend(ABC):
    """A device and its way to compute. Equal inputs give bit-equal results, whatever the number of threads.

    Attributes
    ----------
    name
        "cpu", "cuda", "reference".
    device
        What it runs on, for a person; empty where the name says it all.
    xp, dtype
        Its array module, and the type of its real numbers.
    fused
        (learning rule, layer kind) → what computes that pair faster than the composition does.
    fused_outputs
        Learning rule → what computes its output error faster.
    """

    name: ClassVar[str]
    device: str = ""
    xp: ModuleType
    dtype: np.dtype[Any]
    fused: ClassVar[Mapping[tuple[str, str], FusedLayer]] = {}
    fused_outputs: ClassVar[Mapping[str, FusedOutput]] = {}

    # ------------------------------------------------------------ memory

    def batch_bytes(self, units: Sequence[int], samples: int, steps: int) -> int:
        """Return the memory that training on a batch takes at least, beside the network; by default packed spikes.

        `units` are the numbers of units of the input and of every layer; samples are padded to `steps`.
        """
        return samples * sum(units) * -(-steps // 8)

    def free_memory(self) -> int:
        """Return the bytes that are free where the backend computes."""
        return available_memory()

    # ------------------------------------------------------------ spikes

    def feed(self, stream: BatchSource) -> Iterator[PackedBatch]:
        """Yield the rest of the stream's epoch, as `BatchSource.batches`, the bits where `upload` reads them fastest.

        However they travel, the samples and their order are the same, and the stream's state moves with each batch. A
        batch's bits are overwritten some time after the next one is requested.
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
    def dense(self, spikes: Spikes) -> Array:
        """Return the spikes as real numbers 0 and 1 (sample, time, unit), time up to the longest sample."""

    def spikes(self, dense: Array, steps: NDArray[np.int64]) -> Spikes:
        """Return spikes bool (sample, time, unit) as the backend keeps them; those at and past `steps` are ignored."""
        xp, (samples, longest, units) = self.xp, dense.shape
        width = -(-longest // 8)
        padded = xp.zeros((samples, units, 8 * width), np.uint8)
        padded[:, :, :longest] = dense.transpose(0, 2, 1)
        weights = xp.asarray(1 << np.arange(8), np.uint8)
        bits = (padded.reshape(samples, units, width, 8) * weights).sum(axis=3, dtype=np.uint8)
        nothing = np.zeros(samples, np.int32)
        return self.upload(PackedBatch(bits, np.asarray(steps, np.uint32), nothing, nothing.astype(np.int64)))

    @abstractmethod
    def counts(self, spikes: Spikes) -> Array:
        """Return o: int64 (sample, unit)."""

    @abstractmethod
    def regular_trains(self, spikes: Spikes, unit: NDArray[Any], period: Array) -> Spikes:
        """Replace train `unit[b]` (host) by spikes at p, 2 p, … < steps[b], p = `period[b]`, where that is not 0."""

    # ------------------------------------------------------------ dropout

    def kept(self, keys: Array, first: int, units: int, share: float) -> Array:
        """Return which of the units `first`, `first` + 1, … of a network dropout keeps, bool (sample, unit).

        Unit u is dropped where number u of the sample's stream, `keys` uint64 (sample,), is below share · 2⁶⁴.
        """
        numbers = split_mix(
            self.xp.asarray(keys)[:, None], self.xp.arange(first, first + units, dtype=np.uint64)
        )
        return numbers >= np.uint64(round(share * 2**64))

    @abstractmethod
    def masked(self, spikes: Spikes, kept: Array) -> Spikes:
        """Return the spikes without those of units that are not `kept`, bool (sample, unit)."""

    def masked_error(self, error: Array, kept: Array) -> Array:
        """Return an error (sample, unit), 0 where a unit is not `kept`, bool (sample, unit)."""
        return error * kept

    # ------------------------------------------------------------ drives

    def drive(self, linear_map: LinearMap, arrays: Mapping[str, Array], spikes: Spikes) -> Array:
        """Return W S (sample, time, post): what the spikes of each step send through a connection.

        A backend may have a faster way for the layer kinds that it knows.
        """
        return linear_map.apply(self.xp, arrays, self.dense(spikes))

    # ------------------------------------------------------------ neurons, gates, traces

    @abstractmethod
    def trace_neurons(self, drive: NDArray[Any], neuron: NeuronParams) -> NeuronTrace:
        """Run unconnected neurons on a given drive, host (time, unit), and return membranes and currents too."""

    @abstractmethod
    def simulate(
        self, drive: Array, steps: NDArray[np.int64], neuron: NeuronParams, lateral: float = 0.0
    ) -> Spikes:
        """Run neurons on a drive (sample, time, unit); `drive[:, t]` arrives at t + 1 (paper, eq. 2 to 4).

        `steps` (host, (sample,)) are the samples' own lengths. `lateral` w0 ≥ 0: each neuron's spike inhibits every
        other one of the layer by w0, one step later.
        """

    def simulate_soft_reset(
        self, drive: Array, steps: NDArray[np.int64], thresholds: Array, neuron: SoftResetParams
    ) -> Spikes:
        """Run neurons of thresholds (unit,) on a drive (sample, time, unit); `drive[:, t]` arrives at t.

        V ← V e^{−1/τ} + drive, a spike where V ≥ V_th, then V ← V − V_th, and less κ V_th for each other neuron that
        fired at t. `steps` (host, (sample,)) are the samples' own lengths.
        """
        xp, keep = self.xp, self.dtype.type(math.exp(-1 / neuron.tau))
        samples, longest, units = drive.shape
        dense = xp.zeros(drive.shape, np.bool_)
        membrane = xp.zeros((samples, units), self.dtype)
        age = xp.full((samples, units), np.inf, self.dtype)  # steps since the last spike
        for t in range(longest):
            age = age + 1
            arriving = drive[:, t]
            if neuron.refractory > 1:
                arriving = arriving * xp.minimum(age / self.dtype.type(neuron.refractory), 1) ** 2
            membrane = membrane * keep + arriving
            fired = membrane >= thresholds
            membrane = xp.where(fired, membrane - thresholds, membrane)
            age = xp.where(fired, xp.zeros_like(age), age)
            if neuron.lateral:
                others = (fired.sum(axis=1, keepdims=True) - fired).astype(self.dtype)
                membrane = membrane - self.dtype.type(neuron.lateral) * thresholds * others
            dense[:, t] = fired
        return self.spikes(dense, steps)

    @abstractmethod
    def gate(self, post: Spikes, neuron: NeuronParams, psp: PspParams) -> Array:
        """Return G (sample, time, post): what a pre spike at t adds to e_{i|j} (docs/hm2bp.md section 8)."""

    def trace(self, spikes: Spikes, tau: float) -> Array:
        """Return the filtered train at the sample's end, Σ_t S[t] e^{−(T − 1 − t)/τ} (sample, unit), τ in steps."""
        xp, longest = self.xp, int(spikes.steps.max(initial=0))
        ages = xp.asarray(spikes.steps)[:, None] - 1 - xp.arange(longest)[None, :]
        decay = xp.where(ages >= 0, xp.exp(-xp.maximum(ages, 0) / tau), 0.0).astype(self.dtype)
        return xp.matmul(decay[:, None, :], self.dense(spikes))[:, 0]

    @abstractmethod
    def psp(self, pre: Spikes, post: Spikes, neuron: NeuronParams, psp: PspParams) -> Array:
        """Return e_{i|j} (sample, post, pre), silent rules included (paper, eq. 9)."""

    def lateral_gain(self, e: Array, counts: Array, labels: NDArray[Any], threshold: float) -> Array:
        """Return Σ_{l≠i} ρ_{l|i} g_l ρ_{i|l} g_i (sample, unit), the loops of lateral inhibition (paper, A-28).

        ρ_{l|i} = e_{l|i} / o_i but 1 where either is silent, g = 1/ν for a unit that fires or is the label (host,
        (sample,)), else 0. `e` (sample, post, pre) is `psp` of a layer with itself, `counts` its o.
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

    # ------------------------------------------------------------ training steps

    def step_values(self, loss: Array, trains: Sequence[Spikes]) -> Array:
        """Return what a step measured, float64, one behind the other.

        Each sample's loss, each layer's mean spikes per neuron and sample, and the last layer's counts (sample, class).
        """
        xp = self.xp
        counts = [self.counts(spikes) for spikes in trains]
        rates = xp.stack([c.mean(dtype=np.float64) for c in counts])
        return xp.concatenate([loss.astype(np.float64), rates, counts[-1].reshape(-1).astype(np.float64)])

    def replayed(self, work: Pass) -> Pass:
        """Return a function equal to `work`, which consists of replayable parts alone; by default `work` itself.

        A backend may record what it gives the device and replay it for inputs of equal shape. A result is valid until
        the next call.
        """
        return work

    # ------------------------------------------------------------ arrays

    def array(self, host: NDArray[Any]) -> Array:
        """Return a host array as one of `xp`, of the same type."""
        return self.xp.asarray(host)

    def fetch(self, array: Array) -> Callable[[], NDArray[Any]]:
        """Begin to bring an `xp` array to the host; return what waits for it and gives it.

        It does not wait for work that the device gets in between.
        """
        host = self.to_host(array)
        return lambda: host

    @abstractmethod
    def to_host(self, array: Array) -> NDArray[Any]:
        """Return an `xp` array as NumPy."""
