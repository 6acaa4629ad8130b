"""Text files with one name per line, and the encodings of text files."""

from __future__ import annotations

import codecs
import posixpath
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ..errors import DataError
from ..input_files import Limits, read_input


def read_list(file: Path, what: str, setting: str, limits: Limits) -> list[str]:
    """Return the lines of a text file, stripped, without empty ones.

    Parameters
    ----------
    file
        The file, in UTF-8 or UTF-16.
    what
        What its lines name, for messages.
    setting
        The setting of the source that names the file; empty where none does.
    limits
        What reading it may take.

    Raises
    ------
    DataError
        It does not exist or is no text.
    """
    if not file.is_file():
        fix = f"Add it, or leave source.{setting} empty." if setting else "Add it."
        raise DataError(f"{file} does not exist", f"a file that names {what}", fix)
    text, _ = decode_text(file, read_input(file, limits).data, f"a file that names {what}")
    return [line.strip() for line in text.splitlines() if line.strip()]


def decode_text(file: Path, content: bytes, expected: str, else_: str = "") -> tuple[str, str]:
    """Return a file's text without a byte order mark, and its encoding.

    Parameters
    ----------
    file
        Its path, for messages.
    content
        Its bytes: UTF-8, UTF-16 or UTF-32, with or without a mark (UTF-32: with one).
    expected
        What it should be, for messages.
    else_
        An encoding to read it in where it is none of these.

    Raises
    ------
    DataError
        It is no such text.
    """
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        encodings = ["utf-32"]
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif content[1:2] == b"\0" or content[:1] == b"\0":
        encodings = ["utf-16-le" if content[1:2] == b"\0" else "utf-16-be"]
    else:
        encodings = ["utf-8-sig", *([else_] if else_ else [])]
    for encoding in encodings:
        try:
            return content.decode(encoding), encoding
        except UnicodeDecodeError as error:
            reason = f"{error.encoding}: {error.reason}"
    fix = f"Save it as UTF-8, for example: iconv -f ENCODING -t UTF-8 {file.name}."
    raise DataError(f"{file} is no text ({reason})", f"{expected}, in UTF-8 or UTF-16", fix)


def files_by_name(ids: Iterable[str]) -> dict[str, str]:
    """Return what all spellings of a file's path have in common → its id.

    The path without its ending stands for a file too, where no other file has it (Food-101's ``train.txt``).
    """
    files: dict[str, str] = {}
    stems: dict[str, str] = {}  # empty: of several
    for id_ in ids:
        path = plain_path(id_)
        files[path] = id_
        stem = posixpath.splitext(path)[0]
        stems[stem] = "" if stem in stems else id_
    return {stem: id_ for stem, id_ in stems.items() if id_} | files


def plain_path(path: str) -> str:
    """Return what all spellings of a path in a folder have in common: ``./a``, ``a``, ``b/../a``; ``a\\b``, ``a/b``.

    Accents are in one form of Unicode.
    """
    return unicodedata.normalize("NFC", posixpath.normpath(path.replace("\\", "/")))
