"""Layer kinds, one a file."""
