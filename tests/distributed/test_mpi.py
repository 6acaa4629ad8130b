"""Ranks of an MPI launcher; skipped where there is no MPI."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

import pytest

from spikeprep.distributed.mpi import MpiRanks
from spikeprep.errors import CapabilityError

WORK = """
import sys
import numpy as np
from spikeprep.distributed.mpi import MpiRanks
ranks = MpiRanks()
strided = np.arange(12.0).reshape(3, 2, 2)[:, 0] * (ranks.rank + 1)
full = np.full(5, ranks.rank + 1, np.float32)
view = np.zeros((3, 2, 2))
view[:, 0] = strided
ranks.all_reduce([view[:, 0], full])
ranks.barrier()
assert (view[:, 0] == 3 * np.arange(12.0).reshape(3, 2, 2)[:, 0]).all() and not view[:, 1].any()
assert (full == 3).all() and full.dtype == np.float32
assert ranks.total(np.array([ranks.rank, 1])).tolist() == [1, 2]
assert ranks.broadcast(np.array([7.5 + ranks.rank])).tolist() == [7.5]
assert (ranks.size, ranks.local_size, ranks.local_rank) == (2, 2, ranks.rank)
if "fail" in sys.argv and ranks.rank == 1:
    ranks.abort_at_exit()
    raise SystemExit("rank 1 fails")
if "fail" in sys.argv:
    ranks.barrier()
sys.stdout.write(f"done {ranks.rank};")
"""


def mpirun(*words):
    pytest.importorskip("mpi4py")
    launcher = shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("there is no mpiexec")
    command = [launcher, "-n", "2", sys.executable, "-c", WORK, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_ranks_of_mpi_are_summed():
    done = mpirun()
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.rstrip(";").split(";")) == ["done 0", "done 1"]


def test_one_that_fails_ends_all():
    done = mpirun("fail")
    assert done.returncode != 0
    assert "rank 1 fails" in done.stderr
    assert "done" not in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("mpi4py") is not None, reason="mpi4py is here")
def test_without_mpi_the_extra_is_named():
    with pytest.raises(CapabilityError, match=r"spikeprep\[mpi\]"):
        MpiRanks()
