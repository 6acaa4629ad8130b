"""Audio → audio of one length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ...config import Meta
from ...data import Audio
from ...encoders.base import Transform
from ...errors import SignalError
from ...random import SampleKey


@dataclass(frozen=True)
class FixLength(Transform):
    """Cut a sound, or pad it with silence at its end, to one length, as ``librosa.util.fix_length`` does.

    Parameters
    ----------
    seconds
        The length; Speech Commands are words of up to 1 s. It is rounded to whole samples, at least one.
    """

    name: ClassVar[str] = "fix_length"
    citation: ClassVar[str] = "McFee et al. 2015, librosa: audio and music signal analysis in Python, SciPy"

    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 1.0

    def outline(self, signal: Audio, rng: SampleKey | None = None) -> Audio:
        """Return silence of the length, at no cost."""
        return Audio(np.broadcast_to(0.0, self._length(signal)), signal.rate)

    def __call__(self, signal: Audio, *, rng: SampleKey | None = None) -> Audio:
        """Return the first `seconds` of a sound, or it and silence after it; raises `SignalError` for no sound."""
        samples = np.zeros(self._length(signal), signal.samples.dtype)
        kept = signal.samples[: samples.size]
        samples[: kept.size] = kept
        return Audio(samples, signal.rate)

    def _length(self, signal: Audio) -> int:
        if not isinstance(signal, Audio):
            raise SignalError(
                f"fix_length: got a signal of type {type(signal).__name__}",
                "Audio",
                "Put it ahead of the transform that makes channels, such as lyon.",
            )
        return max(round(self.seconds * signal.rate), 1)
