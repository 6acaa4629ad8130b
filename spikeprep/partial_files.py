"""Names of unfinished files: each carries its owner, so that cleaning removes only what a dead process left behind."""

from __future__ import annotations

import os
import re
import uuid

from .processes import boot_id, host_id, is_running

_NAME = re.compile(
    r"(?P<name>.+)\.(?P<host>[0-9a-f]{12})-(?P<boot>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-(?P<token>[0-9a-f]{16})\.partial"
)
_open_tokens: set[str] = set()  # of files that this process is writing now


def new_partial_name(name: str) -> str:
    """Return the name of an unfinished file that will become `name`, owned by this process until `release`."""
    token = uuid.uuid4().hex[:16]
    _open_tokens.add(token)
    return f"{name}.{host_id()}-{boot_id()}-{os.getpid()}-{token}.partial"


def release(partial: str) -> None:
    """Give up a partial file that was renamed or removed."""
    _open_tokens.discard(partial[-len(".partial") - 16 : -len(".partial")])


def is_partial(name: str) -> bool:
    """Whether a file name is one of `new_partial_name`, of any process."""
    return _NAME.fullmatch(name) is not None


def partial_target(name: str) -> str:
    """Return what a partial file will become; the name itself where it is no partial file."""
    match = _NAME.fullmatch(name)
    return match["name"] if match else name


def is_abandoned(name: str) -> bool:
    """Whether a file name is that of a partial file which no process of this host writes any more.

    False for files of other hosts, whose processes cannot be seen from here.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["host"] != host_id():
        return False
    if match["boot"] != boot_id():
        return True
    pid = int(match["pid"])
    if pid == os.getpid():
        return match["token"] not in _open_tokens
    return is_running(pid, None) is False
