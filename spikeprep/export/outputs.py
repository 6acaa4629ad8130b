"""Files and folders that an export writes: never over what someone else wrote, and never half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

from .. import output_files
from ..errors import UsageError
from ..new_files import rename_new, sync_folder
from ..output_files import check_new_file, partial_output, remove_file
from ..partial_files import new_partial_name, release
from ..store.outputs import check_output
from ..train.run_folder import refuse_run_file
from ..urls import redacted
from .exported_folder import MARKER, exported_files, foreign_file, remove_exported

_CHOOSE = "Choose another name."


def new_output(out: str | os.PathLike[str], *, overwrite: bool, folder: bool = False) -> Path:
    """Return the path of an output that may be written.

    Parameters
    ----------
    out
        A path; ``~`` is the home folder.
    overwrite
        Whether a file, or a folder of an earlier export, that is there may be replaced.
    folder
        Whether a folder is written, not a file.

    Raises
    ------
    UsageError
        It is a URL, inside a store, a file of a run, in a folder that does not exist, or something is there that may
        not be replaced.
    """
    path = check_output(out)
    if path is None:
        raise UsageError(f"got out = {redacted(out)!r}", "a path", "Copy what is exported there afterwards.")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", "a folder that exists", "Make it first.")
    refuse_run_file(path)
    if folder:
        _check_folder(path, overwrite)
    else:
        check_new_file(path, overwrite)
    return path


def _check_folder(path: Path, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        raise UsageError(f"{path} is there already and is no folder", "a new folder", _CHOOSE)
    if (foreign := foreign_file(path)) is not None:
        raise UsageError(
            f"{path} has files that no export wrote: {foreign}",
            f"a new or empty folder, or one that has no files but those that its {MARKER} tells of",
            "Choose another name, or move these files elsewhere.",
        )
    if exported_files(path) is not None and not overwrite:
        raise UsageError(
            f"{path} has an earlier export", "a new folder", "Choose another name, or use overwrite=True."
        )


def write_file(path: Path, write: Callable[[IO[bytes]], None], *, overwrite: bool) -> None:
    """Write a file as `spikeprep.output_files.write_file` does, but no file of a run."""
    output_files.write_file(path, write, overwrite=overwrite, check=refuse_run_file)


def write_folder(path: Path, write: Callable[[Path], None], *, overwrite: bool) -> None:
    """Let `write` fill a folder under a temporary name, then rename it to `path`, in place of an earlier export.

    Raises
    ------
    UsageError
        Something that may not be replaced (see `new_output`) has appeared at `path` meanwhile.
    CapabilityError
        The disk is full, or a permission is missing.
    """
    with partial_output(path, _remove) as partial:
        partial.mkdir()
        write(partial)
        refuse_run_file(path)
        if not rename_new(partial, path):
            _replace_folder(path, partial, overwrite)
        sync_folder(path.parent)


def _replace_folder(path: Path, partial: Path, overwrite: bool) -> None:
    """Put a finished folder in the place of an earlier export."""
    _check_folder(path, overwrite)
    earlier = path.with_name(new_partial_name(path.name))
    try:
        path.rename(earlier)
        if not rename_new(partial, path):
            raise UsageError(f"{path} was written by another process meanwhile", "a new folder", _CHOOSE)
        remove_exported(earlier)
    finally:
        if os.path.lexists(earlier) and not os.path.lexists(path):
            earlier.rename(path)
        release(earlier.name)


def _remove(partial: Path) -> None:
    if exported_files(partial) is not None:  # an earlier export that was to be replaced
        remove_exported(partial)
    elif partial.is_dir() and not partial.is_symlink():
        shutil.rmtree(partial, ignore_errors=True)
    else:
        remove_file(partial)
