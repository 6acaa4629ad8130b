"""The reference backend: NumPy float64, the definition that the other backends are tested against."""
