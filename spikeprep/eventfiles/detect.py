"""Which format a file has: its first bytes decide, then the ending of its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import CapabilityError, DataError, UsageError, warn_once
from ..file_kinds import TEXT, FileKind, kind_of
from ..input_files import InputFile
from ..registry import EVENT_FORMATS
from .base import EventFormat
from .checks import Changes, Invalid


def formats() -> tuple[type[EventFormat], ...]:
    """Return every format that can be imported; looked up once, as every file of a data set needs it."""
    return _formats(EVENT_FORMATS.registered)


@cache
def _formats(registered: tuple[type[Any], ...]) -> tuple[type[EventFormat], ...]:
    """Return the formats while these are registered in this process."""
    formats = []
    for name in EVENT_FORMATS.names():
        # a plugin that cannot be used must not break the others: `broken_formats` names it where none of them fits
        with suppress(CapabilityError, UsageError):
            formats.append(EVENT_FORMATS.get(name))
    return tuple(formats)


def broken_formats() -> str:
    """Return a sentence about each format that cannot be used, for where no other format fits; empty without any."""
    sentences = []
    for name in EVENT_FORMATS.names():
        try:
            EVENT_FORMATS.get(name)
        except (CapabilityError, UsageError) as error:
            sentences.append(f" One format cannot be used: {error}")
    return "".join(sentences)


@cache
def _signatures(formats: tuple[type[EventFormat], ...]) -> tuple[bytes, ...]:
    """Return what files of formats that state it begin with."""
    return tuple(begins for form in formats for begins in form.begins)


@cache
def _without_signature(formats: tuple[type[EventFormat], ...]) -> tuple[type[EventFormat], ...]:
    return tuple(form for form in formats if not form.begins)


def _matches(form: type[EventFormat], head: bytes) -> bool | None:
    """Return `EventFormat.matches`, which is asked only where the file may be of this format."""
    if form.begins and not head.startswith(form.begins):
        return False
    try:
        return form.matches(head)
    except Exception as error:  # it must not break the other formats
        warn_once(  # though every file of a data set is looked at
            f"{form.__module__}.{form.__qualname__}.matches raised {type(error).__name__}: {error}. The event format "
            f"{form.name} is passed over: correct it, or report this to its authors."
        )
        return False


def _is_another(head: bytes) -> bool:
    """Return whether a file is certainly of a format, or another kind of file; for most files one look decides."""
    known = formats()
    if head.startswith(_signatures(known)) and any(_matches(form, head) for form in known):
        return True
    return any(_matches(form, head) for form in _without_signature(known)) or _other_kind(head) is not None


@cache
def _plain(form: type[EventFormat]) -> EventFormat:
    return form.from_config({})


def _built(form: type[EventFormat], options: Mapping[str, Any]) -> EventFormat:
    """Return a format with its options; without options it is built once for all files."""
    return form.from_config(options) if options else _plain(form)


def _quote(head: bytes) -> str:
    return repr(head[:16])[1:] if head else "nothing"


def build_format(name: str, options: Mapping[str, Any]) -> EventFormat | None:
    """Return the format of that name with its options; None where the name is empty; raises `UsageError`."""
    return EVENT_FORMATS.build({"name": name, **options}) if name else None


def find_format(
    file: InputFile,
    named: EventFormat | None,
    options: Mapping[str, Any],
    invalid: Invalid,
    changes: Changes,
) -> EventFormat:
    """Return the format of a file: `named`, or the one that is detected, built with `options`.

    Raises
    ------
    DataError
        The file is missing or empty; it does not have the format `named`; no format matches, or bytes cannot tell
        which; or its content and its ending belong to different formats and `invalid` is "fail".
    UsageError
        An option is unknown, or its value is not allowed.
    """
    path, head = file.path, file.head()
    if not head:
        raise DataError(f"{path} is empty (0 bytes)", "a recording", "Fetch the file again, or leave it out.")
    matches = _matches(type(named), head) if named else False
    if named and (matches or (matches is None and not _is_another(head))):
        return named
    answers = {form: _matches(form, head) for form in formats()}
    if named:
        raise _refusal(path, head, (type(named),), answers)
    by_content = [form for form, answer in answers.items() if answer]
    other = _other_kind(head)
    name = path.name.lower()
    by_ending = tuple(form for form in answers if name.endswith(form.extensions))
    if not by_content:
        # formats without a signature are recognised by the ending alone
        possible = [form for form in by_ending if answers[form] is None and not other]
        if len(possible) != 1:
            raise _refusal(path, head, by_ending, answers)
        return _built(possible[0], options)
    if by_ending and by_content[0] not in by_ending:
        mismatch = f"holds {by_content[0].title}, but its name ends like {_titles(by_ending)}"
        if invalid == "fail":
            raise DataError(
                f"{path} {mismatch}",
                "",
                f"Pass format={by_content[0].name!r} if that is intended, or rename the file.",
            )
        changes.other = mismatch
    return _built(by_content[0], options)


def _other_kind(head: bytes) -> FileKind | None:
    """Return what a file is that is known not to be a recording; text may be one."""
    kind = kind_of(head)
    return None if kind in (None, TEXT) or kind.group == "events" else kind


def _titles(forms: Iterable[type[EventFormat]]) -> str:
    return " or ".join(form.title for form in forms)


def _refusal(
    path: Path,
    head: bytes,
    expected: Sequence[type[EventFormat]],
    answers: Mapping[type[EventFormat], bool | None],
) -> DataError:
    """Return the error for a file that has none of the formats `expected`, with a fix that leads on.

    `answers` are those of `EventFormat.matches`.
    """
    begins = f"{path} begins with {_quote(head)}"
    titles = _titles(expected) or "an event recording"
    if by_content := [form for form, answer in answers.items() if answer]:
        return DataError(f"{begins}: {by_content[0].title}", titles, f"Pass format={by_content[0].name!r}.")
    if kind := _other_kind(head):
        return DataError(f"{path} is {kind.name}", titles, f"{kind.fix}.")
    possible = [form for form, answer in answers.items() if answer is None and form not in expected]
    undecided = [form for form in expected if answers.get(form) is None]
    if undecided:
        which = " or ".join(f"format={form.name!r}" for form in undecided)
        return DataError(
            f"{begins}, which does not tell its format", titles, f"Pass {which}: the one that wrote it."
        )
    other = kind_of(head)
    if other is TEXT and expected and expected[0].other_text:
        return DataError(begins, titles, f"{expected[0].other_text}.")
    broken = broken_formats()
    if other or not possible:  # text, or a version that is not read
        fix = "Fetch it again, or convert it to HDF5, AEDAT 4 or NumPy with its publisher's tools."
        return DataError(begins, titles, fix + broken)
    which = " or ".join(f"format={form.name!r} ({form.title})" for form in possible)
    fix = f"Fetch it again, or pass its format, if it is one without a signature: {which}."
    return DataError(begins, titles, fix + broken)
