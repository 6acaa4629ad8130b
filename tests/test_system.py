from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from spikeprep import system


def test_a_report_is_json():
    report = system.report()
    assert json.loads(json.dumps(report.to_json()))["spikeprep"] == report.spikeprep
    assert report.problems == ()


def test_requirements_come_from_the_installed_metadata(monkeypatch):
    lines = ["numpy>=2.0", "absent-thing>=1 ; python_version > '3'", 'matplotlib>=3.8; extra == "plot"',
             "absent-thing>=1; extra == 'rare'", "numpy; extra == 'rare'", 'spikeprep[plot]; extra == "all"',
             'dask[array]>=2024.1; extra == "dask"']  # fmt: skip
    monkeypatch.setattr(system, "_requires", lambda: lines)
    required, extras = system._requirements()
    assert [(p.name, p.needs, p.version is None) for p in required] == [
        ("numpy", ">=2.0", False),
        ("absent-thing", ">=1", True),
    ]
    assert [(e.name, e.installed) for e in extras][:2] == [("plot", True), ("rare", False)]
    assert (extras[2].name, extras[2].packages[0].name, extras[2].packages[0].needs) == (
        "dask",
        "dask",
        ">=2024.1",
    )
    assert extras[1].install == "python -m pip install 'spikeprep[rare]'"


def test_a_missing_requirement_is_a_problem_with_its_fix(monkeypatch):
    monkeypatch.setattr(system, "_requires", lambda: ["absent-thing>=1"])
    (problem,) = system.report().problems
    assert problem == "absent-thing is not installed: python -m pip install 'absent-thing>=1'"


def test_a_source_tree_that_is_not_installed_is_a_problem(monkeypatch):
    monkeypatch.setattr(system, "_requires", list)
    (problem,) = system.report().problems
    assert "pip install -e ." in problem


CUPY12, CUPY13 = {"cupy-cuda12x": "13.4"}, {"cupy-cuda13x": "14.2"}
NVRTC13 = {"nvidia-cuda-nvrtc": "13.1", "nvidia-cuda-runtime": "13.1"}
NVRTC12 = {"nvidia-cuda-nvrtc-cu12": "12.9", "nvidia-cuda-runtime-cu12": "12.9"}
NCCL13 = {"nvidia-nccl-cu13": "2.30"}


@pytest.mark.parametrize(
    ("driver", "gpus", "installed", "available", "words"),
    [
        ("no NVIDIA driver", [], CUPY13, False, "no NVIDIA driver. The CPU backend"),
        ("CUDA 12.4", ["H100"], {}, False, "H100 (CUDA 12.4), but CuPy is not installed. python -m pip install "
         "'spikeprep[cuda12]'"),
        ("CUDA 13.0", ["H100"], {}, False, "'spikeprep[cuda13]'"),
        ("CUDA 14.0", ["H100"], {}, False, "'spikeprep[cuda13]'"),
        ("CUDA 12.4", ["H100"], CUPY13 | NVRTC13, False, "cupy-cuda13x needs a driver for CUDA 13. Update the driver"),
        ("CUDA 13.0", ["H100"], CUPY12 | CUPY13, False, "pip uninstall cupy-cuda12x cupy-cuda13x"),
        ("CUDA 13.0", ["H100"], CUPY13, False, "but NVRTC, which compiles the kernels, is missing. python"),
        ("CUDA 13.0", ["H100"], CUPY13 | {"nvidia-cuda-nvrtc": "13"}, False, "half precision"),
        ("CUDA 13.0", ["H100"], CUPY13 | NVRTC13, True, "H100 (CUDA 13.0), CuPy 14.2"),
        ("CUDA 13.0", ["H100"], CUPY12 | NVRTC12, True, "CuPy 13.4"),
        ("CUDA 13.0", ["H100"], {"cupy": "14.0"} | NVRTC13, True, "CuPy 14.0"),
        ("CUDA 13.0", ["H100", "H100"], CUPY13 | NVRTC13, True, "To train on several of them: python -m pip install "
         "'spikeprep[nccl13]'"),
        ("CUDA 13.0", ["H100", "H100"], CUPY13 | NVRTC13 | NCCL13, True, "H100, H100 (CUDA 13.0), CuPy 14.2"),
    ],
)  # fmt: skip
def test_what_the_cuda_backend_lacks_is_named(monkeypatch, driver, gpus, installed, available, words):
    monkeypatch.setattr(system, "_gpus", lambda: (driver, gpus))
    monkeypatch.setattr(system, "_version", installed.get)
    monkeypatch.setattr(system.glob, "glob", lambda pattern: [])  # no toolkit beside the packages
    device = system.cuda_device()
    assert device.available is available
    assert device.count == len(gpus)
    assert words in str(device)
    assert ("NVRTC" in str(device)) <= ("nvidia-cuda-nvrtc" not in installed)


def test_an_installed_toolkit_is_found(monkeypatch, tmp_path):
    for file in ("lib64/libnvrtc.so.12", "include/cuda_fp16.h"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    monkeypatch.setattr(system, "_gpus", lambda: ("CUDA 12.2", ["GPU"]))
    monkeypatch.setattr(system, "_version", CUPY12.get)
    monkeypatch.setenv("CUDA_PATH", str(tmp_path))
    assert system.cuda_device().available


def test_cores_are_those_this_process_may_use():
    assert system.cores() >= 1


def test_the_kernel_cache_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKEPREP_CACHE_DIR", str(tmp_path))
    cache = system.report().kernel_cache
    assert cache.folder is not None
    assert Path(cache.folder).parent == tmp_path
    assert str(cache).startswith(cache.folder)


def test_a_cache_folder_that_cannot_be_written_is_reported_though_another_serves(monkeypatch, tmp_path):
    monkeypatch.setenv("SPIKEPREP_CACHE_DIR", os.devnull)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cache = system.report().kernel_cache
    assert cache.ignored == (f"SPIKEPREP_CACHE_DIR={os.devnull}",)
    assert str(cache).startswith(str(tmp_path))
    says = f"SPIKEPREP_CACHE_DIR={os.devnull} cannot be written, so kernels are kept elsewhere"
    assert says in str(cache)
    monkeypatch.setenv("SPIKEPREP_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", os.devnull)  # which is not needed
    assert system.report().kernel_cache.problem() == ""


def test_without_a_kernel_cache_the_report_says_what_to_set(monkeypatch):
    monkeypatch.setattr(system.kernel_cache, "writable", lambda folder: False)
    report = system.report()
    assert report.kernel_cache.folder is None
    assert "Set SPIKEPREP_CACHE_DIR to a folder that can be written" in str(report.kernel_cache)
    assert report.problems == ()  # everything works, only slower
