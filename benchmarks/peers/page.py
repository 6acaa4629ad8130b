"""One page that compares spikeprep with the other libraries on three tasks, in one run.

Rounds of new processes, one for each library in turn, so that a slow minute of the machine meets all of them. A time
is of one batch in milliseconds per sample; median and best are over all rounds, a ratio is of the medians of one round.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.machine import ROOT, commit_of, load, machine

from .task import Task, Timing, dense

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
        Task(),
        "2.1 % of the inputs spike in a step, as in the recipe `mnist`",
    ),
    "nmnist": Shape(
        "N-MNIST, 2312-800-10, 540 steps",
        Task(dense(2312, 800, 10), steps=540, density=0.0033),
        "0.33 %, 4 100 spikes a sample, as in 1 000 real recordings",
    ),
    "shd": Shape(
        "SHD, 700-256-20, 1 000 steps",
        Task(dense(700, 256, 20), steps=1000, density=0.0114),
        "1.1 %, 8 000 spikes a sample, about what a recording of SHD has",
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


Round = Mapping[Entry, Timing]


def entries(shape: Shape, names: Sequence[str]) -> list[Entry]:
    """Return the rows of a task, ours first; recurrent ones of the other libraries below."""
    rows = [Entry(name) for name in (OURS, *names)]
    return rows + ([Entry(name, recurrent=True) for name in names] if shape.recurrent else [])


def in_process(entry: Entry, shape: str, batches: int) -> Timing:
    """Measure in a new process; `SystemExit` with its message where it fails."""
    arguments = ["--one", entry.name, "--shape", shape, "--batches", str(batches)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", *arguments, *(["--recurrent"] if entry.recurrent else [])],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{entry}: {done.stderr.strip()[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Timing(found["peer"], found["version"], tuple(found["train"]), tuple(found["infer"]))


def task_of(shape: str, recurrent: bool, batches: int) -> Task:
    """Return the task of one process."""
    return replace(SHAPES[shape].task, recurrent=recurrent, batches=batches)


def ratios(rounds: Sequence[Round], entry: Entry, what: str) -> list[float]:
    """Return an entry's median through ours, of each round."""
    return [timings[entry].median(what) / timings[Entry(OURS)].median(what) for timings in rounds]


def spread(values: Sequence[float]) -> str:
    """Return median, least and most of ratios."""
    return f"{statistics.median(values):.1f} × ({min(values):.1f} to {max(values):.1f})"


def to_fastest(rounds: Sequence[Round], among: Sequence[Entry], what: str) -> tuple[Entry, list[float]]:
    """Return the entry with the least median of all rounds, and its ratios to ours."""
    fastest = min(among, key=lambda entry: statistics.median(times(rounds, entry, what)))
    return fastest, ratios(rounds, fastest, what)


def times(rounds: Sequence[Round], entry: Entry, what: str) -> list[float]:
    """Return an entry's batches of all rounds, milliseconds per sample."""
    return [value for timings in rounds for value in getattr(timings[entry], what)]


def cells(rounds: Sequence[Round], entry: Entry, what: str) -> list[str]:
    """Return median, best, and the ratio to ours."""
    values = times(rounds, entry, what)
    ratio = "" if entry.name == OURS else spread(ratios(rounds, entry, what))
    return [f"{statistics.median(values):.2f}", f"{min(values):.2f}", ratio]


def table(shape: Shape, rows: Sequence[Entry], rounds: Sequence[Round]) -> str:
    """Return a task's section in Markdown."""
    lines = [
        f"**{shape.title}**: {shape.about}.",
        "",
        "| | version | train: median | best | to ours | infer: median | best | to ours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for entry in rows:
        row = [str(entry), rounds[0][entry].version]
        row += cells(rounds, entry, "train") + cells(rounds, entry, "infer")
        lines.append("".join(f"| {cell} " if cell else "| " for cell in row) + "|")
    peers = [entry for entry in rows if entry.name != OURS]
    facts = []
    for what, words in (("train", "training"), ("infer", "inference")):
        if peers:
            fastest, values = to_fastest(rounds, peers, what)
            facts.append(f"{words} {spread(values)} against {fastest}, the fastest")
    baseline = [entry for entry in peers if entry.name in BASELINE and not entry.recurrent]
    if baseline:
        fastest, values = to_fastest(rounds, baseline, "train")
        facts.append(f"training {spread(values)} against the faster of SpikingJelly and snnTorch, {fastest}")
    return "\n".join([*lines, *(["", f"Ours: {'; '.join(facts)}."] if facts else [])])


def page(names: Sequence[str], shapes: Sequence[str], rounds: int, batches: int) -> Iterator[str]:
    """Measure, and yield the page part by part; progress goes to standard error."""
    began = time.monotonic()
    yield (
        f"{machine()}; commit {commit_of()}. Milliseconds per sample, batches of {Task.batch}: {rounds} rounds of "
        f"at most {batches} batches, {4 * batches} of ours. Random spikes of the density of real data; ratios are of "
        "the medians of a round."
    )
    if left_out := [title for name, title in TITLES.items() if name not in (OURS, *names)]:
        yield f"Not installed, so left out: {', '.join(left_out)}."
    for shape in shapes:
        rows, measured = entries(SHAPES[shape], names), []
        for n in range(rounds):
            measured.append({entry: in_process(entry, shape, batches) for entry in rows})
            seconds = time.monotonic() - began
            print(f"{shape}, round {n + 1} of {rounds}, {seconds:.0f} s", file=sys.stderr, flush=True)
        yield f"{table(SHAPES[shape], rows, measured)} Load at the end {load()}."
