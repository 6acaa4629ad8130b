"""EDF, EDF+ and BDF: recordings of the European Data Format and of its 24-bit relative, read by edfio.

Sources: Kemp et al. 1992, A simple format for exchange of digitized polygraphic recordings, Electroencephalography and
Clinical Neurophysiology 82; Kemp & Olivan 2003, European data format 'plus' (EDF+), Clinical Neurophysiology 114;
https://www.biosemi.com/faq/file_format.htm.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CapabilityError, DataError, printable
from ..input_files import Limits
from .series_channels import Channel, MixedRates, aligned
from .series_data import Annotation, SeriesFile

SUFFIXES = (".edf", ".bdf")
_FIELDS = 256  # bytes of the header, and of its part for each signal
_ANNOTATIONS = {b"EDF Annotations", b"BDF Annotations"}  # labels of what is no signal
_AGAIN = "Copy the file again."


def read_edf(
    path: Path, content: bytes, chosen: Sequence[str | int], mixed: MixedRates, limits: Limits
) -> SeriesFile:
    """Read the bytes of an EDF or BDF file: channels in their physical units, and annotations.

    A file of annotations alone, as hypnograms are, has no series.

    Raises
    ------
    DataError
        It is no such file, is truncated, has gaps (EDF+D), or a channel without a calibration; see `aligned`.
    CapabilityError
        edfio is not installed.
    """
    try:
        import edfio
    except ImportError as error:
        raise CapabilityError(
            f"reading {path} needs the package edfio ({error})",
            "",
            "Run: python -m pip install 'spikeprep[edf]'.",
        ) from error
    wide = content[:1] == b"\xff"  # of BDF; that of EDF is "0"
    _check_header(path, content, 3 if wide else 2)
    try:
        file = (edfio.read_bdf if wide else edfio.read_edf)(content, header_encoding="latin-1")
        annotations = [
            Annotation(float(one.onset), float(one.duration or 0), printable(one.text.strip()))
            for one in file.annotations
        ]
        signals = list(file.signals)
        channels = [_channel(path, signal) for signal in signals]
    except DataError:
        raise
    except Exception as error:  # edfio's errors have no common class
        raise DataError(f"{path} cannot be read ({error})", "an EDF or BDF file", _AGAIN) from error
    return aligned(path, channels, chosen, mixed, limits, sorted(annotations))


def _check_header(path: Path, content: bytes, width: int) -> None:
    """Raise `DataError` where the header is none, or the file has another length than it states.

    edfio warns of such files, and reads what is there.
    """
    kind = "BDF" if width == 3 else "EDF"
    magic = b"\xffBIOSEMI" if width == 3 else b"0       "
    if not content.startswith(magic) or len(content) < _FIELDS:
        raise DataError(f"{path} is no EDF or BDF file by its first bytes", "what its name says", _AGAIN)
    reserved = content[192:236].decode("latin-1").strip()
    if reserved.startswith((f"{kind}+D", "EDF+D")):
        raise DataError(
            f"{path} is discontinuous ({reserved[:5]}): it may have gaps",
            f"a continuous recording, {kind} or {kind}+C",
            "Cut it into continuous files, one for each part.",
        )
    try:
        header, records, signals = (int(content[a:b]) for a, b in ((184, 192), (236, 244), (252, 256)))
        seconds = float(content[244:252])
        begin = _FIELDS + 216 * signals
        labels = [content[_FIELDS + 16 * n : _FIELDS + 16 * n + 16].strip() for n in range(max(signals, 0))]
        samples = [int(content[begin + 8 * n : begin + 8 * n + 8]) for n in range(max(signals, 0))]
    except ValueError as error:
        raise DataError(f"{path} has a damaged header ({error})", "an EDF or BDF file", _AGAIN) from error
    if signals < 1 or header != _FIELDS * (signals + 1) or min(samples) < 0 or not np.isfinite(seconds):
        raise DataError(f"{path} has a damaged header", "an EDF or BDF file", _AGAIN)
    if seconds <= 0 and not {*labels} <= _ANNOTATIONS:  # of annotations alone, 0 is right
        raise DataError(
            f"{path} states data records of {seconds:g} s: its signals have no rate",
            "a duration above 0",
            "Correct the duration of a data record in the header (bytes 244 to 251), or save the recording again.",
        )
    size = header + records * sum(samples) * width
    if records < 0 or len(content) != size:
        what = f"{records:,} records" if records >= 0 else "no number of records"
        raise DataError(
            f"{path} has {len(content):,} bytes, and its header states {what}",
            f"{max(size, 0):,} bytes" if records >= 0 else "their number",
            f"{_AGAIN} If the recording was cut short, write it anew with a program that corrects its header.",
        )


def _channel(path: Path, signal: Any) -> Channel:
    unit, rate = printable(signal.physical_dimension.strip()), float(signal.sampling_frequency)
    return Channel(printable(signal.label.strip()), unit, rate, lambda: _values(path, signal))


def _values(path: Path, signal: Any) -> NDArray[np.float64]:
    """Return the physical values of a signal; raises `DataError` where it has no rate or is not calibrated."""
    name = printable(signal.label.strip())
    ends = (signal.physical_min, signal.physical_max, signal.digital_min, signal.digital_max)
    if ends[0] == ends[1] or ends[2] == ends[3] or not np.isfinite(ends).all():
        raise DataError(
            f"{path}, channel {name}: values from {ends[0]:g} to {ends[1]:g} are stored as {ends[2]:g} to {ends[3]:g}",
            "two different ends of each range: without them the channel is not calibrated",
            "Leave it out: use source.channels=[…]; or correct the header.",
        )
    if not signal.sampling_frequency > 0:
        raise DataError(f"{path}, channel {name} has a rate of 0 Hz", "a rate above 0", _AGAIN)
    try:
        return np.asarray(signal.data, np.float64)
    except Exception as error:  # edfio's errors have no common class
        raise DataError(f"{path} cannot be read ({error})", "an EDF or BDF file", _AGAIN) from error
