"""How the processor treats denormal numbers while the backend's kernels run."""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._jit import jit

_FLUSH_X86 = 0x8040  # MXCSR: flush to zero, and denormals are zero
_FLUSH_ARM = 1 << 24  # FPCR.FZ
_I64 = ir.IntType(64)


@intrinsic
def _mode(typingctx: Any) -> Any:
    """Return the calling thread's floating-point mode, int64; 0 on other processors."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _machine() == "x86":
            word = builder.alloca(ir.IntType(32))
            _x86(builder, "stmxcsr", word)
            return builder.zext(builder.load(word), _I64)
        if _machine() == "arm":
            return builder.asm(ir.FunctionType(_I64, []), "mrs $0, fpcr", "=r", [], side_effect=True)
        return ir.Constant(_I64, 0)

    return types.int64(), codegen


@intrinsic
def _set_mode(typingctx: Any, mode: Any) -> Any:
    """Set it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _machine() == "x86":
            word = builder.alloca(ir.IntType(32))
            builder.store(builder.trunc(args[0], ir.IntType(32)), word)
            _x86(builder, "ldmxcsr", word)
        elif _machine() == "arm":
            write = ir.FunctionType(ir.VoidType(), [_I64])
            builder.asm(write, "msr fpcr, $0", "r", [args[0]], side_effect=True)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _machine() -> str:
    machine = platform.machine().lower()
    return {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}.get(machine, "")


def _x86(builder: Any, instruction: str, word: Any) -> None:
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    function = builder.module.declare_intrinsic(f"llvm.x86.sse.{instruction}", (), kind)
    builder.call(function, [builder.bitcast(word, pointer)])


_FLUSH = {"x86": _FLUSH_X86, "arm": _FLUSH_ARM}.get(_machine(), 0)


@jit
def flush_denormals(before: Any) -> None:
    """Make the calling thread treat denormal numbers as 0, as GPUs do; write its mode before into `before`, int64 [1].

    Weights that nothing but regularisation moves decay to them; arithmetic on them costs a hundred times as much.
    """
    before[0] = _mode()
    _set_mode(before[0] | _FLUSH)


@jit
def restore_mode(before: Any) -> None:
    """Set the mode of the calling thread that `flush_denormals` has written."""
    _set_mode(before[0])
