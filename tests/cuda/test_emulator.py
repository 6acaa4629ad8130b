"""The emulator: correct kernels give correct results, and each kind of mistake is reported."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeprep.cuda.runtime import Runtime, source

from .devices import GPU, gpu
from .emulator import EmulatedRuntime, Misuse, compiler

KERNELS = Path(__file__).parent / "emulator" / "kernels"
RIGHT, WRONG = KERNELS / "right.cu", KERNELS / "wrong.cu"

pytestmark = pytest.mark.skipif(
    compiler() is None, reason="the emulator needs Linux and a C++ compiler (g++, clang++ or $CXX)"
)


@pytest.fixture(params=["plain", "checked", GPU])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Return a device for correct kernels: the emulator, and a GPU to compare it with."""
    return gpu() if request.param == "gpu" else EmulatedRuntime(checked=request.param == "checked")


@pytest.fixture(params=["plain", "checked"])
def emulated(request: pytest.FixtureRequest) -> EmulatedRuntime:
    return EmulatedRuntime(checked=request.param == "checked")


FLOATS = np.random.default_rng(0).normal(size=64).astype(np.float32)
OUT, BITS = np.zeros(64, np.int32), np.zeros(64, np.uint32)


def launch(
    runtime: Runtime,
    file: Path,
    name: str,
    grid: Any,
    block: Any,
    *args: Any,
    shared: int = 0,
    **defines: object,
) -> None:
    """Launch with device copies of the host arrays among `args`, and copy the results back."""
    device = [runtime.to_device(a) if isinstance(a, np.ndarray) else a for a in args]
    runtime.module(file, **defines).launch(name, grid, block, *device, shared=shared)
    for host, copy in zip(args, device, strict=True):
        if isinstance(host, np.ndarray):
            host[...] = runtime.to_host(copy)


def ints(*shape: int, below: int = 100) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, below, shape, dtype=np.int32)


# ---------------------------------------------------------------- correct kernels


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reduction(runtime, dtype):
    x = np.random.default_rng(0).normal(size=3000).astype(dtype)
    out = np.zeros(5, dtype)
    name = "float" if dtype is np.float32 else "double"
    launch(runtime, RIGHT, "block_sums", 5, 256, x, out, np.int32(len(x)), REAL=name)
    padded = np.zeros(5 * 256 * 3)
    padded[: len(x)] = x
    np.testing.assert_allclose(
        out, padded.reshape(3, 5, 256).sum(axis=(0, 2)), rtol=1e-3 if dtype is np.float32 else 1e-10
    )


def test_shared_memory(runtime):
    x = np.arange(96, dtype=np.float32)
    out = np.zeros_like(x)
    launch(runtime, RIGHT, "reverse", 1, 96, x, out, shared=x.nbytes)
    np.testing.assert_array_equal(out, x[::-1])
    matrix = np.arange(40 * 23, dtype=np.float32).reshape(40, 23)
    turned = np.zeros((23, 40), np.float32)
    launch(runtime, RIGHT, "transpose", (2, 3), (16, 16), matrix, turned, np.int32(40), np.int32(23))
    np.testing.assert_array_equal(turned, matrix.T)
    x = ints(256)
    out = np.zeros_like(x)
    launch(runtime, RIGHT, "by_warp", 1, 256, x, out)
    np.testing.assert_array_equal(out, x[np.arange(256) ^ 1])


@pytest.mark.parametrize("part", [0xFFFFFFFF, 0x0000FFFF, 0x12345678, 0x80000001])
def test_warp_intrinsics(runtime, part):
    x = ints(64, below=40)
    out = np.zeros((64, 12), np.uint32)
    launch(runtime, RIGHT, "warp", 1, 64, x, out, np.uint32(part))
    for w in range(2):
        values, got = x[32 * w : 32 * w + 32], out[32 * w : 32 * w + 32]
        lanes = np.arange(32)
        inside = (part >> lanes & 1).astype(bool)
        for lane in lanes:
            mine = inside == inside[lane]
            assert got[lane, 0] == sum(1 << k for k in lanes if mine[k] and values[k] & 1)
            assert got[lane, 1] == (values[mine] == 7).any()
            assert got[lane, 2] == (values[mine] != 7).all()
            assert got[lane, 8] == values[mine].sum()
            assert got[lane, 11] == values[lanes[mine][0]]
        np.testing.assert_array_equal(got[:, 3], values[values & 31])
        np.testing.assert_array_equal(got[:, 4], values[(lanes & ~7) + 3])
        np.testing.assert_array_equal(got[:, 5], values[np.where(lanes < 5, lanes, lanes - 5)])
        np.testing.assert_array_equal(
            got[:, 6], values[np.where(lanes % 16 + 5 < 16, np.minimum(lanes + 5, 31), lanes)]
        )
        np.testing.assert_array_equal(got[:, 7], values[lanes ^ 9])
        np.testing.assert_array_equal(got[:, 9], 1)
        np.testing.assert_array_equal(got[:, 10], 5)


def test_votes(runtime):
    x = ints(100, below=6)
    out = np.zeros((100, 3), np.int32)
    launch(runtime, RIGHT, "votes", 1, 100, x, out)
    assert (x > 4).any()
    assert not (x > 4).all()
    np.testing.assert_array_equal(out, np.tile([(x > 4).sum(), 1, 0], (100, 1)))


def test_atomics(runtime):
    x = ints(1000, below=16)
    bins, extremes, bits = np.zeros(16, np.uint32), np.array([99, -99], np.int32), np.zeros(1, np.uint32)
    launch(runtime, RIGHT, "histogram", 3, 64, x, np.int32(1000), bins, extremes, bits)
    np.testing.assert_array_equal(bins, np.bincount(x, minlength=16))
    assert extremes.tolist() == [x.min(), x.max()]
    assert bits[0] == 0xFFFF


def test_bits_and_vectors(runtime):
    x = np.array([0, 1, 0x80000000, 0xFFFFFFFF, 0x12345678, 0xF0], np.uint32)
    out = np.zeros((len(x), 8), np.uint32)
    launch(runtime, RIGHT, "bits", 1, 32, x, out, np.int32(len(x)))
    for value, got in zip(x.tolist(), out.tolist(), strict=True):
        digits = f"{value:032b}"
        turned = ~value & 0xFFFFFFFF
        assert got == [
            digits.count("1"),
            digits[::-1].find("1") + 1,
            (digits + "1").find("1"),
            int(digits[::-1], 2),
            bin(value << 20 | value).count("1"),
            64 - (value << 7).bit_length(),
            (turned << 5 | value >> 27) & 0xFFFFFFFF,
            value & 0xFFFFFF | turned & 0xFF000000,
        ]
    raw = np.arange(40, dtype=np.uint8)
    wide = np.zeros(40, np.float32)
    launch(runtime, RIGHT, "vectors", 1, 32, raw, wide, np.int32(10))
    np.testing.assert_array_equal(wide, raw)


@pytest.mark.parametrize("fused", [False, True])
def test_struct_and_fused_arithmetic(fused):
    runtime = EmulatedRuntime(fused=fused)
    pair = np.array([(1 + 2**-12, -1)], [("scale", np.float32), ("shift", np.int32)])[0]
    x, out = np.array([1 + 2**-12], np.float32), np.zeros(1, np.float32)
    launch(runtime, RIGHT, "affine", 1, 1, x, out, pair, np.int32(1))
    exact = float(x[0]) * float(pair["scale"]) - 1
    assert (out[0] == np.float32(exact)) == fused
    assert out[0] == pytest.approx(exact, rel=1e-3)


def test_overlapping_arguments_stay_one_memory(runtime):
    array = runtime.to_device(np.arange(64, dtype=np.float32))
    runtime.module(RIGHT).launch("reverse", 1, 16, array[8:24], array[16:32], shared=64)
    np.testing.assert_array_equal(runtime.to_host(array[16:32]), np.arange(8, 24)[::-1])


def test_launches_from_several_threads(runtime):
    outs = [np.zeros(64, np.int32) for _ in range(4)]

    def work(out: np.ndarray[Any, Any]) -> None:
        for n in range(20):
            launch(runtime, RIGHT, "barriers", 1, 64, out, np.int32(n))

    threads = [threading.Thread(target=work, args=(out,)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((out == 19).all() for out in outs)


def test_source_is_one_text(tmp_path):
    (tmp_path / "a.cuh").write_text('#pragma once\nint a;\n#include "b.cuh"\n')
    (tmp_path / "b.cuh").write_text("int b;\n")
    (tmp_path / "k.cu").write_text('// first\n#include "a.cuh"\n#include "b.cuh"\nint k;\n')
    lines = source(tmp_path / "k.cu").splitlines()
    assert [line for line in lines if line.startswith("int")] == ["int a;", "int b;", "int k;"]
    assert lines[lines.index("int k;") - 1] == ""  # where the second include was
    assert '#line 3 "k.cu"' in lines


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("kernel", "args", "message"),
    [
        ("missing_barrier", (ints(64), OUT), "a race|never written"),
        ("missing_barrier_in_a_template", (ints(64), OUT), "a race|never written"),
        ("missing_second_barrier", (ints(64), OUT), "a race"),
        ("never_written", (ints(64), OUT), "never written"),
        ("float_atomics", (FLOATS, np.zeros(1, np.float32)), "a race"),
        ("between_blocks", (np.zeros(5, np.int32),), "a race"),
        ("divergent_barrier", (OUT,), "divergent barrier.*wrong.cu:6"),
        ("barrier_in_a_branch", (OUT,), "divergent barrier|no thread can go on.*40 wait"),
        ("returned_before_the_barrier", (OUT, np.int32(50)), "divergent barrier|no thread can go on"),
        ("ended_lanes", (BITS,), r"have ended|no thread can go on.*mask ffffffff"),
        ("diverged_lanes", (BITS,), "32 wait in __(ballot|any)_sync with mask ffffffff"),
        ("mask_without_me", (BITS,), "does not name the calling lane"),
        ("writes_past", (OUT, np.int32(1)), "past the end of argument 0|out of bounds.*argument 0"),
        ("writes_past", (OUT, np.int32(-1)), "before the start of argument 0|out of bounds"),
        ("writes_past", (OUT, np.int32(1 << 27)), "memory fault|out of bounds"),
        ("wild_pointer", (OUT,), "memory fault"),
        ("divides_by_zero", (OUT, np.int32(0)), "division by zero"),
        ("writes_const", (ints(64),), "is const|a race"),
    ],
)  # fmt: skip
def test_mistakes_of_kernels(emulated, kernel, args, message):
    blocks = 3 if kernel == "between_blocks" else 1
    device = [emulated.to_device(a) if isinstance(a, np.ndarray) else a for a in args]
    with pytest.raises(Misuse, match=message) as raised:
        emulated.module(WRONG).launch(kernel, blocks, 64, *device)
    assert f"wrong.cu, {kernel}<<<" in str(raised.value)
    for before, after in zip(args, device, strict=True):  # a launch that fails does not change its arrays
        assert not isinstance(before, np.ndarray) or np.array_equal(before, emulated.to_host(after))
    out = np.zeros(64, np.int32)
    launch(emulated, WRONG, "bounded", 1, 64, out)  # the emulator still works
    assert out.all()


def test_write_past_shared_memory(emulated):
    out = np.zeros(64, np.int32)
    launch(emulated, WRONG, "writes_past_shared", 1, 64, out, np.int32(0), shared=256)
    assert out.all()
    with pytest.raises(Misuse, match=r"past dynamic shared|out of bounds.*dynamic shared"):
        launch(emulated, WRONG, "writes_past_shared", 1, 64, out, np.int32(1), shared=256)


def test_static_and_dynamic_shared_memory_together(emulated):
    out = np.zeros(64, np.int32)
    dynamic = emulated.shared_limit - 32768
    launch(emulated, WRONG, "asks_for_much", 1, 64, out, shared=dynamic)
    assert out.all()
    with pytest.raises(Misuse, match="bytes of shared memory, static and dynamic"):
        launch(emulated, WRONG, "asks_for_much", 1, 64, out, shared=dynamic + 4)


def test_the_value_of_a_missing_lane_is_poison(emulated):
    out = np.zeros(32, np.int32)
    launch(emulated, WRONG, "shuffle_from_nobody", 1, 32, out)
    assert out.tolist() == [*range(8, 16), *[-1] * 8, *[0] * 16]


@pytest.mark.parametrize(
    ("kernel", "args", "message"),
    [
        ("lost_updates", (np.zeros(1, np.int32),), r"a race: .* of byte 0 of argument 0.* thread .*wrong\.cu:4\d"),
        ("reads_past", (ints(64), OUT), r"bounds: read of 4 bytes at byte 256 of argument 0.*wrong\.cu:\d+"),
        ("shuffle_is_no_fence", (ints(64), np.zeros(64, np.int32)), "a race.*static shared memory"),
        ("missing_barrier", (ints(64), np.zeros(64, np.int32)), "static shared memory, which (thread|was never)"),
        ("missing_barrier_in_a_template", (ints(64), np.zeros(64, np.int32)), "static shared memory, which"),
    ],
)  # fmt: skip
def test_mistakes_that_need_the_checked_build(kernel, args, message):
    threads = 32 if kernel == "shuffle_is_no_fence" else 64
    with pytest.raises(Misuse, match=message):
        launch(EmulatedRuntime(checked=True), WRONG, kernel, 1, threads, *args)


@pytest.mark.parametrize(
    ("name", "grid", "block", "args", "shared", "message"),
    [
        ("bounded", 1, 96, (np.zeros(96, np.int32),), 0, "__launch_bounds__"),
        ("barrier_in_a_branch", 1, 512, (np.zeros(512, np.int32),), 0, "256 without __launch_bounds__"),
        ("bounded", 0, 64, (np.zeros(64, np.int32),), 0, "a grid of"),
        ("bounded", (1, 70000), 64, (np.zeros(64, np.int32),), 0, "a grid of"),
        ("barrier_in_a_branch", 1, 1056, (np.zeros(1056, np.int32),), 0, "a block of"),
        ("bounded", 1, 64, (np.zeros(64, np.int32),), 1 << 20, "dynamic shared"),
        ("bounded", 1, 64, (np.zeros(64, np.float32),), 0, "argument 0 of bounded is of float32; expected i4"),
        ("bounded", 1, 64, (np.zeros(64, np.int64),), 0, "is of int64"),
        ("bounded", 1, 64, (np.int32(0),), 0, "expected an array"),
        ("bounded", 1, 64, (), 0, "takes 1 arguments, got 0"),
        ("divides_by_zero", 1, 64, (np.zeros(64, np.int32), np.float32(1)), 0, "argument 1 .* is float32; expected i4"),
        ("divides_by_zero", 1, 64, (np.zeros(64, np.int32), np.int64(1)), 0, "argument 1 .* is int64; expected i4"),
        ("divides_by_zero", 1, 64, (np.zeros(64, np.int32), np.zeros(1, np.int32)), 0, "argument 1 .* is an array"),
    ],
)  # fmt: skip
def test_mistakes_of_launches(name, grid, block, args, shared, message):
    with pytest.raises(Misuse, match=message):
        launch(EmulatedRuntime(), WRONG, name, grid, block, *args, shared=shared)


def test_mistakes_of_arguments():
    runtime = EmulatedRuntime()
    module, zeros = runtime.module(WRONG), runtime.xp.zeros
    with pytest.raises(TypeError, match="strided"):
        module.launch("bounded", 1, 64, zeros(128, np.int32)[::2])
    with pytest.raises(TypeError, match="NumPy scalar"):
        module.launch("divides_by_zero", 1, 64, zeros(64, np.int32), 1)
    with pytest.raises(TypeError, match="argument 0 of bounded is ndarray; expected an array of the device"):
        module.launch("bounded", 1, 64, np.zeros(64, np.int32))
    with pytest.raises(AttributeError, match="no kernel 'nothing'"):
        module.launch("nothing", 1, 64)


class PortableRuntime(EmulatedRuntime):
    """With ucontext in place of assembly, as on other processors."""

    ucontext = True


def test_portable_fibers():
    out = np.zeros((64, 12), np.uint32)
    test_warp_intrinsics(PortableRuntime(), 0x12345678)
    test_votes(PortableRuntime())
    libraries = {kind().module(RIGHT)._core._name for kind in (PortableRuntime, EmulatedRuntime)}
    assert len(libraries) == 2
    with pytest.raises(Misuse, match="names lanes"):
        launch(PortableRuntime(), RIGHT, "warp", 1, 48, np.zeros(48, np.int32), out, np.uint32(0xFFFFFFFF))


def test_one_order_hides_a_race():
    """The reason to run twice: a single order gives a wrong result without an error."""
    x, out = ints(64), np.zeros(64, np.int32)
    launch(EmulatedRuntime(twice=False), WRONG, "missing_barrier", 1, 64, x, out)
    assert not np.array_equal(out, np.roll(x, -1))


# ---------------------------------------------------------------- memory


def test_new_memory_is_poisoned():
    runtime = EmulatedRuntime()
    assert np.isnan(runtime.pinned((2, 3), np.float32)).all()
    assert np.isnan(runtime.to_host(runtime.xp.empty((2, 3)))).all()
    assert (runtime.to_host(runtime.xp.empty(4, np.int32)) == -1).all()
    assert not runtime.to_host(runtime.xp.zeros(4)).any()


def test_copies():
    runtime = EmulatedRuntime()
    host, device = np.arange(6.0).reshape(2, 3), runtime.xp.empty((2, 3))
    with runtime.stream() as stream:
        assert runtime.current() is stream
        runtime.copy_in(host, device)
        event = stream.record()
    runtime.current().wait(event)
    host += 1
    runtime.copy_out(device, host)
    np.testing.assert_array_equal(host, np.arange(6).reshape(2, 3))
    copy = runtime.to_device(host)
    host[:] = 0
    assert runtime.to_host(copy).any()
    with pytest.raises(ValueError, match="expected the same"):
        runtime.copy_in(np.zeros(3, np.int32), runtime.xp.zeros(4, np.int32))
    with pytest.raises(ValueError, match="strided"):
        runtime.copy_in(np.zeros(8, np.int32)[::2], runtime.xp.zeros(4, np.int32))


def test_lazy_streams():
    """A copy is done when something waits for it, with the content that pinned memory has then."""
    runtime = EmulatedRuntime(lazy=True)
    host, device = runtime.pinned(4, np.int32), runtime.xp.zeros(4, np.int32)
    host[:] = 1
    copies, other = runtime.stream(), runtime.stream()
    with copies:
        runtime.copy_in(host, device)
        event = copies.record()
    assert device.tolist() == [0] * 4
    runtime.current().wait(event)
    assert device.tolist() == [1] * 4
    with copies:
        runtime.copy_in(host, device)
        event = copies.record()
    host[:] = 2
    assert not event.done()
    assert event.done()  # a host that polls does not wait forever
    assert device.tolist() == [2] * 4
    host[:] = 3
    with copies:
        runtime.copy_in(host, device)
    other.wait(copies.record())
    with other:
        runtime.copy_out(device, host)
    assert device.tolist() == [2] * 4
    runtime.synchronize()
    assert device.tolist() == [3] * 4


def test_arrays_of_the_device():
    xp = EmulatedRuntime().xp
    x = xp.asarray(np.arange(6)).reshape(2, 3)
    assert isinstance(x, xp.ndarray)
    assert isinstance(x.sum(), xp.ndarray)  # as CuPy has it
    assert int(x.sum()) == float(x.sum()) == 15
    assert (x[0] + 1).tolist() == [1, 2, 3]
    assert (1 - np.float64(2) * x[1, 2]).item() == -9
    assert xp.where(x > 2, x, 0).tolist() == [[0, 0, 0], [3, 4, 5]]
    assert xp.concatenate([x, x.T.reshape(2, 3)]).shape == (4, 3)
    x[0] = x[1]
    x[1, x[1] > 4] = 9
    assert x.get().tolist() == [[3, 4, 5], [3, 4, 9]]
    assert [row.tolist() for row in x] == x.tolist()
    assert xp.zeros_like(x).shape == x.shape


@pytest.mark.parametrize(
    "wrong",
    [
        lambda xp, x, h: np.asarray(x),
        lambda xp, x, h: x + h,
        lambda xp, x, h: h * x,
        lambda xp, x, h: xp.where(x > 0, x, h),
        lambda xp, x, h: xp.concatenate([x, h]),
        lambda xp, x, h: xp.sum(h),
        lambda xp, x, h: x[h],
        lambda xp, x, h: x.__setitem__(slice(None), h),
        lambda xp, x, h: np.add(h, h, out=x),
    ],
)
def test_host_and_device_do_not_mix(wrong):
    xp = EmulatedRuntime().xp
    with pytest.raises(TypeError, match=r"host|implicit"):
        wrong(xp, xp.arange(4), np.arange(4))
