"""Transforms of event recordings, one a file."""
