"""``python -m spikeprep``: the same as the command ``spikeprep``."""

import importlib

if __name__ == "__main__":
    # by name: the library does not import the command line
    importlib.import_module("spikeprep_cli.main").main()
