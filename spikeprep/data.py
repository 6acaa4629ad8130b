"""The types that pass from a source to a network: axis order and units are defined here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
"""Packed spikes, uint8 (…, unit, byte): bit k of byte b is step 8 b + k; bits at and past `steps` are 0."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled item of a source, before encoding.

    Attributes
    ----------
    signal
        An image: uint8, or floats in [0, 1], of shape (row, column[, channel]); or `Audio`, `Frames`, `Events` or
        `Video`.
    label
        Class index in ``range(len(source.classes))``.
    id
        Where it came from: a path inside the source, or an index.
    """

    signal: Any
    label: int
    id: str


LOUDEST = 10.0
"""Sample value beyond which sound is not in ±1 but on another scale: 20 dB over full scale.

Floating-point sound may exceed full scale somewhat; 16-bit numbers as floats reach 32 768.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """One channel of sound.

    Attributes
    ----------
    samples
        Floating point (time,), full scale is ±1.
    rate
        Samples per second, in Hz.
    """

    samples: NDArray[np.floating[Any]]
    rate: float


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Analogue channels over time, such as a cochleagram.

    Attributes
    ----------
    values
        Floating point (frame, channel).
    rate
        Frames per second, in Hz.
    """

    values: NDArray[np.floating[Any]]
    rate: float


EVENT = np.dtype(
    {
        "names": ["x", "y", "t", "p"],
        "formats": ["<u2", "<u2", "<i8", "u1"],
        "offsets": [0, 2, 8, 4],
        "itemsize": 16,
    }
)
"""One event of a DVS: column x from the left, row y from the top, time t in µs, polarity p (1: ON, brighter; 0: OFF).

Sixteen bytes with every field aligned, so that an event is one load or store of a vector register.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """A recording of a DVS (event camera), in memory or streamed.

    Attributes
    ----------
    pieces
        Arrays of dtype `EVENT`, shape (event,), in the order of recording; an iterable that can be iterated
        repeatedly. A recording in memory is one array in a tuple; a larger one is decoded anew in every pass.
        t is in µs from the recording's own start and never decreases.
    size
        (width, height) of the sensor in pixels.
    polarities
        2, or 1 where ON and OFF are not distinguished: then every p is 0.
    start
        Time of the file's own clock at t = 0, in µs.
    duration
        How long the recording lasted, in µs: every t is below it. None: until its last event, see `length`. A filter
        does not shorten a recording.
    checked
        Whether every event is known to be on the sensor, of one of its polarities, not earlier than the one before it
        and within the duration. Set by readers that check, so that no later step checks again.
    """

    pieces: Iterable[NDArray[np.void]]
    size: tuple[int, int]
    polarities: int = 2
    start: int = 0
    duration: int | None = None
    checked: bool = False

    @classmethod
    def of(cls, events: NDArray[np.void], size: tuple[int, int], polarities: int = 2) -> Events:
        """Return a recording of one array in memory."""
        return cls((events,), size, polarities)

    @property
    def array(self) -> NDArray[np.void]:
        """All events in one array of dtype `EVENT`, (event,)."""
        pieces = tuple(self.pieces)
        if len(pieces) == 1:
            return pieces[0]
        events = np.empty(sum(map(len, pieces)), EVENT)  # a promoted dtype would lose the alignment
        return np.concatenate(pieces, out=events) if pieces else events

    def length(self, computed: int | None = None) -> int:
        """Return how long the recording lasted, in µs: `duration`, or else one more than its last event's t, or 0.

        Where `duration` is None and `pieces` has no method `length`, this takes a pass over all pieces, unless the
        caller has just made one and passes what it `computed`.
        """
        if self.duration is not None:
            return self.duration
        length = getattr(self.pieces, "length", None)
        if length is not None:
            return int(length())
        if computed is not None:
            return computed
        end = 0
        for piece in self.pieces:
            end = int(piece["t"][-1]) + 1 if len(piece) else end
        return end


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Pictures over time, in grey levels, in memory or decoded piece by piece.

    Attributes
    ----------
    pieces
        Arrays (frame, row, column) in the order of time, uint8 or floating point in [0, 1]: linear brightness as it
        is displayed. An iterable that can be iterated repeatedly; a video in memory is one array in a tuple.
    size
        (width, height) of a frame in pixels.
    times
        int64 (frame,), in µs: when each frame is shown. They increase, and the first one is 0.
    duration
        Time at which the last frame ends, in µs; later than it begins.
    """

    pieces: Iterable[NDArray[Any]]
    size: tuple[int, int]
    times: NDArray[np.int64]
    duration: int

    @classmethod
    def of(cls, frames: NDArray[Any], rate: float) -> Video:
        """Return a video in memory of frames (frame, row, column), `rate` of them per second (Hz)."""
        times, duration = frame_times(len(frames), rate)
        return cls((frames,), (frames.shape[2], frames.shape[1]), times, duration)

    @property
    def array(self) -> NDArray[Any]:
        """All frames in one array (frame, row, column)."""
        pieces = tuple(self.pieces)
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty((0, *self.size[::-1]), np.uint8)


def frame_times(frames: int, rate: float) -> tuple[NDArray[np.int64], int]:
    """Return the times of frames in µs, int64 (frame,), and the end of the last one, at `rate` frames per second."""
    ends = np.rint(np.arange(frames + 1) * (1e6 / rate)).astype(np.int64)
    return ends[:-1], int(ends[-1])


@dataclass(frozen=True, slots=True)
class SpikeTrain:
    """The spikes of one sample, packed one bit a step.

    Attributes
    ----------
    bits
        uint8 (unit, ceil(steps / 8)), see `Bits`.
    steps
        The sample's length in time steps.
    """

    bits: Bits
    steps: int

    def __post_init__(self) -> None:
        if self.bits.dtype != np.uint8 or self.bits.ndim != 2 or self.bits.shape[1] != -(-self.steps // 8):
            raise ValueError(
                f"got bits {self.bits.dtype} {self.bits.shape} for {self.steps} steps; "
                f"expected uint8 (unit, {-(-self.steps // 8)}). Build the bits with spikeprep.packing.pack."
            )


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Samples as they travel from a store to a device: still packed. Of several ranks each gets its slice of a batch.

    Attributes
    ----------
    bits
        uint8 (sample, unit, byte), see `Bits`.
    steps
        uint32 (sample,), each sample's own length.
    labels
        int32 (sample,).
    index
        int64 (sample,), position of the sample in its split.
    epoch
        The epoch that the batch belongs to, from 0.
    position
        Samples of the epoch that came before the batch.
    batch_index
        int64 (sample,): `index` of the batch over all ranks. None: `index`.
    waited
        Seconds that were spent waiting for data since the batch before.
    """

    bits: Bits
    steps: NDArray[np.uint32]
    labels: NDArray[np.int32]
    index: NDArray[np.int64]
    epoch: int = 0
    position: int = 0
    batch_index: NDArray[np.int64] | None = None
    waited: float = 0.0

    def __post_init__(self) -> None:
        # kernels rely on it: bits past these would be read
        samples, _, width = self.bits.shape
        if not samples == len(self.steps) == len(self.labels) == len(self.index):
            raise ValueError(
                f"got bits {self.bits.shape}, {len(self.steps)} steps, {len(self.labels)} labels and "
                f"{len(self.index)} indices; expected one of each per sample."
            )
        if samples and not 0 <= int(self.steps.min()) <= int(self.steps.max()) <= 8 * width:
            raise ValueError(
                f"got samples of {self.steps.min()} to {self.steps.max()} steps; expected 0 to {8 * width}, "
                f"as {width} bytes hold."
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class NeuronParams:
    """A leaky integrate-and-fire neuron with a first-order synapse; times in steps (paper, eq. 2 to 4).

    Attributes
    ----------
    threshold
        ν, in units of the membrane.
    tau_m, tau_s
        Membrane and synapse time constants.
    refractory
        Steps for which the membrane is held at 0 after a spike.
    slack
        A membrane fires above ``threshold - slack``; the published dense layers use 1e-6, convolutions 0.
    """

    threshold: float
    tau_m: float = 64.0
    tau_s: float = 8.0
    refractory: int = 2
    slack: float = 1e-6

    def __post_init__(self) -> None:
        if not (self.threshold > 0 and self.tau_m > self.tau_s > 1):
            raise ValueError(f"got {self}; expected threshold > 0 and tau_m > tau_s > 1.")
        if self.refractory < 1:
            raise ValueError(f"got refractory {self.refractory}; expected at least 1 step.")


@dataclass(frozen=True, slots=True)
class PspParams:
    """Rules of the spike-train PSP e_{i|j} that the published runs use and the paper leaves open.

    Attributes
    ----------
    window
        A pre spike counts towards a firing at most this many steps later (published: 4 τ_m); None is the paper's eq. 9.
    silent_psp
        e of a silent post neuron for a pre neuron that fired.
    silent_share
        e / o in σ where the post neuron is silent.
    silent_ratio
        ρ = e / o_pre in the error sent back where the pre or the post neuron is silent.
    """

    window: int | None = 256
    silent_psp: float = 0.1
    silent_share: float = 0.5
    silent_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class LossParams:
    """A loss on output spike counts; see `spikeprep.train.rules.loss.LossSettings`.

    Attributes
    ----------
    softmax
        Cross entropy of softmax(counts); False: desired spike counts.
    target, off_target, margin
        Spikes wanted of the label neuron and of the others, and how near to them is no error.
    fill
        Whether a silent label neuron is given a regular train of about `target` spikes.
    lateral_limit
        γ is at most this; None: no limit.
    """

    softmax: bool
    target: int
    off_target: int
    margin: int
    fill: bool
    lateral_limit: float | None


@dataclass(frozen=True, slots=True)
class Hm2bpConstants:
    """What HM2-BP computes one layer with.

    Attributes
    ----------
    neuron, psp
        The layer's neurons, and their spike-train PSP.
    lateral
        Strength of the lateral inhibition among the layer's neurons.
    gain_floor
        1 + σ is at least this; None: no floor, as published.
    loss
        Of the output layer.
    """

    neuron: NeuronParams
    psp: PspParams = PspParams()
    lateral: float = 0.0
    gain_floor: float | None = None
    loss: LossParams | None = None

    @property
    def least_gain(self) -> float:
        """What 1 + σ is at least: −∞ without a floor."""
        return -math.inf if self.gain_floor is None else self.gain_floor

    def neuron_of(self, layer: Any) -> NeuronParams:
        """Return the neuron of a `LinearMap` or `Connection`; without `slack` where the layer kind has none."""
        return self.neuron if layer.has_slack else replace(self.neuron, slack=0.0)


@dataclass(frozen=True, slots=True)
class SoftResetParams:
    """A leaky integrator that loses its threshold when it fires, so that the excess stays (Lee et al. 2016).

    Attributes
    ----------
    tau
        Membrane time constant in steps.
    refractory
        Steps after a spike within which an arriving weight counts (steps since the spike / refractory)².
    lateral
        κ: a spike takes this share of their own thresholds from the other neurons of the layer.
    """

    tau: float
    refractory: float = 1.0
    lateral: float = 0.0


@dataclass(frozen=True, slots=True)
class Lee2016Constants:
    """What the rule of Lee et al. 2016 computes one layer with.

    Attributes
    ----------
    neuron
        The layer's neurons, all but their thresholds.
    output
        Whether it is the output layer, whose error is not normalised.
    efficacy
        σ: how much of the lateral inhibition the gradient of the thresholds counts.
    balance
        ρ: strength of the regularisation of thresholds.
    """

    neuron: SoftResetParams
    output: bool = False
    efficacy: float = 1.0
    balance: float = 0.0
