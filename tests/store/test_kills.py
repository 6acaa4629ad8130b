"""`spikeprep encode` killed at random moments: the same command then ends with the bytes of an undisturbed one.

SPIKEPREP_TEST_KILLS is the number of kills for each kind of place, 3 by default.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest

from spikeprep.store.storage import open_storage

from .servers import ftp_server, s3_server

KILLS = int(os.environ.get("SPIKEPREP_TEST_KILLS", "3"))
COMMAND = ("digits", "--limit", "400", "--set", "poisson.steps=300", "--workers", "2", "--json")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="kills by signal"),
]


def start(out, environment):
    command = [sys.executable, "-m", "spikeprep", "encode", *COMMAND, "--out", out]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **environment}
    )


def finish(out, environment):
    with start(out, environment) as process:
        message = process.stderr.read().decode()
    assert process.returncode == 0, message


def content(location):
    storage = open_storage(location)
    keys = set(storage.sizes())
    return {key: storage.get(key) for key in keys}


@pytest.fixture(params=["folder", "file", "s3", "ftp"])
def place(request, tmp_path):
    """(Where stores can be, environment of other processes)."""
    pytest.importorskip("sklearn")
    if request.param == "s3":
        with s3_server() as server:
            yield server
    elif request.param == "ftp":
        with ftp_server(tmp_path) as url:
            yield url, {}
    else:
        yield {"folder": str(tmp_path), "file": f"file://{tmp_path}"}[request.param], {}


def test_killed_encodes_resume_to_the_same_bytes(place):
    base, environment = place
    finish(f"{base}/first", environment)
    began = time.monotonic()
    finish(f"{base}/undisturbed", environment)
    duration = time.monotonic() - began
    expected = content(f"{base}/undisturbed")
    moments, begun = random.Random(5), 0
    for number in range(KILLS):
        out = f"{base}/{number}"
        with start(out, environment) as process:
            time.sleep(moments.uniform(0.2, 1.0) * duration)
            process.kill()
            process.stderr.read()
        partly = content(out)
        begun += bool(partly) and partly != expected
        finish(out, environment)
        assert content(out) == expected, number
    print(f"{KILLS} kills, {begun} of them while the store was written")
