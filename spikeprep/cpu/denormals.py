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
_I32, _I64, _VOID, _POINTER = ir.IntType(32), ir.IntType(64), ir.VoidType(), ir.IntType(8).as_pointer()


def machine() -> str:
    """Return the kind of processor: "x86", "arm" or ""."""
    name = platform.machine().lower()
    return {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}.get(name, "")


def call_llvm(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """Call an intrinsic of LLVM; inline assembly ends the process, since Numba loads no assembler."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", (), kind), arguments)


@intrinsic
def _mode(typingctx: Any) -> Any:
    """Return the calling thread's floating-point mode, int64; 0 on other processors."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if machine() == "x86":
            word = builder.alloca(_I32)
            call_llvm(builder, "x86.sse.stmxcsr", _VOID, builder.bitcast(word, _POINTER))
            return builder.zext(builder.load(word), _I64)
        if machine() == "arm":
            return call_llvm(builder, "aarch64.get.fpcr", _I64)
        return ir.Constant(_I64, 0)

    return types.int64(), codegen


@intrinsic
def _set_mode(typingctx: Any, mode: Any) -> Any:
    """Set it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if machine() == "x86":
            word = builder.alloca(_I32)
            builder.store(builder.trunc(args[0], _I32), word)
            call_llvm(builder, "x86.sse.ldmxcsr", _VOID, builder.bitcast(word, _POINTER))
        elif machine() == "arm":
            call_llvm(builder, "aarch64.set.fpcr", _VOID, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


_FLUSH = {"x86": _FLUSH_X86, "arm": _FLUSH_ARM}.get(machine(), 0)


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
