from __future__ import annotations

import json

import pytest

from spikeprep import machine


def test_a_report_is_json():
    report = machine.report()
    assert json.loads(json.dumps(report.to_json()))["spikeprep"] == report.spikeprep
    assert report.problems == ()


def test_requirements_come_from_the_installed_metadata(monkeypatch):
    lines = ["numpy>=2.0", "absent-thing>=1 ; python_version > '3'", 'matplotlib>=3.8; extra == "plot"',
             "absent-thing>=1; extra == 'rare'", "numpy; extra == 'rare'", 'spikeprep[plot]; extra == "all"',
             'dask[array]>=2024.1; extra == "dask"']  # fmt: skip
    monkeypatch.setattr(machine, "_requires", lambda: lines)
    required, extras = machine._requirements()
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


def test_a_missing_requirement_is_a_problem_with_its_mend(monkeypatch):
    monkeypatch.setattr(machine, "_requires", lambda: ["absent-thing>=1"])
    (problem,) = machine.report().problems
    assert problem == "absent-thing is not installed: python -m pip install 'absent-thing>=1'"


def test_a_source_tree_that_is_not_installed_is_a_problem(monkeypatch):
    monkeypatch.setattr(machine, "_requires", list)
    (problem,) = machine.report().problems
    assert "pip install -e ." in problem


@pytest.mark.parametrize(
    ("driver", "gpus", "installed", "backend", "available", "words"),
    [
        ("no NVIDIA driver", [], True, True, False, "no NVIDIA driver"),
        ("CUDA 12.4", ["H100"], True, False, False, "CPU backend only"),
        ("CUDA 12.4", ["H100"], False, True, False, "spikeprep[cuda12]"),
        ("CUDA 13.0", ["H100"], False, True, False, "spikeprep[cuda13]"),
        ("CUDA 13.0", ["H100"], True, True, True, "H100 (CUDA 13.0)"),
    ],
)
def test_the_cuda_device_says_what_is_missing(
    monkeypatch, driver, gpus, installed, backend, available, words
):
    monkeypatch.setattr(machine, "_gpus", lambda: (driver, gpus))
    monkeypatch.setattr(machine, "_version", lambda name: "13.6" if installed else None)
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: object() if backend else None)
    device = machine._cuda()
    assert device.available is available
    assert words in str(device)


def test_cores_are_those_this_process_may_use():
    assert machine.cores() >= 1
