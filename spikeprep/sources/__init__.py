"""Sources of samples: a data set or a file layout per module."""
