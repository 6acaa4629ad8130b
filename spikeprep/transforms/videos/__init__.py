"""Transforms that take or make videos, one a file."""
