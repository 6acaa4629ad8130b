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


@intrinsic
def _flush(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            word = builder.alloca(ir.IntType(32))
            pointer = builder.bitcast(word, ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse.stmxcsr", (), kind), [pointer])
            builder.store(builder.or_(builder.load(word), ir.Constant(ir.IntType(32), _FLUSH_X86)), word)
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse.ldmxcsr", (), kind), [pointer])
        elif machine in ("aarch64", "arm64"):
            read = ir.FunctionType(ir.IntType(64), [])
            write = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
            state = builder.asm(read, "mrs $0, fpcr", "=r", [], side_effect=True)
            state = builder.or_(state, ir.Constant(ir.IntType(64), _FLUSH_ARM))
            builder.asm(write, "msr fpcr, $0", "r", [state], side_effect=True)
        return context.get_dummy_value()

    return types.void(), codegen


@jit
def flush_denormals() -> None:
    """Make the calling thread treat denormal numbers as 0, as GPUs do.

    Weights that nothing but regularisation moves decay to them; arithmetic on them costs a hundred times as much.
    """
    _flush()
