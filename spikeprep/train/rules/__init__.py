"""Learning rules, one a file: neurons, output error and gradient, written with connections, gates and traces."""

from .base import LearningRule, OutputError

__all__ = ["LearningRule", "OutputError"]
