"""A library in a process of its own that trains or infers one batch whenever it is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Self

from benchmarks.machine import ROOT

from .task import Task, Works, milliseconds


def serve(works: Works, version: str, task: Task) -> None:
    """Answer each line of standard input, ``train`` or ``infer``, with milliseconds per sample."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what libraries print
        works = works.warmed()
        print(json.dumps(version), file=answers, flush=True)
        for line in sys.stdin:
            work = {"train": works.train, "infer": works.infer}[line.strip()]
            print(json.dumps(milliseconds(work, task)), file=answers, flush=True)


class Served:
    """A process that serves, warm; a context manager.

    Parameters
    ----------
    title
        What messages call it.
    arguments
        Of ``python -m benchmarks.peers``.

    Raises
    ------
    SystemExit
        It ends; with what it printed last.
    """

    def __init__(self, title: str, arguments: Sequence[str]) -> None:
        self.title, self.version = title, ""
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        try:
            self.version = str(self._answer())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()

    def milliseconds(self, what: str) -> float:
        """Return the time of one batch, per sample; `what` is ``train`` or ``infer``."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        return float(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return str(json.loads(line))
        self.errors.seek(0)
        raise SystemExit(f"{self.title}: {self.errors.read().strip()[-2000:]}")
