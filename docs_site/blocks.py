"""Code blocks of a Markdown page: find them, run them in order, and keep what they print and draw.

A block of ``python`` runs as a cell of a notebook would: what it prints and the value of its last expression are its
output. Of a block of ``console``, lines that begin with ``$ spikeprep`` run in this process; ``> FILE`` at the end of a
line sends standard output to a file. Other lines (``$ pip install``) are for readers alone.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import sys
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PICTURES = (".png", ".gif", ".svg", ".jpg")

_BLOCK = re.compile(
    r"^( *)```(python|console)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE
)  # those of a list are indented


@dataclass(frozen=True)
class Block:
    """One block of code of a page; `end` is where the text after it begins."""

    language: str
    code: str
    end: int


@dataclass(frozen=True)
class Output:
    """What a block printed, and the names of the picture files that it wrote."""

    text: str
    pictures: tuple[str, ...]


class BlockError(Exception):
    """A block of a page that does not run."""


def blocks(page: str) -> list[Block]:
    """Return every block of ``python`` and ``console`` of a page's text."""
    return [Block(match[2], textwrap.dedent(match[3]), match.end()) for match in _BLOCK.finditer(page)]


def commands(code: str) -> list[list[str]]:
    """Return the words of every ``$ spikeprep …`` line of a console block, without the program's name."""
    lines = [shlex.split(line[2:], comments=True) for line in code.splitlines() if line.startswith("$ ")]
    return [words[1:] for words in lines if words[0] == "spikeprep"]


@contextlib.contextmanager
def session(name: str) -> Iterator[types.ModuleType]:
    """Return an empty module for the blocks of one page; pickle finds the classes that they define."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    try:
        yield module
    finally:
        del sys.modules[name]


def run(block: Block, module: types.ModuleType, *, where: str = "") -> Output:
    """Run a block in the working directory and return its output.

    Raises
    ------
    BlockError
        A command ended with another exit code than 0, or the Python raised an exception.
    """
    before = _pictures()
    text = _run_python(block, module, where) if block.language == "python" else _run_console(block, where)
    after = _pictures()
    return Output(text, tuple(sorted(name for name in after if after[name] != before.get(name))))


def _run_console(block: Block, where: str) -> str:
    from click.testing import CliRunner
    from spikeprep_cli.main import main

    text = ""
    for words in commands(block.code):
        arguments, target = (words[:-2], Path(words[-1])) if ">" in words else (words, None)
        result = CliRunner().invoke(main, arguments, prog_name="spikeprep")
        if result.exit_code:
            raise BlockError(f"{where}: spikeprep {shlex.join(arguments)}\n{result.output}")
        if target is None:
            text += result.output
        else:
            target.write_text(result.stdout, encoding="utf-8")
            text += result.stderr
    return text


def _run_python(block: Block, module: types.ModuleType, where: str) -> str:
    tree = ast.parse(block.code)
    last = tree.body[-1] if tree.body else None
    value_of = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
    if value_of is not None:
        tree.body.pop()
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):  # no progress
            exec(compile(tree, where or "page", "exec", dont_inherit=True), vars(module))
            if value_of is not None:
                value = eval(compile(value_of, where or "page", "eval", dont_inherit=True), vars(module))
                if value is not None:
                    print(value if isinstance(value, str) else repr(value))
    except Exception as error:
        raise BlockError(f"{where}: {type(error).__name__}: {error}\n{block.code}") from error
    return printed.getvalue()


def _pictures() -> dict[str, int]:
    """Return name → time of change of every picture in the working directory, not in its folders."""
    return {path.name: path.stat().st_mtime_ns for path in Path().iterdir() if path.suffix in PICTURES}
