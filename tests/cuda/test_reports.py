"""What needs a GPU for its numbers must not need one to be free of slips: benchmark and report, emulated and tiny."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import gpu as bench
from benchmarks.gpu_sections import SECTIONS, crossover, labels
from benchmarks.roofline import MNIST, Card, kernels

from . import report
from .emulator import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the emulator needs Linux and a C++ compiler")


def test_every_section_of_the_benchmark(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu", "--emulated", "--out", str(tmp_path)])
    assert bench.main() == 0, capsys.readouterr().out
    found = json.loads((tmp_path / "bench.json").read_text())["sections"]
    assert set(found) == set(SECTIONS)
    assert [name for name in found if "skipped" in found[name]] in ([], ["bptt"])  # PyTorch may be missing
    assert all(task["spikes_equal"] for name, task in found["check"].items() if name != "took")
    for name, task in found["kernels"].items():
        if name == "took":
            continue
        assert task["floors_without_a_launch"] == []  # every floor has a launch beside it
        assert {row["kernel"] for row in task["kernels"] if "floor" not in row} <= {"regular_trains"}
    assert [row["density"] for row in found["density"]["rows"]] == [0.02, 0.5]
    assert {"resident", "pinned", "streamed"} < set(found["tiers"])
    text = (tmp_path / "bench.md").read_text()
    assert "| dense_gradient 0 |" in text
    assert "| streamed | 12 |" in text


def test_the_check_needs_no_library_of_the_store(tmp_path):
    """A bare machine with a GPU can be checked with CuPy, NumPy and Numba alone."""
    missing = ("zarr", "numcodecs", "google_crc32c", "soundfile", "torch")
    arguments = ["gpu", "--emulated", "--check", "--out", str(tmp_path)]
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({missing})); sys.argv = {arguments}\n"
        "from benchmarks.gpu import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| mnist | True |" in (tmp_path / "bench.md").read_text()


def test_a_section_that_fails_is_told_and_the_others_go_on(tmp_path, monkeypatch, capsys):
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


def test_a_launch_has_its_floor_s_name():
    names = [
        "unpack", "transpose", "events", "dense_forward_wide", "events", "dense_drive", "lif_lateral",
        "gate", "events", "psp", "lateral_gain", "regular_trains",
        "gate", "events", "counts", "dense_gradient", "sum_tiles", "gate", "events", "dense_gradient",
        "regularisation", "adam_update", "regularisation", "adam_update",
    ]  # fmt: skip
    got = labels(names, 2)
    assert got[16] == got[15] == "dense_gradient 1"
    assert {kernel.name for kernel in kernels(MNIST)} == set(got) - {"regular_trains"}
    assert [n for n, word in enumerate(got) if word == "update 1"] == [22, 23]


def test_the_crossover_lies_between_two_densities():
    rows = [{"density": d, "events": d, "matrix": 0.03} for d in (0.01, 0.1)]
    assert crossover(rows) == pytest.approx(0.03)
    assert crossover(rows[:1]) is None
    assert all(kernel.on(Card()).floor > 0 for kernel in kernels(MNIST))


def test_the_report_of_the_tests(tmp_path, monkeypatch):
    test = "tests/cuda/test_gpu.py::test_more_shared_memory_than_the_default"
    monkeypatch.setattr(sys, "argv", ["report", "--emulated", "--out", str(tmp_path), test])
    monkeypatch.setenv(
        "CUDA_VISIBLE_DEVICES", ""
    )  # this is about the report: the GPU, if there is one, can rest
    assert report.main() == 0
    found = json.loads((tmp_path / "test.json").read_text())
    assert found["device"] == {"device": "emulated"}
    assert (found["tests"]["tests"], found["tests"]["skipped"], found["tests"]["failures"]) == (2, 1, 0)
    assert any("no GPU" in why for why in found["tests"]["skips"])
    assert found["sanitizer"] == {}
    assert "test_more_shared_memory" in (tmp_path / "test.txt").read_text()
