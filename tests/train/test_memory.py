"""Memory is counted before it is taken, and an allocation that fails all the same says what to lower."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from spikeprep import processes
from spikeprep.backend import Backend
from spikeprep.cpu.backend import CpuBackend
from spikeprep.errors import CapabilityError
from spikeprep.reference.backend import ReferenceBackend
from spikeprep.system import available_memory
from spikeprep.train import memory
from spikeprep.train.evaluation import evaluate
from spikeprep.train.layers import build_layers
from spikeprep.train.memory import affordable_batch, check_batch, memory_errors
from spikeprep.train.run_folder import RunFolder
from spikeprep.train.trainer import load_network

from .test_trainer import SETTINGS, trainer

LAYERS = build_layers("500", (28, 28), 10)


def test_a_batch_that_is_padded_to_a_long_sample_is_refused(monkeypatch):
    """The figure is close to what is allocated: a batch of the same shape, a thousandth as long, takes a thousandth."""
    backend = CpuBackend(threads=2)
    monkeypatch.setattr(backend, "free_memory", lambda: 20 << 30)
    with pytest.raises(CapabilityError, match=r"samples of 10,000,000 steps needs 6\d\.\d GB.*Lower batch"):
        check_batch(backend, "hm2bp", LAYERS, 32, 10**7)
    with pytest.raises(CapabilityError, match="Use a smaller arch"):
        check_batch(backend, "hm2bp", LAYERS, 1, 10**9)
    check_batch(backend, "hm2bp", LAYERS, 32, 10**4)
    with pytest.raises(CapabilityError, match="reading batches"):
        check_batch(backend, "hm2bp", LAYERS, 32, 10**4, host_bytes=1 << 60)


@pytest.mark.parametrize(("backend", "samples"), [(CpuBackend(threads=1), 200), (ReferenceBackend(), 2)])
def test_the_figure_is_no_more_than_what_is_taken(backend, samples, digits):
    import tracemalloc

    from spikeprep.train.network import build_network, initial_states

    layers = build_layers("40", (8, 8), 10)
    rule = replace(SETTINGS.rule, thresholds=(4.0, 4.0))
    network = build_network(backend, rule, layers, initial_states(rule, layers, 1.0, 0, backend.dtype))
    batch = digits["train"].packed(slice(0, samples))
    network.train_step(batch, SETTINGS.optim, 1, 0.01)  # compiles
    tracemalloc.start()
    network.train_step(batch, SETTINGS.optim, 2, 0.01)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    counted = backend.batch_bytes([64, 40, 10], samples, 120)
    assert counted < 1.5 * taken
    assert counted > Backend.batch_bytes(backend, [64, 40, 10], samples, 120)


def test_threads_that_have_no_work_take_no_memory():
    one, few, many, more = (
        CpuBackend(threads=n).batch_bytes([64, 40, 10], 3, 120) for n in (1, 3, 3 * 5, 100_000)
    )
    assert one < few < many == more


@pytest.mark.parametrize(("rule", "fused"), [("hm2bp", True), ("none", False)])
def test_the_figure_of_a_convolutional_network(rule, fused, digits):
    """Composed layers hold spikes, drives and gates as real numbers; fused ones none of them."""
    import tracemalloc

    from spikeprep.train.network import build_network, initial_states

    backend, layers = CpuBackend(threads=1), build_layers("12C3-P2-20", (8, 8), 10)
    hm2bp = replace(SETTINGS.rule, thresholds=4.0)
    states = initial_states(hm2bp, layers, 1.0, 0, backend.dtype)
    network = build_network(backend, hm2bp, layers, states, fused=fused)
    batch = digits["train"].packed(slice(0, 64))
    network.train_step(batch, SETTINGS.optim, 1, 0.01)  # compiles
    tracemalloc.start()
    network.train_step(batch, SETTINGS.optim, 2, 0.01)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.4 * taken < memory.batch_bytes(backend, rule, layers, 64, 120) < 2 * taken


def test_training_refuses_before_it_creates_a_folder(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(CpuBackend, "free_memory", lambda self: 1 << 10)
    with pytest.raises(CapabilityError, match=r"batches of 32 samples of 120 steps needs .* GB"):
        trainer(digits, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluation_takes_smaller_batches_where_memory_is_short(digits, tmp_path, monkeypatch):
    trainer(digits, tmp_path / "run", replace(SETTINGS, epochs=1)).run()
    network = load_network(RunFolder(tmp_path / "run"), CpuBackend(threads=1))
    whole = evaluate(network, digits["test"], 10)
    small = network.backend.batch_bytes([64, 30, 10], 3, 120)
    monkeypatch.setattr(network.backend, "free_memory", lambda: small)
    assert affordable_batch(network.backend, "hm2bp", network.layers, 64, 120) == 2
    part = evaluate(network, digits["test"], 10, samples=np.arange(50))
    monkeypatch.undo()
    assert (
        part.confusion.tolist()
        == evaluate(network, digits["test"], 10, samples=np.arange(50)).confusion.tolist()
    )
    assert whole.samples == 300
    monkeypatch.setattr(network.backend, "free_memory", lambda: 10)
    with pytest.raises(CapabilityError, match="1 samples of 120 steps"):
        evaluate(network, digits["test"], 10)


class CUDARuntimeError(RuntimeError):
    """As CuPy's class is called."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Out of memory allocating 1,024 bytes"),
        MemoryError(),
        CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"),
    ],
)
def test_a_failed_allocation_is_a_missing_capability(error):
    with pytest.raises(CapabilityError, match=r"out of memory .* Lower batch"), memory_errors("Lower batch."):
        raise error


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="launch"), memory_errors(""):
        raise CUDARuntimeError("cudaErrorLaunchFailure: unspecified launch failure")


def test_a_full_device_in_the_middle_of_training(digits, tmp_path, monkeypatch):
    """As through the API: exit 5, and the run resumes."""
    import spikeprep
    from spikeprep.train.network import Network

    def full(self, *_):
        raise MemoryError("Out of memory allocating 512 bytes (allocated so far: 1024 bytes).")

    monkeypatch.setattr(Network, "_compute_pass", full)
    loss = {"loss.target": 15, "loss.off_target": 2, "loss.margin": 2, "thresholds": 5}
    with pytest.raises(CapabilityError, match="Lower batch, use a smaller arch"):
        spikeprep.train(
            digits.path, arch="8", epochs=1, run=tmp_path / "run", settings=loss, progress=False, device="cpu"
        )
    monkeypatch.undo()
    spikeprep.train(digits.path, run=tmp_path / "run", resume=True, progress=False, device="cpu")


def test_the_available_memory_honours_a_limit_of_the_address_space(monkeypatch):
    monkeypatch.setattr("spikeprep.system.address_space", lambda: processes.AddressSpace(10**9, 9 * 10**8))
    assert available_memory() == 10**8
    assert memory.available_memory() == 10**8


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="limits of Linux")
@pytest.mark.parametrize("command", ["train", "encode"])
def test_too_little_address_space_is_refused_at_once(digits, tmp_path, command):
    words = {
        "train": ["train", digits.path, "--run", str(tmp_path / "run")],
        "encode": ["encode", "digits", "--out", str(tmp_path / "out.zarr")],
    }[command]
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (500 << 20,) * 2)\n"
        f"from spikeprep_cli.main import main; main({words!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 5, done.stderr
    assert "the address space is limited to 524 MB" in done.stderr
    assert not list(tmp_path.iterdir())
