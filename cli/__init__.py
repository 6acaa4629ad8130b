"""The command line `spikeprep`: one command a file, each its options plus one call of the library."""
