"""Block-diagonal layers: ``4x20`` in `arch` is four blocks of 20 neurons, each with a quarter of the input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from spikeprep.backend import ArraySpec
from spikeprep.config import Count
from spikeprep.errors import UsageError
from spikeprep.train.layers import LayerKind


@dataclass(frozen=True)
class BlockDiagonal(LayerKind):
    """Blocks of neurons, each fully connected to its own share of the pre units.

    Its array is `weight` (block, post of the block, pre of the block).

    Parameters
    ----------
    blocks, neurons
        Number of blocks, and of neurons in each.
    """

    name: ClassVar[str] = "block_diagonal"
    notation: ClassVar[str] = "4x20"

    blocks: Count = 1
    neurons: Count = 1

    @classmethod
    def parse(cls, text: str) -> Mapping[str, Any] | None:
        """See `LayerKind.parse`."""
        match = re.fullmatch(r"(\d+)x(\d+)", text)
        return {"blocks": int(match[1]), "neurons": int(match[2])} if match else None

    @property
    def out_shape(self) -> tuple[int, ...]:
        """See `LayerKind.out_shape`."""
        if prod(self.in_shape) % self.blocks:
            raise UsageError(
                f"got {self.blocks} blocks for {prod(self.in_shape)} units", "a divisor of the units"
            )
        return (self.blocks, self.neurons)

    def specs(self) -> Mapping[str, ArraySpec]:
        """See `LayerKind.specs`."""
        return {"weight": ArraySpec((self.blocks, self.neurons, prod(self.in_shape) // self.blocks), 2)}

    def _split(self, array: Any) -> Any:
        """Return (…, unit) as (…, block, unit of the block)."""
        return array.reshape(*array.shape[:-1], self.blocks, -1)

    def apply(self, xp: Any, arrays: Mapping[str, Any], x: Any) -> Any:
        """See `LayerKind.apply`."""
        y = xp.einsum("...bj,bij->...bi", self._split(x), arrays["weight"])
        return y.reshape(*y.shape[:-2], -1)

    def transpose(self, xp: Any, arrays: Mapping[str, Any], y: Any) -> Any:
        """See `LayerKind.transpose`."""
        x = xp.einsum("...bi,bij->...bj", self._split(y), arrays["weight"])
        return x.reshape(*x.shape[:-2], -1)

    def correlate(self, xp: Any, arrays: Mapping[str, Any], y: Any, x: Any) -> Mapping[str, Any]:
        """See `LayerKind.correlate`."""
        posts, pres = (self._split(a.reshape(-1, a.shape[-1])) for a in (y, x))
        return {"weight": xp.einsum("nbi,nbj->bij", posts, pres)}
