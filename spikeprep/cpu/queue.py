"""Work items of kernels: each thread that runs a kernel takes the next one, without the interpreter's lock."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def take(typingctx: Any, queue: Any) -> Any:
    """Return the number of the next work item, from 0, of a queue int64 [1] that begins at 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = context.make_array(signature.args[0])(context, builder, args[0]).data
        # an item's inputs were written before the kernel was called, so nothing has to be ordered by this
        return builder.atomic_rmw("add", first, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(queue), codegen
