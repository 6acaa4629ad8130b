"""A learning rule and a layer kind for spikeprep."""
