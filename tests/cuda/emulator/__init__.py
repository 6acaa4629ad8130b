"""A GPU for tests: the `.cu` files, compiled for the host, with the threads of a block as fibers of one host thread."""

from .build import compiler
from .runtime import EmulatedRuntime, Misuse

__all__ = ["EmulatedRuntime", "Misuse", "compiler"]
