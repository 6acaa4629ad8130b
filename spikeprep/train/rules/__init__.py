"""Learning rules, one a file: neurons, output error and gradient, written with connections, gates and traces."""

from ...backend import OutputError
from .base import LearningRule

__all__ = ["LearningRule", "OutputError"]
