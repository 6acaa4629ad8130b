"""Work items of kernels: each thread that runs a kernel takes the next one, without the interpreter's lock."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .denormals import call_llvm, machine


@intrinsic
def take(typingctx: Any, queue: Any) -> Any:
    """Return the number of the next work item, from 0, of a queue int64 [1] that begins at 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = context.make_array(signature.args[0])(context, builder, args[0]).data
        # an item's inputs were written before the kernel was called, so nothing has to be ordered by this
        return builder.atomic_rmw("add", first, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(queue), codegen


@intrinsic
def observe(typingctx: Any, values: Any, at: Any) -> Any:
    """Return an element of an array int64 [:] as it is in memory now, where another thread may write it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "monotonic", 8)

    return types.int64(values, types.int64), codegen


@intrinsic
def pause(typingctx: Any) -> Any:
    """Tell the processor that this is a loop that waits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if machine() == "x86":
            call_llvm(builder, "x86.sse2.pause", ir.VoidType())
        elif machine() == "arm":
            call_llvm(builder, "aarch64.hint", ir.VoidType(), ir.Constant(ir.IntType(32), 1))  # yield
        return context.get_dummy_value()

    return types.void(), codegen
