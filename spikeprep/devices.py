"""Choose a backend by the name of a device, once, in the API: no module below knows which one it is."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from typing import Any

import numpy as np

from .backend import Backend
from .distributed.ranks import Ranks
from .errors import CapabilityError, UsageError
from .registry import BACKENDS
from .system import cuda_device


def parse_device(device: str) -> tuple[str, int | None]:
    """Return the name of a backend, or "auto", and the number of the GPU if one is given (``"cuda:1"``).

    Raises
    ------
    UsageError
        There is no such backend, or it takes no number.
    """
    match = re.fullmatch(r"(\w[\w-]*)(?::(\d+))?", device)
    known = ["auto", *BACKENDS.names()]
    if match is None or match[1] not in known or (match[2] and match[1] != "cuda"):
        raise UsageError(
            f"got device = {device!r}",
            f"{', '.join(known)}, or a GPU by number such as cuda:1",
            "For example: device=cuda:1",
        )
    return match[1], int(match[2]) if match[2] else None


def select_backend(
    device: str = "auto", precision: str = "float32", threads: int | None = None, feed: Any = "auto"
) -> Backend:
    """Return the backend for `device`; its library is imported only here.

    Parameters
    ----------
    device
        "cpu": Numba on all cores; "cuda" or "cuda:1": a GPU, the first or by number; "auto": a GPU where there is a
        usable one, else the CPU; any other name in the registry `BACKENDS`: that backend, built with those of the
        arguments `dtype` (the precision), `threads` and `feed` that its constructor has.
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
        There is no such device.
    CapabilityError
        The device is not available here; the message says what is missing.
    """
    name, number = parse_device(device)
    if name == "auto":
        if cuda_device().available:
            with suppress(CapabilityError):  # a GPU that fails: device="cuda" says why
                return _cuda_backend(0, precision, feed)
        name = "cpu"
    if name == "cuda":
        return _cuda_backend(number or 0, precision, feed)
    backend = BACKENDS.get(name)
    arguments = {"dtype": precision, "threads": threads, "feed": feed}
    taken = inspect.signature(backend).parameters
    made: Backend = backend(**{key: value for key, value in arguments.items() if key in taken})
    return made


def _cuda_backend(number: int, precision: str, feed: Any) -> Backend:
    gpus = cuda_device()
    if not gpus.available:
        raise CapabilityError(
            f"got device = 'cuda', but {gpus.detail}", "", f"{gpus.hint} Or use device=auto."
        )
    if number >= gpus.count:
        present = "cuda:0" if gpus.count == 1 else f"cuda:0 to cuda:{gpus.count - 1}"
        raise CapabilityError(f"got device = 'cuda:{number}'", present, "Choose one of these.")
    from .cuda.gpu import CupyRuntime

    made: Backend = BACKENDS.get("cuda")(CupyRuntime(number), np.dtype(precision), feed=feed)
    return made


def rank_device(device: str, rank: int, ranks: int) -> str:
    """Return the device of one of several ranks on this machine: a GPU for each, or one backend for all.

    Raises
    ------
    UsageError
        One GPU is named for several ranks.
    CapabilityError
        There are fewer GPUs than ranks.
    """
    name, number = parse_device(device)
    gpus = cuda_device()
    if name == "auto":
        name = "cuda" if gpus.available else "cpu"
    if name != "cuda":
        return name
    if number is not None:
        raise UsageError(f"got device = {device!r} for {ranks} ranks", "a GPU for each", "Use device=cuda.")
    if gpus.available and gpus.count < ranks:
        raise CapabilityError(
            f"got {ranks} ranks for {gpus.count} GPU{'s' if gpus.count > 1 else ''}",
            "a GPU for each",
            f"Use ranks={gpus.count}, or device=cpu.",
        )
    return f"cuda:{rank}"


def connect(backend: Backend, ranks: Ranks) -> Ranks:
    """Return ranks that sum arrays of the backend; `ranks` itself sums arrays in host memory."""
    if backend.name != "cuda" or ranks.size == 1:
        return ranks
    from .cuda.nccl import NcclRanks

    return NcclRanks(ranks)
