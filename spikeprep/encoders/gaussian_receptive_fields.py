"""Values → the activity of units whose receptive fields are Gaussian bells side by side (population coding).

Of M fields unit i = 0 … M − 1 has its centre at μ = low + (i − ½) s, with the distance s = (high − low) / (M − 2), so
that the first and the last centre lie half a distance outside the range; σ = s / β. A value x activates it with
a = exp(−(x − μ)² / (2 σ²)), which decides its spike's time, its share of steps, or its probability of a spike per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from .._jit import inline, jit
from ..config import Meta, Positive, Probability, Share
from ..data import Bits
from ..errors import UsageError
from ..random import RECEPTIVE_FIELDS, SampleKey, philox_keys
from .bernoulli import bernoulli_reference, draw_spikes, to_fractions
from .intensities import IntensityEncoder
from .windows import LONGEST, SILENT, write_codes, write_times

_PURPOSE = np.uint64(RECEPTIVE_FIELDS)
_PLACES = 47  # binary places of a rate: the sum over 2¹⁶ steps, the longest window, fits in 64 bits
_PLACE, _ONE = np.uint64(_PLACES), np.uint64(1)


def _decay(y: Any) -> Any:
    """Return exp(−y) for y ≥ 0, to 1e-12 of itself, and at least exp(−700).

    Of sums and products alone: their results are the same on every machine, those of a library's exp are not. The
    kernel inlines this same body.
    """
    r = np.minimum(y, 700.0) * (-1.0 / 1024.0)
    e = 1.0
    for k in range(15, 0, -1):
        e = 1.0 + e * r / k
    for _ in range(10):
        e = e * e
    return e


_inlined_decay = inline(_decay)


@jit
def _activate(values: NDArray[np.float64], centres: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return the activations of values (value,), float64 (value, field)."""
    result = np.empty((values.size, centres.size))
    for n in range(values.size):
        for k in range(centres.size):
            z = (values[n] - centres[k]) / sigma
            result[n, k] = _inlined_decay(0.5 * (z * z))
    return result


@jit
def _write_regular(rates: NDArray[np.uint64], steps: int, codes: Bits) -> None:
    """Write spikes at rates (row,), of 2⁻⁴⁷ per step, to zeroed `codes` (row, byte)."""
    rest = steps % 8
    for row in range(rates.size):
        rate, total = rates[row], np.uint64(0)
        for byte in range(codes.shape[1]):
            code = np.uint64(0)
            for k in range(8):  # of a fixed length: the compiler unrolls it
                before = total
                total += rate
                code |= ((total ^ before) >> _PLACE & _ONE) << np.uint64(k)
            codes[row, byte] = np.uint8(code)
        if rest:
            codes[row, codes.shape[1] - 1] &= np.uint8((1 << rest) - 1)


def receptive_fields_reference(
    encoder: GaussianReceptiveFields, value: float, rng: SampleKey | None, unit: int = 0
) -> NDArray[np.bool_]:
    """Return the spikes of one value as the definition says it, bool (time, field), in plain NumPy.

    `unit` is the number of the value's first unit, of which the random numbers of "random" depend.
    """
    z = (value - encoder.centres) / encoder.sigma
    a, steps = _decay(0.5 * (z * z)), encoder.steps
    t = np.arange(steps)[:, None]
    if encoder.code == "latency":
        return np.asarray((t == np.rint((steps - 1) * (1 - a))) & (a >= encoder.threshold))
    if encoder.code == "regular":
        rate = np.ceil(np.minimum(a / encoder.charge, 1) * 2.0**_PLACES) / 2.0**_PLACES
        return np.asarray(np.floor((t + 1) * rate) > np.floor(t * rate))
    assert rng is not None
    p = np.concatenate([np.zeros(unit), a])
    return bernoulli_reference(p, steps, rng, _PURPOSE)[:, unit:]


@dataclass(frozen=True)
class GaussianReceptiveFields(IntensityEncoder):
    """Gaussian receptive fields: each value becomes a population of units, each active near a value of its own.

    Encodes an image, an array of uint8, bool or floats (`fields` units per pixel), or `Frames` (`fields` units per
    channel, a window of `steps` steps per frame). The fields are the last axis of the units.

    Parameters
    ----------
    steps
        Steps of a window.
    fields
        Receptive fields, and so units, of a value.
    beta
        Distance of the centres / σ of a field; Bohte et al. use 1.5.
    code
        What an activation a in [0, 1] becomes. ``"latency"``: one spike in step (steps − 1) (1 − a) (Bohte et al.).
        ``"regular"``: a spike whenever the sum of a over the steps reaches another multiple of `charge`. ``"random"``:
        a spike in every step with probability a (both Tang et al.).
    threshold
        Of "latency": fields of a smaller activation do not spike; Bohte et al. use 0.1.
    charge
        Of "regular": the activation that a spike takes, the threshold of a neuron with reset by subtraction; Tang et
        al. use 0.999.
    """

    name: ClassVar[str] = "gaussian_receptive_fields"
    citation: ClassVar[str] = (
        "Bohte, Kok & La Poutré 2002, Error-backpropagation in temporally encoded networks of spiking neurons, "
        "Neurocomputing 48; Tang, Kumar, Yoo & Michmizos 2020, Deep reinforcement learning with population-coded "
        "spiking neural network for continuous control, CoRL"
    )

    steps: Annotated[int, Meta(ge=2, le=LONGEST)] = 50
    fields: Annotated[int, Meta(ge=3, le=1024)] = 8
    beta: Positive = 1.5
    code: Literal["latency", "regular", "random"] = "latency"
    threshold: Share = 0.1
    charge: Probability = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.centres).all() and 0 < self.sigma < float("inf")):
            raise UsageError(
                f"got {self.name} with low = {self.low:g}, high = {self.high:g}, beta = {self.beta:g}",
                "fields of a finite width above 0",
            )

    @property
    def window(self) -> int:
        """Steps of a window."""
        return self.steps

    @property
    def value_units(self) -> int:
        """Units that one value has."""
        return self.fields

    @property
    def centres(self) -> NDArray[np.float64]:
        """μ of the fields in the signal's units, float64 (field,)."""
        return np.asarray(self.low + (np.arange(self.fields) - 0.5) * self._distance, np.float64)

    @property
    def sigma(self) -> float:
        """σ of the fields in the signal's units."""
        return self._distance / self.beta

    @property
    def _distance(self) -> float:
        return (self.high - self.low) / (self.fields - 2)

    def activations(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return exp(−(x − μ)² / (2 σ²)) of values (value,), float64 (value, field), to 1e-12 of itself."""
        values = np.ascontiguousarray(values, np.float64)
        return np.asarray(_activate(values, self.centres, self.sigma))

    def write(self, values: NDArray[Any], bits: Bits, rngs: Sequence[SampleKey | None]) -> None:
        """Write the spikes of `values` (sample, frame, value) to zeroed `bits` (sample, unit, byte)."""
        index, rows = self.table(values)
        a = self.activations(rows)
        if self.code == "latency":
            times = np.rint((self.steps - 1) * (1 - a)).astype(np.int32)
            times[a < self.threshold] = SILENT
            write_times(index, times, self.steps, self.fields, bits)
        elif self.code == "regular":
            rates = np.ceil(np.minimum(a / self.charge, 1) * 2.0**_PLACES).astype(np.uint64)
            codes = np.zeros((a.size, -(-self.steps // 8)), np.uint8)
            _write_regular(rates.reshape(-1), self.steps, codes)
            write_codes(index, codes.reshape(len(rows), -1), self.steps, self.fields, bits)
        else:
            self._draw(to_fractions(a)[index], bits, rngs)

    def _draw(self, fractions: NDArray[np.uint64], bits: Bits, rngs: Sequence[SampleKey | None]) -> None:
        """Write random spikes of probabilities (sample, frame, value, field), as fractions.

        Field k of value v in frame f draws as unit (f · values + v) · fields + k: in an image, as the unit that it is.
        """
        keys = [rng for rng in rngs if rng is not None]
        samples, frames, values, _ = fractions.shape
        if len(keys) < samples:
            raise UsageError(
                f"{self.name}: got no random numbers", "a SampleKey", "Pass rng=SampleKey(seed, split, n)."
            )
        fractions = fractions.reshape(samples, -1)
        if frames == 1:
            draw_spikes(fractions, philox_keys(keys), _PURPOSE, 0, self.steps, bits)
            return
        index = np.arange(frames * values).reshape(1, frames, values)
        for n in range(samples):
            codes = np.zeros((1, fractions.shape[1], -(-self.steps // 8)), np.uint8)
            draw_spikes(fractions[n : n + 1], philox_keys(keys[n : n + 1]), _PURPOSE, 0, self.steps, codes)
            write_codes(index, codes.reshape(frames * values, -1), self.steps, self.fields, bits[n : n + 1])

    def candidates(self, signals: Sequence[Any]) -> dict[str, list[Any]]:
        """Return numbers of fields and steps, and codes, and the range of `signals` where it is needed."""
        return super().candidates(signals) | {
            "fields": [4, 8],
            "steps": [10, 25, 50],
            "code": ["latency", "regular", "random"],
        }

    def decode(self, spikes: NDArray[Any]) -> NDArray[np.float64]:
        """Return the values that the activations point at, float64 (window, value), from spikes (time, unit).

        The activations are read from the spikes. The two strongest neighbours give the value, since ln aᵢ − ln aⱼ is
        linear in it; where only one field spikes it is that field's centre, where none does the middle of the range.
        """
        fired = self.windows(spikes)
        if self.code == "latency":
            a = np.where(fired.any(axis=1), 1 - fired.argmax(axis=1) / (self.steps - 1), 0.0)
        else:
            a = fired.mean(axis=1) * (self.charge if self.code == "regular" else 1.0)
        pair = a[..., :-1] * a[..., 1:]
        left = pair.argmax(axis=-1)[..., None]
        one, other = (np.take_along_axis(a, left + k, -1)[..., 0] for k in (0, 1))
        middle = (self.centres[:-1] + self._distance / 2)[left[..., 0]]
        with np.errstate(divide="ignore", invalid="ignore"):
            value = middle + self.sigma**2 / self._distance * (np.log(other) - np.log(one))
        alone = np.where(a.any(axis=-1), self.centres[a.argmax(axis=-1)], (self.low + self.high) / 2)
        return np.asarray(np.clip(np.where(pair.any(axis=-1), value, alone), self.low, self.high))
