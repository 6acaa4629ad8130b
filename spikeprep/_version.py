"""The version of spikeprep; a test compares it with pyproject.toml's."""

__version__ = "0.1.0"
