"""Turn images at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ...config import Meta
from ...random import ROTATION, SampleKey
from ..draws import uniforms
from .base import spread
from .warp import Positions, Warp, affine


@dataclass(frozen=True)
class Rotation(Warp):
    """Turn copies about their centre, by an angle uniform in ± `degrees`.

    Parameters
    ----------
    degrees
        The largest angle; HM2-BP's published CNN runs use 12.
    """

    name: ClassVar[str] = "rotation"
    citation: ClassVar[str] = (
        "Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks applied to visual document "
        "analysis, ICDAR"
    )

    degrees: Annotated[float, Meta(ge=0, le=180)] = 12.0

    def positions(self, rows: int, columns: int, key: SampleKey) -> Positions:
        """Return where the pixels of a variant are taken from."""
        return affine(rows, columns, degrees=spread(uniforms(1, ROTATION, key)[0], self.degrees))
