"""Checks of samples of sound, in one compiled pass."""

from __future__ import annotations

from math import isfinite
from typing import Any

from ..._jit import jit
from ..._simd import LINE, above, load_line, spread_line
from ...data import LOUDEST
from ...errors import DataError
from .base import Samples, samples_of


def checked_samples(signal: Any, who: str) -> Samples:
    """Return the samples of `Audio`; raises as `samples_of`, and `DataError` for samples not finite or far from ±1."""
    samples = samples_of(signal, who)
    if is_plain(samples) and _within(samples, LOUDEST):
        return samples
    least, most = samples.min(initial=0), samples.max(initial=0)  # NaN where one is
    if not (isfinite(least) and isfinite(most)):
        raise DataError(
            f"{who}: got samples that are NaN or infinite", "finite ones", "Repair the recording."
        )
    if max(-least, most) > LOUDEST:
        raise DataError(
            f"{who}: got samples from {least:g} to {most:g}",
            "±1",
            "Divide them by their full scale, for example 16-bit numbers by 32768.",
        )
    return samples


def is_plain(samples: Samples) -> bool:
    """Return whether kernels take samples as they are: float32 or float64 of this machine, one after another."""
    dtype, flags = samples.dtype, samples.flags
    return dtype.char in "fd" and dtype.isnative and flags.c_contiguous and flags.aligned


@jit
def _within(samples: Samples, most: float) -> bool:
    """Return whether all samples are between −`most` and `most`, and none is NaN."""
    width = LINE // samples.itemsize
    top, bottom = spread_line(samples.dtype.type(most)), spread_line(samples.dtype.type(-most))
    everywhere = above(top, bottom)
    inside = everywhere
    whole = samples.size - samples.size % width
    for n in range(0, whole, width):
        s = load_line(samples, n)
        inside = inside & above(top, s) & above(s, bottom)
    for n in range(whole, samples.size):
        if not abs(samples[n]) < most:
            return False
    return bool(inside == everywhere)
