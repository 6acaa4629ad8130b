"""Drawn settings, checkpoints and stores through the kernels; the long form with every access checked."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from .kernels import fuzz

LONG = int(os.environ.get("SPIKEPREP_FUZZ_COUNT", "10000"))


def test_kernels_compute_or_refuse():
    ends = fuzz(150)
    assert ends["settings: computed"] > 50
    assert ends["store: refused"]
    assert ends["checkpoint: refused"]


@pytest.mark.slow
def test_no_access_is_out_of_bounds(tmp_path):
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "SPIKEPREP_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.kernels", str(LONG), "1"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    numbers = [int(n.replace(",", "")) for n in re.findall(r"[\d,]+$", done.stdout, re.MULTILINE)]
    assert sum(numbers) == LONG
