"""Exceptions. Every message says what was found, what was expected, and how to fix it."""

from __future__ import annotations

import difflib
import errno
import functools
import unicodedata
import warnings
from collections.abc import Iterable

_CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")  # categories of Unicode: controls, formats, surrogates, line ends


def printable(text: str, keep: str = "") -> str:
    """Return a text in which characters that control a terminal or cannot be encoded are escapes, such as ``\\x1b``.

    File names may have any bytes: those that are not UTF-8 become escapes too. Characters in `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c in keep or unicodedata.category(c) not in _CONTROLS else _escape(ord(c)) for c in text
    )


def _escape(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


class SpikeprepError(Exception):
    """Base of every error that a user can fix.

    Parameters
    ----------
    got
        What was found, with the name of the file, setting or value.
    expected
        What is allowed; may be empty where `got` says it.
    hint
        How to fix it, as an imperative sentence.
    """

    def __init__(self, got: str, expected: str = "", hint: str = "") -> None:
        # here, where every message passes: names of files, plugins and settings come from anywhere
        got, expected, hint = printable(got), printable(expected), printable(hint, "\n\t")
        self.got, self.expected, self.hint = got, expected, hint
        head = f"{got}; expected {expected}." if expected else f"{got.rstrip('.')}."
        space = "" if hint.startswith("\n") else " "  # a list, a line each
        super().__init__(f"{head}{space}{hint}".strip())

    def __reduce__(self) -> tuple[type[SpikeprepError], tuple[str, str, str]]:
        """Pickle all three parts, so that an error of a worker process arrives as it was raised."""
        return type(self), (self.got, self.expected, self.hint)


class UsageError(SpikeprepError):
    """A name, option or setting that does not exist or does not fit."""


class DataError(SpikeprepError):
    """Input data that is missing, damaged, or not what it claims to be."""


class SignalError(DataError):
    """A signal that a transform or an encoder does not take, such as an image where it takes sounds."""


class StoreError(SpikeprepError):
    """A spike store that is damaged, incomplete, foreign, or of another configuration."""


class RunError(SpikeprepError):
    """A run folder that is damaged, foreign, or belongs to another store."""


class CapabilityError(SpikeprepError):
    """Something this machine or installation lacks: a device, or an optional package."""


class PluginError(CapabilityError):
    """A plugin that breaks its contract: a wrong result, or an exception that is no `SpikeprepError`."""


def broken_plugin(plugin: type, got: str, expected: str = "") -> PluginError:
    """Return the error for a plugin class that breaks its contract: `got` names it and says what it did."""
    hint = f"Correct {plugin.__module__}.{plugin.__qualname__}, or report this to its authors."
    return PluginError(got, expected, hint)


warn_once = functools.cache(warnings.warn)
"""Give a warning once in a process; Python's own rule forgets what was given where a filter changes."""


def lacks_space_or_permission(error: OSError) -> bool:
    """Whether the operating system refused for want of disk space, of quota, of a permission or of larger files.

    Wherever it happens this is a `CapabilityError`: the data are sound, and this machine or user lacks something.
    """
    lacking = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
    return error.errno in lacking


def near_miss(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word nearest to `name`, else lists all of them."""
    words = sorted(known)
    close = difflib.get_close_matches(name[:100], words, n=1)  # its time grows with the length
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(words)}." if words else "None are known."
