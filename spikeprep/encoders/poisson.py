"""Images → Bernoulli ("Poisson") spike trains; `spikeprep.encoders.bernoulli` defines the draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import Meta, Positive, Probability
from ..data import Bits, SpikeTrain
from ..errors import DataError, SignalError, UsageError
from ..random import POISSON, SampleKey, philox_keys
from .base import Description, Encoder
from .bernoulli import bernoulli_reference, draw_spikes, to_fractions
from .channels import spikes_to_decode

_PURPOSE = np.uint64(POISSON)


def poisson_reference(p: NDArray[np.float64], steps: int, rng: SampleKey) -> NDArray[np.bool_]:
    """Return the spikes that `Poisson` draws, in plain NumPy.

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
    spikes = bernoulli_reference(p, steps, rng, _PURPOSE)
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
            draw_spikes(fractions, philox_keys(keys), _PURPOSE, 1, self.steps, out)
        return np.full(len(images), self.steps, np.uint32)

    def _fractions(self, pixels: NDArray[Any]) -> NDArray[np.uint64]:
        if pixels.dtype == np.uint8:  # 256 probabilities at most
            fractions = to_fractions(self.probabilities(np.arange(256, dtype=np.uint8)))
            return np.asarray(fractions[pixels])
        return to_fractions(self.probabilities(pixels))

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Return each pixel's estimated intensity, float64 (unit,), from spikes (time, unit).

        The maximum-likelihood estimate: spikes per step, over the steps that may spike, divided by ``rate_max``.
        Its standard error is sqrt(p (1 − p) / (steps − 1)) / rate_max; it may exceed 1.
        """
        spikes = spikes_to_decode(self.name, spikes)
        count = np.count_nonzero(spikes, axis=0)
        return np.asarray(count / (max(len(spikes) - 1, 1) * self.rate_max))

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return numbers of steps and probabilities."""
        return {"steps": [25, 50, 100, 200, 400], "rate_max": [0.1, 1 / 5.5, 0.5, 1.0]}
