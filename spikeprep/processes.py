"""Which process is this, how much may it map, and does another one still run."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .errors import CapabilityError

_KERNEL_BYTES, _THREAD_BYTES = 850 << 20, 40 << 20


@functools.cache
def host_id() -> str:
    """Return 12 hex digits that name this host: its name, its machine id, and its process namespace.

    Processes of two containers cannot see each other, so neither may take the other for dead.
    """
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not Linux
        namespace = 0
    return _digest(f"{platform.node()}\n{_read('/etc/machine-id')}\n{namespace}", 6)


@functools.cache
def boot_id() -> str:
    """Return 8 hex digits that name the current boot of this host."""
    return _digest(_read("/proc/sys/kernel/random/boot_id"), 4)


def start_time(pid: int) -> int | None:
    """Return when a process of this host was started, in clock ticks since the boot.

    None where there is no such process, where it has ended and waits to be reaped, and outside Linux.
    """
    # pid (name) state ppid …, and field 22 is the start time; a name may contain spaces and parentheses
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    return int(fields[19])


def is_running(pid: int, started: int | None) -> bool | None:
    """Whether the process of this host that was started at `started` (see `start_time`) still runs.

    None where the operating system does not tell. Without `started` any process of that id counts.
    """
    if os.name != "posix":  # signal 0 would end the process on Windows
        return None
    if os.path.exists(f"/proc/{pid}/stat"):
        now = start_time(pid)
        return now is not None and started in (None, now)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # there is one, of another user, that this user may not look up
        return None
    return True


class AddressSpace(NamedTuple):
    """Bytes that this process may map (``ulimit -v``), and those that it has mapped."""

    limit: int
    mapped: int


def address_space() -> AddressSpace | None:
    """Return the limit of this process's address space; None where there is none."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        mapped = int(_read("/proc/self/statm").split()[0]) * resource.getpagesize()
    except (ImportError, OSError, IndexError, ValueError):  # not Linux
        return None
    return None if limit == resource.RLIM_INFINITY else AddressSpace(limit, mapped)


def check_environment() -> None:
    """Raise `CapabilityError` where Numba cannot be imported, or not compile; see `check_address_space`.

    Numba's own error does not say which variable it means.
    """
    threads = os.environ.get("NUMBA_NUM_THREADS", "")
    with suppress(ValueError):  # Numba warns
        if int(threads) < 1:
            raise CapabilityError(
                f"got NUMBA_NUM_THREADS={threads} in the environment",
                "at least 1",
                "Unset it.",
            )
    check_address_space()


def check_address_space() -> None:
    """Raise `CapabilityError` where a limit of the address space is too low for compiled kernels and their threads.

    Below it the compiler ends the process, and a thread that has no memory to start leaves the others waiting.
    """
    space = address_space()
    if space is None:
        return
    cores = len(os.sched_getaffinity(0))
    needed = _KERNEL_BYTES + _THREAD_BYTES * cores
    if space.limit < needed:
        raise CapabilityError(
            f"the address space is limited to {space.limit / 1e6:,.0f} MB (ulimit -v)",
            f"at least {needed / 1e6:,.0f} MB with {cores} cores",
            "Raise the limit: ulimit -v unlimited. A control group limits the memory that is used instead.",
        )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _digest(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
