"""Kernels of the CPU compiled by two processes: Numba compiles in one thread of a process at a time.

The first kernel that a run has to compile starts a second process. That one goes through a training step without
samples, which tells it every kernel that the run will call, and compiles them into the cache on disk, from the last one
to the first. The run compiles them in the order of their first calls and, from where they meet, finds the others there.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod

import numpy as np

from . import compilation, kernel_cache
from .backend import Backend, ParameterState
from .composition import trained_arrays
from .data import PackedBatch
from .system import cores
from .train.dropout import dropout_keys
from .train.layers import LayerKind, build_layers
from .train.network import Network, build_network
from .train.rules import LearningRule
from .train.run_config import RunConfig
from .train.settings import TrainSettings

_LARGEST = 1 << 24  # trained values that the second process may hold too
_LONGEST = 60.0  # seconds that one kernel may take there
_STEPS = 8  # of the sample that a rule is calibrated on

_KERNELS = os.path.join(os.path.dirname(__file__), "cpu")
_SECOND_PROCESS = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from spikeprep.compile_ahead import compile_kernels; compile_kernels(pickle.load(sys.stdin.buffer))"
)


@dataclass(frozen=True)
class Rehearsal:
    """What decides which kernels a run calls.

    Attributes
    ----------
    settings
        Of the run; the rule's may be open.
    unit_shape, classes
        The axes of the store's units, and its number of classes.
    trains
        Whether the network is trained, or only predicts.
    """

    settings: TrainSettings
    unit_shape: tuple[int, ...]
    classes: int
    trains: bool = True

    @classmethod
    def of_run(cls, config: RunConfig) -> Rehearsal:
        """Return what predicting by a finished run calls."""
        return cls(config.settings, config.unit_shape, len(config.classes), trains=False)

    def is_small(self) -> bool:
        """Whether the second process may hold the network too."""
        layers = self._layers()
        arrays = [spec for layer in layers for spec in trained_arrays(self.settings.rule, layer).values()]
        return sum(prod(spec.shape) for spec in arrays) <= _LARGEST

    def step(self, backend: Backend) -> None:
        """Take a training step of no samples, or predict none. No value that a kernel would compute is looked at."""
        settings = self.settings
        network = self._network(backend, self._calibrated_rule(), settings.dropout)
        if not self.trains:
            network.start_counts(self._batch(0))
            return
        network.measure(self._batch(0), dropout_keys=dropout_keys(0, 0, 0) if network.drops else None)
        network.update(1, settings.optim, 1, settings.optim.rate)

    def _layers(self) -> tuple[LayerKind, ...]:
        s = self.settings
        return build_layers(s.arch, self.unit_shape, self.classes, s.channels)

    def _network(
        self, backend: Backend, rule: LearningRule, dropout: float | Sequence[float] = 0.0
    ) -> Network:
        layers = self._layers()
        states = [
            {
                name: ParameterState.fresh(np.zeros(spec.shape, backend.dtype))
                for name, spec in trained_arrays(rule, layer).items()
            }
            for layer in layers
        ]
        return build_network(backend, rule, layers, states, dropout=dropout)

    def _batch(self, samples: int) -> PackedBatch:
        """Return samples in which every unit fires in every step."""
        bits = np.full((samples, prod(self.unit_shape), _STEPS // 8), 255, np.uint8)
        steps, labels = np.full(samples, _STEPS, np.uint32), np.zeros(samples, np.int32)
        return PackedBatch(bits, steps, labels, np.arange(samples))

    def _calibrated_rule(self) -> LearningRule:
        """Return the rule with open settings found by the reference backend, which has no kernels; any will do."""
        from .reference.backend import ReferenceBackend

        rule, reference = self.settings.rule, ReferenceBackend()
        network = self._network(reference, rule)
        return rule.calibrated(reference, network.layers, network.devices, self._batch(1))


@contextmanager
def compiling_ahead(rehearsal: Rehearsal, backend: Backend) -> Iterator[None]:
    """Inside, a second process compiles the run's last kernels, from the first one on that the run has to compile.

    Where the cache has none at all it starts at once. It is left out where it does not help: on another backend, on one
    core, and without a cache on disk. Whatever fails in that process is left to this one.
    """
    folder = kernel_cache.folder_of(_KERNELS) if backend.name == "cpu" and cores() > 1 else None
    if folder is None:
        yield
        return
    from . import _jit

    started: list[_SecondProcess] = []

    def start(begins: bool) -> None:
        if not begins or started or _jit.partner is not None:
            return
        with suppress(Exception):  # e.g. a plugin that cannot be pickled
            if rehearsal.is_small():
                started.append(_SecondProcess(rehearsal))
                _jit.partner = started[0]

    start(begins=not kernel_cache.has_kernels(folder))
    with compilation.listening(start):
        try:
            yield
        finally:
            if started:
                _jit.partner = None
                started[0].end()


class _SecondProcess:
    """The second process as the first one sees it; see `Partner`."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        request = pickle.dumps(sys.path) + pickle.dumps(rehearsal)
        self._process = subprocess.Popen(
            [sys.executable, "-IB", "-c", _SECOND_PROCESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._compiling: set[str] = set()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(request)
            self._process.stdin.flush()

    def has_compiled(self, file: str) -> bool:
        """See `Partner`: waits where the second process compiles that kernel now."""
        with self._changed:
            if file not in self._compiling:
                return False
            with compilation.compiling():
                return self._changed.wait_for(lambda: file not in self._compiling, _LONGEST)

    def ended(self, file: str) -> None:
        """See `Partner`; the second process does not wait."""

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # what it has not read
            self._process.stdin.close()

    def _read(self) -> None:
        """Follow which kernels are being compiled, until the process has ended."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                event, _, file = os.fsdecode(line.rstrip(b"\n")).partition(" ")
                with self._changed:
                    (self._compiling.add if event == "begin" else self._compiling.discard)(file)
                    self._changed.notify_all()
        with self._changed:
            self._compiling.clear()
            self._changed.notify_all()


class _FirstProcess:
    """The first process as the second one sees it; see `Partner`."""

    def has_compiled(self, file: str) -> bool:
        """See `Partner`: says that the kernel is being compiled here."""
        self._tell("begin", file)
        return False

    def ended(self, file: str) -> None:
        """See `Partner`: says so."""
        self._tell("end", file)

    @staticmethod
    def _tell(event: str, file: str) -> None:
        sys.stdout.buffer.write(os.fsencode(f"{event} {file}\n"))
        sys.stdout.buffer.flush()


def compile_kernels(rehearsal: Rehearsal) -> None:
    """Compile the kernels that a run calls, the last one first; for a new process."""
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()
    from . import _jit
    from .cpu.backend import CpuBackend

    backend = CpuBackend(rehearsal.settings.precision, threads=1)
    calls = _jit.calls_of(lambda: rehearsal.step(backend))
    _jit.partner = _FirstProcess()
    for compile_kernel in reversed(calls):
        compile_kernel()


def _end_with_the_first_process() -> None:
    """Wait until standard input is closed, as the system does where the first process was killed; end this one."""
    os.read(sys.stdin.fileno(), 1)  # not by the stream: its lock would be held at the end of the interpreter
    os._exit(1)
