"""spikeprep: real data to bit-packed spike stores, and HM2-BP training straight from them."""

__version__ = "0.1.0"
