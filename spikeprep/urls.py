"""URLs: a form without passwords and keys for messages and files, and paths written as ``file://``."""

from __future__ import annotations

import os
import re
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from .errors import UsageError

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_NEXT_OF_CHAIN = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.-]*://)")  # simplecache::s3://bucket/x
_PARAMETER = re.compile(r"(?<=[?&;#])(?P<name>[^=&;#]*=|)(?P<value>[^&;#]*)")
_LOCAL = re.compile(r"(?:file|local):/(?:/(?P<host>[^/]*))?(?P<path>/?.*)", re.IGNORECASE | re.DOTALL)
_KEY_SCHEMES = ("http", "https", "s3", "s3a")  # where a name before the @ is a key or a token, not a user
_HIDDEN = "***"


class RedactedURL(str):
    """The text of a URL without its secrets; `url` is the URL itself, which opens the same place.

    It pickles with its secrets, so that another process can open it. JSON and messages have the text.
    """

    url: str

    def __new__(cls, text: str, url: str) -> RedactedURL:
        """Return `text`, which remembers `url`."""
        redacted_url = super().__new__(cls, text)
        redacted_url.url = url
        return redacted_url

    def __reduce__(self) -> tuple[type[RedactedURL], tuple[str, str]]:
        return RedactedURL, (str(self), self.url)


def redacted(path: str | os.PathLike[str]) -> str:
    """Return a path or URL for messages and files: passwords, keys, and values after ``?`` become ``***``.

    What has no secrets is returned as it is; anything else as a `RedactedURL`, which opens like the original.
    """
    text = os.fspath(path)
    if isinstance(text, RedactedURL):
        return text
    shown, secrets = _split_secrets(text)
    return RedactedURL(shown, text) if secrets else text


def full_url(path: str | os.PathLike[str]) -> str:
    """Return a path or URL with the secrets that `redacted` has hidden.

    Raises
    ------
    UsageError
        The secrets were hidden in a text that was printed or saved, so they are lost.
    """
    text = os.fspath(path)
    if isinstance(text, RedactedURL):
        return text.url
    if _HIDDEN in _split_secrets(text)[1]:
        raise UsageError(
            f"the secrets of {text} are hidden",
            "the URL with its password, key or token",
            "Give the whole URL.",
        )
    return text


def hide_secrets(message: str, *urls: str) -> str:
    """Return a message in which the secrets of `urls` are ``***``, wherever and however they are quoted."""
    for url in urls:
        full = url.url if isinstance(url, RedactedURL) else url
        shown, secrets = _split_secrets(full)
        message = message.replace(full, shown)
        for secret in sorted({form for s in secrets for form in (s, unquote(s))}, key=len, reverse=True):
            if len(secret) > 3:  # shorter ones are parts of common words
                message = message.replace(secret, _HIDDEN)
    return message


def _split_secrets(text: str) -> tuple[str, list[str]]:
    """Return a URL, or a chain of them, with its secrets replaced, and these secrets."""
    if "://" not in text:
        return text, []
    links, secrets = [], []
    for link in _NEXT_OF_CHAIN.split(text):
        match = _SCHEME.search(link)
        if match is None:
            links.append(link)
            continue
        head, rest = link[: match.end()], link[match.end() :]
        end = re.search(r"[/?#]|$", rest)
        authority = rest[: end.start()] if end else rest
        userinfo, at, _ = authority.rpartition("@")
        port = authority.rpartition(":")[2]
        if not at and ":" in authority and not port.isdigit() and not authority.endswith("]"):
            userinfo, at, _ = rest.rpartition("@")  # a password with a slash that should have been quoted
        rest = rest[len(userinfo) :]
        if at:
            user, colon, password = userinfo.partition(":")
            if match["scheme"].lower() in _KEY_SCHEMES:
                secrets += [part for part in (user, password) if part]
                userinfo = _HIDDEN
            elif colon:
                secrets.append(password)
                userinfo = f"{user}:{_HIDDEN}"
        secrets += [value for m in _PARAMETER.finditer(rest) if (value := m["value"])]
        rest = _PARAMETER.sub(lambda m: m["name"] + (_HIDDEN if m["value"] else ""), rest)
        links.append(head + userinfo + rest)
    return "::".join(links), secrets


def local_path(path: str | os.PathLike[str]) -> Path | None:
    """Return the folder that a path or a ``file://`` URL names, None for other URLs.

    A leading ``~`` of a path is the home folder. ``%20`` and the like are decoded in a URL, not in a path.

    Raises
    ------
    UsageError
        The path is empty or has a null character, a ``file://`` URL names a host, or ``~NAME`` is no user.
    """
    text = os.fspath(path)
    if not isinstance(text, str):
        raise UsageError(f"got the path {text!r}", "text, not bytes", "Use os.fsdecode.")
    if not text:
        raise UsageError("got an empty path", "a file or folder", "The current folder is `.`.")
    match = _LOCAL.fullmatch(text)
    if match is None:
        if "://" in text:
            return None
        text = _expanded(text)
    else:
        text = _path_of_file_url(text, match["host"] or "", match["path"])
    if "\0" in text:
        raise UsageError(f"got the path {text!r}", "a path without a null character")
    return Path(text)


def _expanded(path: str) -> str:
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        user = re.split(r"[/\\]", expanded)[0]
        raise UsageError(
            f"got the path {path!r}, and {user} is the home folder of no user here",
            "the home folder of a user, or a path that does not begin with ~",
            f"For a folder of that name write ./{user}.",
        )
    return expanded


def _path_of_file_url(url: str, host: str, path: str) -> str:
    if os.name == "nt" and re.fullmatch("[A-Za-z][:|]", host):
        host, path = "", f"/{host[0]}:{path}"  # file://C:/folder
    if host.lower() not in ("", "localhost"):
        raise UsageError(
            f"{url} names the host {host}",
            "file:///FOLDER, with three slashes and an absolute path",
            "Mount the host's folder and give its path, or give a relative folder as a path without file://.",
        )
    path = "/" + unquote(path).lstrip("/")
    if os.name == "nt" and (drive := re.match("/([A-Za-z])[:|]", path)):
        return str(PureWindowsPath(f"{drive[1]}:{path[3:] or '/'}"))
    return path
