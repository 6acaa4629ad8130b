"""A library in a process of its own that trains or infers one batch whenever it is asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from benchmarks.answering import Answering
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


class Served(Answering):
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
        super().__init__(title, [sys.executable, "-m", "benchmarks.peers", *arguments], ROOT)

    @property
    def version(self) -> str:
        """The library's version."""
        return str(self.greeting)

    def milliseconds(self, what: str) -> float:
        """Return the time of one batch, per sample; `what` is ``train`` or ``infer``."""
        return float(self.ask(what))
