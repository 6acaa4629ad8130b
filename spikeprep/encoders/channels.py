"""Analogue channels, which encoders and transforms of series take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Frames
from ..errors import SignalError


def channels_of(owner: str, signal: Any) -> NDArray[Any]:
    """Return a signal's values (time, channel), of `Frames` or of an array (time, channel) or (time,).

    Raises `SignalError`, in which `owner` is named, for anything but analogue channels.
    """
    values = np.asarray(signal.values if isinstance(signal, Frames) else signal)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not (np.issubdtype(values.dtype, np.number) and np.isrealobj(values)):
        raise SignalError(
            f"{owner}: got {type(signal).__name__}, {values.dtype} {values.shape}",
            "Frames, or numbers (time, channel)",
            "Put a transform that makes channels ahead of it, such as lyon.",
        )
    return values
