"""Move sounds in time at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from ...config import Meta
from ...random import TIME_SHIFT, SampleKey
from ..draws import uniforms
from .augmentation import AudioAugmentation
from .base import Samples


@dataclass(frozen=True)
class TimeShift(AudioAugmentation):
    """Move copies by whole samples, up to `seconds` earlier or later, every shift as likely.

    The length stays: what leaves at one end is lost, and silence comes in at the other.

    Parameters
    ----------
    seconds
        The largest shift, rounded to whole samples.
    """

    name: ClassVar[str] = "time_shift"
    citation: ClassVar[str] = (
        "Warden 2018, Speech Commands: a dataset for limited-vocabulary speech recognition, arXiv:1804.03209"
    )

    seconds: Annotated[float, Meta(ge=0, le=86_400)] = 0.05

    def vary(self, samples: Samples, rate: float, key: SampleKey) -> Samples:
        """Return the moved sound."""
        most = round(self.seconds * rate)
        by = int(uniforms(1, TIME_SHIFT, key)[0] * (2 * most + 1)) - most
        by = min(max(by, -samples.size), samples.size)
        moved = np.zeros_like(samples)
        moved[max(by, 0) : samples.size + min(by, 0)] = samples[max(-by, 0) : samples.size - max(by, 0)]
        return moved
