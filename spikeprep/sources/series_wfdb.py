"""PhysioNet's WFDB records: a header ``100.hea``, its signals in ``100.dat`` or ``100.mat``, annotations ``100.atr``.

They are read by wfdb, from copies: the bytes that are decoded are those that were checked, and no name in a header
leads to a file elsewhere.
Source: Moody, Header and signal files, https://wfdb.io/spec; Goldberger et al. 2000, PhysioBank, PhysioToolkit, and
PhysioNet, Circulation 101.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CapabilityError, DataError, printable
from ..input_files import Limits
from .series_channels import Channel, MixedRates, aligned
from .series_data import Annotation, SeriesFile

SUFFIX = ".hea"
_RHYTHM = "+"  # symbol of a change that lasts until the next one; its text is in the note
_NAME = "record"
_AGAIN = "Fetch the record again, all its files."


def read_wfdb(
    path: Path,
    content: bytes,
    read: Callable[[Path], bytes],
    chosen: Sequence[str | int],
    mixed: MixedRates,
    limits: Limits,
    annotator: str = "",
) -> SeriesFile:
    """Read a record: channels in their physical units, NaN where a value is marked as invalid.

    Parameters
    ----------
    path
        The header.
    content
        Its bytes.
    read
        Returns the bytes of another file.
    chosen, mixed, limits
        See `aligned`.
    annotator
        Ending of the file of annotations beside it, such as ``"atr"``; empty: none is read.

    Raises
    ------
    DataError
        A file is missing or damaged, the record has several segments, or a checksum differs; see `aligned`.
    CapabilityError
        wfdb is not installed.
    """
    try:
        import wfdb
    except ImportError as error:
        raise CapabilityError(
            f"reading {path} needs the package wfdb ({error})",
            "",
            "Run: python -m pip install 'spikeprep[wfdb]'.",
        ) from error
    files, uncalibrated = _files(path, content)
    with tempfile.TemporaryDirectory(prefix="spikeprep-") as name:
        folder = Path(name)
        (folder / f"{_NAME}{SUFFIX}").write_bytes(content)
        for file in dict.fromkeys(files):
            if not (path.parent / file).is_file():
                raise DataError(f"{path} names {file}, which does not exist", "its signals beside it", _AGAIN)
            (folder / file).write_bytes(read(path.parent / file))
        try:
            header = wfdb.rdheader(str(folder / _NAME))
            frames = [int(n) for n in header.samps_per_frame or []]
            limits.check_bytes(f"{path}", 8 * (header.sig_len or 0) * sum(frames))
            if not (header.fs and header.fs > 0):
                raise DataError(f"{path} states a rate of {header.fs} Hz", "a rate above 0", "Correct it.")
            record = wfdb.rdrecord(str(folder / _NAME), physical=False, smooth_frames=False)
            _check_sums(path, header, record)
            signals = record.dac(expanded=True, return_res=64)
            if {len(header.sig_name), len(header.units), len(frames), len(signals)} != {len(files)}:
                raise DataError(
                    f"{path} has lines of signals that differ", "one line for each signal", _AGAIN
                )
        except DataError:
            raise
        except Exception as error:  # wfdb's errors have no common class
            what = printable(str(error).replace(name, str(path.parent)))
            raise DataError(f"{path} cannot be read ({what})", "a record of WFDB", _AGAIN) from error
        annotations: Sequence[Annotation] = ()
        if annotator:
            annotations = _annotations(wfdb, path, folder, read, annotator, float(header.fs), header.sig_len)
    channels = [
        Channel(
            printable(name or f"channel {n}"),
            printable(unit or "mV") + (" (uncalibrated)" if n in uncalibrated else ""),
            float(header.fs) * count,
            partial(np.asarray, values, np.float64),
        )
        for n, (name, unit, count, values) in enumerate(
            zip(header.sig_name, header.units, frames, signals, strict=True)
        )
    ]
    return aligned(path, channels, chosen, mixed, limits, annotations)


def _files(path: Path, content: bytes) -> tuple[list[str], set[int]]:
    """Return the names of a header's files, and the numbers of signals without a gain; checks them."""
    lines = [line.strip() for line in content.decode("latin-1").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    first = lines[0].split() if lines else []
    if len(first) < 2 or not first[1].isdecimal():
        raise DataError(f"{path} is no header of WFDB", "a first line such as 100 2 360 650000", _AGAIN)
    if "/" in first[0]:
        raise DataError(
            f"{path} is a record of several segments, with gaps between them",
            "a record of one segment",
            "Give the records of the segments.",
        )
    count = int(first[1])
    signals = [line.split() for line in lines[1 : 1 + count]]
    if not count or len(signals) < count or any(len(signal) < 2 for signal in signals):
        got = f"{path} states {count} signals, and has {len(lines) - 1} lines of them"
        raise DataError(got, "a line for each", _AGAIN)
    names = [signal[0] for signal in signals]
    for name in names:
        if (
            name in (".", "..", "~", "-")
            or name != Path(name).name
            or "\\" in name
            or name == f"{_NAME}{SUFFIX}"
        ):
            raise DataError(
                f"{path} names the file {printable(name)}", "a file beside it", "Correct the header."
            )
    gains = [signal[2] if len(signal) > 2 else "0" for signal in signals]
    return names, {n for n, gain in enumerate(gains) if gain.split("(")[0].split("/")[0] in ("0", "0.0")}


def _check_sums(path: Path, header: Any, record: Any) -> None:
    """Raise `DataError` where the sum of a signal is another than its header states."""
    stated = header.checksum or []
    for n, (state, found) in enumerate(zip(stated, record.calc_checksum(expanded=True), strict=False)):
        if state is not None and (int(state) - int(found)) % 65536:
            name = printable(header.sig_name[n] or f"channel {n}")
            raise DataError(
                f"{path}: the values of {name} have the checksum {int(found)}",
                f"{int(state)}, as the header states",
                _AGAIN,
            )


def _annotations(
    wfdb: Any,
    path: Path,
    folder: Path,
    read: Callable[[Path], bytes],
    annotator: str,
    rate: float,
    steps: int,
) -> list[Annotation]:
    """Return a record's annotations: moments by their symbols, rhythms by their notes, until the next one."""
    file = path.with_suffix(f".{annotator}")
    if not file.is_file():
        raise DataError(
            f"{path} has no annotations {file.name} beside it",
            "one file of annotations for each record",
            "Fetch it, or name another: use source.annotator=ENDING.",
        )
    (folder / f"{_NAME}.{annotator}").write_bytes(read(file))
    try:
        found = wfdb.rdann(str(folder / _NAME), annotator)
        notes = [str(note or "").strip("\0 ") for note in found.aux_note]
        times = [int(sample) for sample in found.sample]
    except Exception as error:  # wfdb's errors have no common class
        raise DataError(f"{file} cannot be read ({error})", "annotations of WFDB", _AGAIN) from error
    annotations, rhythm = [], None
    for time, symbol, note in zip(times, found.symbol, notes, strict=True):
        if symbol == _RHYTHM and note:
            if rhythm:
                annotations.append(Annotation(rhythm[0] / rate, (time - rhythm[0]) / rate, rhythm[1]))
            rhythm = (time, printable(note))
        else:
            annotations.append(Annotation(time / rate, 0.0, printable(str(symbol))))
    if rhythm:
        annotations.append(Annotation(rhythm[0] / rate, (steps - rhythm[0]) / rate, rhythm[1]))
    return sorted(annotations)
