"""Two encodes of other seeds at one path at the same time: the result is one or the other, or an error, never both."""

import os
import random
import subprocess
import sys
import time

import pytest

import spikeprep

from .stores import tree

pytest.importorskip("sklearn")

COMMAND = [
    sys.executable,
    "-m",
    "spikeprep",
    "encode",
    "digits",
    "--limit",
    "900",
    "--set",
    "poisson.steps=400",
]


def start(out, seed, *options):
    return subprocess.Popen(
        [*COMMAND, "--out", out, "--seed", str(seed), *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


def wait(process):
    stderr = process.communicate(timeout=300)[1].decode()
    assert process.returncode in (0, 4), stderr
    return process.returncode, stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    for seed in (0, 1):
        settings = {"poisson.steps": 400}
        out = folder / f"{seed}.zarr"
        spikeprep.encode("digits", out, limit=900, settings=settings, seed=seed, progress=False)
    return [tree(folder / f"{seed}.zarr") for seed in (0, 1)]


def race(path, whole, rng):
    """Run both, the second at a random moment of the first, and return whether the store is one of the two."""
    first = start(path, 0, "--overwrite")
    time.sleep(rng.uniform(0, 3))
    second = start(path, 1, "--overwrite")
    codes = [wait(process) for process in (first, second)]
    refused = [stderr for code, stderr in codes if code == 4]
    assert all("one writer at a time" in stderr or "replaced since" in stderr for stderr in refused), refused
    assert len(refused) < 2
    return tree(path) in whole


def test_the_result_is_never_a_mixture(tmp_path, whole):
    rng = random.Random(0)
    for trial in range(int(os.environ.get("SPIKEPREP_TRIALS", "1"))):
        assert race(tmp_path / "s.zarr", whole, rng), f"trial {trial}"


@pytest.mark.slow
def test_the_result_is_never_a_mixture_in_many_trials(tmp_path, whole):
    rng = random.Random(1)
    mixtures = [trial for trial in range(40) if not race(tmp_path / "s.zarr", whole, rng)]
    assert not mixtures
