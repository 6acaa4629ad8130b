"""What headers of WAV, W64 and AIFF state twice of their samples: where it contradicts itself, one of both is wrong.

libsndfile goes by one of the fields, and decodes noise, or a sound of another rate, where that is the wrong one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import DataError
from .sound_headers import Sizes, chunks, w64_chunks

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_LOGARITHMIC = {6: "A-law", 7: "µ-law"}
_IN_BLOCKS = (2, 0x11, 0x31)  # MS ADPCM, IMA ADPCM, GSM: programs state other rates of bytes than there are
_HEADER = 8  # bytes of a chunk's header, which some writers of AIFF count otherwise
_AIFF_PCM = (b"NONE", b"twos", b"sowt")
_RATE_FIX = "state the true rate, for example: sox -r RATE IN.wav OUT.wav"


class _Format(NamedTuple):
    """The fields of a WAV file's ``fmt`` chunk, and of its ``fact`` chunk; 0 where it does not state them."""

    tag: int
    channels: int
    rate: int
    byte_rate: int
    align: int
    bits: int
    block_samples: int = 0
    samples: int = 0


def check_format(data: bytes, sizes: Sizes) -> None:
    """Raise `DataError` where the fields of a header contradict each other; fields of 0 state nothing.

    In WAV, RF64 and W64, they are the size of a sample of all channels and the rate of bytes; in AIFF, the number of
    samples and the size of the sound.
    """
    if data.startswith(b"FORM"):
        _check_aiff(data, sizes)
    elif (form := _wave_format(data)) and form.rate and form.channels:
        _check_wave(data, sizes, form)


def without_padding(data: bytes, samples: int) -> int:
    """Return how many of the decoded samples of a WAV file in blocks are sound, as its ``fact`` chunk states.

    The last block is filled up; and libsndfile takes a pad byte behind the blocks of GSM for another block.
    """
    form = _wave_format(data)
    if form is None or form.tag not in _IN_BLOCKS or not 0 < form.samples < samples:
        return samples
    if samples - form.samples >= 2 * max(form.block_samples, 1):
        what = f"states {form.samples:,} samples in its chunk fact, but has {samples:,}"
        raise DataError(what, "", "write its header anew, for example: sox IN.wav OUT.wav")
    return form.samples


def _wave_format(data: bytes) -> _Format | None:
    """Return what the header of a WAV or W64 file states; None for other files, and where it is damaged."""
    order, form, samples = ">" if data.startswith(b"RIFX") else "<", None, 0
    for kind, start, size in _wave_chunks(data, order):
        if kind == b"data":
            break
        if kind == b"fmt " and form is None and size >= 16 and len(data) >= start + 28:
            tag, *fields = struct.unpack_from(f"{order}HHIIHH", data, start)
            if tag == _EXTENSIBLE and size >= 40:
                (tag,) = struct.unpack_from(f"{order}H", data, start + 24)
            block_samples = struct.unpack_from(f"{order}H", data, start + 18)[0] if size >= 20 else 0
            form = _Format._make((tag, *fields, block_samples, 0))
        elif kind == b"fact" and size >= 4 and len(data) >= start + 4:
            (samples,) = struct.unpack_from(f"{order}I", data, start)
    return form and form._replace(samples=samples)


def _wave_chunks(data: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    if data.startswith(b"riff"):
        yield from ((kind[:4], start, size) for kind, start, size in w64_chunks(data))
    elif data.startswith((b"RIFF", b"RIFX", b"RF64")):
        yield from chunks(data, 12, order)


def _check_wave(data: bytes, sizes: Sizes, form: _Format) -> None:
    """Check a file whose samples are all of one size."""
    width = 1 if form.tag in _LOGARITHMIC else -(-form.bits // 8)
    if form.tag not in (_PCM, _FLOAT, *_LOGARITHMIC) or not width:
        return
    align = form.channels * width
    byte_rate = align * form.rate & 0xFFFFFFFF
    if form.align in (0, align) and form.byte_rate in (0, byte_rate):
        return
    encoding = "signed" if form.tag == _PCM else "ENCODING"
    raw = _raw_fix(sizes, "-B" if data.startswith(b"RIFX") else "-L", encoding)
    raise _contradiction(
        f"{_name(form)} of {form.rate:,} Hz has a block align of {align} and a byte rate of {byte_rate:,}, "
        f"but it states {form.align} and {form.byte_rate:,}",
        _RATE_FIX if form.tag == _PCM and form.align == align else raw,
    )


def _check_aiff(data: bytes, sizes: Sizes) -> None:
    """Check the number of samples of an AIFF file whose samples are all of the size that it states."""
    common = next((start for kind, start, size in chunks(data, 12, ">") if kind == b"COMM" and size >= 18), 0)
    if not common or sizes.streamed or any(data[sizes.start - 8 : sizes.start - 4]):  # an offset of the sound
        return
    channels, samples, bits = struct.unpack_from(">HIH", data, common)
    compression = data[common + 18 : common + 22] if data[8:12] == b"AIFC" else b"NONE"
    each = channels * -(-bits // 8)
    if samples and compression in _AIFF_PCM and abs(samples * each - sizes.stated) > each + _HEADER:
        raise _contradiction(
            f"{samples:,} samples of {bits} bits in {_channels(channels)} take {samples * each:,} bytes, "
            f"but it states {sizes.stated:,}",
            _raw_fix(sizes, "-L" if compression == b"sowt" else "-B", "signed"),
        )


def _raw_fix(sizes: Sizes, order: str, encoding: str) -> str:
    length = sizes.available if sizes.streamed else sizes.stated
    return (
        f"state what is true, for example: tail -c +{sizes.start + 1} IN | head -c {length} | "
        f"sox -t raw {order} -r RATE -e {encoding} -b BITS -c CHANNELS - OUT.wav"
    )


def _name(form: _Format) -> str:
    return f"{_LOGARITHMIC.get(form.tag, f'{form.bits}-bit')} sound in {_channels(form.channels)}"


def _channels(number: int) -> str:
    return "one channel" if number == 1 else f"{number} channels"


def _contradiction(what: str, fix: str) -> DataError:
    return DataError(f"has a header that contradicts itself: {what}", "", fix)
