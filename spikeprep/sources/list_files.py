"""Text files with one name per line."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from ..input_files import Limits, read_input


def read_list(file: Path, what: str, setting: str, limits: Limits) -> list[str]:
    """Return the lines of a text file, stripped, without empty ones.

    Parameters
    ----------
    file
        The file, in UTF-8.
    what
        What its lines name, for messages.
    setting
        The setting of the source that names the file.
    limits
        What reading it may take.

    Raises
    ------
    DataError
        It does not exist or is no text.
    """
    if not file.is_file():
        raise DataError(
            f"{file} does not exist", f"a file that names {what}", f"Add it, or leave source.{setting} empty."
        )
    try:
        text = read_input(file, limits).data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fix = f"Give a file that names {what}."
        raise DataError(f"{file} is no text ({error})", "UTF-8", fix) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
