"""Every kernel compiles for GPUs old and new, without a warning and, in float32, without spilling a register."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spikeprep.cuda.runtime import KERNELS, source

from .emulator import build
from .emulator.runtime import UNBOUNDED
from .nvrtc import MISSING, Compiled, compiled, library

pytestmark = pytest.mark.skipif(library() is None, reason=MISSING)

FILES = sorted(path.name for path in KERNELS.glob("*.cu"))
# Turing, which copies to shared memory synchronously; PTX for Ampere and later; Hopper. Each with one width of an event
TARGETS = {"sm_75": 16, "compute_80": 32, "sm_90": 16}
REGISTERS = 65536  # of a multiprocessor
CASES = [(file, arch, "float") for file in FILES for arch in TARGETS]
CASES += [(file, "sm_90", "double") for file in FILES]  # for comparing: one target tells whether it compiles


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str, str], Compiled]:
    def compile_case(case: tuple[str, str, str]) -> Compiled:
        file, arch, real = case
        return compiled(KERNELS / file, arch, REAL=real, ID_BITS=TARGETS[arch])

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(CASES, pool.map(compile_case, CASES), strict=True))


def kernels_of(file: str) -> dict[str, int]:
    """Return the threads of each kernel's __launch_bounds__, or as many as any kernel can have."""
    text = build.preprocessed(source(KERNELS / file), ["-DREAL=float", "-DID_BITS=16"])
    return {
        name: int(bounds.split(",")[0]) if bounds else UNBOUNDED for name, bounds in build.kernels_in(text)
    }


def test_there_are_kernels():
    assert {"spikes.cu", "neurons.cu", "dense.cu", "update.cu"} <= set(FILES)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_compiles_without_warnings(answers, case):
    assert answers[case].messages == ""


@pytest.mark.skipif(build.compiler() is None, reason="kernels are counted with a C++ preprocessor")
@pytest.mark.parametrize("case", [c for c in CASES if c[1].startswith("sm_")], ids="-".join)
def test_resources(answers, case):
    """Static shared memory needs no opting in, each kernel's largest block can be launched, nothing is spilled."""
    kernels = answers[case].kernels
    threads = kernels_of(case[0])
    assert set(kernels) == set(threads)  # the emulator finds the same kernels as NVRTC
    for name, resources in kernels.items():
        assert resources.spills == 0 or case[2] == "double", name  # float64 is for comparing, not for speed
        assert resources.shared <= 48 * 1024, name
        assert resources.registers * threads[name] <= REGISTERS, name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extern "C" __global__ void k(int *out) { int unused = 3; }', "never referenced"),
        ('extern "C" __global__ void k(int *out) { out[0] = missing; }', 'failed.*"missing" is undefined'),
    ],
)
def test_warnings_and_errors_are_reported(tmp_path: Path, text: str, message: str):
    (tmp_path / "k.cu").write_text(text)
    assert re.search(message, compiled(tmp_path / "k.cu", "compute_80").messages, re.DOTALL)


def test_spills_are_reported(tmp_path: Path):
    body = "".join(f"x{n} = in[{n} * 64 + x{(n + 1) % 64}]; " for n in range(64))
    names = ", ".join(f"x{n} = in[{n}]" for n in range(64))
    total = " + ".join(f"x{n}" for n in range(64))
    (tmp_path / "k.cu").write_text(
        'extern "C" __global__ void __launch_bounds__(1024, 2) k(const int *in, int *out, int n) {\n'
        f"int {names};\nfor (int i = 0; i < n; ++i) {{ {body} }}\nout[threadIdx.x] = {total}; }}"
    )
    result = compiled(tmp_path / "k.cu", "sm_90")
    assert result.messages == ""
    assert result.kernels["k"].spills > 0
    assert result.kernels["k"].registers <= 32
