"""A process that answers lines of its standard input with lines of JSON, one at a time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self


class Answering:
    """Such a process; a context manager, which has its first answer in `greeting` and kills it at the end.

    Parameters
    ----------
    title
        What messages call it.
    command
        Its program and arguments.
    folder
        In which it runs.
    environment
        Its environment variables; default: ours.

    Raises
    ------
    SystemExit
        It ends; with what it printed last on standard error.
    """

    def __init__(
        self, title: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.title = title
        self.greeting: Any = None
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def __enter__(self) -> Self:
        try:
            self.greeting = self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]

    def ask(self, question: str) -> Any:
        """Return the answer to a line."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its answer will say why
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return json.loads(line)
        self.errors.seek(0)
        raise SystemExit(f"{self.title}: {self.errors.read().strip()[-2000:]}")
