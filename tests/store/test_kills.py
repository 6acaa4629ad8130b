"""`spikeprep encode` killed at random moments: the same command then ends with the bytes of an undisturbed one.

SPIKEPREP_TEST_KILLS is the number of kills for each kind of place, 3 by default.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from spikeprep.store.storage import open_storage

from .servers import ftp_server, s3_server

KILLS = int(os.environ.get("SPIKEPREP_TEST_KILLS", "3"))
COMMAND = ("encode", "digits", "--limit", "200", "--set", "poisson.steps=100", "--workers", "2", "--json")

# Forks a process for each command line that it reads, so that Python and the kernels are loaded once.
FORKS = """
import json, os, sys
import spikeprep
from spikeprep_cli.main import main
spikeprep.encode("digits", "memory://warm", limit=10, settings={"poisson.steps": 100}, progress=False)
if "AWS_ENDPOINT_URL_S3" in os.environ:
    import s3fs
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        main(json.loads(line))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="kills by signal"),
]


class Commands:
    """Runs command lines, one at a time."""

    def __init__(self, environment):
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip

    def start(self, out) -> int:
        """Begin to encode, and return the process' number."""
        print(json.dumps([*COMMAND, "--out", out]), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def wait(self) -> int:
        """Return the exit code."""
        return int(self.process.stdout.readline())

    def run(self, out):
        self.start(out)
        assert self.wait() == 0

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(params=["folder", "file", "s3", "ftp"])
def place(request, tmp_path):
    """(Where stores can be, what runs the commands)."""
    pytest.importorskip("sklearn")
    with contextlib.ExitStack() as stack:
        environment = {}
        if request.param == "s3":
            base, environment = stack.enter_context(s3_server())
        elif request.param == "ftp":
            base = stack.enter_context(ftp_server(tmp_path))
        else:
            base = {"folder": str(tmp_path), "file": f"file://{tmp_path}"}[request.param]
        commands = Commands(environment)
        stack.callback(commands.close)
        yield base, commands


def content(location):
    storage = open_storage(location)
    return {key: storage.get(key) for key in storage.sizes()}


def wait_for_store(location):
    storage, end = open_storage(location), time.monotonic() + 60
    while not storage.sizes() and time.monotonic() < end:
        time.sleep(0.002)


def test_killed_encodes_resume_to_the_same_bytes(place):
    base, commands = place
    commands.run(f"{base}/first")
    began = time.monotonic()
    commands.start(f"{base}/undisturbed")
    wait_for_store(f"{base}/undisturbed")
    begun_at = time.monotonic()
    assert commands.wait() == 0
    before, writing = begun_at - began, time.monotonic() - begun_at
    expected = content(f"{base}/undisturbed")
    moments, begun = random.Random(5), 0
    for number in range(KILLS):
        out = f"{base}/{number}"
        process = commands.start(out)
        if number % 4:
            wait_for_store(out)
            time.sleep(moments.uniform(0, writing / 2))
        else:
            time.sleep(moments.uniform(0, before))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        commands.wait()
        partly = content(out)
        begun += bool(partly) and partly != expected
        commands.run(out)
        assert content(out) == expected, number
        print(f"{number + 1} kills, {begun} of them while the store was written", flush=True)
