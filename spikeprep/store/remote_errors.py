"""What went wrong with a remote filesystem: whether to try again, and the error to raise in its place."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Iterator
from typing import Literal

from ..errors import CapabilityError, SpikeprepError, StoreError
from ..urls import hide_secrets

RETRY_SECONDS = 20.0  # no attempt begins later than this after the first one
_FIRST_DELAY, _LONGEST_DELAY = 0.25, 4.0  # seconds

Action = Literal["read", "write"]

_TRANSIENT_ERRNO = {
    getattr(errno, name)
    for name in (
        "EIO", "EREMOTEIO", "EBUSY", "EAGAIN", "EPIPE", "ESTALE", "ETIMEDOUT", "ENETDOWN", "ENETUNREACH", "ENETRESET",
        "EHOSTUNREACH", "EHOSTDOWN", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET",
    )
    if hasattr(errno, name)
}  # fmt: skip
# Base classes of botocore, aiohttp, urllib3, ftplib and paramiko, by name: none of these packages must be installed.
_TRANSIENT_CLASSES = {
    "HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseParserError", "ClientConnectionError",
    "ClientPayloadError", "IncompleteRead", "ProtocolError", "error_temp", "error_proto", "error_reply", "SSHException",
    "EOFError",
}  # fmt: skip
_PERMANENT_CLASSES = {
    "SSLError",
    "ClientConnectorCertificateError",
    "AuthenticationException",
    "BadHostKeyException",
}
_CREDENTIALS_CLASSES = {
    "PermissionError", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound",
    "AuthenticationException", "ClientAuthenticationError", "DefaultCredentialsError", "NoAuthTokenError",
}  # fmt: skip
_PERMANENT_STATUS = {501, 505, 507}


def attempts() -> Iterator[int]:
    """Yield the number of each attempt, from 0, with growing pauses, until `RETRY_SECONDS` have passed."""
    end, delay, number = time.monotonic() + RETRY_SECONDS, _FIRST_DELAY, 0
    while True:
        yield number
        if time.monotonic() + delay >= end:
            return
        time.sleep(delay * random.uniform(0.5, 1))  # so that many workers do not come back at once
        delay, number = min(2 * delay, _LONGEST_DELAY), number + 1


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed when it is repeated: a lost connection, a time-out, a busy server."""
    names = _class_names(error)
    if names & _PERMANENT_CLASSES:
        return False
    if names & _TRANSIENT_CLASSES or isinstance(error, ConnectionError | TimeoutError):
        return True
    status = _http_status(error)
    if status:
        return (status >= 500 and status not in _PERMANENT_STATUS) or status in (408, 409, 425, 429)
    return isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO


def is_past_the_end(error: BaseException) -> bool:
    """Whether a server refused a range because the object ends before it."""
    return _http_status(error) == 416


def is_missing(error: Exception) -> bool:
    """Whether a key is missing: some filesystems raise `FileNotFoundError` for a lost connection too."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or (cause is not None and is_transient(cause)):
        return False
    if type(cause).__module__ == "ftplib":
        return str(cause).startswith("550")
    return _http_status(cause) in (0, 404, 410)


def store_error(action: Action, path: str, url: str, error: BaseException) -> SpikeprepError:
    """Return the error that names what failed, without the secrets of `url`.

    Parameters
    ----------
    action
        What was tried.
    path
        The key's or the store's path, for the message.
    url
        The URL whose secrets are hidden in the message.
    error
        What the filesystem raised.
    """
    path = hide_secrets(path, url)
    if isinstance(error, ImportError):
        return CapabilityError(
            f"cannot open {path} ({hide_secrets(str(error), url)})",
            "",
            "Install it: pip install 'spikeprep[remote]', and the URL's own package.",
        )
    return StoreError(f"cannot {action} {path} ({hide_secrets(_text(error), url)})", "", _hint(action, error))


def read_only_error(path: str, scheme: str) -> StoreError:
    """Return the error for writing to a filesystem that can only be read."""
    return StoreError(
        f"cannot write {path}: {scheme} can only be read",
        "",
        "Write to a folder, and copy that to the server.",
    )


def cause_without_secrets(error: BaseException, url: str) -> BaseException | None:
    """Return an error to be shown as the cause of another one: None where a text of it has secrets of `url`."""
    link: BaseException | None = error
    while link is not None:
        text = f"{link} {link.args}"
        if hide_secrets(text, url) != text:
            return None
        link = link.__cause__ or link.__context__
    return error


def _class_names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _http_status(error: BaseException | None) -> int:
    """Return the HTTP status that an error, or what caused it, carries; 0 for none."""
    while error is not None:
        response = getattr(error, "response", None)  # of botocore a dict, of requests an object
        metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
        for owner, name in (
            (error, "status"),
            (error, "status_code"),
            (response, "status_code"),
            (error, "code"),
        ):
            value = str(metadata.get("HTTPStatusCode") or getattr(owner, name, None))
            if value.isdigit() and 100 <= int(value) < 600:
                return int(value)
        error = error.__cause__
    return 0


def _text(error: BaseException) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if not text:
        return type(error).__name__
    return text if isinstance(error, OSError) else f"{type(error).__name__}: {text}"


def _hint(action: Action, error: BaseException) -> str:
    resume = (
        " and repeat the call: it resumes where it stopped."
        if action == "write"
        else ", and repeat the call."
    )
    if _class_names(error) & _CREDENTIALS_CLASSES or _http_status(error) in (401, 403) or _is_login(error):
        return "Check the credentials and their permissions (docs/remote.md)."
    if isinstance(error, FileNotFoundError):
        return "Create the bucket or the folder first, or correct the URL."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"Free some space{resume}"
    if is_transient(error):
        return f"Check the server and the connection{resume}"
    return f"Check the URL and the filesystem's options (docs/remote.md){resume}"


def _is_login(error: BaseException) -> bool:
    return type(error).__module__ == "ftplib" and str(error).startswith(("530", "331", "332"))
