"""What a kind of layer is: shapes, notation in `arch`, trained arrays, and the connection as a linear map."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ...backend import Array, ArraySpec
from ...registry import Plugin


@dataclass(frozen=True)
class LayerKind(Plugin, ABC):
    """A layer of one kind, with its shapes: everything but the values of its arrays.

    A subclass describes the connection from pre to post units as a linear map, in functions of the array module alone
    (see `spikeprep.backend.LinearMap`); neurons and learning rules know nothing of it. Units are flat, in C order over
    the shapes.

    Parameters
    ----------
    in_shape
        Shape of the pre units.
    """

    notation: ClassVar[str]
    """How the kind is written in `arch`, for messages: ``"800"``."""
    has_slack: ClassVar[bool] = True
    """Whether its neurons fire from a little below the threshold on, where a rule knows such a slack."""

    in_shape: tuple[int, ...]

    @classmethod
    @abstractmethod
    def parse(cls, text: str) -> Mapping[str, Any] | None:
        """Return the settings that one part of `arch` stands for, `in_shape` aside; None: it is of another kind."""

    @property
    @abstractmethod
    def out_shape(self) -> tuple[int, ...]:
        """Shape of the post units; raises `UsageError` where `in_shape` does not fit."""

    @abstractmethod
    def specs(self) -> Mapping[str, ArraySpec]:
        """Return what is trained, by name; empty where nothing is."""

    @abstractmethod
    def apply(self, xp: ModuleType, arrays: Mapping[str, Array], x: Array) -> Array:
        """Return W x: (…, pre) → (…, post)."""

    @abstractmethod
    def transpose(self, xp: ModuleType, arrays: Mapping[str, Array], y: Array) -> Array:
        """Return Wᵀ y: (…, post) → (…, pre)."""

    @abstractmethod
    def correlate(
        self, xp: ModuleType, arrays: Mapping[str, Array], y: Array, x: Array
    ) -> Mapping[str, Array]:
        """Return the gradient Σ y xᵀ of each array, summed over all leading axes."""

    @property
    def backward_weight(self) -> float:
        """What the fixed weights of a layer without trained arrays count as in the error that is sent back."""
        return 1.0

    def remark(self) -> str:
        """Return what a person should know of the layer behind its input, such as units left out; else ""."""
        return ""

    @property
    def units(self) -> int:
        """Number of post units."""
        return prod(self.out_shape)

    def initial(self, rng: np.random.Generator, init: float) -> dict[str, NDArray[np.float32]]:
        """Return new arrays, uniform in [−init, init], drawn in float32 so that every precision starts alike."""
        return {
            name: rng.uniform(-init, init, spec.shape).astype(np.float32)
            for name, spec in self.specs().items()
        }

    @classmethod
    def bound(cls, settings: Mapping[str, Any], in_shape: tuple[int, ...]) -> Self:
        """Return the layer that `parse` found the settings of, behind units of a shape."""
        return cls(in_shape=in_shape, **settings)
