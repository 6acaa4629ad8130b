"""Choose a backend, once, at the top: nothing below knows which one it is."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import numpy as np

from .backend import Backend
from .distributed.ranks import Ranks
from .errors import CapabilityError, UsageError
from .system import cuda_device


def parse_device(device: str) -> tuple[str, int | None]:
    """Return the kind of a device, "auto", "cpu" or "cuda", and the number of the GPU if one is named.

    Raises
    ------
    UsageError
        It is none of these.
    """
    found = re.fullmatch(r"(auto|cpu|cuda)|cuda:(\d+)", device)
    if found is None:
        raise UsageError(
            f"got device {device!r}",
            "auto, cpu, cuda, or a GPU by its number",
            "For example: --device cuda:1",
        )
    return (found[1], None) if found[1] else ("cuda", int(found[2]))


def select_backend(
    device: str = "auto", precision: str = "float32", threads: int | None = None, feed: Any = "auto"
) -> Backend:
    """Return the backend for `device`; its library is imported only here.

    Parameters
    ----------
    device
        "cpu": Numba on all cores; "cuda" or "cuda:1": a GPU, the first or by its number; "auto": a GPU where there is
        one that can be used, else the CPU.
    precision
        "float32" or "float64".
    threads
        Cores for the CPU backend; default all that the process may use. Results do not depend on it.
    feed
        How samples reach a GPU: "auto", "resident", "pinned" or "streamed" (docs/devices.md). Results do not depend
        on it.

    Raises
    ------
    UsageError
        There is no such kind of device.
    CapabilityError
        The device is not to be had; the message says what is missing.
    """
    kind, number = parse_device(device)
    if kind == "cuda":
        return _cuda_ops(number or 0, precision, feed)
    if kind == "auto" and cuda_device().available:
        with suppress(CapabilityError):  # there, but not to be used: --device cuda says why
            return _cuda_ops(0, precision, feed)
    from .cpu.backend import CpuBackend

    return CpuBackend(precision, threads)


def _cuda_ops(number: int, precision: str, feed: Any) -> Backend:
    found = cuda_device()
    if not found.available:
        raise CapabilityError(
            f"got --device cuda, but {found.detail}", "", f"{found.hint} Or use --device auto."
        )
    if number >= found.count:
        there = "cuda:0" if found.count == 1 else f"cuda:0 to cuda:{found.count - 1}"
        raise CapabilityError(
            f"got --device cuda:{number}, but there is only {there}", "", "Name one that is there."
        )
    from .cuda.backend import CudaBackend
    from .cuda.gpu import CupyRuntime

    return CudaBackend(CupyRuntime(number), np.dtype(precision), feed=feed)


def rank_device(device: str, rank: int, ranks: int) -> str:
    """Return the device of one of several ranks on this machine: the CPU for all, or a GPU for each.

    Raises
    ------
    UsageError
        One GPU is named for several ranks.
    CapabilityError
        There are fewer GPUs than ranks.
    """
    kind, number = parse_device(device)
    found = cuda_device()
    if kind == "cpu" or (kind == "auto" and not found.available):
        return "cpu"
    if number is not None:
        raise UsageError(f"got --device {device} for {ranks} ranks", "a GPU for each", "Use --device cuda.")
    if found.available and found.count < ranks:
        raise CapabilityError(
            f"got {ranks} ranks for {found.count} GPU{'s' if found.count > 1 else ''}",
            "a GPU for each",
            f"Use --ranks {found.count}, or --device cpu.",
        )
    return f"cuda:{rank}"


def connect(ops: Backend, ranks: Ranks) -> Ranks:
    """Return ranks that add up arrays of the backend; `ranks` do so in host memory."""
    if ops.name != "cuda" or ranks.size == 1:
        return ranks
    from .cuda.nccl import NcclRanks

    return NcclRanks(ranks)
