"""Images → Bernoulli ("Poisson") spike trains, drawn 64 steps at a time by bit-sliced comparison.

A pixel spikes in a step if a uniform random fraction u is below p, that is if u has the 0 at the first binary
digit in which they differ. A 64-bit random word holds one digit of 64 steps' u, so words taken most
significant digit first decide 64 steps together, each word half of those still undecided. p is used as a
64-bit binary fraction: exact for every float64 p ≥ 2⁻¹¹ (and for 0 and 1), below that rounded down by less
than 2⁻⁶⁴.

Random words: digit d of steps 64 b … 64 b + 63 of a unit is ``x0 2³² + x1`` (d even) or ``x2 2³² + x3`` (d
odd) of ``philox(unit, b, d // 2, POISSON; sample key)``; bit k belongs to step 64 b + k (see
`spikeprep.random`). So a train depends on its sample key, unit and p alone, and a shorter train is the
beginning of a longer one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from ..config import Meta, Positive, Probability
from ..data import Bits, SpikeTrain
from ..errors import DataError, SignalError, UsageError
from ..random import POISSON, SampleKey, philox4x32, philox_keys
from .base import Description, Encoder

_LANES = (
    8  # blocks of steps decided together; more than a register holds, which hides the multiplier's latency
)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ALWAYS = _ALL  # the fraction that stands for p = 1: no float64 below 1 comes so near
_ZERO, _ONE, _TWO, _EIGHT, _HALF, _TOP, _BYTE = (np.uint64(n) for n in (0, 1, 2, 8, 32, 63, 255))
_PURPOSE = np.uint64(POISSON)
_philox = inline(philox4x32)


@jit
def _encode(fractions: NDArray[np.uint64], keys: NDArray[np.uint64], steps: int, bits: Bits) -> None:
    """Write the spikes of probabilities (sample, unit), as fractions, to zeroed bits (sample, unit, byte)."""
    samples, units = fractions.shape
    width = bits.shape[2]
    # One array for both: with two, LLVM checks them for overlap and does not vectorise.
    lane = np.empty(2 * _LANES, np.uint64)  # [0, 8) undecided steps, [8, 16) spikes
    for n in range(samples):
        k0, k1 = keys[n, 0], keys[n, 1]
        for unit in range(units):
            fraction = fractions[n, unit]
            if fraction == _ZERO:
                continue
            for first in range(0, width, 8 * _LANES):  # byte; 8 bytes a block
                block = first // 8
                for j in range(_LANES):
                    left = steps - 64 * (block + j)
                    undecided = _ALL if left >= 64 else (_ONE << np.uint64(max(left, 0))) - _ONE
                    if block + j == 0:
                        undecided &= ~_ONE  # step 0 never spikes
                    lane[j] = undecided
                    lane[_LANES + j] = undecided if fraction == _ALWAYS else _ZERO
                digits = _ZERO if fraction == _ALWAYS else fraction
                depth = _ZERO
                while digits != _ZERO:  # where p has only zeros left, no undecided u is below it
                    one = _ZERO - (digits >> _TOP)  # p's digit, in all 64 lanes
                    next_one = _ZERO - (digits << _ONE >> _TOP)
                    open_steps = _ZERO
                    for j in range(_LANES):
                        x0, x1, x2, x3 = _philox(
                            np.uint64(unit), np.uint64(block + j), depth, _PURPOSE, k0, k1
                        )
                        u, next_u = x0 << _HALF | x1, x2 << _HALF | x3
                        undecided = lane[j]
                        below = undecided & one & ~u
                        undecided &= ~(u ^ one)
                        below |= undecided & next_one & ~next_u
                        undecided &= ~(next_u ^ next_one)
                        lane[j] = undecided
                        lane[_LANES + j] |= below
                        open_steps |= undecided
                    if open_steps == _ZERO:
                        break
                    digits <<= _TWO
                    depth += _ONE
                for start in range(first, min(first + 8 * _LANES, width), 8):
                    word = lane[_LANES + (start - first) // 8]
                    for byte in range(start, min(start + 8, width)):
                        bits[n, unit, byte] = np.uint8(word & _BYTE)
                        word >>= _EIGHT


def _to_fractions(p: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return floor(p 2⁶⁴) as uint64, with `_ALWAYS` for p = 1."""
    below_one = np.minimum(p, np.nextafter(1.0, 0.0))
    return np.where(p < 1.0, np.ldexp(below_one, 64).astype(np.uint64), _ALWAYS)


def poisson_reference(p: NDArray[np.float64], steps: int, rng: SampleKey) -> NDArray[np.bool_]:
    """Return the spikes that `Poisson` draws, in plain NumPy: every u is compared with p.

    Parameters
    ----------
    p
        float64 (unit,): probability of a spike in a step.
    steps
        Number of time steps.
    rng
        Key of the sample's random numbers.

    Returns
    -------
    bool (time, unit)
    """
    k0, k1 = (np.uint64(word) for word in rng.philox_key())
    unit = np.arange(p.size, dtype=np.uint64)[:, None]
    block = np.arange(-(-steps // 64), dtype=np.uint64)[None, :]
    u = np.zeros((p.size, 64 * block.size), np.uint64)
    for digit in range(64):
        x = philox4x32(unit, block, np.uint64(digit // 2), _PURPOSE, k0, k1)
        high, low = x[2:] if digit % 2 else x[:2]
        word = (high << _HALF | low).astype("<u8")
        drawn = np.unpackbits(word.view(np.uint8), axis=-1, bitorder="little")
        u |= drawn.astype(np.uint64) << np.uint64(63 - digit)
    fraction = _to_fractions(p)[:, None]
    spikes: NDArray[np.bool_] = ((u < fraction) | (fraction == _ALWAYS)).T[:steps]
    spikes[0] = False
    return spikes


@dataclass(frozen=True)
class Poisson(Encoder):
    """One Bernoulli draw per pixel and step, with probability ``rate_max`` × intensity; step 0 never spikes.

    An image is uint8 (intensity = value / 255), bool or floating point in [0, 1], of any shape; a pixel is a unit.
    Spikes depend on the `SampleKey`, the unit and the intensity alone, not on the batch they are drawn in.

    Parameters
    ----------
    steps
        Time steps of a sample; HM2-BP's MNIST setting is 400.
    rate_max
        Probability of a spike per step at intensity 1; HM2-BP's is 1/5.5.
    dt
        Length of a step in seconds.
    """

    name: ClassVar[str] = "poisson"
    citation: ClassVar[str] = (
        "Jin, Zhang & Li 2018, Hybrid Macro/Micro Level Backpropagation for Training Deep Spiking Neural "
        "Networks, NeurIPS 31"
    )

    steps: Annotated[int, Meta(ge=1, le=2**32 - 1)] = 400
    rate_max: Probability = 1 / 5.5
    dt: Positive = 0.001

    @property
    def largest_density(self) -> float:
        """The share of bits that are spikes of a white image, but for the first step."""
        return self.rate_max

    def describe(self, signal: Any, rng: SampleKey | None = None) -> Description:
        """Return a unit per pixel (and channel), and `steps` steps of `dt`; raises `SignalError` for no image."""
        shape = np.shape(signal) if isinstance(signal, np.ndarray | list | tuple) else ()
        if not shape:
            raise SignalError(
                f"poisson: got a signal of type {type(signal).__name__}",
                "an image: an array (row, column[, channel])",
                "Choose an encoder for such signals (`spikeprep list encoders`).",
            )
        return Description(shape, self.steps, self.dt)

    def probabilities(self, image: Any) -> NDArray[np.float64]:
        """Return each pixel's probability of a spike in a step, float64, in the image's shape.

        Raises
        ------
        DataError
            The image is neither uint8 nor bool nor floats in [0, 1].
        """
        image = np.asarray(image)
        if image.dtype == np.uint8:
            return np.asarray(self.rate_max * (image / 255.0))
        if image.dtype == np.bool_:
            return np.where(image, self.rate_max, 0.0)
        if not np.issubdtype(image.dtype, np.floating):
            raise DataError(
                f"poisson: got an image of {image.dtype}",
                "uint8, bool, or floating point in [0, 1]",
                "Divide the image by its largest possible value.",
            )
        if image.size and not (image.min() >= 0 and image.max() <= 1):  # a NaN fails both
            raise DataError(
                f"poisson: got intensities from {image.min():g} to {image.max():g}",
                "[0, 1]",
                "Divide the image by its largest possible value, and replace NaN.",
            )
        return np.asarray(self.rate_max * image.astype(np.float64))

    def encode(self, signal: Any, *, rng: SampleKey | None = None) -> SpikeTrain:
        """Return the packed spikes of one image.

        Raises
        ------
        DataError
            `signal` is no image, see `probabilities`.
        UsageError
            `rng` is None.
        """
        bits = np.zeros((1, np.size(signal), -(-self.steps // 8)), np.uint8)
        self.encode_into([signal], bits, rngs=[rng])
        return SpikeTrain(bits[0], self.steps)

    def encode_into(
        self, signals: Iterable[Any], out: Bits, *, rngs: Sequence[SampleKey | None]
    ) -> NDArray[np.uint32]:
        """Write the spikes that `encode` returns for each image to `out`, by one compiled call."""
        images = [np.ravel(signal) for signal in signals]
        keys = [rng for rng in rngs if rng is not None]
        if len(keys) < len(images):
            raise UsageError(
                "poisson: got no random numbers", "a SampleKey", "Pass rng=SampleKey(seed, split, n)."
            )
        for image in images:
            if image.size != out.shape[1]:
                raise DataError(
                    f"poisson: got an image of {image.size} pixels",
                    f"{out.shape[1]}, like the first one",
                    "Bring all images to one size.",
                )
        if images:
            fractions = np.empty((len(images), out.shape[1]), np.uint64)
            same = len({image.dtype for image in images}) == 1
            for rows, pixels in [(slice(None), np.stack(images))] if same else enumerate(images):
                fractions[rows] = self._fractions(pixels)
            _encode(fractions, philox_keys(keys), self.steps, out)
        return np.full(len(images), self.steps, np.uint32)

    def _fractions(self, pixels: NDArray[Any]) -> NDArray[np.uint64]:
        if pixels.dtype == np.uint8:  # 256 probabilities at most
            fractions = _to_fractions(self.probabilities(np.arange(256, dtype=np.uint8)))
            return np.asarray(fractions[pixels])
        return _to_fractions(self.probabilities(pixels))

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Return each pixel's estimated intensity, float64 (unit,), from spikes (time, unit).

        The maximum-likelihood estimate: spikes per step, over the steps that may spike, divided by ``rate_max``.
        Its standard error is sqrt(p (1 − p) / (steps − 1)) / rate_max; it may exceed 1.
        """
        count = np.count_nonzero(spikes, axis=0)
        return np.asarray(count / (max(len(spikes) - 1, 1) * self.rate_max))
