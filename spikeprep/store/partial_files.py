"""Names of unfinished files: each carries its owner, so that cleaning removes only what a dead process left behind."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import uuid
from pathlib import Path

_NAME = re.compile(
    r".+\.(?P<host>[0-9a-f]{12})-(?P<boot>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-(?P<token>[0-9a-f]{16})\.partial"
)
_open_tokens: set[str] = set()  # of files that this process is writing now


@functools.cache
def _owner() -> tuple[str, str]:
    """Return hashes that name this host, and its current boot.

    The host is its name, its machine id, and its process namespace: processes of two containers cannot see each other,
    so neither may take the other for dead.
    """

    def read(path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8")
        except OSError:  # not Linux
            return ""

    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    host = f"{platform.node()}\n{read('/etc/machine-id')}\n{namespace}"
    boot = read("/proc/sys/kernel/random/boot_id")
    return _digest(host, 6), _digest(boot, 4)


def _digest(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def new_partial_name(name: str) -> str:
    """Return the name of an unfinished file that will become `name`, owned by this process until `release`."""
    token = uuid.uuid4().hex[:16]
    _open_tokens.add(token)
    return f"{name}.{'-'.join((*_owner(), str(os.getpid()), token))}.partial"


def release(partial: str) -> None:
    """Give up a partial file that was renamed or removed."""
    _open_tokens.discard(partial[-len(".partial") - 16 : -len(".partial")])


def is_partial(name: str) -> bool:
    """Whether a file name is one of `new_partial_name`, of any process."""
    return _NAME.fullmatch(name) is not None


def is_abandoned(name: str) -> bool:
    """Whether a file name is that of a partial file which no process of this host writes any more.

    False for files of other hosts, whose processes cannot be seen from here.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["host"] != _owner()[0]:
        return False
    if match["boot"] != _owner()[1]:
        return True
    pid = int(match["pid"])
    if pid == os.getpid():
        return match["token"] not in _open_tokens
    return not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # signal 0 would end the process on Windows
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
