"""Transforms of analogue channels over time, one a file."""
