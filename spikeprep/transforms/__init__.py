"""Transforms of signals ahead of an encoder, one a file."""
