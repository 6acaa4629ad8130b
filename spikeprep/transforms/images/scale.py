"""Enlarge and shrink images at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...config import Share
from ...random import SCALE, SampleKey
from ..draws import uniforms
from .base import spread
from .warp import Positions, Warp, affine


@dataclass(frozen=True)
class Scale(Warp):
    """Enlarge or shrink what copies show, about their centre, by a factor uniform in 1 ± `share`; their size stays.

    Parameters
    ----------
    share
        The largest change; HM2-BP's published CNN runs use 0.12.
    keep_aspect
        Whether rows and columns get the same factor.
    """

    name: ClassVar[str] = "scale"
    citation: ClassVar[str] = (
        "Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks applied to visual document "
        "analysis, ICDAR"
    )

    share: Share = 0.12
    keep_aspect: bool = True

    def positions(self, rows: int, columns: int, key: SampleKey) -> Positions:
        """Return where the pixels of a variant are taken from."""
        first, second = (1 + spread(fraction, self.share) for fraction in uniforms(2, SCALE, key))
        return affine(rows, columns, factors=(first, first if self.keep_aspect else second))
