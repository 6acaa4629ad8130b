"""Arrays with one value per sample (steps, labels, counts, groups, ids) to and from their stored chunks."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..errors import DataError
from .layout import OPTIONAL_ARRAYS, SAMPLE_ARRAYS, SplitLayout
from .shards import Compression, DamageError

_TEXT_BYTES = 256 << 20  # of texts that any chunk may hold
_TEXT_RATIO = 1024  # to the size of the compressed chunk, of larger ones

_TYPES = SAMPLE_ARRAYS | OPTIONAL_ARRAYS


@functools.cache
def _text_codec() -> Any:
    # of the package, not of its module: two threads that first import its modules at once can each find half of one
    from numcodecs import VLenUTF8

    return VLenUTF8()


def _dtype(array: str) -> np.dtype[Any]:
    return np.dtype(_TYPES[array]).newbyteorder("<")


def encode_sample_array(array: str, values: Any, layout: SplitLayout, compression: Compression) -> bytes:
    """Return the stored chunk of an array's values, padded to a full chunk as Zarr requires."""
    padding = layout.shard_samples - len(values)
    if _TYPES[array] == "string":
        raw = bytes(_text_codec().encode(np.array([*values, *[""] * padding], object)))
    else:
        raw = np.pad(np.asarray(values, _dtype(array)), (0, padding)).tobytes()
    data = compression.encode(raw)
    if len(raw) > max(_TEXT_BYTES, _TEXT_RATIO * len(data)):
        raise DataError(
            f"the {array} of {len(values):,} samples are {len(raw):,} bytes of repeated text",
            f"at most {_TEXT_BYTES:,}",
            "Give shorter ids.",
        )
    return data


def decode_sample_array(
    array: str, data: bytes, count: int, shard_samples: int, compression: Compression
) -> list[Any]:
    """Return the first `count` values of a stored chunk of `shard_samples`; raises `DamageError`."""
    if _TYPES[array] == "string":
        raw = compression.decode(data, max(_TEXT_BYTES, _TEXT_RATIO * len(data)))
        if int.from_bytes(raw[:4], "little") != shard_samples:
            raise DamageError(f"holds {int.from_bytes(raw[:4], 'little'):,} values, not {shard_samples:,}")
        try:
            values: list[Any] = _text_codec().decode(raw)[:count].tolist()
        except (ValueError, IndexError) as error:  # UnicodeDecodeError is a ValueError
            raise DamageError(f"does not hold {_TYPES[array]} values ({error})") from error
        return values
    size = _dtype(array).itemsize * shard_samples
    raw = compression.decode(data, size)
    if len(raw) != size:
        raise DamageError(f"holds {len(raw) // _dtype(array).itemsize:,} values, not {shard_samples:,}")
    numbers: list[Any] = np.frombuffer(raw, _dtype(array))[:count].tolist()
    return numbers
