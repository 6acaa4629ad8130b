"""Convert recordings of event cameras from one format into another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..config import fitted
from ..conversion import Conversion, Reading, convert_files, plan_tasks, split_settings
from ..eventfiles import Invalid
from ..progress import progress_for
from ..train.memory import memory_errors
from .arguments import PathLike, ShowProgress


@memory_errors("Free some memory, or convert less at a time.")
def convert(
    recordings: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    to: str = "",
    format: str = "",
    size: tuple[int, int] | None = None,
    invalid: Invalid = "fail",
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: ShowProgress = None,
) -> Conversion:
    """Convert recordings of event cameras into another format: single files, and folders with all that is in them.

    A recording is read once, checked as `spikeprep.eventfiles.read` checks it, and written in pieces, whole or not at
    all. `spikeprep.eventfiles.write` says what the formats hold.

    Parameters
    ----------
    recordings
        A file or a folder, or several. Below a folder files of any depth are converted, and keep their folders: those
        of classes and splits. Of several folders each keeps its name too.
    out
        The file to write; a folder where there are several recordings, or a folder of them.
    to
        Name of the format to write: ``"aedat4"``, ``"dat"``, ``"evt2"``, ``"evt3"``, ``"hdf5"``, ``"text"``, or that of
        a plugin. Chosen by the ending of `out` where empty.
    format
        Name of the format of the recordings; detected where empty.
    size
        (width, height) of the sensor in pixels, for recordings that do not state it or state it wrong.
    invalid
        What happens to invalid events and truncated files: see `spikeprep.eventfiles.Invalid`.
    settings
        Options of the format that is read and of the one that is written: ``{"read.camera": "DAVIS346",
        "write.compression": "none"}``; ``read.max_bytes`` and ``read.max_ratio`` raise what a file may take of memory,
        1 GB, and how many times larger than the file its content may be, 1000.
    overwrite
        Whether files that are there may be replaced.
    resume
        Whether files that are there stay as they are, as an interrupted conversion has left them.
    progress
        See `ShowProgress`.

    Returns
    -------
    What was converted, and which recordings could not be.

    Raises
    ------
    UsageError
        A format, a setting or a value does not exist or does not fit, or a file is there already.
    DataError
        None of the recordings can be converted.
    CapabilityError
        A library is not installed, or the disk is full.
    """
    overwrite, resume = fitted(overwrite, bool, "overwrite"), fitted(resume, bool, "resume")
    to, format = fitted(to, str, "to"), fitted(format, str, "format")
    read_options, write_options = split_settings(settings)
    paths = [recordings] if isinstance(recordings, str | os.PathLike) else list(recordings)
    tasks = plan_tasks(paths, out, to, format)
    reading = Reading.of(format, size, invalid, read_options)
    with progress_for(progress, "convert", "recordings") as show:
        return convert_files(tasks, reading, to, write_options, overwrite=overwrite, resume=resume, show=show)
