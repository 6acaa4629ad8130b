"""What every table of figures carries: the processor, its cores and load, Python, and the commit of a working tree.

python -m benchmarks.machine
"""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.processor() or platform.machine()
    model = f" (model {facts['model']})" if "model" in facts and not any(c.isdigit() for c in name) else ""
    return name + model


def load() -> str:
    """Return how many processes wanted a core, mean of the last minute and of five."""
    try:
        return "{:.1f}, {:.1f}".format(*os.getloadavg()[:2])
    except (AttributeError, OSError):
        return "unknown"


def machine() -> str:
    """Return one line: processor, cores, Python, load."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}; load {load()}"


def git(*arguments: str, tree: Path = ROOT) -> str:
    """Return what git prints; `SystemExit` with its message where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise SystemExit("git was not found, which tells the commits apart: install it") from None
    if done.returncode:
        raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Commit:
    """A commit: its short hash, its subject, and whether the working tree differs from it."""

    name: str
    subject: str
    changed: bool = False

    def __str__(self) -> str:
        return f"{self.name}{' with uncommitted changes' if self.changed else ''}"


def commit_of(tree: Path = ROOT) -> Commit:
    """Return the commit that is checked out in a tree."""
    name, _, subject = git("log", "-1", "--format=%h %s", tree=tree).partition(" ")
    return Commit(name, subject, bool(git("status", "--porcelain", tree=tree)))


if __name__ == "__main__":
    print(f"{machine()}; commit {commit_of()}")
