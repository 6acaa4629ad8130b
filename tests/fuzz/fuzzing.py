"""Fuzzing of readers: seeded mutations of valid inputs, each read in a forked worker with limits of time and memory.

A `Target` names a reader, writes valid inputs of it, and reads one. `fuzz` reads mutations of the valid inputs; every
result is a valid one or a `SpikeprepError`. Anything else is a `Finding`: another exception, a worker that dies, a case
that takes longer than `SECONDS` or more memory than `MEMORY`. Case n of a target depends on the seed and n alone:
`python -m tests.fuzz.fuzzing MODULE TARGET N` reads it alone and shows its traceback.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from spikeprep.errors import SpikeprepError, printable

SECONDS = 5.0  # CPU time of a case, at most
STALL_SECONDS = 60.0  # wall time of a case, at most: it may wait for something that never comes
MEMORY = 1 << 30  # bytes that reading takes beside what the process has already
SHORT, LONG = 80, int(os.environ.get("SPIKEPREP_FUZZ_COUNT", "20000"))
_BATCH = 500  # cases of one worker
_FOLDER = (
    "/dev/shm" if os.path.isdir("/dev/shm") else None
)  # files in memory, where the system has a place for them


@dataclass(frozen=True)
class Target:
    """A reader to fuzz.

    Attributes
    ----------
    name
        What is read.
    seeds
        Returns valid inputs.
    read
        Reads one input, and checks its result where it is accepted; the folder is empty and for its use.
    short
        How many cases the short form has: fewer where each takes long.
    """

    name: str
    seeds: Callable[[], Sequence[bytes]]
    read: Callable[[bytes, Path], object]
    short: int = SHORT


@dataclass(frozen=True)
class Finding:
    """A case that ended in anything but a result or an error of ours."""

    target: str
    case: int
    what: str

    def __str__(self) -> str:
        return f"{self.target}, case {self.case}: {self.what}"


@dataclass
class Report:
    """How many cases were accepted and refused, the findings, and the largest memory that a batch took, in bytes."""

    target: str
    accepted: int = 0
    refused: int = 0
    memory: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.target}: {self.accepted + self.refused + len(self.findings):,} inputs, {self.accepted:,} valid, "
            f"{self.refused:,} refused, {len(self.findings)} findings, {self.memory / 1e6:.0f} MB, {self.seconds:.0f} s"
        )


# ---------------------------------------------------------------- mutations

_EXTREMES = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    (1 << 63) - 1,
)
_TEXTS = (
    b"0",
    b"-1",
    b"1",
    b"4294967296",
    b"1e309",
    b"nan",
    b"",
    b"\x1b[31m",
    b"..",
    b"999999999999999999999",
)


def mutated(seeds: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Return a valid input after one to six changes, half of them in its first 256 bytes."""
    data = bytearray(seeds[int(rng.integers(len(seeds)))])
    for _ in range(int(rng.integers(1, 7))):
        if not data:
            break
        _CHANGES[int(rng.integers(len(_CHANGES)))](data, _place(data, rng), seeds, rng)
    return bytes(data)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    return int(rng.integers(len(data) if rng.random() < 0.5 else min(len(data), 256)))


def _flip(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    data[at] ^= 1 << int(rng.integers(8))


def _byte(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    data[at] = int(rng.integers(256))


def _extreme(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    """Set an integer of 1 to 8 bytes, at any place or at a multiple of its size, to an extreme value."""
    size = 1 << int(rng.integers(4))
    if rng.random() < 0.7:
        at -= at % size
    value = _EXTREMES[int(rng.integers(len(_EXTREMES)))] & ((1 << 8 * size) - 1)
    data[at : at + size] = value.to_bytes(size, "little" if rng.random() < 0.5 else "big")


def _text(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    """Replace a number of a header's text."""
    stop = at
    while stop < len(data) and data[stop : stop + 1].isdigit():
        stop += 1
    data[at:stop] = _TEXTS[int(rng.integers(len(_TEXTS)))]


def _cut(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    del data[at:]


def _delete(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    del data[at : at + int(rng.integers(1, 17))]


def _insert(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    data[at:at] = rng.bytes(int(rng.integers(1, 17)))


def _splice(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    """Copy bytes of a valid input over this one."""
    other = seeds[int(rng.integers(len(seeds)))]
    start, size = int(rng.integers(len(other))), int(rng.integers(1, 65))
    data[at : at + size] = other[start : start + size]


def _repeat(data: bytearray, at: int, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    data[at:at] = data[at : at + int(rng.integers(1, 65))] * int(rng.integers(1, 5))


_CHANGES = (
    _flip,
    _flip,
    _byte,
    _extreme,
    _extreme,
    _extreme,
    _text,
    _cut,
    _delete,
    _insert,
    _splice,
    _repeat,
)


def case(target: Target, number: int, seed: int = 0) -> bytes:
    """Return the input of a case."""
    return mutated(target.seeds(), np.random.default_rng([seed, number]))


# ---------------------------------------------------------------- workers


def fuzz(target: Target, count: int, seed: int = 0) -> Report:
    """Read `count` mutated inputs in forked workers, a batch each."""
    began, report = time.monotonic(), Report(target.name)
    seeds = target.seeds()
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        for n, data in enumerate(seeds):  # compiles kernels, and imports libraries, before the first fork
            place = Path(folder, f"valid{n}")
            place.mkdir()
            try:
                target.read(data, place)
            except SpikeprepError as error:
                raise AssertionError(f"{target.name}: the valid input {n} is refused: {error}") from error
    start = 0
    while start < count:
        start = _batch(target, seeds, range(start, min(start + _BATCH, count)), seed, report)
    report.seconds = time.monotonic() - began
    return report


def check(target: Target, count: int, seed: int = 0) -> Report:
    """Fuzz a target; raises `AssertionError` with the first findings."""
    report = fuzz(target, count, seed)
    if count > SHORT:
        print(report, flush=True)
    shown = "\n".join(map(str, report.findings[:5]))
    assert not report.findings, f"{report}\n{shown}"
    assert count < target.short or report.refused, f"{report}: no mutation was noticed"
    return report


def both_lengths(targets: Sequence[Target]) -> pytest.MarkDecorator:
    """Parametrise a test by (target, count): the short form of each, and the long one, marked slow."""
    cases = [pytest.param(t, t.short, id=t.name) for t in targets]
    cases += [pytest.param(t, LONG, id=f"{t.name} long", marks=pytest.mark.slow) for t in targets]
    return pytest.mark.parametrize(("target", "count"), cases)


_RECORD = struct.Struct("<cqI")  # kind, case or bytes of memory, length of the text that follows


def _batch(target: Target, seeds: Sequence[bytes], cases: range, seed: int, report: Report) -> int:
    """Run cases in a forked worker, until one kills it; return the number of the next case."""
    out, back = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that the process has: idle ones of libraries
        pid = os.fork()
    if not pid:
        os.close(out)
        code = 1
        try:
            _work(target, seeds, cases, seed, back)
            code = 0
        finally:
            os._exit(code)
    os.close(back)
    current, buffer, stalled = cases.start - 1, b"", False
    while True:
        if not select.select([out], [], [], STALL_SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
            stalled = True
        if not (received := os.read(out, 1 << 16)):
            break
        buffer += received
        while len(buffer) >= _RECORD.size:
            kind, value, length = _RECORD.unpack_from(buffer)
            if len(buffer) < _RECORD.size + length:
                break
            text = buffer[_RECORD.size : _RECORD.size + length].decode(errors="replace")
            buffer = buffer[_RECORD.size + length :]
            if kind == b"B":
                current = value
            elif kind == b"A":
                report.accepted += 1
            elif kind == b"R":
                report.refused += 1
            elif kind == b"F":
                report.findings.append(Finding(target.name, value, text))
            elif kind == b"M":
                report.memory = max(report.memory, value)
                if value > MEMORY:
                    what = f"cases {cases.start} to {current} took {value / 1e6:.0f} MB"
                    report.findings.append(Finding(target.name, current, what))
    os.close(out)
    _, status = os.waitpid(pid, 0)
    if not status:
        return cases.stop
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    what = f"killed by {signal.Signals(number).name}" if number else f"exit {os.WEXITSTATUS(status)}"
    if stalled:
        what = f"no progress in {STALL_SECONDS} s"
    elif number == signal.SIGPROF:
        what = f"more than {SECONDS} s of CPU time"
    report.findings.append(Finding(target.name, current, what))
    return current + 1


def _work(target: Target, seeds: Sequence[bytes], cases: range, seed: int, back: int) -> None:
    def send(kind: bytes, value: int, text: str = "") -> None:
        raw = text.encode(errors="replace")[-8000:]
        os.write(back, _RECORD.pack(kind, value, len(raw)) + raw)

    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries write remarks there
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _limit_memory()
    with tempfile.TemporaryDirectory(dir=_FOLDER) as root:
        for number in cases:
            send(b"B", number)
            data = mutated(seeds, np.random.default_rng([seed, number]))
            folder = Path(root, str(number))
            folder.mkdir()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                target.read(data, folder)
            except SpikeprepError as error:
                kind, text = b"R", _fault_of(error)
            except BaseException:
                kind, text = b"F", traceback.format_exc()
            else:
                kind, text = b"A", ""
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(b"F" if text else kind, number, text)
    send(b"M", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def _fault_of(error: SpikeprepError) -> str:
    """Return what is wrong with the message of an error of ours; empty where nothing is."""
    text = str(error)
    return "" if printable(text, "\n\t") == text else f"the message controls a terminal: {text!r}"


def memory_of(call: Callable[[], object]) -> tuple[int, str]:
    """Call in a forked process with the limits of a case; return the bytes that it took, and the error of ours.

    The text is empty where the call returned; raises `AssertionError` for everything but errors of ours.
    """
    out, back = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if not pid:
        code, text = 1, ""
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            _limit_memory()
            try:
                call()
                code = 0
            except SpikeprepError as error:
                code, text = 0, str(error)
            except BaseException:
                text = traceback.format_exc()
            took = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
            os.write(back, f"{took} {text}".encode(errors="replace")[-8000:])
        finally:
            os._exit(code)
    os.close(back)
    with os.fdopen(out, errors="replace") as stream:
        took, _, text = stream.read().partition(" ")
    _, status = os.waitpid(pid, 0)
    assert not status, f"status {status}: {text}"
    return int(took), text


def _limit_memory() -> None:
    """Limit the process's address space to what it has and `MEMORY`, where the system can."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))


def kinds(report: Report) -> Counter[str]:
    """Return how often each last line of a finding occurs."""
    return Counter(f.what.strip().splitlines()[-1][:150] for f in report.findings)


def main() -> None:
    """Read one case of a target in this process, or fuzz it: MODULE TARGET [CASE | xCOUNT]."""
    import importlib

    module, name, which = (*sys.argv[1:], "x2000")[:3]
    target = next(t for t in importlib.import_module(module).TARGETS if t.name == name)
    if which.startswith("x"):
        report = fuzz(target, int(which[1:]))
        for what, number in kinds(report).most_common():
            first = next(f for f in report.findings if f.what.strip().splitlines()[-1][:150] == what)
            print(f"{number} × {what} (case {first.case})")
        print(report)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(target.read(case(target, int(which)), Path(folder)))


if __name__ == "__main__":
    main()
