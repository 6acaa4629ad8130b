"""Two versions of spikeprep on one interpreter: their trees, and processes that measure one figure after the other."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.answering import Answering
from benchmarks.machine import ROOT, Commit, commit_of, git

Result = Mapping[str, Any]
"""``value``, or ``missing``: why."""

PACKAGES = {"spikeprep": "spikeprep", "spikeprep_cli": "cli"}
"""What is imported → its folder in a tree."""

START = """import sys
sys.meta_path[:] = [f for f in sys.meta_path if "__editable___spikeprep" not in str(getattr(f, "__module__", ""))]
"""
"""What each process of a side does first: an editable installation would add its own modules to those of the tree."""


@dataclass(frozen=True)
class Side:
    """One of the two versions, and the folder in which its processes keep what they share.

    Attributes
    ----------
    name
        "BASE" or "HEAD".
    tree
        Where its files are.
    commit
        What is checked out there.
    folder
        Has ``import/``, where the tree's packages and nothing else of it are found, ``kernels/`` and ``scratch/``.
    """

    name: str
    tree: Path
    commit: Commit
    folder: Path

    def link(self) -> None:
        """Make the folders and the links, and the module that Python runs at its start."""
        for name in ("import", "kernels", "scratch"):
            (self.folder / name).mkdir(parents=True)
        for package, source in PACKAGES.items():
            (self.folder / "import" / package).symlink_to(self.tree / source, target_is_directory=True)
        (self.folder / "import" / "sitecustomize.py").write_text(START)

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes: its packages come first, then this tree's benchmarks."""
        kernels = str(self.folder / "kernels")
        return os.environ | {
            "PYTHONPATH": os.pathsep.join([str(self.folder / "import"), str(ROOT)]),
            "SPIKEPREP_CACHE_DIR": kernels,
            "NUMBA_CACHE_DIR": kernels,
        }


def check_imports(imported: Mapping[str, str], side: Side) -> None:
    """Raise `SystemExit` where a process has imported a package from elsewhere than its side's tree."""
    for package, source in PACKAGES.items():
        expected, found = (side.tree / source).resolve(), Path(imported[package]).resolve()
        if expected not in found.parents:
            raise SystemExit(f"{side.name} imported {package} from {found}, not from {expected}")


class Process(Answering):
    """A process of one side, which waits while it is not asked for a figure; a context manager.

    Parameters
    ----------
    side
        Whose packages it imports.
    inputs
        What `benchmarks.main_figures.prepare` wrote.

    Raises
    ------
    SystemExit
        It ends, or has imported another version of spikeprep.
    """

    def __init__(self, side: Side, inputs: Path) -> None:
        self.side = side
        command = [
            *(sys.executable, "-P", "-m", "benchmarks.main_figures"),
            *("--inputs", str(inputs), "--scratch", str(side.folder / "scratch")),
        ]
        super().__init__(f"{side.name}, {side.commit}", command, side.folder, side.environment())

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            check_imports(self.greeting, self.side)
        except BaseException:
            self.__exit__()
            raise
        return self

    def measure(self, figure: str) -> Result:
        """Return the result of a figure, by its name."""
        result: Result = self.ask(figure)
        return result


@contextlib.contextmanager
def checked_out(name: str, commit: str, folder: Path, repository: Path = ROOT) -> Iterator[Side]:
    """Check a commit of a repository out into a folder, and remove it at the end."""
    tree = folder / "tree"
    git("worktree", "add", "--quiet", "--detach", str(tree), f"{commit}^{{commit}}", tree=repository)
    try:
        yield Side(name, tree, commit_of(tree), folder)
    finally:
        with contextlib.suppress(SystemExit):  # its folder may be gone
            git("worktree", "remove", "--force", str(tree), tree=repository)
        shutil.rmtree(folder, ignore_errors=True)
        git("worktree", "prune", tree=repository)


def alternate(
    base: Side, head: Side, inputs: Path, figures: Sequence[str], round_number: int
) -> dict[str, tuple[Result, Result]]:
    """Measure each figure with both sides in turn, in two new processes.

    BASE is first in every second figure, and in the next round in the others: to be second may cost time.
    """
    results = {}
    with Process(base, inputs) as first, Process(head, inputs) as second:
        for n, name in enumerate(figures, round_number):
            if n % 2:
                after, before = second.measure(name), first.measure(name)
            else:
                before, after = first.measure(name), second.measure(name)
            results[name] = (before, after)
    return results


def compile_kernels(base: Side, head: Side, inputs: Path, figures: Sequence[str]) -> None:
    """Measure each figure once, both sides at once, so that later processes find kernels, stores and byte code."""

    def measure_all(process: Process) -> None:
        for name in figures:
            process.measure(name)

    # processes end first where this is interrupted, and the threads that wait for them with them
    with ThreadPoolExecutor(2) as both, Process(base, inputs) as first, Process(head, inputs) as second:
        list(both.map(measure_all, (first, second)))
