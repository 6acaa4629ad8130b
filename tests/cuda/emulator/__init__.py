"""A GPU for tests: the very same `.cu` files, compiled for the host, a block's threads as fibers of one host thread."""

from .build import compiler
from .runtime import EmulatedRuntime, Misuse

__all__ = ["EmulatedRuntime", "Misuse", "compiler"]
