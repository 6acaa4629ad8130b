"""One page that compares spikeprep with the other libraries on three tasks, in one run.

Rounds of new processes. A library's batches alternate with ours, so that what slows the machine for a while slows both:
a ratio is one batch of theirs to the median of four of ours, two before and two after. Times are per sample.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.machine import commit_of, load, machine

from .served import Served
from .task import Task, dense

WHAT = ("train", "infer")

LONGEST = 8.0
"""Seconds after which no further batch of a library is measured in a round."""

OURS = "spikeprep"
TITLES = {
    OURS: "spikeprep",
    "spikingjelly": "SpikingJelly",
    "snntorch": "snnTorch",
    "norse": "norse",
    "spyx": "Spyx (JAX)",
}
BASELINE = ("spikingjelly", "snntorch")
"""The faster of these is what training on the first task is measured against."""


@dataclass(frozen=True)
class Shape:
    """A task of the page, with what its input is like."""

    title: str
    task: Task
    about: str
    recurrent: bool = False


SHAPES = {
    "mnist": Shape(
        "MNIST, 784-800-10, 400 steps",
        Task(active=0.18),
        "2.1 % of the inputs spike in a step, 18 % of them in a sample at all, as in the recipe `mnist`",
    ),
    "nmnist": Shape(
        "N-MNIST, 2312-800-10, 540 steps",
        Task(dense(2312, 800, 10), steps=540, density=0.0033, active=0.35),
        "0.33 %, 4 100 spikes a sample from 35 % of the inputs, as in 1 000 real recordings",
    ),
    "shd": Shape(
        "SHD, 700-256-20, 1 000 steps",
        Task(dense(700, 256, 20), steps=1000, density=0.0114),
        "1.1 %, 8 000 spikes a sample from all inputs: chosen, SHD itself was not read",
        recurrent=True,
    ),
}


@dataclass(frozen=True)
class Entry:
    """A library on a task; `recurrent`: its hidden layer is connected to itself."""

    name: str
    recurrent: bool = False

    def __str__(self) -> str:
        return TITLES[self.name] + (", recurrent" if self.recurrent else "")


def entries(shape: Shape, names: Sequence[str]) -> list[Entry]:
    """Return the rows of a task, ours first; recurrent ones of the other libraries below."""
    rows = [Entry(name) for name in (OURS, *names)]
    return rows + ([Entry(name, recurrent=True) for name in names] if shape.recurrent else [])


def task_of(shape: str, recurrent: bool) -> Task:
    """Return the task of one process."""
    return replace(SHAPES[shape].task, recurrent=recurrent)


def served(entry: Entry, shape: str) -> Served:
    """Return the process of an entry."""
    flags = ["--recurrent"] if entry.recurrent else []
    return Served(str(entry), ["--serve", entry.name, "--shape", shape, *flags])


@dataclass
class Measured:
    """Milliseconds per sample of every batch, and ratios to ours, by entry and ``train`` or ``infer``."""

    versions: dict[Entry, str] = field(default_factory=dict)
    times: dict[tuple[Entry, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    ratios: dict[tuple[Entry, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def alternate(self, ours: Served, theirs: Served, entry: Entry, batches: int) -> None:
        """Measure batches of an entry between batches of ours; fewer where they are slow."""
        self.versions |= {Entry(OURS): ours.version, entry: theirs.version}
        for what in WHAT:
            began = time.monotonic()
            for n in range(batches):
                if n and time.monotonic() - began > LONGEST:
                    break
                before = [ours.milliseconds(what) for _ in range(2)]
                value = theirs.milliseconds(what)
                around = before + [ours.milliseconds(what) for _ in range(2)]
                self.times[Entry(OURS), what] += around
                self.times[entry, what].append(value)
                self.ratios[entry, what].append(value / statistics.median(around))

    def fastest(self, among: Sequence[Entry], what: str) -> Entry:
        """Return the entry with the least median ratio."""
        return min(among, key=lambda entry: statistics.median(self.ratios[entry, what]))

    def cells(self, entry: Entry, what: str) -> list[str]:
        """Return median, best, and the ratio to ours."""
        values = self.times[entry, what]
        ratio = "" if entry.name == OURS else spread(self.ratios[entry, what])
        return [f"{statistics.median(values):.2f}", f"{min(values):.2f}", ratio]


def spread(values: Sequence[float]) -> str:
    """Return median, least and most of ratios."""
    return f"{statistics.median(values):.1f} × ({min(values):.1f} to {max(values):.1f})"


def table(shape: Shape, rows: Sequence[Entry], measured: Measured) -> str:
    """Return a task's section in Markdown."""
    lines = [
        f"**{shape.title}**: {shape.about}.",
        "",
        "| | version | train: median | best | to ours | infer: median | best | to ours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for entry in rows:
        row = [str(entry), measured.versions[entry]]
        row += measured.cells(entry, "train") + measured.cells(entry, "infer")
        lines.append("".join(f"| {cell} " if cell else "| " for cell in row) + "|")
    peers = [entry for entry in rows if entry.name != OURS]
    facts = []
    for what, words in zip(WHAT, ("training", "inference"), strict=True):
        fastest = measured.fastest(peers, what)
        facts.append(f"{words} {spread(measured.ratios[fastest, what])} against {fastest}, the fastest")
    if baseline := [entry for entry in peers if entry.name in BASELINE and not entry.recurrent]:
        fastest = measured.fastest(baseline, "train")
        ratio = spread(measured.ratios[fastest, "train"])
        facts.append(f"training {ratio} against the faster of SpikingJelly and snnTorch, {fastest}")
    return "\n".join([*lines, "", f"Ours: {'; '.join(facts)}."])


def page(names: Sequence[str], shapes: Sequence[str], rounds: int, batches: int) -> Iterator[str]:
    """Measure, and yield the page part by part; progress goes to standard error."""
    began = time.monotonic()
    yield (
        f"{machine()}; commit {commit_of()}. Milliseconds per sample, batches of {Task.batch}, rounds: {rounds}, of "
        f"at most {batches} batches, each between four of ours. Random spikes, as many as real data have."
    )
    if left_out := [title for name, title in TITLES.items() if name not in (OURS, *names)]:
        yield f"Not installed, so left out: {', '.join(left_out)}."
    for shape in shapes:
        rows, measured = entries(SHAPES[shape], names), Measured()
        for n in range(rounds):
            with served(Entry(OURS), shape) as ours:
                for entry in rows[1:]:
                    with served(entry, shape) as theirs:
                        measured.alternate(ours, theirs, entry, batches)
            seconds = time.monotonic() - began
            print(f"{shape}, round {n + 1} of {rounds}, {seconds:.0f} s", file=sys.stderr, flush=True)
        yield f"{table(SHAPES[shape], rows, measured)} Load at the end {load()}."
