"""``python -m spikeprep_cli``: the same as ``spikeprep``."""

from .main import main

if __name__ == "__main__":
    main()
