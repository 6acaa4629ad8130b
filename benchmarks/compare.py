"""The main figures of two commits, measured alternately on this machine, and their ratios.

    make bench-compare BASE=<commit> [HEAD=<commit>] [ROUNDS=7] [ARGS="--only train --compilation"]
    python -m benchmarks.compare --base <commit> [--head <commit>] [--rounds 7]

BASE is checked out into a temporary folder, which is removed again; the other side is the working tree as it is, or
HEAD. Both use this interpreter and its packages, each its own kernels and files; the figures and their inputs are those
of the tree that this is run in (`benchmarks.main_figures`). Each round has a new process for each side; they measure in
turn, figure by figure, so that what slows the machine for a while slows both; who is first changes from round to round.
A figure is the fastest of some calls. A round before the first, which compiles, is not counted.

Every figure is a time. A ratio is BASE's through HEAD's of one round: above 1, HEAD is faster. A figure is marked where
the ratios of all rounds, five or more, lie on one side of 1. Of equal sides and n rounds that happens by chance to one
figure of 2ⁿ⁻¹: with 7 rounds to one of 64. More rounds of that figure (``--only``) confirm a mark that matters.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT, Commit, commit_of, machine
from benchmarks.main_figures import Figure, chosen, prepare
from benchmarks.sides import Result, Side, alternate, checked_out, compile_kernels

_ENOUGH = 5  # rounds: of equal sides one figure of 16 is marked by chance

Round = Mapping[str, tuple[Result, Result]]
"""Name of a figure → results of BASE and HEAD."""


@dataclass(frozen=True)
class Pairs:
    """A figure's values of both sides, round by round; of a side that lacks it none, and the reason."""

    base: tuple[float, ...]
    head: tuple[float, ...]
    missing: Mapping[str, str]

    @classmethod
    def of(cls, name: str, rounds: Sequence[Round]) -> Pairs:
        """Return a figure's pairs; a side that lacks it in one round has none."""
        sides: list[tuple[float, ...]] = []
        missing: dict[str, str] = {}
        for n, side in enumerate(("BASE", "HEAD")):
            results = [measured[name][n] for measured in rounds]
            reasons = [result["missing"] for result in results if "missing" in result]
            sides.append(() if reasons else tuple(result["value"] for result in results))
            if reasons:
                missing[side] = reasons[0]
        return cls(sides[0], sides[1], missing)

    @property
    def ratios(self) -> list[float]:
        """BASE's time through HEAD's, of each round; none where a side lacks the figure."""
        return [] if self.missing else [b / h for b, h in zip(self.base, self.head, strict=True)]

    @property
    def mark(self) -> str:
        """What all rounds agree on, where they are enough of them."""
        if len(self.ratios) < _ENOUGH or min(self.ratios) <= 1 <= max(self.ratios):
            return ""
        return "**faster**" if min(self.ratios) > 1 else "**slower**"


def digits(value: float) -> str:
    """Return three digits of a number, more before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def row(figure: Figure, pairs: Pairs) -> str:
    """Return a line of the table."""
    unit = figure.unit if figure.wall else f"{figure.unit}, processor time"
    cells = [figure.name, unit]
    cells += [digits(statistics.median(v)) if v else "missing" for v in (pairs.base, pairs.head)]
    if ratios := pairs.ratios:
        cells += [f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]
    else:
        cells += ["", ""]
    return "".join(f"| {cell} " if cell else "| " for cell in [*cells, pairs.mark]) + "|"


def page(figures: Sequence[Figure], rounds: Sequence[Round], base: Commit, head: Commit, about: str) -> str:
    """Return the table in Markdown, and below it why a figure is missing."""
    pairs = {figure.name: Pairs.of(figure.name, rounds) for figure in figures}
    reasons = [f"- {name}, {side}: {why}" for name, p in pairs.items() for side, why in p.missing.items()]
    few = "" if len(rounds) >= _ENOUGH else f" Fewer than {_ENOUGH} rounds: nothing is marked."
    lines = [
        f"BASE {base}: {base.subject}  ",
        f"HEAD {head}: {head.subject}  ",
        f"{about}; rounds: {len(rounds)}. Medians; ratios BASE / HEAD, round by round: above 1, HEAD is faster.{few}",
        "",
        f"| figure | unit | BASE {base.name} | HEAD {head.name} | ratio | from, to | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(row(figure, pairs[figure.name]) for figure in figures),
    ]
    return "\n".join([*lines, *(["", "Missing:", "", *reasons] if reasons else [])])


def measure(base: Side, head: Side, inputs: Path, figures: Sequence[str], rounds: int) -> list[Round]:
    """Measure both sides in turn, after both have compiled, at the same time; say on stderr how far it is."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{text}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    compile_kernels(base, head, inputs, figures)
    say("kernels are compiled")
    results: list[Round] = []
    for n in range(rounds):
        results.append(alternate(base, head, inputs, figures, n))
        say(f"round {n + 1} of {rounds}")
    return results


def main() -> None:
    """Measure and print; exit code 1 where HEAD lacks a figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", required=True, help="a commit")
    parser.add_argument("--head", help="a commit; default: the working tree, with its changes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=[], help="figures with one of these words in their name")
    parser.add_argument(
        "--compilation", action="store_true", help="also commands without compiled kernels: minutes more"
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    figures = chosen(options.only, options.compilation)
    if not figures:
        parser.error(f"no figure has {' or '.join(options.only)} in its name")
    # a process that is terminated removes the temporary tree as an interrupted one does
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    about = machine()
    with tempfile.TemporaryDirectory(prefix="spikeprep-compare-") as folder, contextlib.ExitStack() as trees:
        root = Path(folder).resolve()
        base = trees.enter_context(checked_out("BASE", options.base, root / "base"))
        if options.head:
            head = trees.enter_context(checked_out("HEAD", options.head, root / "head"))
        else:
            head = Side("HEAD", ROOT, commit_of(), root / "head")
        for side in (base, head):
            side.link()
        inputs = root / "inputs"
        inputs.mkdir()
        prepare(inputs)
        rounds = measure(base, head, inputs, [figure.name for figure in figures], options.rounds)
    print(page(figures, rounds, base.commit, head.commit, about))
    if any("missing" in measured[figure.name][1] for measured in rounds for figure in figures):
        raise SystemExit(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
