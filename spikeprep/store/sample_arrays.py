"""Arrays with one value per sample (steps, labels, counts, groups, ids) to and from their stored chunks."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .layout import OPTIONAL_ARRAYS, SAMPLE_ARRAYS, SplitLayout
from .shards import Compression, DamageError

_TYPES = SAMPLE_ARRAYS | OPTIONAL_ARRAYS


@functools.cache
def _text_codec() -> Any:
    from numcodecs.vlen import VLenUTF8

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
    return compression.encode(raw)


def decode_sample_array(array: str, data: bytes, count: int, compression: Compression) -> list[Any]:
    """Return the first `count` values of a stored chunk; raises `DamageError`."""
    raw = compression.decode(data)
    try:
        if _TYPES[array] == "string":
            values: list[Any] = _text_codec().decode(raw)[:count].tolist()
        else:
            values = np.frombuffer(raw, _dtype(array))[:count].tolist()
    except (ValueError, IndexError) as error:  # UnicodeDecodeError is a ValueError
        raise DamageError(f"does not hold {_TYPES[array]} values ({error})") from error
    if len(values) != count:
        raise DamageError(f"holds {len(values)} values, not {count}")
    return values
