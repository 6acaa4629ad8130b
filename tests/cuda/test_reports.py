"""The GPU benchmark and the test report run without a GPU: emulated, at tiny size."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import gpu as bench
from benchmarks.gpu_sections import SECTIONS, crossover, labels
from benchmarks.roofline import MNIST, Card, kernels

from . import report
from .emulator import EmulatedRuntime, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the emulator needs Linux and a C++ compiler")


def test_every_section_of_the_benchmark(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu", "--emulated", "--out", str(tmp_path)])
    assert bench.main() == 0, capsys.readouterr().out
    sections = json.loads((tmp_path / "bench.json").read_text())["sections"]
    assert set(sections) == set(SECTIONS)
    assert [name for name in sections if "skipped" in sections[name]] in (
        [],
        ["bptt"],
    )  # PyTorch may be missing
    assert all(task["spikes_equal"] for name, task in sections["check"].items() if name != "seconds")
    for name, task in sections["kernels"].items():
        if name == "seconds":
            continue
        assert task["floors_without_a_launch"] == []
        assert {row["kernel"] for row in task["kernels"] if "floor" not in row} <= {"step values"}
    assert [row["density"] for row in sections["density"]["rows"]] == [0.02, 0.5]
    assert {"resident", "pinned", "streamed"} < set(sections["tiers"])
    text = (tmp_path / "bench.md").read_text()
    assert "| dense_gradient 0 |" in text
    assert "| streamed | 12 |" in text


def test_the_check_needs_no_library_of_the_store(tmp_path):
    """CuPy, NumPy and Numba are enough to check a machine with a GPU."""
    missing = ("zarr", "numcodecs", "google_crc32c", "soundfile", "torch")
    arguments = ["gpu", "--emulated", "--check", "--out", str(tmp_path)]
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({missing})); sys.argv = {arguments}\n"
        "from benchmarks.gpu import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| mnist | True |" in (tmp_path / "bench.md").read_text()


def test_after_a_section_that_fails_the_others_run(tmp_path, monkeypatch, capsys):
    def broken(bench):
        raise ValueError("no such luck")

    monkeypatch.setitem(SECTIONS, "check", broken)
    monkeypatch.setattr(
        sys, "argv", ["gpu", "--emulated", "--out", str(tmp_path), "--sections", "check,ceilings"]
    )
    assert bench.main() == 1
    text = (tmp_path / "bench.md").read_text()
    assert "check: failed: ValueError: no such luck" in text
    assert "| copy, read and written |" in text


def test_names_of_launches_are_those_of_floors():
    names = [
        "unpack", "transpose", "events", "dense_forward_wide", "events", "dense_drive", "lif_lateral",
        "gate", "events", "psp", "hm2bp_output",
        "gate", "events", "order_units", "dense_gradient", "sum_tiles", "gate", "events", "order_units",
        "dense_gradient", "count_parts", "count_parts", "step_values",
        "regularisation", "adam_update", "regularisation", "adam_update",
    ]  # fmt: skip
    got = labels(names, 2)
    assert got[15] == got[14] == "dense_gradient 1"
    assert {kernel.name for kernel in kernels(MNIST)} == set(got) - {"step values"}
    assert [n for n, word in enumerate(got) if word == "update 1"] == [25, 26]


def test_a_bench_at_full_size(monkeypatch):
    """Everything before the first measurement, with an emulated device in the place of the GPU."""
    opened = []

    def runtime(number):
        opened.append(number)
        return EmulatedRuntime()

    monkeypatch.setattr(bench, "CupyRuntime", runtime)
    args = bench.options(["--gpu", "1", "--store-samples", "123", "--distinct", "7", "--repeats", "5"])
    full = bench.on_gpu(args)
    assert opened == [1]
    assert (full.store_samples, full.distinct, full.repeats, full.store) == (123, 7, 5, None)
    assert args.sections == list(SECTIONS)
    assert bench.options(["--check"]).sections == ["check"]
    with pytest.raises(SystemExit):
        bench.options(["--sections", "check,nothing"])


def test_the_crossover_lies_between_two_densities():
    rows = [{"density": d, "events": d, "matrix": 0.03} for d in (0.01, 0.1)]
    assert crossover(rows) == pytest.approx(0.03)
    assert crossover(rows[:1]) is None
    assert all(kernel.on(Card()).floor > 0 for kernel in kernels(MNIST))


def test_the_report_of_the_tests(tmp_path, monkeypatch):
    test = "tests/cuda/test_gpu.py::test_more_shared_memory_than_the_default"
    monkeypatch.setattr(sys, "argv", ["report", "--emulated", "--out", str(tmp_path), test])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # the report is tested without a GPU
    assert report.main() == 0
    written = json.loads((tmp_path / "test.json").read_text())
    assert written["device"] == {"device": "emulated"}
    tests = written["tests"]
    assert (tests["tests"], tests["skipped"], tests["failures"], tests["failed"]) == (2, 1, 0, [])
    assert any("no GPU" in reason for reason in tests["skips"])
    assert written["sanitizer"] == {}
    assert "test_more_shared_memory" in (tmp_path / "test.txt").read_text()
