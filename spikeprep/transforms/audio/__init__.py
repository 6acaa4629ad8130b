"""Transforms of sound, one a file."""
