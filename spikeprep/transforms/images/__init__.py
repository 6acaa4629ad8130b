"""Transforms of images, one a file."""
