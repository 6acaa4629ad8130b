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
# what every GPU since Ampere can be given, and what a Hopper runs; each with one of the two widths of an event
TARGETS = {"compute_80": 32, "sm_90": 16}
REGISTERS = 65536  # of a multiprocessor
CASES = [(file, arch, real) for file in FILES for arch in TARGETS for real in ("float", "double")]


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str, str], Compiled]:
    def answer(case: tuple[str, str, str]) -> Compiled:
        file, arch, real = case
        return compiled(KERNELS / file, arch, REAL=real, ID_BITS=TARGETS[arch])

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(CASES, pool.map(answer, CASES), strict=True))


def kernels_of(file: str) -> dict[str, int]:
    """Kernel → threads of its __launch_bounds__, or as many as any kernel can have."""
    text = build.preprocessed(source(KERNELS / file), ["-DREAL=float", "-DID_BITS=16"])
    return {
        name: int(bounds.split(",")[0]) if bounds else UNBOUNDED for name, bounds in build.kernels_in(text)
    }


def test_there_are_kernels():
    assert {"spikes.cu", "neurons.cu", "dense.cu", "update.cu"} <= set(FILES)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_compiles_without_a_word(answers, case):
    assert answers[case].complaints == ""


@pytest.mark.skipif(build.compiler() is None, reason="kernels are counted with a C++ preprocessor")
@pytest.mark.parametrize("case", [c for c in CASES if c[1].startswith("sm_")], ids="-".join)
def test_resources(answers, case):
    """Static shared memory leaves room, the largest block of each kernel can be launched, and nothing is spilled."""
    given = answers[case].kernels
    threads = kernels_of(case[0])
    assert set(given) == set(threads)  # the emulator finds the very kernels that NVRTC finds
    for name, resources in given.items():
        assert resources.spills == 0 or case[2] == "double", name  # float64 is for comparing, not for speed
        assert resources.shared <= 48 * 1024, name
        assert resources.registers * threads[name] <= REGISTERS, name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('extern "C" __global__ void k(int *out) { int unused = 3; }', "never referenced"),
        ('extern "C" __global__ void k(int *out) { out[0] = missing; }', 'failed.*"missing" is undefined'),
    ],
)
def test_a_word_is_heard(tmp_path: Path, text: str, said: str):
    (tmp_path / "k.cu").write_text(text)
    assert re.search(said, compiled(tmp_path / "k.cu", "compute_80").complaints, re.DOTALL)


def test_a_spill_is_seen(tmp_path: Path):
    body = "".join(f"x{n} = in[{n} * 64 + x{(n + 1) % 64}]; " for n in range(64))
    names = ", ".join(f"x{n} = in[{n}]" for n in range(64))
    total = " + ".join(f"x{n}" for n in range(64))
    (tmp_path / "k.cu").write_text(
        'extern "C" __global__ void __launch_bounds__(1024, 2) k(const int *in, int *out, int n) {\n'
        f"int {names};\nfor (int i = 0; i < n; ++i) {{ {body} }}\nout[threadIdx.x] = {total}; }}"
    )
    found = compiled(tmp_path / "k.cu", "sm_90")
    assert found.complaints == ""
    assert found.kernels["k"].spills > 0
    assert found.kernels["k"].registers <= 32
