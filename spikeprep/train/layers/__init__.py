"""Layer kinds, one a file: shapes, notation, trained arrays, and the connection as a linear map."""

from .base import LayerKind
from .notation import build_layers, parse_arch

__all__ = ["LayerKind", "build_layers", "parse_arch"]
