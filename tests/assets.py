"""Real data from the folder that SPIKEPREP_TEST_ASSETS names; tests that need it skip where it is unset."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def asset(relative: str) -> Path:
    root = os.environ.get("SPIKEPREP_TEST_ASSETS")
    if not root:
        pytest.skip("SPIKEPREP_TEST_ASSETS is not set: no real data here")
    path = Path(root) / relative
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path
